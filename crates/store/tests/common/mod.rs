//! A log of small test events, and batches for it.
#![allow(dead_code, clippy::unwrap_used, reason = "test helpers; each test file uses its part")]

use std::path::Path;

use domain::{
    Body, EffectId, EventHash, RepeatClass, StreamId, Timestamp,
    event::{EventData, Link},
};
use store::{Batch, Head, NewEvent, OpenOptions, OutboxRow, Store};

domain::events! {
    pub enum Said { "test.said" 1 => Text(Text); }
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Text {
    pub text: String,
}

pub const KEY: [u8; 32] = [7; 32];

pub fn open(path: &Path) -> Store {
    Store::open(path, OpenOptions { body_key: KEY }).unwrap()
}

pub fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

/// The event after `head`, saying `text`.
pub fn event(stream: &StreamId, head: Head, text: &str, bodies: &[Body]) -> NewEvent {
    let references: Vec<_> = bodies.iter().map(|body| body.reference.clone()).collect();
    let data = Said::from(Text { text: text.into() });
    assert_eq!(data.type_name(), "test.said");
    let link = Link {
        stream,
        seq: head.seq + 1,
        prev: head.hash,
        at: Timestamp(1_700_000_000_000 + head.seq),
        bodies: &references,
        cause: None,
        data: &data,
    };
    NewEvent::new(stream.clone(), head.seq + 1, link.canonical().unwrap())
}

/// `count` events in a row.
pub fn events(stream: &StreamId, mut head: Head, count: u64) -> Vec<NewEvent> {
    (0..count)
        .map(|n| {
            let event = event(stream, head, &format!("number {n}"), &[]);
            head = event.head();
            event
        })
        .collect()
}

pub fn batch(events: Vec<NewEvent>) -> Batch {
    Batch { events, ..Batch::default() }
}

pub fn effect(event: &NewEvent, index: u16) -> OutboxRow {
    OutboxRow {
        id: EffectId { stream: event.stream.clone(), seq: event.seq, index },
        adapter: "relay",
        class: RepeatClass::LookUpFirst,
        json: format!("{{\"n\":{index}}}"),
    }
}

pub fn replayed(store: &Store) -> Vec<(u64, EventHash)> {
    let mut all = Vec::new();
    store
        .replay(0, |position, hash, _| {
            all.push((position, hash));
            Ok(())
        })
        .unwrap();
    all
}
