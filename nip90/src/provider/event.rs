//! What the provider records: `provider.*` in stream `provider`, `job.*` in `job/<request id>`.

use domain::{BodyRef, EventId, Msat, PaymentHash, Preimage, Pubkey, Receipt, Timestamp};
use serde::{Deserialize, Serialize};

use crate::types::{
    Blocker, DemandAnswer, DemandRisk, OfferDraft, PaymentPolicy, ProviderState, ResultRef,
};

domain::events! {
    /// Everything the provider's state is made of.
    pub enum ProviderEvent {
        "provider.mode" 1 => Mode(ModeChanged);
        "provider.readiness" 1 => Readiness(Readiness);
        "provider.offer_set" 1 => OfferSet(OfferSet);
        "provider.offer_removed" 1 => OfferRemoved(OfferRemoved);
        "provider.demand_set" 1 => DemandSet(DemandSet);
        "provider.announced" 1 => Announced(Announced);
        "provider.withdrawn" 1 => Withdrawn(Withdrawn);
        "provider.swept" 1 => Swept(Swept);
        "job.received" 1 => Received(Received);
        "job.refused" 1 => Refused(Refused);
        "job.accepted" 1 => Accepted(Accepted);
        "job.invoiced" 1 => Invoiced(Invoiced);
        "job.paid" 1 => Paid(Paid);
        "job.started" 1 => Started(Started);
        "job.executed" 1 => Executed(Executed);
        "job.delivered" 1 => Delivered(Delivered);
        "job.failed" 1 => Failed(Failed);
        "job.cancelled" 1 => Cancelled(Cancelled);
        "job.unpaid" 1 => Unpaid(Unpaid);
        "job.refund_due" 1 => RefundDue(RefundDue);
        "job.refunding" 1 => Refunding(Refunding);
        "job.refund_unknown" 1 => RefundUnknown(RefundUnknown);
        "job.refund_failed" 1 => RefundFailed(RefundFailed);
        "job.refunded" 1 => Refunded(Refunded);
        "job.handed_back" 1 => HandedBack(HandedBack);
        "job.receipt" 1 => ReceiptSigned(ReceiptSigned);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModeChanged {
    pub state: ProviderState,
    /// `started`, `operator`, `ready`, or the code of what stands in the way.
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Readiness {
    pub relays: u32,
    pub blockers: Vec<Blocker>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferSet {
    pub offer: OfferDraft,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferRemoved {
    pub kind: u16,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemandSet {
    pub risk: DemandRisk,
    pub answer: DemandAnswer,
}

/// An announcement (31990) was released.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    pub created_at_secs: u64,
    pub expires_at_secs: u64,
    pub kinds: Vec<u16>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Withdrawn {
    pub created_at_secs: u64,
}

/// Requests created before `before_secs` are forgotten, and refused should they come again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Swept {
    pub before_secs: u64,
}

/// A request was verified and recorded; its event is the body, unless it is refused at once: what
/// strangers send for nothing is not kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    pub kind: u16,
    pub author: Pubkey,
    pub created_at_secs: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_secs: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid_msat: Option<Msat>,
    pub risk: DemandRisk,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<BodyRef>,
    /// Where it was seen first.
    pub seen_at: String,
    /// Where the buyer also wants answers, as far as we publish there.
    pub relays: Vec<String>,
    /// Until when it waits for the operator, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_until: Option<Timestamp>,
}

/// The gates a request passes, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    Mode,
    Validity,
    Expiry,
    Demand,
    Price,
    TimeLeft,
    Backend,
    Blockers,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    pub gate: Gate,
    /// As sent to the buyer.
    pub reason: String,
    /// `created_at` of the `error` feedback that tells the buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_at_secs: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    pub price_msat: Msat,
    pub payment: PaymentPolicy,
    pub end_by: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invoiced {
    pub bolt11: String,
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub expires_at: Timestamp,
    pub end_by: Timestamp,
    /// `created_at` of the result, where the invoice travels with it (pay after).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_at_secs: Option<u64>,
}

/// Settled in our wallet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paid {
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub preimage: Preimage,
    pub paid_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_by: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Counts from 1; a second start follows only a crash that hid the first one's outcome.
    pub attempt: u8,
    pub end_by: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Executed {
    pub attempt: u8,
    pub result: ResultRef,
    pub end_by: Timestamp,
    /// `created_at` of the result, where it leaves now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_at_secs: Option<u64>,
}

/// At least one relay has the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    pub event_id: EventId,
    pub relays: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_by: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// The work itself failed.
    Work,
    /// A crash hid the outcome twice.
    OutcomeUnknown,
    NoInvoice,
    TimedOut,
    /// The request expired while it waited for a place.
    Expired,
    /// No relay took the answer.
    Undeliverable,
    /// Less arrived than the invoice asked.
    Underpaid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    pub reason: FailReason,
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_due_msat: Option<Msat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_at_secs: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelledBy {
    Buyer,
    Operator,
    /// The invoice ran out unpaid.
    NotPaid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cancelled {
    pub by: CancelledBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_at_secs: Option<u64>,
}

/// Delivered, and the invoice ran out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unpaid {
    pub payment_hash: PaymentHash,
}

/// Money came for a job that had ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefundDue {
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub preimage: Preimage,
    pub paid_at: Timestamp,
    /// What the job was, where it was no longer held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_for: Option<LateFor>,
}

/// What is kept of an invoiced job for as long as its money may still come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateFor {
    pub kind: u16,
    pub author: Pubkey,
    pub created_at_secs: u64,
    pub price_msat: Msat,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<BodyRef>,
}

/// The wallet is asked to pay what we owe to exactly this invoice of the buyer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refunding {
    /// Counts from 1; another one begins only when the last is known to have failed.
    pub attempt: u32,
    pub bolt11: String,
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub max_fee_msat: Msat,
    pub expires_at: Timestamp,
}

/// The refund may have moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefundUnknown {
    pub payment_hash: PaymentHash,
}

/// No money moved: it is owed as before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefundFailed {
    pub payment_hash: PaymentHash,
    pub reason: String,
}

/// The buyer has its money back: the preimage proves it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refunded {
    /// Of the payment that carried it.
    pub payment_hash: PaymentHash,
    pub preimage: Preimage,
    pub amount_msat: Msat,
    pub fee_msat: Msat,
}

/// The operator's word that the money went back another way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandedBack {
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceiptSigned {
    pub receipt: Receipt,
}
