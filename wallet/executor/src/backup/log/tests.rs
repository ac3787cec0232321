//! A log, its copy, and what comes back of it.

use super::*;
use domain::{EventHash, Sha256Hash, event::Link};
use proptest::prelude::*;

domain::events! {
    pub enum Said { "test.said" 1 => Number(Number); }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    number: u64,
}

const LOG: &str = "wallet.db";
const KEY: [u8; 32] = [4; 32];

fn open(dir: &Path) -> Store {
    Store::open(&dir.join(LOG), OpenOptions { body_key: KEY }).unwrap()
}

/// The next event of the stream, with an effect and a body, as the machine writes them.
fn append(store: &mut Store, stream: &str, acknowledged: Vec<EffectId>) -> EffectId {
    let stream = StreamId::new(stream).unwrap();
    let head = store.head(&stream).unwrap();
    let seq = head.seq + 1;
    let prev = if head.seq == 0 { EventHash::GENESIS } else { head.hash };
    let body = Body::new([1; 32], "text/plain", format!("body {seq}").into_bytes());
    let link = Link {
        stream: &stream,
        seq,
        prev,
        at: domain::Timestamp(1),
        bodies: std::slice::from_ref(&body.reference),
        cause: None,
        data: &Said::from(Number { number: seq }),
    };
    let canonical = link.canonical().unwrap();
    let id = EffectId { stream: stream.clone(), seq, index: 0 };
    let outbox = OutboxRow {
        id: id.clone(),
        adapter: ADAPTER,
        class: RepeatClass::LookUpFirst,
        json: "{}".into(),
    };
    let batch = Batch {
        events: vec![NewEvent::new(stream, seq, canonical)],
        bodies: vec![body],
        outbox: vec![outbox],
        acknowledged,
        view_rows: Vec::new(),
        cursors: vec![CursorUpdate { name: "desk".into(), value: seq }],
    };
    store.append(&batch).unwrap();
    id
}

fn stands(store: &Store) -> (u64, Sha256Hash, usize, Option<u64>) {
    let outbox = store.outbox_pending().unwrap().len();
    (store.last_position(), store.root(), outbox, store.cursor("desk").unwrap())
}

#[test]
fn comes_back_from_a_whole_copy_and_what_followed() {
    let home = tempfile::tempdir().unwrap();
    let copy = LogCopy::new(home.path(), LOG, &["limits.json", "none.json"], About::default());
    fs::write(home.path().join("limits.json"), "{}").unwrap();
    let mut store = open(home.path());
    copy.listen(&mut store);
    let first = append(&mut store, "payment/a", Vec::new());
    let before = copy.changes();
    let files: BTreeMap<_, _> = copy.files().unwrap().into_iter().collect();
    assert_eq!(files["limits.json"], b"{}");
    append(&mut store, "payment/a", vec![first]);
    append(&mut store, "payment/b", Vec::new());
    assert!(copy.has_changes());
    let after = copy.changes();
    assert_eq!((before.len(), after.len(), copy.has_changes()), (1, 2, false));
    // What is in the whole copy already changes nothing when it comes again.
    for changes in [after.clone(), [before, after].concat()] {
        let restored = tempfile::tempdir().unwrap();
        let (events, root) = lay_down(restored.path(), LOG, &files, &changes, &KEY).unwrap();
        assert_eq!((events, root), (store.last_position(), store.root()));
        assert_eq!(stands(&open(restored.path())), stands(&store));
    }
}

#[test]
fn a_log_that_grew_while_no_folder_took_it_is_copied_whole() {
    let home = tempfile::tempdir().unwrap();
    let copy = LogCopy::new(home.path(), LOG, &[], About::default());
    let large = Batch {
        outbox: vec![OutboxRow {
            id: EffectId { stream: StreamId::new("a").unwrap(), seq: 1, index: 0 },
            adapter: ADAPTER,
            class: RepeatClass::Repeat,
            json: "x".repeat(MAX_WAITING_BYTES / 2),
        }],
        ..Batch::default()
    };
    copy.note(&large);
    assert!(!copy.lost_changes());
    copy.note(&large);
    assert!(copy.lost_changes() && copy.has_changes());
    assert!(copy.changes().is_empty() && !copy.lost_changes());
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    for name in ["../x", "/etc/x", "a/b/c", "", "blobs/..", "a\\b"] {
        let dir = tempfile::tempdir().unwrap();
        let files = BTreeMap::from([(name.to_owned(), Vec::new())]);
        assert!(lay_down(dir.path(), LOG, &files, &[], &KEY).is_err(), "{name}");
    }
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
    }
}
