//! View data: what each screen says, as plain values made from the desk's view. No drawing here.

pub mod approval;
pub mod desk;
pub mod frame;
pub mod history;
pub mod job;
pub mod npub;
pub mod payment;
pub mod result;
pub mod wallet;
pub mod words;

use serde::Serialize;

/// What a state means to the operator. Each has a shape as well as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    Neutral,
    Good,
    /// Something runs here.
    Running,
    /// Somebody else must move.
    Waiting,
    /// The operator must move.
    You,
    Danger,
    Practice,
}
