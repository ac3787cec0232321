//! The node's own database, watched: whether channel states are ahead of the channel manager.
//!
//! LDK writes a channel's new state before its manager. A process that is killed between the two
//! force-closes that channel at its next start. So our log moves on, where it can, when the two
//! agree on disk. The same lock gives a backup a moment without writes.

use ldk_node::{
    io::sqlite_store::SqliteStore,
    lightning::{
        io,
        util::persist::{
            CHANNEL_MANAGER_PERSISTENCE_KEY, CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE,
            CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE, KVStore, KVStoreSync,
        },
    },
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Without a channel write for this long, the exchange with the peer is over.
const QUIET: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What was written, in what order.
#[derive(Debug)]
pub struct Watch {
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// Channel states written or being written.
    channels: u64,
    /// How many of them the manager on disk knows of.
    managed: u64,
    last_channel_write: Option<Instant>,
}

impl Watch {
    fn new() -> Self {
        Self { seen: Mutex::new(Seen { channels: 0, managed: 0, last_channel_write: None }) }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channel_write(&self) {
        let mut seen = self.seen();
        seen.channels += 1;
        seen.last_channel_write = Some(Instant::now());
    }

    fn managed(&self, channels: u64) {
        let mut seen = self.seen();
        seen.managed = seen.managed.max(channels);
    }

    fn is_settled(&self) -> bool {
        let seen = self.seen();
        seen.managed == seen.channels
            && seen.last_channel_write.is_none_or(|at| at.elapsed() >= QUIET)
    }

    /// Waits until manager and channels agree on disk, at most `longest`.
    pub async fn settled(&self, longest: Duration) {
        let start = Instant::now();
        while !self.is_settled() && start.elapsed() < longest {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// [`SqliteStore`] with a [`Watch`] on it.
pub struct WatchedStore {
    inner: SqliteStore,
    watch: Arc<Watch>,
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, io::Error>> + Send>>;

impl WatchedStore {
    pub fn new(inner: SqliteStore) -> (Self, Arc<Watch>) {
        let watch = Arc::new(Watch::new());
        (Self { inner, watch: Arc::clone(&watch) }, watch)
    }

    fn kind(primary: &str, secondary: &str, key: &str) -> Kind {
        match primary {
            CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE
            | CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE => Kind::Channel,
            "" if secondary.is_empty() && key == CHANNEL_MANAGER_PERSISTENCE_KEY => Kind::Manager,
            _ => Kind::Other,
        }
    }

    /// Before a write: counts a channel's, and notes how many the manager's can know of.
    fn begin(&self, kind: Kind) -> u64 {
        if kind == Kind::Channel {
            self.watch.channel_write();
        }
        self.watch.seen().channels
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Channel,
    Manager,
    Other,
}

impl KVStoreSync for WatchedStore {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> Result<Vec<u8>, io::Error> {
        KVStoreSync::read(&self.inner, primary, secondary, key)
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        bytes: Vec<u8>,
    ) -> Result<(), io::Error> {
        let kind = Self::kind(primary, secondary, key);
        let known = self.begin(kind);
        KVStoreSync::write(&self.inner, primary, secondary, key, bytes)?;
        if kind == Kind::Manager {
            self.watch.managed(known);
        }
        Ok(())
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        key: &str,
        lazy: bool,
    ) -> Result<(), io::Error> {
        KVStoreSync::remove(&self.inner, primary, secondary, key, lazy)
    }

    fn list(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        KVStoreSync::list(&self.inner, primary, secondary)
    }
}

impl KVStore for WatchedStore {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> Answer<Vec<u8>> {
        KVStore::read(&self.inner, primary, secondary, key)
    }

    fn write(&self, primary: &str, secondary: &str, key: &str, bytes: Vec<u8>) -> Answer<()> {
        let kind = Self::kind(primary, secondary, key);
        let known = self.begin(kind);
        let writing = KVStore::write(&self.inner, primary, secondary, key, bytes);
        let watch = Arc::clone(&self.watch);
        Box::pin(async move {
            writing.await?;
            if kind == Kind::Manager {
                watch.managed(known);
            }
            Ok(())
        })
    }

    fn remove(&self, primary: &str, secondary: &str, key: &str, lazy: bool) -> Answer<()> {
        KVStore::remove(&self.inner, primary, secondary, key, lazy)
    }

    fn list(&self, primary: &str, secondary: &str) -> Answer<Vec<String>> {
        KVStore::list(&self.inner, primary, secondary)
    }
}
