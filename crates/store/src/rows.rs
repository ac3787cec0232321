//! What goes into the store in one transaction, and what comes out of it.

use std::sync::Arc;

use domain::{Body, EffectId, EventHash, RepeatClass, StreamId};

/// One event as it is recorded. Its canonical bytes name the same stream and seq, and as `prev` the
/// hash of the stream's head.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub stream: StreamId,
    /// Counts from 1 in its stream.
    pub seq: u64,
    hash: EventHash,
    canonical: Arc<[u8]>,
}

impl NewEvent {
    /// The event of these canonical bytes, with their hash.
    pub fn new(stream: StreamId, seq: u64, canonical: Arc<[u8]>) -> Self {
        Self { stream, seq, hash: EventHash::of(&canonical), canonical }
    }

    /// SHA-256 of the canonical bytes.
    pub fn hash(&self) -> EventHash {
        self.hash
    }

    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// Where its stream stands after it.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }
}

/// Everything one transaction records. Its effects may run only after [`crate::Store::append`]
/// has returned.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In local order.
    pub events: Vec<NewEvent>,
    /// Bodies that these events refer to.
    pub bodies: Vec<Body>,
    /// Effects that these events release, in order. A row of an event that was already recorded is
    /// left out: that effect was released when the event first came.
    pub outbox: Vec<OutboxRow>,
    /// Effects that leave the outbox. One that is not there is no error: it was acknowledged before.
    pub acknowledged: Vec<EffectId>,
    /// Rows of views, put or replaced by (table, key).
    pub view_rows: Vec<ViewRow>,
    pub cursors: Vec<CursorUpdate>,
}

impl Batch {
    /// Whether it only takes effects out of the outbox.
    pub fn only_acknowledges(&self) -> bool {
        self.events.is_empty()
            && self.bodies.is_empty()
            && self.outbox.is_empty()
            && self.view_rows.is_empty()
            && self.cursors.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.acknowledged.is_empty() && self.only_acknowledges()
    }
}

/// An effect that the commit releases to its adapter.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    pub id: EffectId,
    pub adapter: &'static str,
    pub class: RepeatClass,
    /// The effect, as its own JSON.
    pub json: String,
}

/// A row of a view that is too large to hold in memory. Views are folds: rebuilding drops them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewRow {
    pub table: &'static str,
    pub key: String,
    /// Pages are ordered by this, then by key.
    pub sort_key: i64,
    pub json: String,
}

/// How far something outside was read, set in the transaction of what was made of it.
#[derive(Clone, Debug)]
pub struct CursorUpdate {
    pub name: String,
    pub value: u64,
}

/// Where the newly recorded events of a batch are: `first_position..=last_position`, or, where
/// every event was there already, `first_position == last_position + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    pub first_position: u64,
    pub last_position: u64,
}

impl Committed {
    /// How many events were new.
    pub fn recorded(&self) -> u64 {
        self.last_position + 1 - self.first_position
    }
}

/// The newest event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub seq: u64,
    pub hash: EventHash,
}

impl Head {
    /// Of a stream without events.
    pub const EMPTY: Self = Self { seq: 0, hash: EventHash::GENESIS };
}

/// An effect that was released and is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    pub id: EffectId,
    /// Of the event that released it.
    pub position: u64,
    pub adapter: String,
    pub class: RepeatClass,
    pub json: String,
}
