//! Which wallet this one stands on: a connection that was given once and is kept sealed.

use domain::Network;
use std::path::PathBuf;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::{
    client::NwcBackend,
    keys::{KeepError, KeyMaker},
    line::{LineError, Reach},
    uri::{BadUri, ConnectionUri},
};

/// What the backend is opened with.
pub struct Options {
    pub network: Network,
    /// Where the connection is kept: the backend's own folder.
    pub dir: PathBuf,
    /// A connection string, where one was given: read from a file descriptor, never an argument.
    pub given: Option<Zeroizing<String>>,
    pub runtime: Handle,
}

/// Why there is no wallet to stand on. Tells nothing of a connection string.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("no wallet is connected yet: give its connection string once")]
    NotConnected,
    #[error(
        "another wallet is connected here already; this log belongs to it, and nothing was changed"
    )]
    OtherWallet,
    #[error(transparent)]
    BadUri(#[from] BadUri),
    #[error(transparent)]
    Kept(#[from] KeepError),
    #[error(transparent)]
    Line(#[from] LineError),
}

impl NwcBackend {
    /// Opens the wallet that is connected. A given string is kept first; it may be a new one of the
    /// same wallet service key, and one of another is refused, as the log belongs to the first.
    pub fn open_kept(keys: &KeyMaker, options: &Options) -> Result<Self, OpenError> {
        let kept = keys.kept(&options.dir)?;
        let uri = match (&options.given, kept) {
            (None, None) => return Err(OpenError::NotConnected),
            (None, Some(kept)) => kept,
            (Some(given), kept) => {
                let given = ConnectionUri::parse(given)?;
                if kept.is_some_and(|kept| kept.service != given.service) {
                    return Err(OpenError::OtherWallet);
                }
                keys.keep(&options.dir, &given)?;
                given
            }
        };
        // The string came from somebody else, so it leads into no private network.
        let reach = match options.network {
            Network::Practice => Reach::Loopback,
            _ => Reach::Public,
        };
        Ok(Self::open(&uri, options.network, reach, options.runtime.clone())?)
    }
}
