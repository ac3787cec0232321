//! JSON-RPC 2.0, one object per line, over a local socket that only its owner can open.
//!
//! A server writes `<home>/<name>.json` (0600) with its socket's name and a fresh token; the first
//! call of every connection is `authenticate {token}`. Lines are bounded; a bad line gets an error
//! and nothing else happens.

mod client;
mod server;
mod wire;

pub use client::Client;
pub use server::{Handler, Server, serve};
pub use wire::{MAX_LINE_BYTES, Rendezvous};
