//! The ldk-node adapter: a whole Lightning node inside this process.

mod adapter;
mod convert;
mod open;
mod peers;

pub use adapter::LdkBackend;
pub use open::{OpenError, Options};
