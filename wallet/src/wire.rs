//! The executor's protocol: declared once, spoken by the desk, the executor and later backends.
//!
//! JSON-RPC 2.0, one object per line, over a local socket; the first call of a connection is
//! `authenticate {token}`. Every call is idempotent: `receive` and `pay` carry a key, and the same
//! key with the same terms gives the same payment, with other terms `key_reused`.

use domain::{ErrorBody, IdempotencyKey, Msat, Network, PaymentHash, Preimage, Timestamp};
use safety::SpendLimits;
use serde::{Deserialize, Serialize};

pub use crate::account::{
    Account, AccountId, AccountKind, AccountView, BadAccountId, Budget, OnLimit,
};
pub use crate::connection::{
    Connection, ConnectionCreate, ConnectionCreated, ConnectionList, ConnectionRelays,
    ConnectionView,
};

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
    /// What this wallet can be paid by.
    #[serde(default)]
    pub receives: Vec<Rail>,
    /// What this wallet can pay.
    #[serde(default)]
    pub pays: Vec<Rail>,
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

/// The way that money takes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Rail {
    /// A Lightning invoice (BOLT 11).
    #[default]
    Bolt11,
    /// A Lightning offer (BOLT 12).
    Bolt12,
    /// A Bitcoin transaction.
    Onchain,
    /// A Spark address or Spark invoice.
    Spark,
    /// A Lightning payment that nobody asked for.
    Keysend,
    /// A Cashu token.
    Ecash,
}

impl Rail {
    /// Whether the money moves through our channels, and so through the ledger.
    pub const fn is_lightning(self) -> bool {
        matches!(self, Self::Bolt11 | Self::Bolt12 | Self::Keysend)
    }
}

/// `receive`: something to be paid by. Without an amount the payer chooses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receive {
    pub key: IdempotencyKey,
    #[serde(default)]
    pub account: AccountId,
    #[serde(default)]
    pub rail: Rail,
    #[serde(default)]
    pub amount_msat: Option<Msat>,
    #[serde(default)]
    pub memo: String,
    /// What can be paid more than once (an offer, an address) does not expire, whatever this says.
    pub expiry_secs: u32,
}

/// What the payer needs: a BOLT 11 invoice, a BOLT 12 offer, a Bitcoin or Spark address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    pub key: IdempotencyKey,
    pub rail: Rail,
    pub text: String,
    pub payment_hash: Option<PaymentHash>,
    pub amount_msat: Option<Msat>,
    pub expires_at: Option<Timestamp>,
}

/// What an LNURL server said before it made the invoice (LUD-06), for the wallet to check again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LnurlProof {
    /// Who people think they pay: the lightning address, or the server's host.
    pub payee: String,
    /// The exact metadata text, of which the invoice must commit to the hash.
    pub metadata: String,
}

/// What a payment request says, before anything is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    pub rail: Rail,
    /// The request as it would be paid.
    pub request: String,
    pub payment_hash: Option<PaymentHash>,
    pub payee: String,
    pub amount_msat: Msat,
    pub max_fee_msat: Msat,
    pub expires_at: Option<Timestamp>,
    pub memo: String,
    /// Why it would wait for the operator, where it would.
    pub waits_for: Option<ErrorBody>,
    /// Why it would be refused now, where it would.
    pub refused: Option<ErrorBody>,
}

/// `quote`: as a payment of this account would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteQuery {
    pub request: String,
    #[serde(default)]
    pub account: AccountId,
    /// Needed where the request names no amount.
    #[serde(default)]
    pub amount_msat: Option<Msat>,
    #[serde(default)]
    pub lnurl: Option<LnurlProof>,
}

/// `payment {key}`, `approve {key}`, `deny {key}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentQuery {
    pub key: IdempotencyKey,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pay {
    pub key: IdempotencyKey,
    #[serde(default)]
    pub account: AccountId,
    pub request: String,
    /// What the request asks, where it asks an amount: a check against a wrong request. Else what
    /// the payee gets.
    pub amount_msat: Msat,
    pub max_fee_msat: Msat,
    #[serde(default)]
    pub lnurl: Option<LnurlProof>,
}

/// `move`: between the operator's own and an isolated account, or between two of these. Nothing
/// leaves the wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub key: IdempotencyKey,
    pub from: AccountId,
    pub to: AccountId,
    pub amount_msat: Msat,
}

/// `close_account {id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountQuery {
    pub id: AccountId,
}

/// `set_limits`: of the whole wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetLimits {
    pub limits: SpendLimits,
}

/// `limits`: what holds, and how much of the day's is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsView {
    pub limits: SpendLimits,
    /// Spent in the last 24 hours, or on its way.
    pub spent_msat: Msat,
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
    /// Money may have moved; looked up until it is known.
    Unknown,
    /// Above a limit: nothing is sent until the operator says so.
    AwaitingApproval,
}

/// One payment, in or out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub key: IdempotencyKey,
    #[serde(default)]
    pub account: AccountId,
    pub direction: Direction,
    #[serde(default)]
    pub rail: Rail,
    pub state: PaymentState,
    /// Zero in something to be paid by that leaves the amount to the payer.
    pub amount_msat: Msat,
    /// Known once settled.
    pub fee_msat: Option<Msat>,
    pub payment_hash: Option<PaymentHash>,
    /// The backend's own exact name of it: a transaction id, a Spark payment id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    pub preimage: Option<Preimage>,
    /// The invoice, offer or address.
    pub request: Option<String>,
    /// Who gets it, as people know them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payee: Option<String>,
    pub memo: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub detail: Option<String>,
    /// The limit that it is above, while it waits for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<ErrorBody>,
}

impl Payment {
    /// A wish that was logged, by a Lightning invoice and the operator's own until it says else.
    pub fn requested(
        key: IdempotencyKey,
        direction: Direction,
        amount_msat: Msat,
        at: Timestamp,
    ) -> Self {
        Self {
            key,
            account: AccountId::operator(),
            direction,
            rail: Rail::Bolt11,
            state: PaymentState::Requested,
            amount_msat,
            fee_msat: None,
            payment_hash: None,
            reference: None,
            preimage: None,
            request: None,
            payee: None,
            memo: String::new(),
            created_at: at,
            updated_at: at,
            expires_at: None,
            detail: None,
            waits_for: None,
        }
    }
}

impl Receive {
    /// A Lightning invoice for the operator.
    pub fn invoice(key: IdempotencyKey, amount_msat: Msat, memo: String, expiry_secs: u32) -> Self {
        let account = AccountId::operator();
        let amount_msat = Some(amount_msat);
        Self { key, account, rail: Rail::Bolt11, amount_msat, memo, expiry_secs }
    }
}

impl Pay {
    /// A Lightning invoice, from the operator's own.
    pub fn invoice(
        key: IdempotencyKey,
        bolt11: String,
        amount_msat: Msat,
        max_fee_msat: Msat,
    ) -> Self {
        let account = AccountId::operator();
        Self { key, account, request: bolt11, amount_msat, max_fee_msat, lnurl: None }
    }
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
    /// The sub-wallets after a change, all of them.
    Accounts {
        accounts: Vec<AccountView>,
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
    pub const BACKUP_SET: &str = "backup_set";
    pub const BACKUP_STATUS: &str = "backup_status";
    pub const REHEARSE: &str = "rehearse";
    pub const CHECK_WORDS: &str = "check_words";
    pub const SHOW_SEED: &str = "show_seed";
    pub const SHUTDOWN: &str = "shutdown";
    pub const APPROVE: &str = "approve";
    pub const DENY: &str = "deny";
    pub const ACCOUNTS: &str = "accounts";
    pub const SET_ACCOUNT: &str = "set_account";
    pub const CLOSE_ACCOUNT: &str = "close_account";
    pub const MOVE: &str = "move";
    pub const LIMITS: &str = "limits";
    pub const SET_LIMITS: &str = "set_limits";
    pub const CONNECTIONS: &str = "connections";
    pub const CONNECTION_CREATE: &str = "connection_create";
    pub const CONNECTION_CLOSE: &str = "connection_close";
    pub const CONNECTION_RELAYS: &str = "connection_relays";
    pub const CUSTODY: &str = "custody";
    pub const UNLOCK: &str = "unlock";
    pub const LOCK: &str = "lock";
    pub const SET_PASSPHRASE: &str = "set_passphrase";
    pub const SET_LOCK: &str = "set_lock";
}
