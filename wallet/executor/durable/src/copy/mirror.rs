//! The copy as the rest of the wallet sees it: what is wanted, and how it stands.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};
use store::KvKey;

use super::{folder::Contents, record::Policy, segment::CopyKey};

/// Where the copy is kept, and how strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    pub policy: Policy,
}

/// What lies beside the node's state and belongs to its backup.
pub trait Beside: Send + Sync + 'static {
    /// What is said of the wallet in each segment.
    fn about(&self) -> Vec<u8>;
    /// Whole, as it is now. What [`Beside::changes`] gave before is in it.
    fn files(&self) -> io::Result<Vec<(String, Vec<u8>)>>;
    /// Takes what changed. Done again upon newer files, a change must change nothing.
    fn changes(&self) -> Vec<Vec<u8>>;
    fn has_changes(&self) -> bool;
    /// More changed than could be kept: only whole files hold.
    fn lost_changes(&self) -> bool;
}

/// What a mirror is made with.
pub struct Kept {
    pub key: CopyKey,
    pub place: Option<Place>,
    pub beside: Arc<dyn Beside>,
    /// Milliseconds since 1970.
    pub now_ms: fn() -> u64,
}

/// How the folder stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    #[default]
    Off,
    /// It has everything.
    Fresh,
    /// It is behind, and the wallet goes on.
    Stale { since_ms: u64, why: String },
    /// It is away, and nothing leaves until it is back.
    Waiting { since_ms: u64, why: String },
}

/// What is known of the copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorStatus {
    pub place: Option<Place>,
    pub standing: Standing,
    pub last_write_ms: Option<u64>,
    /// Of the newest moment that the folder has.
    pub seq: u64,
    pub epoch: u64,
    pub segment_bytes: u64,
    /// Moments that were written there, and how long that took.
    pub moments: u64,
    pub spent: Duration,
}

/// The state and its copy at the same moment.
#[derive(Debug)]
pub struct Pin {
    pub seq: u64,
    pub live: Vec<(KvKey, Vec<u8>)>,
    pub copy: Contents,
}

pub(super) type PinSender = SyncSender<Result<Pin, String>>;

pub(super) struct Inner {
    pub kept: Kept,
    pub state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub place: Option<Place>,
    /// Counts changes of what is wanted.
    pub wanted: u64,
    pub pins: Vec<PinSender>,
    pub status: MirrorStatus,
}

/// A handle on the copy: what is wanted, and how it stands.
#[derive(Clone)]
pub struct Mirror {
    pub(super) inner: Arc<Inner>,
}

impl Mirror {
    pub fn new(kept: Kept) -> Self {
        let place = kept.place.clone();
        let status = MirrorStatus { place: place.clone(), ..MirrorStatus::default() };
        let state = State { place, status, ..State::default() };
        Self { inner: Arc::new(Inner { kept, state: Mutex::new(state) }) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn key(&self) -> &CopyKey {
        &self.inner.kept.key
    }

    /// Keeps the copy there from now on; where it was, it is marked as left.
    pub fn keep_at(&self, place: Option<Place>) {
        let mut state = self.state();
        state.place = place;
        state.wanted += 1;
    }

    /// Writes a whole segment soon.
    pub fn write_whole(&self) {
        self.state().wanted += 1;
    }

    pub fn status(&self) -> MirrorStatus {
        self.state().status.clone()
    }

    /// Asks for the state and the folder's copy of it, both read at the same moment.
    pub fn pin(&self) -> Receiver<Result<Pin, String>> {
        let (sender, receiver) = sync_channel(1);
        self.state().pins.push(sender);
        receiver
    }
}

#[cfg(test)]
mod tests;
