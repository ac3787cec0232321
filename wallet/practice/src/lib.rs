//! The practice network: everything real except the value, on this computer alone.
//!
//! A private regtest chain, a counterparty Lightning node, a Nostr relay and a Blossom blob server,
//! in one process of their own. No other network can be chosen in it, and it listens on loopback
//! only. Deleting its folder loses nothing of value.

pub mod blossom;
pub mod chain;
pub mod control;
pub mod counterparty;
mod frames;
mod http;
mod ports;
mod practice;
pub mod relay;
mod stop;

pub use practice::{Options, Practice, PracticeError, Rendezvous};
