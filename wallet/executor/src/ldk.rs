//! The ldk-node adapter: a whole Lightning node inside this process.

mod adapter;
mod convert;
mod front;
mod open;
mod peers;

pub use adapter::LdkBackend;
pub use front::SourceError;
pub use open::{OpenError, Options};
