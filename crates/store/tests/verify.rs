//! What was changed, exchanged, cut off or damaged is found, and the first event is named.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;

use common::*;
use domain::{Body, Pubkey, Sha256Hash, Timestamp};
use rusqlite::{Connection, params};
use store::{Batch, FaultKind, Head, OpenError, ReadError, Reader, Store, Trust, VerifyReport};

const SIGNER: Pubkey = Pubkey([5; 32]);

/// Stands in for a signature: only who has the test's secret can make it.
fn sign(digest: &[u8; 32]) -> [u8; 64] {
    let half = Sha256Hash::of(&[b"secret".as_slice(), digest].concat()).0;
    [half, half].concat().try_into().unwrap()
}

fn verify(path: &Path) -> VerifyReport {
    let trust = Trust { signer: SIGNER, verify: &|_, digest, sig| sign(digest) == *sig };
    Reader::open(path, Some(&KEY)).unwrap().verify(&trust).unwrap()
}

fn change(path: &Path, sql: &str, parameters: impl rusqlite::Params) {
    assert!(Connection::open(path).unwrap().execute(sql, parameters).unwrap() > 0);
}

/// Three streams of ten events, interleaved, with checkpoints over 12 and 24 of the 30.
fn log(path: &Path) -> Store {
    let mut store = open(path);
    let streams = ["job/a", "job/b", "job/c"].map(stream);
    let mut heads = [Head::EMPTY; 3];
    for round in 1..=10_u64 {
        let mut all = Vec::new();
        for (stream, head) in streams.iter().zip(&mut heads) {
            let event = event(stream, *head, &format!("round {round}"), &[]);
            *head = event.head();
            all.push(event);
        }
        store.append(&batch(all)).unwrap();
        if round % 4 == 0 {
            store.checkpoint(Timestamp(round), SIGNER, sign).unwrap().unwrap();
        }
    }
    store
}

fn first(report: &VerifyReport) -> (u64, &FaultKind) {
    let fault = report.faults.first().expect("a fault");
    (fault.position, &fault.what)
}

#[test]
fn an_honest_log_holds_while_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let store = log(&path);
    let report = verify(&path);
    assert!(report.holds(), "{:?}", report.faults);
    assert_eq!((report.events, report.streams, report.checkpoints), (30, 3, 2));
    assert_eq!((report.checkpointed_events, report.checkpointed_at), (24, Some(Timestamp(8))));
    assert_eq!(report.root, store.root());
    assert!(store.checkpoint(Timestamp(11), SIGNER, sign).unwrap().is_some());
    assert!(store.checkpoint(Timestamp(12), SIGNER, sign).unwrap().is_none(), "nothing new");
    assert_eq!(verify(&path).checkpointed_events, 30);
}

#[test]
fn a_changed_event_is_named() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    drop(log(&path));
    let sql = "UPDATE events SET canonical = CAST(replace(CAST(canonical AS TEXT),
               'round 5', 'round 6') AS BLOB) WHERE position = 14";
    change(&path, sql, []);
    let report = verify(&path);
    assert_eq!(first(&report), (14, &FaultKind::WrongHash));
    let fault = &report.faults[0];
    assert_eq!((fault.stream.clone(), fault.seq), (Some(stream("job/b")), Some(5)));
    assert_eq!(fault.to_string(), "event 14 (job/b #5): its bytes do not have its hash");
    let replay = open(&path).replay(0, |_, _, _| Ok(()));
    assert!(matches!(replay, Err(ReadError::Broken { position: 14, .. })), "{replay:?}");
}

#[test]
fn an_event_rewritten_with_its_hash_breaks_the_chain_after_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = log(&path);
    let detail = store.reader().unwrap().event(11).unwrap().unwrap().event;
    let head = Head { seq: 3, hash: detail.envelope().unwrap().prev };
    let forged = event(&detail.stream, head, "forged", &[]);
    assert_eq!(store.head(&detail.stream).unwrap().seq, 10);
    drop(store);
    let sql = "UPDATE events SET hash = ?1, canonical = ?2 WHERE position = 11";
    change(&path, sql, params![forged.hash().0, forged.canonical()]);
    let report = verify(&path);
    let chain = report.faults.iter().find(|fault| fault.what == FaultKind::BrokenChain).unwrap();
    assert_eq!(chain.position, 14);
    assert_eq!(first(&report).0, 1, "the checkpoint tells that something before was changed");
    let mismatch = FaultKind::CheckpointMismatch {
        file: "00000000000000000012.json".into(),
        unchanged_to: 0,
        size: 12,
    };
    assert!(report.faults.iter().any(|fault| fault.what == mismatch));
}

/// Whoever rewrites the newest event of a stream, its head and the frontier leaves no broken
/// chain: only a checkpoint tells.
#[test]
fn exchanged_events_are_found_by_a_checkpoint_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    drop(log(&path));
    for (from, to) in [(17, 1000), (18, 17), (1000, 18)] {
        change(&path, "UPDATE events SET position = ?2 WHERE position = ?1", [from, to]);
    }
    let mut frontier = domain::merkle::Frontier::default();
    let store = Reader::open(&path, None).unwrap();
    for position in 1_u64..=30 {
        frontier.push(&store.event(position).unwrap().unwrap().event.hash);
        let peak = frontier.newest_peak().unwrap().0;
        change(
            &path,
            "UPDATE events SET peak = ?2 WHERE position = ?1",
            params![position as i64, peak],
        );
    }
    let opened = Store::open(&path, store::OpenOptions { body_key: KEY });
    assert!(matches!(opened, Err(OpenError::Inconsistent { .. })), "also a start notices it");
    let report = verify(&path);
    let expected = FaultKind::CheckpointMismatch {
        file: "00000000000000000024.json".into(),
        unchanged_to: 12,
        size: 24,
    };
    assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    assert_eq!(first(&report), (13, &expected));
}

#[test]
fn a_log_that_was_cut_off_is_found() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    drop(log(&path));
    change(&path, "DELETE FROM events WHERE position > 21", []);
    let opened = Store::open(&path, store::OpenOptions { body_key: KEY });
    assert!(matches!(opened, Err(OpenError::Inconsistent { .. })));
    let report = verify(&path);
    let file = "00000000000000000024.json".into();
    assert_eq!(first(&report), (22, &FaultKind::Truncated { file, size: 24 }));

    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    drop(log(&path));
    change(&path, "DELETE FROM events WHERE position = 7", []);
    assert_eq!(
        first(&verify(&path)).1,
        &FaultKind::CheckpointMismatch {
            file: "00000000000000000012.json".into(),
            unchanged_to: 0,
            size: 12
        }
    );
    assert!(verify(&path).faults.iter().any(|f| (f.position, &f.what) == (7, &FaultKind::Missing)));
    let replay = Reader::open(&path, None).unwrap().event(7).unwrap();
    assert!(replay.is_none());
}

#[test]
fn foreign_and_damaged_checkpoints_do_not_count() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let store = log(&path);
    store.checkpoint(Timestamp(20), Pubkey([6; 32]), sign).unwrap();
    let dir = home.path().join("checkpoints");
    let twelve = dir.join("00000000000000000012.json");
    let text = std::fs::read_to_string(&twelve).unwrap();
    std::fs::write(&twelve, text.replace("\"size\": 12", "\"size\": 11")).unwrap();
    std::fs::write(dir.join("00000000000000000013.json"), vec![b'['; 4000]).unwrap();
    std::fs::write(dir.join("00000000000000000014.json"), vec![b' '; 9000]).unwrap();
    std::fs::write(dir.join("00000000000000000015.part"), b"half").unwrap();
    let report = verify(&path);
    assert_eq!(report.checkpoints, 1);
    let bad =
        report.faults.iter().filter(|fault| matches!(fault.what, FaultKind::BadCheckpoint { .. }));
    assert_eq!(bad.count(), 4);
}

#[test]
fn bodies_are_checked_and_forgotten_ones_are_no_fault() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = open(&path);
    let bodies: Vec<_> = [10, 100_000, 20, 100_001, 30]
        .into_iter()
        .map(|len| Body::new([len as u8; 32], "text/plain", vec![b'x'; len]))
        .collect();
    let mut head = Head::EMPTY;
    for body in &bodies {
        let event = event(&stream("job/a"), head, "body", std::slice::from_ref(body));
        head = event.head();
        let bodies = vec![body.clone()];
        store.append(&Batch { events: vec![event], bodies, ..Batch::default() }).unwrap();
    }
    assert_eq!(verify(&path).bodies_present, 5);
    for body in &bodies[..2] {
        assert!(store.forget(&body.reference).unwrap());
        assert!(!store.forget(&body.reference).unwrap(), "again changes nothing");
        assert_eq!(store.reader().unwrap().body(&body.reference).unwrap(), None);
    }
    let again = event(&stream("job/b"), Head::EMPTY, "again", &bodies[..1]);
    let again = Batch { events: vec![again], bodies: bodies.clone(), ..Batch::default() };
    store.append(&again).unwrap();
    assert_eq!(
        store.reader().unwrap().body(&bodies[1].reference).unwrap(),
        None,
        "stays forgotten"
    );
    let report = verify(&path);
    assert!(report.holds(), "{:?}", report.faults);
    assert_eq!((report.bodies_present, report.bodies_forgotten), (3, 3));

    std::fs::remove_file(home.path().join("blobs").join(bodies[3].reference.hash.to_string()))
        .unwrap();
    change(
        &path,
        "UPDATE bodies SET sealed = zeroblob(90) WHERE hash = ?1",
        [bodies[2].reference.hash.0],
    );
    let report = verify(&path);
    let faults: Vec<_> = report.faults.iter().map(|fault| (fault.position, &fault.what)).collect();
    assert_eq!(faults, [(3, &FaultKind::BodyDamaged), (4, &FaultKind::BodyDamaged)]);
    let read = store.reader().unwrap().body(&bodies[2].reference);
    assert!(matches!(read, Err(ReadError::BodyDamaged { len: 20 })), "{read:?}");
}

#[test]
fn what_is_forgotten_is_not_left_in_any_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = open(&path);
    let body = Body::new([4; 32], "text/plain", vec![b'y'; 3000]);
    let event = event(&stream("job/a"), Head::EMPTY, "body", std::slice::from_ref(&body));
    store
        .append(&Batch { events: vec![event], bodies: vec![body.clone()], ..Batch::default() })
        .unwrap();
    let sealed: Vec<u8> = Connection::open(&path)
        .unwrap()
        .query_row("SELECT sealed FROM bodies", [], |row| row.get(0))
        .unwrap();
    let needle = &sealed[1000..1100];
    let holds = || {
        ["log.db", "log.db-wal"].iter().any(|name| {
            let bytes = std::fs::read(home.path().join(name)).unwrap_or_default();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    };
    assert!(holds());
    store.forget(&body.reference).unwrap();
    assert!(!holds());
}

#[test]
fn what_nothing_refers_to_is_collected() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = open(&path);
    let bodies: Vec<_> = [10, 100_000, 20, 100_001]
        .into_iter()
        .map(|len| Body::new([len as u8; 32], "text/plain", vec![b'x'; len]))
        .collect();
    let events = vec![event(&stream("job/a"), Head::EMPTY, "two of four", &bodies[..2])];
    store.append(&Batch { events, bodies: bodies.clone(), ..Batch::default() }).unwrap();
    std::fs::write(home.path().join("blobs").join("left.part"), b"half").unwrap();
    let collected = store.collect_unreferenced().unwrap();
    assert_eq!((collected.bodies, collected.files), (2, 2));
    assert_eq!(store.collect_unreferenced().unwrap(), store::Collected::default());
    assert!(verify(&path).holds());
    let reader = store.reader().unwrap();
    assert_eq!(reader.body(&bodies[1].reference).unwrap().as_ref(), Some(&bodies[1]));
}

#[test]
fn the_export_has_every_event_with_its_hash() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let store = log(&path);
    let mut out = Vec::new();
    assert_eq!(store.reader().unwrap().export(25, &mut out).unwrap(), 5);
    let lines: Vec<serde_json::Value> = out
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    for (line, position) in lines.iter().zip(26..) {
        assert_eq!(line["position"], position);
        let canonical = domain::canonical_json(&line["event"]).unwrap();
        assert_eq!(line["hash"], domain::EventHash::of(&canonical).to_string());
    }
}
