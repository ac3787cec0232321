//! What executes: the sandbox, directory snapshots, and the kinds of job this machine can do.
//!
//! Everything a stranger's request makes us run or parse happens here, in a process of its own
//! with limits. The program that links this crate calls [`helper_main_if_asked`] first thing.

mod helper;
pub mod kinds;
mod platform;
pub mod sandbox;
pub mod snapshot;

pub use helper::helper_main_if_asked;
pub use tokio_util::sync::CancellationToken;
