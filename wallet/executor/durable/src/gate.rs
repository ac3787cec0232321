//! What waits for the disk.

use std::sync::Arc;
use tokio::sync::watch;

use crate::table::Shared;

/// Lets through what may leave: only after all writes before it are on disk.
#[derive(Clone)]
pub struct Gate {
    pub(crate) shared: Arc<Shared>,
    pub(crate) on_disk: watch::Receiver<Progress>,
}

/// How far the disk is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub writes: u64,
    /// The disk refused; nothing more leaves.
    pub failed: Option<String>,
}

/// The disk refused a write: what followed it must not leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node's state could not be written, so nothing more is sent: {0}")]
pub struct NotWritten(pub String);

impl Gate {
    /// The node is built and will be started: from here on a channel's write waits for the
    /// manager's.
    pub fn built(&self) {
        self.shared.built();
    }

    /// Waits until everything that was written so far is on disk.
    pub async fn pass(&self) -> Result<(), NotWritten> {
        let upto = self.shared.written();
        let mut on_disk = self.on_disk.clone();
        let done = on_disk
            .wait_for(|progress| progress.writes >= upto || progress.failed.is_some())
            .await
            .map_err(|_| NotWritten("the node has ended".into()))?;
        match &done.failed {
            Some(why) => Err(NotWritten(why.clone())),
            None => Ok(()),
        }
    }

    /// Why the disk refused, once it did.
    pub async fn failed(&self) -> NotWritten {
        let mut on_disk = self.on_disk.clone();
        match on_disk.wait_for(|progress| progress.failed.is_some()).await {
            Ok(progress) => NotWritten(progress.failed.clone().unwrap_or_default()),
            Err(_) => NotWritten("the node has ended".into()),
        }
    }
}
