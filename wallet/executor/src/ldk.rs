//! The ldk-node adapter: a whole Lightning node inside this process.

mod adapter;
mod channels;
mod convert;
mod front;
mod onchain;
mod open;
mod outgoing;
mod peers;
pub mod read;

pub use adapter::LdkBackend;
pub use front::SourceError;
pub use open::{OpenError, Options};
