//! The Spark adapter: a client of the process that holds the Spark seed, and its supervision.
//!
//! The process (`wallet/spark`) speaks this executor's own protocol, so that another build of it
//! can take its place. Limits, the log and approvals are here, as for every backend.

mod adapter;
mod convert;
mod feed;
mod link;
mod open;

pub use adapter::SparkBackend;
pub use convert::{Claimed, Deposit};
pub use open::{OpenError, Options, Secrets};
