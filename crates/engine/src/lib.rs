//! The pure heart: commands and facts in, events and effects out; views are folds.

pub mod command;
pub mod effect;
pub mod event;
pub mod input;
mod letters;
pub mod port;
mod present;
mod rows;
mod state;
pub mod summary;
mod timeline;
mod totals;
pub mod view;
mod wallet_facts;
mod wallet_mirror;
mod wallet_orders;

pub use command::{Command, Reply};
pub use effect::{ADAPTERS, Effect, PAYMENTS, WALLET, WalletEffect};
pub use event::Event;
pub use input::{Fact, GaveUp, Input, WalletFact};
pub use port::DeskPort;
pub use present::{LogPosition, view_of};
pub use rows::{Row, project, table};
/// What the operator may spend, as the wallet's own limits and budgets say it.
pub use safety::{Renewal, SpendLimits};
pub use state::State;
pub use view::{Answer, Query, View};
pub use wallet::{backup, channels, wire};
pub use wallet_orders::still_open;

/// Names the shape of [`State`] in snapshots; change it with the shape.
pub const SNAPSHOT_SCHEMA: &str = "desk-5";
