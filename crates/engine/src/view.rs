//! What a screen may read: a bounded fold of the log. Older things are asked for by page.

use domain::{
    EffectId, ErrorBody, EventHash, IdempotencyKey, Msat, Network, PaymentHash, Preimage, Pubkey,
    RequestId, Sha256Hash, StreamId, Timestamp,
};
pub use nip90::{Blocker, ProviderState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
pub use wallet::wire::{AccountId, AccountView, Direction, PaymentState, Rail};

use crate::command::{DemandAnswer, DemandRisk, PaymentPolicy};

/// Everything hot. Lists are newest first and hold at most a few hundred rows.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct View {
    pub network: Network,
    pub at: Timestamp,
    pub identity: Option<IdentityView>,
    pub relays: Vec<RelayView>,
    pub provider: ProviderView,
    pub wallet: WalletView,
    /// Jobs as provider and as buyer that are not over, then the latest that are.
    pub jobs: Vec<Arc<JobView>>,
    pub payments: Vec<Arc<PaymentView>>,
    pub receipts: Vec<Arc<ReceiptRow>>,
    pub log: LogView,
    /// What adapters gave up on, newest first.
    pub dead_letters: Vec<DeadLetterView>,
    /// Our own programs (executor, practice network): what runs and what does not.
    pub services: Vec<ServiceView>,
    /// By signed receipts of this UTC day.
    pub earned_today_msat: Msat,
    /// What bought jobs paid on this UTC day, fees included, whatever became of them.
    pub spent_today_msat: Msat,
    /// Held back for running jobs that we buy.
    pub reserved_msat: Msat,
    /// The newest of the executor's notices whose consequences are in the log.
    pub wallet_cursor: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IdentityView {
    pub npub: String,
    pub pubkey: Pubkey,
    /// `keychain`, `file`: where the seed is kept.
    pub kept_in: String,
    pub backed_up: bool,
    /// What the operator calls this machine; shown here only, never announced.
    pub name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RelayView {
    pub url: String,
    pub state: RelayState,
    /// Why it is not connected.
    pub detail: Option<String>,
    pub since: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayState {
    Connecting,
    Connected,
    Disconnected,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct ProviderView {
    pub state: ProviderState,
    pub since: Timestamp,
    /// Why it can't be, or is not fully, online; empty means ready.
    pub blockers: Vec<Blocker>,
    pub offers: Vec<OfferView>,
    pub demand: Vec<(DemandRisk, DemandAnswer)>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfferView {
    pub kind: u16,
    pub name: String,
    pub price_msat: Msat,
    pub payment: PaymentPolicy,
    /// Why it is not announced, where it isn't.
    pub unavailable: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct WalletView {
    pub state: WalletState,
    /// Absent while unknown; never guessed.
    pub balance_msat: Option<Msat>,
    pub pending_in_msat: Option<Msat>,
    pub pending_out_msat: Option<Msat>,
    pub inbound_msat: Option<Msat>,
    pub as_of: Option<Timestamp>,
    pub onchain_msat: Option<Msat>,
    pub backend: Option<String>,
    /// What it can be paid by, and what it can pay.
    pub receives: Vec<Rail>,
    pub pays: Vec<Rail>,
    pub node_id: Option<String>,
    /// By which people tell it from another one.
    pub fingerprint: Option<String>,
    /// The fingerprint of another wallet that answers in its place.
    pub other: Option<String>,
    pub detail: Option<String>,
    pub accounts: Vec<AccountView>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalletState {
    /// The executor has not answered yet.
    #[default]
    Unknown,
    Starting,
    /// The node runs but has no usable channel yet.
    Syncing,
    Ready,
    NotReachable,
    /// Another wallet answers than the one of this desk: nothing is asked of it.
    OtherWallet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobRole {
    Provider,
    Buyer,
}

/// One job in the words of people and of the command line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    pub request_id: RequestId,
    pub role: JobRole,
    pub kind: u16,
    pub kind_name: String,
    /// The other side; absent while a buyer has chosen nobody.
    pub peer: Option<Pubkey>,
    /// Machine's word: see `nip90::provider::execution` and `nip90::buyer`.
    pub state: String,
    pub payment_state: String,
    pub over: bool,
    /// Over, and everything it promised holds.
    pub succeeded: bool,
    /// Who must move next: `us`, `buyer`, `provider`, `wallet`, `operator`; absent when over.
    pub waiting_for: Option<String>,
    pub amount_msat: Msat,
    pub fee_msat: Option<Msat>,
    pub bid_msat: Option<Msat>,
    /// When the provider wants its money; absent while that is unknown.
    pub payment: Option<PaymentPolicy>,
    pub payment_hash: Option<PaymentHash>,
    pub preimage: Option<Preimage>,
    pub bolt11: Option<String>,
    pub result_sha256: Option<Sha256Hash>,
    pub reason: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What went back, or goes back, to the buyer of a job that we owe money for.
    #[serde(default)]
    pub refund: Option<RefundView>,
    pub timeline: Vec<TimelineStep>,
    pub proofs: Proofs,
}

/// Money on its way back to a buyer. The job's `payment_state` says how it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum RefundView {
    /// Through this wallet; the preimage is there once it is proved.
    Wallet {
        key: IdempotencyKey,
        amount_msat: Msat,
        fee_msat: Option<Msat>,
        payment_hash: PaymentHash,
        preimage: Option<Preimage>,
    },
    /// The operator's word that it went back another way: never proved here.
    Operator { note: String },
}

/// One state a machine went through, with the event that proves it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineStep {
    pub at: Timestamp,
    /// `execution`, `payment`, `buyer`.
    pub machine: String,
    pub state: String,
    pub detail: Option<String>,
    pub seq: u64,
    pub event_hash: EventHash,
}

/// The proof ladder: each rung with its source where it is proved.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Proofs {
    pub request_seen: Option<ProofSource>,
    pub work_accepted: Option<ProofSource>,
    pub result_delivered: Option<ProofSource>,
    pub invoice_seen: Option<ProofSource>,
    pub paid: Option<ProofSource>,
    pub settled: Option<ProofSource>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofSource {
    Local,
    Relay,
    Wallet,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentView {
    pub key: IdempotencyKey,
    pub direction: Direction,
    pub state: PaymentState,
    pub amount_msat: Msat,
    pub fee_msat: Option<Msat>,
    pub memo: String,
    pub payment_hash: Option<PaymentHash>,
    pub preimage: Option<Preimage>,
    pub account: AccountId,
    pub rail: Rail,
    /// The invoice, offer or address.
    pub request: Option<String>,
    /// The backend's own exact name of it: a transaction id.
    pub reference: Option<String>,
    pub payee: Option<String>,
    /// The limit that it is above, while it waits for the operator.
    pub waits_for: Option<ErrorBody>,
    pub expires_at: Option<Timestamp>,
    pub job: Option<RequestId>,
    pub detail: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReceiptRow {
    pub id: String,
    pub receipt: domain::Receipt,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct LogView {
    /// Local position of the newest event; events are numbered from 1.
    pub events: u64,
    pub last: Option<LogRow>,
    /// The newest checkpoint that was signed.
    pub checkpoint_at: Option<Timestamp>,
    pub checkpoint_size: Option<u64>,
    pub dead_letters: u32,
}

/// An effect that was given up, until the operator tries it again or drops it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadLetterView {
    pub effect: EffectId,
    pub adapter: &'static str,
    /// What is to be done, in words.
    pub what: String,
    pub job: Option<RequestId>,
    pub tries: u32,
    pub why: String,
    pub at: Timestamp,
}

/// One row of the activity list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogRow {
    pub position: u64,
    pub stream: StreamId,
    pub seq: u64,
    pub at: Timestamp,
    pub type_name: String,
    /// One line for people.
    pub summary: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceView {
    /// `executor`, `practice`.
    pub name: String,
    pub state: ServiceState,
    pub restarts: u32,
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    Starting,
    Running,
    Restarting,
    Stopped,
    Failed,
}

/// A question about what is not hot. Answered off the UI thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "query", rename_all = "snake_case")]
pub enum Query {
    /// Log rows `from..from+count` by local position (1 is the oldest); with a filter, the newest
    /// `count` rows that hold its text, oldest first, wherever they are.
    Log {
        from: u64,
        count: u32,
        filter: Option<String>,
    },
    /// One event: its canonical JSON, hash, effects and what it caused.
    Event {
        position: u64,
    },
    /// Jobs that are over, newest first.
    Jobs {
        before: Option<Timestamp>,
        count: u32,
    },
    Payments {
        before: Option<Timestamp>,
        count: u32,
    },
    /// What came of a job that we bought, for people to read.
    JobResult {
        request_id: RequestId,
    },
    /// A call of the executor that changes no payment (`wallet::wire::method`): a quote, limits,
    /// accounts, channels. Its parameters may hold secrets, so it is never logged.
    Wallet {
        method: String,
        params: serde_json::Value,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    Log { total: u64, rows: Vec<LogRow> },
    Event(EventDetail),
    Jobs { jobs: Vec<JobView> },
    Payments { payments: Vec<PaymentView> },
    JobResult(JobResult),
    Wallet { value: serde_json::Value },
    Failed(ErrorBody),
}

/// A bought job's result as people read it. A stranger wrote it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum JobResult {
    /// It has not come, or its content was deleted.
    NotHere,
    Text {
        text: String,
        /// The rest is left out; the command line has all of it.
        cut: bool,
        size_bytes: u64,
        media_type: String,
    },
    NotText {
        size_bytes: u64,
        media_type: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventDetail {
    pub row: LogRow,
    pub hash: EventHash,
    pub prev: EventHash,
    /// The effect whose fact caused it.
    pub cause: Option<String>,
    /// Effects of it that are not acknowledged yet.
    pub pending_effects: Vec<String>,
    /// Canonical JSON.
    pub json: String,
}
