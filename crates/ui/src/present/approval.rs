//! A payment that waits for the operator: what, to whom, which limit and by how much, until when.

use domain::{IdempotencyKey, Msat, Timestamp};
use engine::{
    view::{AccountView, PaymentState, PaymentView, View},
    wire::LimitsView,
};
use serde::Serialize;
use std::sync::Arc;

use super::{wallet, words};
use crate::clock::{Clock, duration};

/// The wallet gives a payment up that nobody approved for so long.
const APPROVED_WITHIN_SECS: u64 = 24 * 60 * 60;

/// Everything that is said before the operator answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Approval {
    pub key: IdempotencyKey,
    pub amount: String,
    /// `Pay 5,000 sat to alice@example.com?`
    pub question: String,
    pub what: String,
    pub to: String,
    /// Who asks: a sub-wallet, a job, or the operator.
    pub asks: String,
    /// The wallet's own words for the limit.
    pub why: String,
    pub until: Timestamp,
    /// The verb on the button that lets it go.
    pub pay: String,
}

/// The limit that a payment is above, and by how much at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    pub limit: String,
    pub by: Msat,
}

pub fn waiting(view: &View) -> impl Iterator<Item = &Arc<PaymentView>> {
    view.payments.iter().filter(|payment| payment.state == PaymentState::AwaitingApproval)
}

/// Until when the payment can be approved.
pub fn until(payment: &PaymentView) -> Timestamp {
    let latest = payment.created_at.plus_secs(APPROVED_WITHIN_SECS);
    payment.expires_at.map_or(latest, |expiry| expiry.min(latest))
}

/// `23 h 59 min`, `4 min 12 s`; absent once it is too late.
pub fn left(until: Timestamp, clock: &Clock) -> Option<String> {
    let left_ms = until.since_ms(clock.now());
    (left_ms > 0).then(|| duration(left_ms / 1_000 * 1_000))
}

impl Approval {
    pub fn of(payment: &PaymentView, view: &View) -> Self {
        let amount = payment.amount_msat.to_string();
        let to = payee(payment);
        let why = payment.waits_for.as_ref().map(|error| words::one_line(&error.message));
        Self {
            key: payment.key.clone(),
            question: format!("Pay {amount} to {to}?"),
            what: format!(
                "{}, {}",
                wallet::purpose(payment, view),
                words::rail(payment.rail).to_lowercase()
            ),
            asks: asks(payment, view),
            why: why.unwrap_or_else(|| "It is above a limit. Nothing was sent.".into()),
            until: until(payment),
            pay: format!("Pay {amount} all the same"),
            amount,
            to,
        }
    }
}

/// Who gets it, short enough for a sentence.
pub fn payee(payment: &PaymentView) -> String {
    let known = payment.payee.as_deref().or(payment.request.as_deref());
    match known.map(words::one_line).filter(|text| !text.is_empty()) {
        Some(text) if text.chars().count() > 40 => words::middle(&text, 12, 8),
        Some(text) => text,
        None => "an unknown payee".into(),
    }
}

fn asks(payment: &PaymentView, view: &View) -> String {
    match (payment.job, payment.account.is_operator()) {
        (Some(job), _) => format!("Job {}", job.short()),
        (None, true) => "You".into(),
        (None, false) => wallet::account_name(view, &payment.account),
    }
}

/// Which limit `amount` of this account is above, as far as can be said from what is known here.
/// The wallet's own check stands: this only says by how much.
pub fn over(
    amount: Msat,
    account: Option<&AccountView>,
    limits: Option<&LimitsView>,
) -> Option<Over> {
    let above = |limit: Msat, what: String| {
        let by = amount.saturating_sub(limit);
        (!by.is_zero()).then_some(Over { limit: what, by })
    };
    if let Some(view) = account {
        let name = words::one_line(&view.account.name);
        let single = view.account.per_payment_msat;
        if let Some(over) =
            single.and_then(|limit| above(limit, format!("the limit of {name} for one payment")))
        {
            return Some(over);
        }
        if let Some(over) =
            view.left_msat.and_then(|left| above(left, format!("what the budget of {name} leaves")))
        {
            return Some(over);
        }
    }
    let LimitsView { limits, spent_msat } = limits?;
    above(limits.per_payment_msat, "your limit for one payment".into()).or_else(|| {
        let left = limits.per_day_msat.saturating_sub(*spent_msat);
        above(left, "what your limit of a day leaves".into())
    })
}
