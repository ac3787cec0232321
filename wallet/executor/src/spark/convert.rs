//! The only place where what the Spark process says meets the port.

use domain::{ErrorBody, ExitCode, Msat, PaymentHash, Preimage, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use wallet::{
    Fact, Found, Made, Which,
    event::Observed,
    wire::{self, Direction, NodeState, PaymentState},
};

use super::link::CallError;
use crate::backend::{BackendError, SendAnswer};

/// What the process and this adapter must agree on.
pub const PROTOCOL: u32 = 1;

/// Nothing was sent, and another try may go better.
const NO_WAY: [&str; 3] = ["insufficient_balance", "fee_exceeds", "fee_not_known"];
/// Nothing was sent, as somebody else does not answer.
const LATER: [&str; 4] = ["not_reachable", "starting", "timed_out", "busy"];

/// `info` of the process.
#[derive(Clone, Debug, Deserialize)]
pub struct Info {
    pub protocol: u32,
    /// Why there is no wallet, where that is so.
    pub trouble: Option<ErrorBody>,
    #[serde(flatten)]
    pub wallet: wire::Info,
}

impl Info {
    /// Whether the wallet of the words is open; its operators may still be away.
    pub fn is_connected(&self) -> bool {
        self.wallet.state != NodeState::Starting && !self.wallet.node_id.is_empty()
    }
}

/// A payment as the process tells of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    /// Asked for by us, not money that came or went by itself.
    pub ours: bool,
    /// The SDK was given it: from then on only a look-up says what became of it.
    pub given: bool,
    /// The operators were heard since it was given to them.
    #[serde(default)]
    pub heard: bool,
    #[serde(flatten)]
    pub payment: wire::Payment,
}

/// What `receive` gives.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    text: String,
    payment_hash: Option<PaymentHash>,
    expires_at: Option<Timestamp>,
}

/// An on-chain deposit that is not part of the balance yet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Deposit {
    pub txid: String,
    pub vout: u32,
    pub amount_msat: Msat,
    /// Whether it has the confirmations that a claim needs.
    pub is_mature: bool,
    pub refund_txid: Option<String>,
    /// Why it could not be claimed.
    pub claim_error: Option<ErrorBody>,
}

/// How far a claim got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claimed {
    Settled,
    /// Claimed before it is mature; the money comes later.
    Submitted,
    /// Claimed by itself once it is mature or cheap enough.
    Deferred,
}

/// What `claim_deposit` gives.
#[derive(Clone, Debug, Deserialize)]
pub struct Claim {
    pub outcome: Claimed,
}

/// A notice; its kind is read only where it is of a payment.
#[derive(Clone, Debug, Deserialize)]
pub struct Notice {
    pub cursor: u64,
    pub what: Value,
}

pub fn made(request: Request) -> Made {
    let Request { text, payment_hash, expires_at } = request;
    Made { text, payment_hash, expires_at }
}

pub fn observed(info: &Info) -> Observed {
    let wire::Info { state, detail, balance, .. } = &info.wallet;
    Observed {
        state: *state,
        detail: detail.clone(),
        inbound_msat: balance.map(|balance| balance.inbound_msat).unwrap_or_default(),
        onchain_msat: balance.map(|balance| balance.onchain_msat).unwrap_or_default(),
        spendable_msat: balance.map(|balance| balance.spendable_msat),
        unknown: balance.is_none(),
    }
}

/// What a notice says of a payment's end; nothing where it says nothing of that.
pub fn fact(notice: Notice) -> Option<Fact> {
    if notice.what.get("notice").and_then(Value::as_str) != Some("payment") {
        return None;
    }
    let Told { ours, given, payment, .. } = match serde_json::from_value(notice.what) {
        Ok(told) => told,
        Err(error) => {
            tracing::error!(cursor = notice.cursor, %error, "a notice of Spark is not understood");
            return None;
        }
    };
    let preimage = proof(&payment);
    let by_reference = payment.reference.clone().map(Which::Reference);
    let by_key = Which::Key(payment.key.clone());
    let which = payment.payment_hash.map(Which::Hash);
    match (payment.direction, payment.state) {
        (Direction::In, PaymentState::Settled) => Some(Fact::Received {
            which: which.or(by_reference)?,
            rail: payment.rail,
            to: payment.request.filter(|_| payment.payment_hash.is_none()),
            amount_msat: payment.amount_msat,
            preimage,
        }),
        (Direction::Out, PaymentState::Settled) if ours => Some(Fact::Paid {
            which: which.unwrap_or(by_key),
            payment_hash: payment.payment_hash,
            preimage,
            fee_msat: payment.fee_msat.unwrap_or_default(),
        }),
        (Direction::Out, PaymentState::Failed) if ours && given => Some(Fact::PayFailed {
            which: which.unwrap_or(by_key),
            reason: reason(payment.detail),
            // Its id is used up: it is never sent again.
            no_way: false,
            still_open: false,
        }),
        _ => None,
    }
}

/// What a look-up means. A payment that was given away, with nobody heard of since, is no answer.
pub fn found(told: Told) -> Result<Found, BackendError> {
    let payment = told.payment;
    let found = match (payment.direction, payment.state) {
        (_, PaymentState::Settled) => Found::Settled {
            amount_msat: payment.amount_msat,
            fee_msat: payment.fee_msat.unwrap_or_default(),
            preimage: proof(&payment),
            payment_hash: payment.payment_hash,
            reference: payment.reference,
        },
        (Direction::Out, PaymentState::Failed | PaymentState::Expired) => {
            Found::Failed { reason: reason(payment.detail) }
        }
        (Direction::Out, PaymentState::Pending) => Found::InFlight,
        (Direction::Out, PaymentState::Unknown) if !told.heard => {
            return Err(BackendError::NotNow("Spark's operators were not heard since".into()));
        }
        // Not given to anyone, or given to operators who know of nothing; or not paid yet.
        _ => Found::Nothing,
    };
    Ok(found)
}

/// How the process took a payment that it had not before.
pub fn taken(told: Told) -> SendAnswer {
    let payment = told.payment;
    match payment.state {
        PaymentState::Settled | PaymentState::Pending => {
            SendAnswer::Taken { reference: payment.reference }
        }
        PaymentState::Failed => SendAnswer::Refused(reason(payment.detail)),
        _ => SendAnswer::Unclear(reason(payment.detail)),
    }
}

/// An error of `pay`. Only what is known to be said before anything is given away means that
/// nothing was sent.
pub fn not_sent(error: CallError) -> SendAnswer {
    match error {
        CallError::Unreached(why) => SendAnswer::NotNow(why),
        CallError::Lost(why) => SendAnswer::Unclear(why),
        CallError::Said(error) => match error.code.as_ref() {
            code if NO_WAY.contains(&code) => SendAnswer::NotSent(error.message),
            code if LATER.contains(&code) => SendAnswer::NotNow(error.message),
            "already_paid" | "key_reused" => SendAnswer::Unclear(error.message),
            _ if matches!(error.exit, ExitCode::Refused | ExitCode::Usage) => {
                SendAnswer::Refused(error.message)
            }
            _ => SendAnswer::Unclear(error.message),
        },
    }
}

/// An error of a call that can be repeated.
pub fn undone(error: CallError) -> BackendError {
    match error {
        CallError::Said(error)
            if matches!(error.exit, ExitCode::Refused | ExitCode::Usage) && !error.retryable =>
        {
            BackendError::Refused(error.message)
        }
        other => BackendError::NotNow(other.into_text()),
    }
}

fn reason(detail: Option<String>) -> String {
    detail.unwrap_or_else(|| "Spark gave no reason.".into())
}

/// A preimage that does not fit proves nothing.
fn proof(payment: &wire::Payment) -> Option<Preimage> {
    payment.preimage.filter(|preimage| Some(preimage.payment_hash()) == payment.payment_hash)
}

#[cfg(test)]
mod tests;
