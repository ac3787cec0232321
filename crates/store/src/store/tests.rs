//! What needs the writer's own connection: a full disk, a transaction that a crash cuts short.

use super::*;
use crate::{AppendError, Batch, NewEvent, StorageError};
use domain::{Body, Timestamp};

domain::events! {
    pub enum Said { "test.said" 1 => Text(Text); }
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Text {
    text: String,
}

fn open(path: &Path) -> Store {
    Store::open(path, OpenOptions { body_key: [7; 32] }).unwrap()
}

fn next(store: &mut Store, stream: &StreamId, text: &str) -> NewEvent {
    let head = store.head(stream).unwrap();
    let link = domain::event::Link {
        stream,
        seq: head.seq + 1,
        prev: head.hash,
        at: Timestamp(1),
        bodies: &[],
        cause: None,
        data: &Said::from(Text { text: text.into() }),
    };
    NewEvent::new(stream.clone(), head.seq + 1, link.canonical().unwrap())
}

fn count(store: &Store) -> u64 {
    let mut count = 0;
    store
        .replay(0, |_, _, _| {
            count += 1;
            Ok(())
        })
        .unwrap();
    count
}

#[test]
fn a_full_disk_loses_nothing_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = open(&path);
    let stream = StreamId::named("job/a");
    let pages: i64 = store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages + 10);
    store.connection.query_row(&limit, [], |_| Ok(())).unwrap();
    let mut recorded = 0;
    let error = loop {
        let events = vec![next(&mut store, &stream, &"x".repeat(3000))];
        match store.append(&Batch { events, ..Batch::default() }) {
            Ok(_) => recorded += 1,
            Err(error) => break error,
        }
        assert!(recorded < 100);
    };
    assert!(matches!(error, AppendError::Storage(StorageError::DiskFull(_))), "{error:?}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(recorded > 3);
    assert_eq!(count(&store), recorded, "the same store goes on reading");
    store.connection.query_row("PRAGMA max_page_count = 100000", [], |_| Ok(())).unwrap();
    let events = vec![next(&mut store, &stream, "there is room again")];
    assert_eq!(
        store.append(&Batch { events, ..Batch::default() }).unwrap().last_position,
        recorded + 1
    );
    drop(store);
    assert_eq!(count(&open(&path)), recorded + 1);
}

#[test]
fn no_space_for_a_file_is_the_same_error() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert!(matches!(StorageError::from(full), StorageError::DiskFull(_)));
}

#[test]
fn a_transaction_cut_short_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = open(&path);
    let stream = StreamId::named("job/a");
    let first = vec![next(&mut store, &stream, "committed")];
    store.append(&Batch { events: first, ..Batch::default() }).unwrap();
    store.connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM events;").unwrap();
    let crashed = tempfile::tempdir().unwrap();
    for name in ["log.db", "log.db-wal"] {
        std::fs::copy(home.path().join(name), crashed.path().join(name)).unwrap();
    }
    assert_eq!(count(&open(&crashed.path().join("log.db"))), 1);
    drop(store);
    assert_eq!(count(&open(&path)), 1);
}

#[test]
fn a_large_body_that_can_not_be_written_stops_the_batch() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = open(&path);
    std::fs::remove_dir_all(store.blobs_dir()).unwrap();
    std::fs::write(store.blobs_dir(), b"a file is in the way").unwrap();
    let stream = StreamId::named("job/a");
    let events = vec![next(&mut store, &stream, "with a large body")];
    let bodies = vec![Body::new([1; 32], "text/plain", vec![0; 100_000])];
    let refused = store.append(&Batch { events, bodies, ..Batch::default() });
    assert!(matches!(refused, Err(AppendError::Storage(_))), "{refused:?}");
    assert_eq!(count(&store), 0);
}

#[test]
fn the_cache_of_heads_is_bounded() {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(&home.path().join("log.db"));
    let tip = Tip { id: 1, head: Head::EMPTY, escaped: Arc::from([]) };
    for n in 0..REMEMBERED_STREAMS + 10 {
        store.remember([(StreamId::of("job", n), tip.clone())]);
    }
    assert!(store.tips.len() <= REMEMBERED_STREAMS);
}
