//! One payment for the inspector: its steps, what is proved of it, and its receipt.

use domain::Network;
use engine::view::{Direction, LogRow, PaymentState, PaymentView};
use serde_json::json;

use super::{
    Tone,
    job::{Rung, Step},
    words,
};
use crate::clock::{Clock, duration};

/// The steps of a payment's life, oldest first: what the log says of it, else what the view knows.
pub fn steps(payment: &PaymentView, rows: &[LogRow], clock: &Clock) -> Vec<Step> {
    if rows.is_empty() {
        return Vec::new();
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut before = None;
    for row in rows {
        let (title, detail) = said(&row.summary);
        let after = before.map(|then| format!("+{}", duration(row.at.since_ms(then))));
        before = Some(row.at);
        steps.push(Step {
            time: clock.exact_time(row.at),
            title,
            detail,
            after,
            machine: "payment".into(),
            seq: row.position,
            event_hash: None,
            tone: Tone::Neutral,
        });
    }
    if let Some(last) = steps.last_mut() {
        last.tone = words::payment(payment.direction, payment.state).1;
    }
    steps
}

/// `Outgoing payment of 5 sat: pending` is "Pending" here: the rest stands above.
fn said(summary: &str) -> (String, Option<String>) {
    let summary = words::one_line(summary);
    match summary.split_once(": ") {
        Some((head, state)) if head.contains("payment of") => (state_words(state), None),
        Some((head, rest)) => (head.to_owned(), Some(rest.to_owned())),
        None => (summary, None),
    }
}

/// The state's word in the tongue of the list, where it is one.
fn state_words(state: &str) -> String {
    match state {
        "requested" => "Asked for".into(),
        "pending" => "Under way".into(),
        "settled" => "Settled".into(),
        "awaiting_approval" => "Waits for you".into(),
        "unknown" => "Outcome unknown".into(),
        other => words::sentence(other),
    }
}

/// What is proved of a payment, and by whom.
pub fn rungs(payment: &PaymentView) -> Vec<Rung> {
    let settled = payment.state == PaymentState::Settled;
    let rung = |title, source, explain| Rung { title, source, explain };
    let when = |proved: bool, source: &'static str| proved.then_some(source);
    let preimage = match (payment.preimage, payment.payment_hash) {
        (Some(preimage), Some(hash)) => preimage.payment_hash() == hash,
        _ => false,
    };
    let mut rungs = vec![rung("Asked for", Some("local"), "It is in this desk's log")];
    match payment.direction {
        Direction::In => {
            let made = payment.request.is_some();
            rungs.push(rung(
                "Request made",
                when(made, "wallet"),
                "The wallet made something to be paid by",
            ));
        }
        Direction::Out => {
            let not_sent = matches!(
                payment.state,
                PaymentState::Requested | PaymentState::AwaitingApproval | PaymentState::Failed
            );
            rungs.push(rung("Sent", when(!not_sent, "wallet"), "The wallet sent it on its way"));
        }
    }
    if payment.rail.is_lightning() {
        rungs.push(rung(
            "Paid",
            when(preimage, "preimage"),
            "The preimage hashes to the payment hash, checked here",
        ));
    } else {
        rungs.push(rung(
            "Paid",
            when(settled && payment.reference.is_some(), "wallet"),
            "The wallet names it by its own exact reference",
        ));
    }
    let explain = "The wallet's ledger holds the money, or has spent it";
    rungs.push(rung("Settled", when(settled, "wallet"), explain));
    rungs
}

/// What can be shown to somebody else: who was paid how much, and the proof. Never a number that
/// could be mistaken for money where it is none.
pub fn receipt(payment: &PaymentView, network: Network) -> String {
    let mut receipt = json!({
        "network": network,
        "direction": payment.direction,
        "state": payment.state,
        "amount_msat": payment.amount_msat,
        "fee_msat": payment.fee_msat,
        "payee": payment.payee,
        "memo": payment.memo,
        "payment_hash": payment.payment_hash,
        "preimage": payment.preimage,
        "reference": payment.reference,
        "request": payment.request,
        "at": payment.updated_at.to_rfc3339(),
    });
    if let Some((word, _)) = words::network_badge(network) {
        receipt["marked"] = json!(word);
    }
    serde_json::to_string_pretty(&receipt).unwrap_or_default()
}
