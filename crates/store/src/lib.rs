//! The log on disk: hash-chained events, encrypted bodies, outbox, views and checkpoints in SQLite.
//!
//! One writer owns a [`Store`]; readers have connections of their own ([`Reader`]). Everything an
//! input led to is one [`Batch`] and one transaction: it is all there after a crash, or none of it.

mod append;
pub mod bench;
mod bodies;
mod bulk;
mod chain;
mod checkpoints;
mod copy;
mod error;
mod export;
mod kv;
mod reader;
mod recent;
mod rows;
mod schema;
mod sealed;
mod snapshots;
mod store;
mod upkeep;
mod verify;

pub use copy::copy_database;
pub use error::{AppendError, OpenError, ReadError, StorageError};
pub use kv::{KeyValues, KvKey};
pub use reader::{
    EventDetail, EventQuery, EventRow, KeptRow, Order, Page, Reader, ViewPosition, ViewQuery,
};
pub use recent::RecentBodies;
pub use rows::{Batch, Committed, CursorUpdate, Head, NewEvent, OutboxEntry, OutboxRow, ViewRow};
pub use sealed::SealedFiles;
pub use snapshots::Snapshot;
pub use store::{OpenOptions, Store};
pub use upkeep::Collected;
pub use verify::{FAULTS, Fault, FaultKind, Trust, VerifyReport, VerifySignature};
