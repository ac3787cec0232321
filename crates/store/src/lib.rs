//! The log on disk: hash-chained events, encrypted bodies, outbox, views and checkpoints in SQLite.
//!
//! One writer owns a [`Store`]; readers have connections of their own ([`Reader`]). Everything an
//! input led to is one [`Batch`] and one transaction: it is all there after a crash, or none of it.

mod append;
mod bodies;
mod chain;
mod error;
mod reader;
mod rows;
mod schema;
mod store;

pub use error::{AppendError, OpenError, ReadError, StorageError};
pub use reader::{
    EventDetail, EventQuery, EventRow, KeptRow, Order, Page, Reader, ViewPosition, ViewQuery,
};
pub use rows::{
    Batch, Committed, CursorUpdate, Head, NewEvent, OutboxEntry, OutboxRow, Retry, ViewRow,
};
pub use store::{OpenOptions, Store};
