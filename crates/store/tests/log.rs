//! The log: order, chains, repeats, conflicts, outbox, bodies, pages.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use domain::{Body, EventHash};
use store::{
    AppendError, Batch, CursorUpdate, EventQuery, Head, OpenError, OpenOptions, Order, Store,
    ViewQuery, ViewRow,
};

#[test]
fn keeps_events_in_order_across_a_reopen() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let (a, b) = (stream("job/a"), stream("job/b\"\\"));
    let mut store = open(&path);
    let first = events(&a, Head::EMPTY, 3);
    let committed = store.append(&batch(first.clone())).unwrap();
    assert_eq!((committed.first_position, committed.last_position), (1, 3));
    let second = events(&b, Head::EMPTY, 2);
    assert_eq!(store.append(&batch(second.clone())).unwrap().first_position, 4);
    let root = store.root();
    drop(store);

    let mut store = open(&path);
    let expected: Vec<_> = first
        .iter()
        .chain(&second)
        .enumerate()
        .map(|(n, event)| (n as u64 + 1, event.hash()))
        .collect();
    assert_eq!(replayed(&store), expected);
    assert_eq!(store.root(), root);
    assert_eq!(store.head(&a).unwrap(), Head { seq: 3, hash: first[2].hash() });
    assert_eq!(store.heads().unwrap()[&b].seq, 2);
    let more = events(&a, store.head(&a).unwrap(), 1);
    assert_eq!(store.append(&batch(more)).unwrap().last_position, 6);
}

#[test]
fn a_repeated_batch_changes_nothing_and_revives_no_effect() {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(&home.path().join("log.db"));
    let events = events(&stream("job/a"), Head::EMPTY, 3);
    let outbox = vec![effect(&events[1], 0), effect(&events[2], 5)];
    let batch = Batch { events, outbox, ..Batch::default() };
    store.append(&batch).unwrap();
    assert_eq!(store.outbox_pending().unwrap().len(), 2);
    store
        .append(&Batch { acknowledged: vec![batch.outbox[0].id.clone()], ..Batch::default() })
        .unwrap();

    let again = store.append(&batch).unwrap();
    assert_eq!(again.recorded(), 0);
    assert_eq!(again.last_position, 3);
    let pending = store.outbox_pending().unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!((&pending[0].id, pending[0].position), (&batch.outbox[1].id, 3));
    assert_eq!(replayed(&store).len(), 3);
}

#[test]
fn another_event_at_the_same_place_is_a_loud_conflict() {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(&home.path().join("log.db"));
    let a = stream("job/a");
    let recorded = events(&a, Head::EMPTY, 3);
    store.append(&batch(recorded.clone())).unwrap();
    let before = [Head::EMPTY, Head { seq: 1, hash: recorded[0].hash() }, {
        Head { seq: 2, hash: recorded[1].hash() }
    }];
    for (n, head) in before.into_iter().enumerate() {
        let good = event(&stream("job/b"), Head::EMPTY, "never recorded", &[]);
        let other = event(&a, head, "something else", &[]);
        match store.append(&batch(vec![good, other.clone()])) {
            Err(AppendError::Conflict { seq, recorded: found, offered, .. }) => {
                assert_eq!((seq, found, offered), (n as u64 + 1, recorded[n].hash(), other.hash()));
            }
            unexpected => panic!("{unexpected:?}"),
        }
    }
    assert_eq!(replayed(&store).len(), 3, "nothing of a refused batch is recorded");
    assert_eq!(store.head(&stream("job/b")).unwrap(), Head::EMPTY);
}

#[test]
fn refuses_gaps_and_broken_chains() {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(&home.path().join("log.db"));
    let a = stream("job/a");
    let three = events(&a, Head::EMPTY, 3);
    let gap = store.append(&batch(vec![three[0].clone(), three[2].clone()]));
    assert!(matches!(gap, Err(AppendError::Gap { expected: 2, offered: 3, .. })), "{gap:?}");
    let mut zero = three[0].clone();
    zero.seq = 0;
    let zero = store.append(&batch(vec![zero]));
    assert!(matches!(zero, Err(AppendError::Gap { expected: 1, offered: 0, .. })), "{zero:?}");
    store.append(&batch(three[..1].to_vec())).unwrap();

    let wrong_prev = event(&a, Head { seq: 1, hash: EventHash([9; 32]) }, "x", &[]);
    let mut wrong_stream =
        event(&stream("job/b"), Head { seq: 1, hash: three[0].hash() }, "x", &[]);
    wrong_stream.stream = a.clone();
    for bad in [wrong_prev, wrong_stream] {
        let refused = store.append(&batch(vec![bad]));
        assert!(matches!(refused, Err(AppendError::BrokenChain { seq: 2, .. })), "{refused:?}");
    }
    assert_eq!(replayed(&store).len(), 1);
}

#[test]
fn an_effect_comes_with_its_event_and_leaves_by_acknowledgement() {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(&home.path().join("log.db"));
    let events = events(&stream("job/a"), Head::EMPTY, 2);
    let outbox = vec![effect(&events[0], 0), effect(&events[0], 1), effect(&events[1], 0)];
    let orphan = Batch { outbox: outbox.clone(), ..Batch::default() };
    assert!(matches!(store.append(&orphan), Err(AppendError::EffectWithoutEvent(_))));
    store.append(&Batch { events, outbox: outbox.clone(), ..Batch::default() }).unwrap();
    let detail = store.reader().unwrap().event(1).unwrap().unwrap();
    assert_eq!(detail.pending.len(), 2);
    let acknowledged = vec![outbox[1].id.clone()];
    store.append(&Batch { acknowledged, ..Batch::default() }).unwrap();
    let pending = store.outbox_pending().unwrap();
    let ids: Vec<_> = pending.iter().map(|entry| &entry.id).collect();
    assert_eq!(ids, [&outbox[0].id, &outbox[2].id]);
}

#[test]
fn bodies_come_back_and_only_with_the_right_key() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = open(&path);
    let bodies = vec![
        Body::new([1; 32], "text/plain", b"small and secret".to_vec()),
        Body::new([2; 32], "application/octet-stream", vec![0x5A; 200_000]),
        Body::new([3; 32], "text/plain", Vec::new()),
    ];
    let events = vec![event(&stream("job/a"), Head::EMPTY, "with bodies", &bodies)];
    store.append(&Batch { events, bodies: bodies.clone(), ..Batch::default() }).unwrap();
    let reader = store.reader().unwrap();
    for body in &bodies {
        assert_eq!(reader.body(&body.reference).unwrap().as_ref(), Some(body));
    }
    let large = home.path().join("blobs").join(bodies[1].reference.hash.to_string());
    assert!(large.exists());
    drop(store);
    for file in [path.clone(), large] {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(16).any(|window| window == b"small and secret"));
        assert!(!bytes.windows(64).any(|window| window == [0x5A; 64]));
    }
    let refused = Store::open(&path, OpenOptions { body_key: [8; 32] });
    assert!(matches!(refused, Err(OpenError::WrongKey)));
}

#[test]
fn pages_go_both_ways_and_find_text() {
    let home = tempfile::tempdir().unwrap();
    let mut store = open(&home.path().join("log.db"));
    store.append(&batch(events(&stream("job/a"), Head::EMPTY, 10))).unwrap();
    let odd = event(&stream("job/b"), Head::EMPTY, "100% of_it \\ Ä", &[]);
    store.append(&batch(vec![odd])).unwrap();
    let reader = store.reader().unwrap();
    for (order, expected) in [
        (Order::OldestFirst, (1..=11).collect::<Vec<_>>()),
        (Order::NewestFirst, (1..=11).rev().collect()),
    ] {
        let mut query = EventQuery { order, limit: 4, ..EventQuery::default() };
        let mut seen = Vec::new();
        loop {
            let page = reader.events(&query).unwrap();
            seen.extend(page.rows.iter().map(|row| row.position));
            query.from = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
    let found = |text: &str| {
        let query = EventQuery { text: Some(text.into()), ..EventQuery::default() };
        reader.events(&query).unwrap().rows.iter().map(|row| row.position).collect::<Vec<_>>()
    };
    assert_eq!(found("NUMBER 3"), [4]);
    assert_eq!(found("100% of_it"), [11]);
    assert_eq!(found("job/b"), [11]);
    assert_eq!(found("%"), [11], "wildcards are text");
    let page = |from, order, text: Option<&str>| {
        let (stream, text) = (Some(stream("job/a")), text.map(Into::into));
        let page = reader.events(&EventQuery { order, from, limit: 3, stream, text }).unwrap();
        (page.rows.iter().map(|row| row.position).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(page(None, Order::NewestFirst, None), (vec![10, 9, 8], Some(8)));
    assert_eq!(page(Some(3), Order::NewestFirst, None), (vec![2, 1], None));
    assert_eq!(page(Some(8), Order::OldestFirst, None), (vec![9, 10], None));
    assert_eq!(page(None, Order::OldestFirst, Some("number 6")), (vec![7], None));
    let of_stream = EventQuery { stream: Some(stream("job/b")), ..EventQuery::default() };
    assert_eq!(
        reader.events(&of_stream).unwrap().rows[0].envelope().unwrap().type_name,
        "test.said"
    );
}

#[test]
fn view_rows_and_cursors_change_with_the_batch() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.db");
    let mut store = open(&path);
    let row = |key: &str, sort_key, json: &str| ViewRow {
        table: "jobs",
        key: key.into(),
        sort_key,
        json: json.into(),
    };
    let view_rows = vec![row("a", 1, "1"), row("b", 1, "2"), row("c", 0, "3")];
    let cursors = vec![CursorUpdate { name: "wallet".into(), value: 9 }];
    store.append(&Batch { view_rows, cursors, ..Batch::default() }).unwrap();
    store.append(&Batch { view_rows: vec![row("c", 7, "4")], ..Batch::default() }).unwrap();
    let reader = store.reader().unwrap();
    let page = |from| {
        let query = ViewQuery { from, limit: 2, ..ViewQuery::default() };
        let page = reader.view_rows("jobs", &query).unwrap();
        let rows: Vec<_> = page.rows.into_iter().map(|row| (row.key, row.json)).collect();
        (rows, page.next)
    };
    let (rows, next) = page(None);
    assert_eq!(rows, [("c".into(), "4".into()), ("b".into(), "2".into())]);
    assert_eq!(page(next), (vec![("a".into(), "1".into())], None));
    assert_eq!(open(&path).cursor("wallet").unwrap(), Some(9));
    assert_eq!(store.cursor("other").unwrap(), None);
}
