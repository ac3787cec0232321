//! What the buyer records, in stream `buy/<request id>`.

use domain::{
    BodyRef, CommandId, EventId, Msat, PaymentHash, Preimage, Pubkey, Receipt, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::types::ResultRef;

domain::events! {
    /// Everything the buyer's state is made of.
    pub enum BuyerEvent {
        "buy.submitted" 1 => Submitted(Submitted);
        "buy.published" 1 => Published(Published);
        "buy.working" 1 => Working(Working);
        "buy.offer_refused" 1 => OfferRefused(OfferRefused);
        "buy.chosen" 1 => Chosen(Chosen);
        "buy.unchosen" 1 => Unchosen(Unchosen);
        "buy.result" 1 => ResultSeen(ResultSeen);
        "buy.fetched" 1 => Fetched(Fetched);
        "buy.verified" 1 => Verified(Verified);
        "buy.paying" 1 => Paying(Paying);
        "buy.payment_unknown" 1 => PaymentUnknown(PaymentUnknown);
        "buy.paid" 1 => Paid(Paid);
        "buy.doomed" 1 => Doomed(Doomed);
        "buy.done" 1 => Done(Done);
        "buy.failed" 1 => Failed(Failed);
        "buy.cancelled" 1 => Cancelled(Cancelled);
        "buy.late_result" 1 => LateResult(LateResult);
        "buy.receipt" 1 => ReceiptSigned(ReceiptSigned);
    }
}

/// A job was ordered and its budget set aside. The body is the request's template as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    pub key: CommandId,
    pub kind: u16,
    pub bid_msat: Msat,
    pub max_fee_msat: Msat,
    pub reserved_msat: Msat,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Pubkey>,
    pub created_at_secs: u64,
    pub expires_at_secs: u64,
    pub request: BodyRef,
    pub end_by: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    pub relays: Vec<String>,
    pub end_by: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Working {
    pub provider: Pubkey,
    /// It has the request, whether or not a relay has said so: it may take as long as was given.
    pub end_by: Timestamp,
}

/// An offer that was not taken, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferRefused {
    pub provider: Pubkey,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChosenFor {
    /// The first acceptable invoice.
    FirstInvoice,
    /// The first acceptable result.
    FirstResult,
}

/// Of all who answered an open request, the one we deal with. The rule: the first acceptable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    pub provider: Pubkey,
    pub why: ChosenFor,
}

/// The first result of an open request was none, and nothing was paid: the next one may be it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unchosen {
    pub provider: Pubkey,
    pub reason: BuyFail,
    pub detail: String,
    pub end_by: Timestamp,
}

/// A result of the chosen provider; its event is a body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultSeen {
    pub event_id: EventId,
    pub event: BodyRef,
    pub result: ResultRef,
    /// The invoice that came with it, checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bolt11: Option<String>,
    pub end_by: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fetched {
    pub size_bytes: u64,
    pub end_by: Timestamp,
}

/// The kind's own check holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verified {}

/// The wallet is asked to pay exactly this invoice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paying {
    pub bolt11: String,
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentUnknown {
    pub payment_hash: PaymentHash,
}

/// The preimage proves the payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paid {
    pub payment_hash: PaymentHash,
    pub preimage: Preimage,
    pub amount_msat: Msat,
    pub fee_msat: Msat,
    /// Of the reservation, what was not needed.
    pub released_msat: Msat,
    pub end_by: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuyFail {
    /// No relay is known to have the request.
    NotPublished,
    /// No relay has the request: each refused it, or it never left.
    NotTaken,
    ProviderError,
    ProviderSilent,
    InvoiceRefused,
    PaymentFailed,
    /// Author, hash or size is not what it must be.
    ResultMismatch,
    NotFetched,
    /// The kind's own check does not hold.
    ResultRejected,
    NotChecked,
}

/// It can only fail, once the money in flight is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Doomed {
    pub reason: BuyFail,
    pub detail: String,
}

/// Received, checked, and paid for if priced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Of the reservation, what was still held.
    pub released_msat: Msat,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    pub reason: BuyFail,
    pub detail: String,
    pub released_msat: Msat,
    /// What was paid in vain, fee included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_msat: Option<Msat>,
    /// The provider's own words, where it sent any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<BodyRef>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cancelled {
    pub released_msat: Msat,
}

/// A result of our provider after the end: recorded, not paid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateResult {
    pub event_id: EventId,
    pub provider: Pubkey,
    pub event: BodyRef,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceiptSigned {
    pub receipt: Receipt,
}
