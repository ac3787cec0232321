//! The wallet executor: the money seed, its log and its Lightning node, in a process of its own.
//!
//! It is the house's loop around the `wallet` machine: the log says what was meant before the node
//! is asked, and what the node says is acknowledged only once the log has it.

pub mod attach;
pub mod backend;
pub mod backup;
pub mod cashu;
pub mod chain_file;
mod channel_calls;
pub mod custody;
mod effects;
mod facts;
pub mod house;
pub mod ldk;
pub mod nwc;
pub mod run;
pub mod secret;
pub mod server;
pub mod spark;
