//! A store with its copy: what may leave, and when.

use super::*;
use crate::{
    DurableStore, Gate, OpenError,
    copy::{CarryError, Folder, carrier::SMALL_BYTES},
    lay_down,
    table::Local,
};
use ldk_node::lightning::util::persist::KVStoreSync;
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};
use tokio::time::timeout;

/// A log of numbers.
#[derive(Default)]
struct Log {
    all: Mutex<Vec<u8>>,
    new: Mutex<Vec<Vec<u8>>>,
}

impl Log {
    fn add(&self, number: u8) {
        self.all.lock().unwrap().push(number);
        self.new.lock().unwrap().push(vec![number]);
    }
}

impl Beside for Log {
    fn about(&self) -> Vec<u8> {
        b"about".to_vec()
    }

    fn files(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        Ok(vec![("log".into(), self.all.lock().unwrap().clone())])
    }

    fn changes(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.new.lock().unwrap())
    }

    fn has_changes(&self) -> bool {
        !self.new.lock().unwrap().is_empty()
    }

    fn lost_changes(&self) -> bool {
        false
    }
}

fn now_ms() -> u64 {
    static NOW: AtomicU64 = AtomicU64::new(1_000);
    NOW.fetch_add(1, Ordering::Relaxed)
}

struct Rig {
    home: tempfile::TempDir,
    place: tempfile::TempDir,
    log: Arc<Log>,
}

impl Rig {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        Folder::make(place.path(), &key()).unwrap();
        Self { home: tempfile::tempdir().unwrap(), place, log: Arc::default() }
    }

    fn mirror(&self, policy: Policy) -> Mirror {
        let place = Place { path: self.place.path().to_owned(), policy };
        let beside = Arc::clone(&self.log) as Arc<dyn Beside>;
        Mirror::new(Kept { key: key(), place: Some(place), beside, now_ms })
    }

    fn open(&self, mirror: &Mirror) -> Result<(DurableStore, Gate), OpenError> {
        open_at(self.home.path(), mirror)
    }

    fn read(&self) -> Contents {
        Folder::find(self.place.path(), &key()).unwrap().read().unwrap()
    }

    /// Unplugs the disk; gives how to plug it in again.
    fn unplug(&self) -> impl FnOnce() + use<> {
        let (at, away) = (self.place.path().to_owned(), self.place.path().with_extension("away"));
        fs::rename(&at, &away).unwrap();
        move || fs::rename(&away, &at).unwrap()
    }
}

fn key() -> CopyKey {
    CopyKey::new(&[3; 32])
}

fn open_at(home: &Path, mirror: &Mirror) -> Result<(DurableStore, Gate), OpenError> {
    let (store, gate) = DurableStore::open_with(home, mirror)?;
    gate.built();
    Ok((store, gate))
}

fn put(store: &DurableStore, name: &str, value: u8) {
    KVStoreSync::write(store, "payments", "", name, vec![value]).unwrap();
}

fn value(contents: &Contents, name: &str) -> Option<u8> {
    let key = KvKey { primary: "payments".into(), secondary: String::new(), name: name.into() };
    contents.state.get(&key).map(|value| value[0])
}

async fn passes(gate: &Gate, within_ms: u64) -> bool {
    let passed = timeout(Duration::from_millis(within_ms), gate.pass()).await;
    passed.is_ok_and(|passed| passed.is_ok())
}

async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..400 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn what_may_leave_is_in_the_folder() {
    let rig = Rig::new();
    let (store, gate) = rig.open(&rig.mirror(Policy::Strict)).unwrap();
    for number in 0..20 {
        rig.log.add(number);
        put(&store, "p", number);
        assert!(passes(&gate, 5_000).await);
        let found = rig.read();
        assert_eq!(value(&found, "p"), Some(number));
        assert!(found.beside.contains(&vec![number]), "the log behind a moment comes with it");
    }
    KVStoreSync::write(&store, "", "", "network_graph", vec![1]).unwrap();
    drop(store);
    let found = rig.read();
    assert!(found.closed_at_ms.is_some());
    assert_eq!(found.state.len(), 1, "{:?}", found.state.keys());
}

#[tokio::test]
async fn strict_waits_for_its_folder_and_goes_on_with_it() {
    let rig = Rig::new();
    let mirror = rig.mirror(Policy::Strict);
    let (store, gate) = rig.open(&mirror).unwrap();
    put(&store, "p", 1);
    assert!(passes(&gate, 5_000).await);
    let plug_in = rig.unplug();
    put(&store, "p", 2);
    assert!(!passes(&gate, 700).await, "nothing leaves");
    assert!(matches!(mirror.status().standing, Standing::Waiting { .. }));
    plug_in();
    assert!(passes(&gate, 5_000).await);
    assert_eq!(value(&rig.read(), "p"), Some(2));
    assert_eq!(mirror.status().standing, Standing::Fresh);
    let plug_in = rig.unplug();
    put(&store, "p", 3);
    assert!(!passes(&gate, 300).await);
    drop(store);
    let why = rig.open(&mirror).err().expect("it is away");
    assert!(matches!(&why, OpenError::Copy(error) if !error.is_fence()), "{why}");
    plug_in();
    let (_store, _gate) = rig.open(&mirror).unwrap();
    assert_eq!(value(&rig.read(), "p"), Some(3), "its own disk had it");
}

#[tokio::test]
async fn lenient_goes_on_and_remembers_since_when_it_is_behind() {
    let rig = Rig::new();
    let mirror = rig.mirror(Policy::Lenient);
    let (store, gate) = rig.open(&mirror).unwrap();
    let plug_in = rig.unplug();
    put(&store, "p", 1);
    assert!(passes(&gate, 5_000).await);
    let Standing::Stale { since_ms, .. } = mirror.status().standing else { panic!("it is behind") };
    drop(store);
    assert_eq!(DurableStore::local(rig.home.path()).unwrap().stale_since_ms, Some(since_ms));
    let (_store, _gate) = rig.open(&mirror).unwrap();
    assert!(
        matches!(mirror.status().standing, Standing::Stale { since_ms: at, .. } if at == since_ms)
    );
    plug_in();
    until("it catches up", || mirror.status().standing == Standing::Fresh).await;
    assert_eq!(value(&rig.read(), "p"), Some(1));
    assert_eq!(DurableStore::local(rig.home.path()).unwrap().stale_since_ms, None);
}

#[tokio::test]
async fn of_two_copies_the_older_one_stops() {
    let rig = Rig::new();
    let mirror = rig.mirror(Policy::Strict);
    let (store, gate) = rig.open(&mirror).unwrap();
    put(&store, "p", 1);
    assert!(passes(&gate, 5_000).await);
    let found = rig.read();
    let other = tempfile::tempdir().unwrap();
    let local = Local { seq: found.seq, epoch: found.owner.epoch, stale_since_ms: None };
    lay_down(other.path(), &found.state, local).unwrap();
    let (restored, other_gate) = open_at(other.path(), &rig.mirror(Policy::Strict)).unwrap();
    put(&store, "p", 2);
    let said = gate.pass().await.unwrap_err().to_string();
    assert!(said.contains("another copy of this wallet"), "{said}");
    drop(store);
    assert!(
        rig.open(&mirror)
            .is_err_and(|error| { matches!(error, OpenError::Copy(error) if error.is_fence()) })
    );
    put(&restored, "p", 3);
    assert!(passes(&other_gate, 5_000).await);
    assert_eq!(value(&rig.read(), "p"), Some(3));
}

#[tokio::test]
async fn an_older_copy_of_the_disk_does_not_start() {
    let rig = Rig::new();
    let mirror = rig.mirror(Policy::Strict);
    let (store, gate) = rig.open(&mirror).unwrap();
    put(&store, "p", 1);
    assert!(passes(&gate, 5_000).await);
    let found = rig.read();
    drop(store);
    let (store, gate) = rig.open(&mirror).unwrap();
    put(&store, "p", 2);
    assert!(passes(&gate, 5_000).await);
    drop(store);
    let older = tempfile::tempdir().unwrap();
    let local = Local { seq: found.seq, epoch: 9, stale_since_ms: None };
    lay_down(older.path(), &found.state, local).unwrap();
    let refused = open_at(older.path(), &rig.mirror(Policy::Strict)).err().expect("it is older");
    assert!(matches!(&refused, OpenError::Copy(CarryError::OlderCopy { .. })), "{refused}");
}

#[tokio::test]
async fn a_place_is_chosen_and_left_while_it_runs() {
    let rig = Rig::new();
    let mirror = rig.mirror(Policy::Strict);
    mirror.keep_at(None);
    let (store, gate) = rig.open(&mirror).unwrap();
    put(&store, "p", 1);
    assert!(passes(&gate, 5_000).await);
    assert_eq!(mirror.status().standing, Standing::Off);
    mirror.keep_at(Some(Place { path: rig.place.path().to_owned(), policy: Policy::Strict }));
    until("it is written", || mirror.status().standing == Standing::Fresh).await;
    assert_eq!(value(&rig.read(), "p"), Some(1));
    let pin = mirror.pin().recv_timeout(Duration::from_secs(5)).unwrap().unwrap();
    assert_eq!(pin.live, pin.copy.state.into_iter().collect::<Vec<_>>());
    rig.log.add(9);
    until("the log alone goes there too", || rig.read().beside == [[9]]).await;
    mirror.keep_at(None);
    until("it is left", || mirror.status().standing == Standing::Off).await;
    assert!(rig.read().left_at_ms.is_some());
    put(&store, "p", 2);
    assert!(passes(&gate, 5_000).await);
    assert_eq!(value(&rig.read(), "p"), Some(1));
}

#[tokio::test]
async fn a_grown_segment_is_written_anew() {
    let rig = Rig::new();
    let mirror = rig.mirror(Policy::Strict);
    let (store, gate) = rig.open(&mirror).unwrap();
    for number in 0..12 {
        KVStoreSync::write(&store, "payments", "", "large", vec![number; 512 * 1024]).unwrap();
        assert!(passes(&gate, 10_000).await);
    }
    assert!(mirror.status().segment_bytes < SMALL_BYTES + 600 * 1024);
    assert_eq!(value(&rig.read(), "large"), Some(11));
}

/// Prints what a moment costs with a folder on the same disk, and without one.
#[tokio::test]
#[ignore = "a measurement"]
async fn what_a_moment_costs() {
    const MOMENTS: u32 = 500;
    for kept in [false, true] {
        let rig = Rig::new();
        let mirror = rig.mirror(Policy::Strict);
        if !kept {
            mirror.keep_at(None);
        }
        let (store, gate) = rig.open(&mirror).unwrap();
        let started = Instant::now();
        for number in 0..MOMENTS {
            let monitor = vec![number as u8; 2_000];
            KVStoreSync::write(&store, "monitor_updates", "m", &number.to_string(), monitor)
                .unwrap();
            KVStoreSync::write(&store, "", "", "manager", vec![number as u8; 8_000]).unwrap();
            gate.pass().await.unwrap();
        }
        let each = started.elapsed() / MOMENTS;
        println!("with a folder: {kept}; each moment {each:?}");
    }
}
