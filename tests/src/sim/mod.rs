//! The whole engine in a simulated world: every fault by chance, every chance by a seed.
//!
//! A history is a list of [`action::Action`]s over a few desks with real keys. The relay, the
//! executors, the harness and the hosts are models; the engines and everything they decide by are
//! the real ones. After each event, and once everything has come to rest, the laws of
//! [`invariants`] must hold.

pub mod action;
mod adapters;
mod choose;
mod desk;
pub mod history;
pub mod invariants;
mod lightning;
pub mod mutant;
mod observed;
mod refunds;
mod relay;
mod rest;
pub mod rng;
mod world;

pub use history::{History, Outcome};
pub use mutant::Mutant;
