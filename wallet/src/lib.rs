//! The pure wallet: wire types, the payment machine, its ledger and limits.
//!
//! The machine knows no node and no socket. It logs an intent before anything is asked of a
//! backend, keys every payment by its idempotency key and its payment hash, and counts money only
//! when the backend names the hash of a payment that it knows.

pub mod account;
mod accounts;
pub mod backup;
pub mod bolt11;
pub mod chain;
pub mod channels;
pub mod connection;
pub mod custody;
mod entry;
pub mod event;
pub mod io;
pub mod ledger;
mod machine;
mod order;
pub mod payable;
pub mod state;
mod tell;
pub mod wire;

pub use event::WalletEvent;
pub use io::{
    Effect, Fact, Found, Input, InvoiceOrder, Made, Order, Reply, Sought, Summary, Which,
};
pub use state::Wallet;
