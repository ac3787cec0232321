//! The host: the loop that decides, persists and then acts; homes, local sockets, supervision.

pub mod clock;
pub mod core;
pub mod ending;
pub mod entropy;
pub mod faults;
pub mod harden;
pub mod home;
pub mod ipc;
pub mod logging;
pub mod secret;
pub mod supervise;

pub use crate::core::{Core, CoreOptions, Pending, Signer};
pub use home::{Home, HomeError, HomeLock};
