//! The node's store: writes gather in memory and reach the disk one whole moment at a time.

use ldk_node::lightning::{
    io,
    util::persist::{
        CHANNEL_MANAGER_PERSISTENCE_KEY, CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE,
        CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE, KVStore, KVStoreSync,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, ready},
    path::Path,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use store::{KeyValues, KvKey, StorageError};
use tokio::sync::watch;

use crate::{
    copy::{Carrier, CarryError, Home, LOCAL, Mirror, goes_along},
    gate::{Gate, Progress},
};

/// The database's name in the node's folder.
pub const FILE_NAME: &str = "node.db";

/// LDK writes its manager right after a channel changed. Should it not for this long, the moment is
/// closed without it, as it would be without this store.
const LONGEST_OPEN: Duration = Duration::from_secs(2);

type Writes = BTreeMap<KvKey, Option<Vec<u8>>>;

/// A store for [`ldk_node::Builder::build_with_store`].
pub struct DurableStore {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    table: Mutex<KeyValues>,
    /// A fault point of tests.
    at_commit: OnceLock<fn()>,
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The backup's folder does not take this start.
    #[error("{0}")]
    Copy(#[source] CarryError),
}

/// What a store knows of itself: kept in its own table, and in no copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// Moments so far.
    pub seq: u64,
    /// Starts so far, of this wallet in whatever folder.
    pub epoch: u64,
    /// The copy is behind since then.
    pub stale_since_ms: Option<u64>,
}

const SEQ: &str = "seq";
const EPOCH: &str = "epoch";
const STALE: &str = "stale_since_ms";

impl Local {
    fn key(name: &str) -> KvKey {
        KvKey { primary: LOCAL.into(), secondary: String::new(), name: name.into() }
    }

    fn read(table: &KeyValues) -> Result<Self, StorageError> {
        let number = |name| -> Result<Option<u64>, StorageError> {
            let bytes = table.get(&Self::key(name))?;
            Ok(bytes.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?))))
        };
        Ok(Self {
            seq: number(SEQ)?.unwrap_or(0),
            epoch: number(EPOCH)?.unwrap_or(0),
            stale_since_ms: number(STALE)?,
        })
    }
}

/// Writes a node's whole state into an empty folder, where its next start goes on from it.
pub fn lay_down(
    dir: &Path,
    state: &BTreeMap<KvKey, Vec<u8>>,
    local: Local,
) -> Result<(), StorageError> {
    let (seq, epoch) = (local.seq.to_le_bytes(), local.epoch.to_le_bytes());
    let (seq_key, epoch_key) = (Local::key(SEQ), Local::key(EPOCH));
    let own = [(&seq_key, Some(&seq[..])), (&epoch_key, Some(&epoch[..]))];
    let state = state.iter().map(|(key, value)| (key, Some(value.as_slice())));
    KeyValues::open(&dir.join(FILE_NAME))?.apply(state.chain(own))
}

#[derive(Default)]
struct State {
    /// Of the moment that is still open.
    open: Writes,
    /// Of moments that are closed and not on disk yet.
    closed: Writes,
    /// What the writer has in hand.
    writing: Arc<Writes>,
    /// Writes so far, and how many of them are in closed moments.
    written: u64,
    closed_upto: u64,
    /// A channel is ahead of the manager since then.
    channel_ahead: Option<Instant>,
    failed: Option<String>,
    /// The node is only being built: it says nothing yet, and writes again what it read.
    building: bool,
    ending: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Channel,
    Manager,
    Other,
}

impl Kind {
    fn of(key: &KvKey) -> Self {
        match key.primary.as_str() {
            CHANNEL_MONITOR_PERSISTENCE_PRIMARY_NAMESPACE
            | CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE => Self::Channel,
            "" if key.secondary.is_empty() && key.name == CHANNEL_MANAGER_PERSISTENCE_KEY => {
                Self::Manager
            }
            _ => Self::Other,
        }
    }
}

impl State {
    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.closed.extend(open);
        self.closed_upto = self.written;
        self.channel_ahead = None;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, KeyValues> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn built(&self) {
        self.state().building = false;
    }

    pub(crate) fn written(&self) -> u64 {
        self.state().written
    }

    fn write(&self, key: KvKey, value: Option<Vec<u8>>) -> Result<(), io::Error> {
        let mut state = self.state();
        // Once the disk refused, this still serves the node's reads, since LDK panics where a write
        // fails: the gate is closed, so nobody hears of it, and the process is about to end.
        // What is removed is a leftover: an older state, or a closed channel's.
        let changes = value.is_some() && !state.building;
        let kind = if changes { Kind::of(&key) } else { Kind::Other };
        state.open.insert(key, value);
        state.written += 1;
        match kind {
            Kind::Channel => {
                state.channel_ahead.get_or_insert_with(Instant::now);
            }
            Kind::Manager => state.close(),
            Kind::Other if state.channel_ahead.is_none() => state.close(),
            Kind::Other => {}
        }
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    fn read(&self, key: &KvKey) -> Result<Vec<u8>, io::Error> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such key");
        {
            let state = self.state();
            let newest = [&state.open, &state.closed, &*state.writing];
            if let Some(value) = newest.iter().find_map(|writes| writes.get(key)) {
                return value.clone().ok_or_else(missing);
            }
        }
        self.table().get(key).map_err(|error| failed(&error))?.ok_or_else(missing)
    }

    fn names(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        // Under both locks, so that nothing is between memory and disk meanwhile.
        let state = self.state();
        let on_disk = self.table().names(primary, secondary).map_err(|error| failed(&error))?;
        let mut names: BTreeSet<String> = on_disk.into_iter().collect();
        for writes in [&*state.writing, &state.closed, &state.open] {
            for (key, value) in writes {
                if key.primary == primary && key.secondary == secondary {
                    match value {
                        Some(_) => names.insert(key.name.clone()),
                        None => names.remove(&key.name),
                    };
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Takes the closed moments, none where something else is due; `None` when the store has ended
    /// and all is written.
    fn next_batch(&self, due: impl Fn() -> bool) -> Option<(Arc<Writes>, u64)> {
        let mut state = self.state();
        loop {
            if state.failed.is_some() {
                // What comes after a lost moment would not be one.
                return None;
            }
            let overdue = state.channel_ahead.is_some_and(|since| since.elapsed() >= LONGEST_OPEN);
            if overdue || state.ending {
                if overdue && !state.ending {
                    tracing::warn!("the channel manager was not written in time");
                }
                state.close();
            }
            if !state.closed.is_empty() || (due() && !state.ending) {
                state.writing = Arc::new(std::mem::take(&mut state.closed));
                return Some((Arc::clone(&state.writing), state.closed_upto));
            }
            if state.ending {
                return None;
            }
            let waited = self.wake.wait_timeout(state, LONGEST_OPEN / 8);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn fault_point(&self) {
        if let Some(step) = self.at_commit.get() {
            step();
        }
    }

    /// A moment goes to the disk, then to the copy's folder; only then may words leave. So the
    /// disk is never behind the folder, and who is was copied from an older disk.
    fn run(&self, mut seq: u64, mut carrier: Option<Carrier>, on_disk: &watch::Sender<Progress>) {
        while let Some((batch, upto)) =
            self.next_batch(|| carrier.as_ref().is_some_and(Carrier::due))
        {
            let mut written = Ok(());
            if !batch.is_empty() {
                self.fault_point();
                written = self.commit(&batch, seq + 1).map_err(|error| error.to_string());
                self.fault_point();
            }
            if written.is_ok() {
                seq += u64::from(!batch.is_empty());
                if let Some(carrier) = &mut carrier {
                    let along = batch.iter().filter(|(key, _)| goes_along(key));
                    let along = along.map(|(key, value)| (key.clone(), value.clone())).collect();
                    written = carrier.carry(seq, along, self).map_err(|error| error.to_string());
                }
            }
            let mut state = self.state();
            match written {
                Ok(()) => {
                    state.writing = Arc::default();
                    on_disk.send_modify(|progress| progress.writes = upto);
                }
                Err(why) => {
                    tracing::error!(why, "the node's state could not be written");
                    state.failed = Some(why.clone());
                    on_disk.send_modify(|progress| progress.failed = Some(why));
                }
            }
        }
        if let Some(carrier) = &mut carrier
            && self.state().failed.is_none()
        {
            carrier.close(seq);
        }
    }

    fn commit(&self, batch: &Writes, seq: u64) -> Result<(), StorageError> {
        let (key, seq) = (Local::key(SEQ), seq.to_le_bytes());
        let batch = batch.iter().map(|(key, value)| (key, value.as_deref()));
        self.table().apply(batch.chain([(&key, Some(&seq[..]))]))
    }
}

impl Home for Shared {
    fn all(&self) -> Result<Vec<(KvKey, Vec<u8>)>, StorageError> {
        self.table().all()
    }

    fn note_stale(&self, since_ms: Option<u64>) -> Result<(), StorageError> {
        let since = since_ms.map(u64::to_le_bytes);
        let key = Local::key(STALE);
        self.table().apply([(&key, since.as_ref().map(<[u8; 8]>::as_slice))])
    }

    fn ending(&self, wait: Duration) -> bool {
        std::thread::sleep(wait);
        self.state().ending
    }
}

impl DurableStore {
    /// Opens the store at `<dir>/node.db`. Call [`Gate::built`] between building the node and
    /// starting it.
    pub fn open(dir: &Path) -> Result<(Self, Gate), StorageError> {
        Self::start(Self::shared(dir)?, 0, None)
    }

    /// The same with a copy: claims its folder and writes everything there before it returns.
    ///
    /// # Errors
    /// [`OpenError::Copy`] where the folder has seen a newer copy of this wallet, and, where nothing
    /// may leave without it, where it is away.
    pub fn open_with(dir: &Path, mirror: &Mirror) -> Result<(Self, Gate), OpenError> {
        let shared = Self::shared(dir)?;
        let local = Local::read(&shared.table())?;
        let epoch = local.epoch + 1;
        shared.table().apply([(&Local::key(EPOCH), Some(&epoch.to_le_bytes()[..]))])?;
        let carrier = Carrier::open(mirror, &*shared, local, epoch).map_err(OpenError::Copy)?;
        Ok(Self::start(shared, local.seq, Some(carrier))?)
    }

    /// What the store in `dir` knows of itself, while nobody has it open or while somebody does.
    pub fn local(dir: &Path) -> Result<Local, StorageError> {
        Local::read(&KeyValues::open(&dir.join(FILE_NAME))?)
    }

    fn shared(dir: &Path) -> Result<Arc<Shared>, StorageError> {
        Ok(Arc::new(Shared {
            state: Mutex::new(State { building: true, ..State::default() }),
            wake: Condvar::new(),
            table: Mutex::new(KeyValues::open(&dir.join(FILE_NAME))?),
            at_commit: OnceLock::new(),
        }))
    }

    fn start(
        shared: Arc<Shared>,
        seq: u64,
        carrier: Option<Carrier>,
    ) -> Result<(Self, Gate), StorageError> {
        let seq = if carrier.is_some() { seq } else { Local::read(&shared.table())?.seq };
        let (progress, on_disk) = watch::channel(Progress::default());
        let writing = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("node store".into())
            .spawn(move || writing.run(seq, carrier, &progress))
            .map_err(StorageError::from)?;
        let gate = Gate { shared: Arc::clone(&shared), on_disk };
        Ok((Self { shared, writer: Some(writer) }, gate))
    }

    /// Calls `step` before and after each commit: a fault point, where a test ends the process.
    pub fn at_commit(&self, step: fn()) {
        let _set_once = self.shared.at_commit.set(step);
    }
}

impl Drop for DurableStore {
    /// Writes what is left.
    fn drop(&mut self) {
        self.shared.state().ending = true;
        self.shared.wake.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ended = writer.join();
        }
    }
}

fn key(primary: &str, secondary: &str, name: &str) -> KvKey {
    KvKey { primary: primary.into(), secondary: secondary.into(), name: name.into() }
}

fn failed(error: &StorageError) -> io::Error {
    io::Error::new(io::ErrorKind::Other, error.to_string())
}

impl KVStoreSync for DurableStore {
    fn read(&self, primary: &str, secondary: &str, name: &str) -> Result<Vec<u8>, io::Error> {
        self.shared.read(&key(primary, secondary, name))
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<(), io::Error> {
        self.shared.write(key(primary, secondary, name), Some(bytes))
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        _lazy: bool,
    ) -> Result<(), io::Error> {
        self.shared.write(key(primary, secondary, name), None)
    }

    fn list(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        self.shared.names(primary, secondary)
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, io::Error>> + Send>>;

/// The same at once: order is the order of the calls.
impl KVStore for DurableStore {
    fn read(&self, primary: &str, secondary: &str, name: &str) -> Answer<Vec<u8>> {
        Box::pin(ready(KVStoreSync::read(self, primary, secondary, name)))
    }

    fn write(&self, primary: &str, secondary: &str, name: &str, bytes: Vec<u8>) -> Answer<()> {
        Box::pin(ready(KVStoreSync::write(self, primary, secondary, name, bytes)))
    }

    fn remove(&self, primary: &str, secondary: &str, name: &str, lazy: bool) -> Answer<()> {
        Box::pin(ready(KVStoreSync::remove(self, primary, secondary, name, lazy)))
    }

    fn list(&self, primary: &str, secondary: &str) -> Answer<Vec<String>> {
        Box::pin(ready(KVStoreSync::list(self, primary, secondary)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const MONITORS: &str = CHANNEL_MONITOR_UPDATE_PERSISTENCE_PRIMARY_NAMESPACE;

    fn put(store: &DurableStore, primary: &str, name: &str, value: u8) {
        KVStoreSync::write(store, primary, "", name, vec![value]).unwrap();
    }

    fn get(store: &DurableStore, primary: &str, name: &str) -> Option<u8> {
        KVStoreSync::read(store, primary, "", name).ok().map(|bytes| bytes[0])
    }

    /// What another process would find now.
    fn on_disk(dir: &Path, primary: &str, name: &str) -> Option<u8> {
        let table = KeyValues::open(&dir.join(FILE_NAME)).unwrap();
        table.get(&key(primary, "", name)).unwrap().map(|bytes| bytes[0])
    }

    async fn passes(gate: &Gate) -> bool {
        timeout(Duration::from_millis(300), gate.pass()).await.is_ok_and(|passed| passed.is_ok())
    }

    #[tokio::test]
    async fn a_channel_is_never_on_disk_before_its_manager() {
        let dir = tempfile::tempdir().unwrap();
        let (store, gate) = DurableStore::open(dir.path()).unwrap();
        put(&store, MONITORS, "0", 1);
        assert!(passes(&gate).await, "while it is built, it only writes what it read");
        gate.built();
        put(&store, "payments", "p", 1);
        assert!(passes(&gate).await, "without a channel's change nothing waits");
        put(&store, MONITORS, "1", 1);
        put(&store, "payments", "p", 2);
        assert!(!passes(&gate).await, "the manager is behind, so nothing may leave");
        assert_eq!(on_disk(dir.path(), MONITORS, "1"), None);
        assert_eq!(on_disk(dir.path(), "payments", "p"), Some(1));
        assert_eq!(get(&store, "payments", "p"), Some(2), "the node reads what it wrote");
        put(&store, "", CHANNEL_MANAGER_PERSISTENCE_KEY, 1);
        put(&store, MONITORS, "2", 2);
        timeout(Duration::from_secs(1), async {
            while on_disk(dir.path(), MONITORS, "1").is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
        assert_eq!(on_disk(dir.path(), "payments", "p"), Some(2));
        assert_eq!(on_disk(dir.path(), MONITORS, "2"), None, "that is the next moment's");
    }

    #[tokio::test]
    async fn a_manager_that_never_comes_does_not_hold_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let (store, gate) = DurableStore::open(dir.path()).unwrap();
        gate.built();
        put(&store, MONITORS, "1", 1);
        timeout(LONGEST_OPEN * 3, gate.pass()).await.unwrap().unwrap();
        assert_eq!(on_disk(dir.path(), MONITORS, "1"), Some(1));
    }

    #[test]
    fn after_a_moment_that_was_lost_none_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (store, gate) = DurableStore::open(dir.path()).unwrap();
        gate.built();
        put(&store, MONITORS, "1", 1);
        store.shared.state().failed = Some("the disk is full".into());
        put(&store, "", CHANNEL_MANAGER_PERSISTENCE_KEY, 1);
        put(&store, "payments", "p", 1);
        assert_eq!(get(&store, "payments", "p"), Some(1), "the node lives until it is ended");
        drop(store);
        assert_eq!(on_disk(dir.path(), "payments", "p"), None);
        assert_eq!(on_disk(dir.path(), MONITORS, "1"), None);
    }

    #[test]
    fn lists_and_removals_see_memory_and_disk_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _gate) = DurableStore::open(dir.path()).unwrap();
        put(&store, "payments", "a", 1);
        put(&store, "payments", "b", 1);
        drop(store);
        let (store, gate) = DurableStore::open(dir.path()).unwrap();
        gate.built();
        put(&store, MONITORS, "1", 1);
        put(&store, "payments", "c", 1);
        KVStoreSync::remove(&store, "payments", "", "a", false).unwrap();
        assert_eq!(KVStoreSync::list(&store, "payments", "").unwrap(), ["b", "c"]);
        assert_eq!(get(&store, "payments", "a"), None);
        let missing = KVStoreSync::read(&store, "payments", "", "a").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        drop(store);
        assert_eq!(on_disk(dir.path(), "payments", "c"), Some(1), "an end writes what is left");
        assert_eq!(on_disk(dir.path(), "payments", "a"), None);
    }
}
