//! The Cashu adapter: ecash at mints that the operator trusts, through the `cdk` crate.
//!
//! A mint holds the money and can vanish with it; what is here is a claim on it. So only mints that
//! the operator named are asked for anything, each holds no more than it may, and each is reached
//! through the egress gate and nothing else. What a mint says is believed only where it can be
//! checked: invoices by their amount and network, ecash by its signatures, payments by the preimage.

mod adapter;
mod book;
mod convert;
mod mint;
mod open;
mod pay;
mod receive;
mod shared;
mod transport;

pub use adapter::CashuBackend;
pub use open::{MintsError, OpenError, Options, Tempo, TrustedMint, read_mints, seed};
