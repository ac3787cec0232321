//! The words both lanes share with the engine: offers, drafts, policies, who must move next.

use domain::{BodyRef, CommandId, Msat, Pubkey, Sha256Hash};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How exposed accepting a request makes us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemandRisk {
    /// The request names us by `p`.
    Aimed,
    /// The request names nobody.
    Open,
    /// Demand the practice network makes, so that a newcomer sees a first job.
    Starter,
}

impl DemandRisk {
    pub const ALL: [Self; 3] = [Self::Aimed, Self::Open, Self::Starter];
}

/// What to do with demand of one risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemandAnswer {
    Accept,
    /// Wait for the operator.
    Ask,
    Refuse,
}

/// When the buyer pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentPolicy {
    /// No work until paid.
    Before,
    /// The result carries the invoice.
    After,
}

impl PaymentPolicy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// What we sell: one per kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferDraft {
    /// NIP-90 request kind, 5000..=5999.
    pub kind: u16,
    pub price_msat: Msat,
    pub payment: PaymentPolicy,
}

/// A job to buy. Inputs that are files were packed and hashed before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobDraft {
    /// Makes the same submission the same job.
    pub key: CommandId,
    pub kind: u16,
    pub inputs: Vec<JobInput>,
    pub params: Vec<(String, String)>,
    /// The most we pay, fees apart.
    pub bid_msat: Msat,
    /// The most we pay in routing fees.
    pub max_fee_msat: Msat,
    /// Ask this provider only; else the first acceptable offer is taken.
    pub provider: Option<Pubkey>,
    /// Seconds until the request expires (NIP-40).
    pub timeout_secs: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JobInput {
    Text {
        text: String,
    },
    Url {
        url: String,
    },
    /// A blob that the host has put in its own store; uploaded before the request is published.
    Blob {
        sha256: Sha256Hash,
        len: u64,
        media_type: String,
    },
}

/// Where a provider stands between its switch and the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderState {
    #[default]
    Offline,
    /// Switched on; a relay, an offer or something else is still missing.
    Connecting,
    Online,
    /// Was online; something now stands in the way.
    Degraded,
}

/// One thing in the way of selling work, and what clears it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// `no_relay`, `wallet_not_ready`, `no_offer`, `no_sandbox`, …
    pub code: String,
    pub message: String,
    pub hint: Option<String>,
}

/// Who must move next for a job to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mover {
    Us,
    Buyer,
    Provider,
    Wallet,
    Operator,
}

impl Mover {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Buyer => "buyer",
            Self::Provider => "provider",
            Self::Wallet => "wallet",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Mover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something too large for an event, by hash: where it is and how to know it (Blossom BUD-01).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    pub url: String,
    /// Of the blob's own bytes, without salt: what Blossom names it by.
    pub sha256: Sha256Hash,
    pub size_bytes: u64,
    pub media_type: String,
}

/// A job's result as events and effects know it: the content itself is a body or a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum ResultRef {
    /// Carried by the result event's content; `sha256` is of those bytes, without salt.
    Event {
        body: BodyRef,
        sha256: Sha256Hash,
    },
    Blob(Blob),
}

impl ResultRef {
    /// SHA-256 of the result's bytes: what receipts name it by.
    pub const fn sha256(&self) -> Sha256Hash {
        match self {
            Self::Event { sha256, .. } => *sha256,
            Self::Blob(blob) => blob.sha256,
        }
    }
}

/// `text` cut to `max` characters, without control characters: for words that reach events.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect()
}
