//! The executor's protocol: declared once, spoken by the desk, the executor and later backends.
//!
//! JSON-RPC 2.0, one object per line, over a local socket; the first call of a connection is
//! `authenticate {token}`. Every call is idempotent: `receive` and `pay` carry a key, and the same
//! key with the same terms gives the same payment, with other terms `key_reused`.

use domain::{IdempotencyKey, Msat, Network, PaymentHash, Preimage, Timestamp};
use serde::{Deserialize, Serialize};

/// `info` and `refresh`: the node and what it holds. `refresh` syncs first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    pub network: Network,
    pub backend: String,
    pub node_id: String,
    pub state: NodeState,
    /// Absent while it can't be known.
    pub balance: Option<Balance>,
    /// Position of the newest notice.
    pub cursor: u64,
    pub detail: Option<String>,
    /// `host:port` where the node takes peers, so that a counterparty can reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listening_address: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    Starting,
    /// Runs, but no channel is usable yet.
    Syncing,
    Ready,
    /// The chain source or the backend does not answer.
    Degraded,
}

/// What the wallet holds, by its own ledger, and what the backend says of its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Ours in channels, to the msat.
    pub spendable_msat: Msat,
    pub pending_in_msat: Msat,
    pub pending_out_msat: Msat,
    /// What can be received now.
    pub inbound_msat: Msat,
    pub onchain_msat: Msat,
    pub as_of: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receive {
    pub key: IdempotencyKey,
    pub amount_msat: Msat,
    pub memo: String,
    pub expiry_secs: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    pub key: IdempotencyKey,
    pub bolt11: String,
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub expires_at: Timestamp,
}

/// What a payment request says, before anything is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    pub payment_hash: PaymentHash,
    pub payee: String,
    pub amount_msat: Msat,
    pub max_fee_msat: Msat,
    pub expires_at: Timestamp,
    pub memo: String,
    /// Why it would be refused now, where it would.
    pub refused: Option<domain::ErrorBody>,
}

/// `quote {bolt11}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteQuery {
    pub bolt11: String,
}

/// `payment {key}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentQuery {
    pub key: IdempotencyKey,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pay {
    pub key: IdempotencyKey,
    pub bolt11: String,
    /// Must be what the invoice asks: a check against a wrong invoice, not a choice.
    pub amount_msat: Msat,
    pub max_fee_msat: Msat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    In,
    Out,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// Intent is logged; the backend was not asked yet, did not answer yet, or is asked again soon.
    Requested,
    Pending,
    Settled,
    Failed,
    Expired,
    /// Money may have moved; looked up by payment hash until it is known.
    Unknown,
}

/// One payment, in or out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub key: IdempotencyKey,
    pub direction: Direction,
    pub state: PaymentState,
    pub amount_msat: Msat,
    /// Known once settled.
    pub fee_msat: Option<Msat>,
    pub payment_hash: Option<PaymentHash>,
    pub preimage: Option<Preimage>,
    pub bolt11: Option<String>,
    pub memo: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub detail: Option<String>,
}

impl PaymentState {
    /// Whether nothing more is expected of the payment.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Settled | Self::Failed | Self::Expired)
    }
}

/// `history {before, count}`: newest first, those made before a time. Payments of the last page's
/// last millisecond all come with it, so that paging by its time skips none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    pub before: Option<Timestamp>,
    pub count: u32,
}

/// `events {after, wait_ms}`: notices after a cursor; waits up to `wait_ms` for the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsQuery {
    pub after: u64,
    pub wait_ms: u32,
}

/// Something the desk must know, at a cursor that it commits together with what it made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub cursor: u64,
    pub at: Timestamp,
    pub what: NoticeKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum NoticeKind {
    /// A payment's new state, whole.
    Payment(Payment),
    /// The ledger's balance after a change.
    Balance(Balance),
    Node {
        state: NodeState,
        detail: Option<String>,
    },
}

/// `show_seed {confirm}`: the words that the money's keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowSeed {
    /// Must be [`SHOW_SEED_CONFIRM`], so that no slip shows the words.
    pub confirm: String,
}

/// What [`ShowSeed::confirm`] must say.
pub const SHOW_SEED_CONFIRM: &str = "show the words of my wallet";

/// The answer to `show_seed`. Never logged; kept no longer than it is shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct SeedWords {
    pub words: Vec<String>,
    /// What the words alone do not bring back.
    pub warning: String,
}

/// `backup`: what a full restore needs, and where it was written. Never the words themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    pub path: String,
    pub at: Timestamp,
    pub includes: Vec<String>,
    /// What the seed words alone do not bring back.
    pub warning: String,
}

/// The executor's socket: its rendezvous file is `<home>/wallet/executor.json`.
pub const SERVICE: &str = "executor";

/// Refusals that prove something to the caller.
pub mod refusal {
    /// The log has no payment of this key.
    pub const NO_SUCH_PAYMENT: &str = "no_such_payment";
    /// The log has a payment of this key with other terms, and takes on no second one.
    pub const KEY_REUSED: &str = "key_reused";
}

/// Method names, so that no string stands twice.
pub mod method {
    pub const INFO: &str = "info";
    pub const REFRESH: &str = "refresh";
    pub const RECEIVE: &str = "receive";
    pub const QUOTE: &str = "quote";
    pub const PAY: &str = "pay";
    pub const PAYMENT: &str = "payment";
    pub const HISTORY: &str = "history";
    pub const EVENTS: &str = "events";
    pub const BACKUP: &str = "backup";
    pub const SHOW_SEED: &str = "show_seed";
    pub const SHUTDOWN: &str = "shutdown";
}
