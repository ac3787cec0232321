//! Crashes, damage and a model: what was committed is there, all of it, or the error says so.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{collections::BTreeMap, path::Path};

use common::*;
use domain::{EffectId, EventHash, StreamId};
use proptest::prelude::*;
use store::{AppendError, Batch, Head, NewEvent, OpenOptions, OutboxRow, StorageError, Store};

/// Cuts the write-ahead log at every length and opens what a crash there would leave: whole
/// batches, from the first on, never a part of one.
#[test]
fn a_torn_write_ahead_log_leaves_whole_batches() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = open(&path);
    store.flush_wal().unwrap();
    let a = stream("job/a");
    let mut ends = vec![0];
    let mut batches = Vec::new();
    for size in [1, 3, 2, 5] {
        let head = store.head(&a).unwrap();
        let events = events(&a, head, size);
        let outbox = events.iter().map(|event| effect(event, 0)).collect();
        let batch = Batch { events, outbox, ..Batch::default() };
        ends.push(store.append(&batch).unwrap().last_position);
        batches.push(batch);
    }
    let database = std::fs::read(&path).unwrap();
    let wal = std::fs::read(home.path().join("log.db-wal")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..=wal.len()).step_by(509).chain([wal.len()]) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log.db");
        std::fs::write(&path, &database).unwrap();
        std::fs::write(home.path().join("log.db-wal"), &wal[..cut]).unwrap();
        let mut store = open(&path);
        let last = store.last_position();
        assert!(ends.contains(&last), "{last} events after a cut at {cut}");
        assert_eq!(replayed(&store).len() as u64, last);
        assert_eq!(store.outbox_pending().unwrap().len() as u64, last);
        seen.insert(last);
        // The caller does not know what was committed: doing all of it again is right.
        for batch in &batches {
            store.append(batch).unwrap();
        }
        assert_eq!(store.last_position(), 11);
        assert_eq!(store.outbox_pending().unwrap().len(), 11);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ends);
}

fn filled(path: &Path) -> Vec<(u64, EventHash)> {
    let mut store = open(path);
    for name in ["job/a", "job/b"] {
        store.append(&batch(events(&stream(name), Head::EMPTY, 100))).unwrap();
    }
    store.flush_wal().unwrap();
    replayed(&store)
}

/// What a program sees of a damaged file: the same log, or an error; never another log.
fn read_again(path: &Path) -> Result<Vec<(u64, EventHash)>, String> {
    let options = OpenOptions { body_key: KEY };
    let store = Store::open(path, options).map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    store
        .replay(0, |position, hash, _| {
            all.push((position, hash));
            Ok(())
        })
        .map_err(|error| error.to_string())?;
    let heads = store.heads().map_err(|error| error.to_string())?;
    drop(heads);
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_bytes_never_give_another_log(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40)
    ) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log.db");
        let before = filled(&path);
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(after) = read_again(&path) {
            prop_assert_eq!(after, before);
        }
    }
}

#[test]
fn a_damaged_page_and_a_foreign_file_are_told_apart() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    filled(&path);
    let good = std::fs::read(&path).unwrap();
    let pages = good.len() / 4096;
    let mut noticed = 0;
    for page in 1..pages {
        let mut bytes = good.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0xA5);
        std::fs::write(&path, &bytes).unwrap();
        let Err(error) = read_again(&path) else { continue };
        assert!(error.contains("damaged") || error.contains("does not"), "page {page}: {error}");
        noticed += 1;
    }
    assert!(noticed * 2 > pages, "most pages hold events: {noticed} of {pages}");
    std::fs::write(&path, b"no database at all, but long enough to have a header in it ........ .............................................").unwrap();
    let refused = Store::open(&path, OpenOptions { body_key: KEY }).err().unwrap();
    assert!(refused.to_string().contains("not a database"), "{refused}");

    let foreign = home.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    let before = std::fs::read(&foreign).unwrap();
    let refused = Store::open(&foreign, OpenOptions { body_key: KEY }).err().unwrap();
    assert!(refused.to_string().contains("another program"), "{refused}");
    assert_eq!(std::fs::read(&foreign).unwrap(), before);
}

#[test]
fn a_second_writer_is_told_that_it_is_busy() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = open(&path);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let events = events(&stream("job/a"), Head::EMPTY, 1);
    let refused = store.append(&batch(events.clone()));
    assert!(matches!(refused, Err(AppendError::Storage(StorageError::Busy(_)))), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.append(&batch(events)).unwrap().last_position, 1);
}

#[derive(Clone, Debug)]
enum Op {
    /// Events in these streams, every other one with this many effects.
    Append(Vec<u8>, u16),
    /// An earlier batch again.
    Repeat(prop::sample::Index),
    Acknowledge(prop::sample::Index),
    /// An event that is not the next: refused, with everything beside it.
    Refused(u8),
    Reopen,
    Snapshot(Vec<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (prop::collection::vec(0_u8..6, 1..8), 0_u16..3).prop_map(|(s, e)| Op::Append(s, e)),
        1 => any::<prop::sample::Index>().prop_map(Op::Repeat),
        2 => any::<prop::sample::Index>().prop_map(Op::Acknowledge),
        1 => (0_u8..6).prop_map(Op::Refused),
        1 => Just(Op::Reopen),
        1 => prop::collection::vec(any::<u8>(), 0..50).prop_map(Op::Snapshot),
    ]
}

/// What the store must hold, kept the plain way.
#[derive(Default)]
struct Model {
    log: Vec<(u64, EventHash)>,
    heads: BTreeMap<StreamId, Head>,
    pending: Vec<EffectId>,
    batches: Vec<Batch>,
    snapshot: Option<(u64, Vec<u8>)>,
}

impl Model {
    fn head(&self, stream: &StreamId) -> Head {
        self.heads.get(stream).copied().unwrap_or(Head::EMPTY)
    }

    fn batch(&mut self, streams: &[u8], effects: u16) -> Batch {
        let mut batch = Batch::default();
        for (n, name) in streams.iter().enumerate() {
            let stream = stream(&format!("s/{name}"));
            let event = event(&stream, self.head(&stream), &format!("{n}"), &[]);
            let rows: Vec<OutboxRow> =
                (0..if n % 2 == 0 { effects } else { 0 }).map(|i| effect(&event, i)).collect();
            self.heads.insert(stream, event.head());
            self.log.push((self.log.len() as u64 + 1, event.hash()));
            self.pending.extend(rows.iter().map(|row| row.id.clone()));
            batch.outbox.extend(rows);
            batch.events.push(event);
        }
        self.batches.push(batch.clone());
        batch
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn holds_what_the_model_holds(ops in prop::collection::vec(op(), 1..30)) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log.db");
        let mut store = open(&path);
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::Append(streams, effects) => {
                    let batch = model.batch(&streams, effects);
                    let committed = store.append(&batch).unwrap();
                    prop_assert_eq!(committed.recorded(), streams.len() as u64);
                }
                Op::Repeat(which) if !model.batches.is_empty() => {
                    let batch = &model.batches[which.index(model.batches.len())];
                    prop_assert_eq!(store.append(batch).unwrap().recorded(), 0);
                }
                Op::Acknowledge(which) if !model.pending.is_empty() => {
                    let id = model.pending.remove(which.index(model.pending.len()));
                    let acknowledged = vec![id.clone(), id];
                    store.append(&Batch { acknowledged, ..Batch::default() }).unwrap();
                }
                Op::Refused(name) => {
                    let stream = stream(&format!("s/{name}"));
                    let head = model.head(&stream);
                    let good = event(&stream, head, "good", &[]);
                    let far = Head { seq: head.seq + 1, hash: EventHash([1; 32]) };
                    let bad: NewEvent = event(&stream, far, "does not follow", &[]);
                    prop_assert!(store.append(&batch(vec![good, bad])).is_err());
                }
                Op::Snapshot(state) if !model.log.is_empty() => {
                    let position = model.log.len() as u64;
                    store.snapshot_save("v1", position, &state).unwrap();
                    model.snapshot = Some((position, state));
                }
                Op::Reopen => {
                    drop(store);
                    store = open(&path);
                }
                _ => {}
            }
            prop_assert_eq!(store.last_position(), model.log.len() as u64);
        }
        prop_assert_eq!(replayed(&store), model.log);
        let pending: Vec<_> = store.outbox_pending().unwrap().into_iter().map(|e| e.id).collect();
        prop_assert_eq!(pending, model.pending);
        let heads: BTreeMap<_, _> = store.heads().unwrap().into_iter().collect();
        prop_assert_eq!(heads, model.heads);
        let snapshot = store.snapshot_load("v1").unwrap().map(|s| (s.position, s.state));
        prop_assert_eq!(snapshot, model.snapshot);
        prop_assert_eq!(store.snapshot_load("v2").unwrap(), None);
        prop_assert!(store.quick_check().unwrap().is_empty());
    }
}
