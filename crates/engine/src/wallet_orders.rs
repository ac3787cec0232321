//! What the operator asks of the wallet by hand: an invoice, a payment, or a payment above a limit
//! to go.

use domain::{Emit, ErrorBody, IdempotencyKey, Msat, Step, Timestamp};
use wallet::wire;

use crate::{
    command::Reply,
    effect::{Effect, WalletEffect},
    event::{DeskEvent, PaymentAnswered, PaymentRequested},
    state::{EngineStep, State, desk, payment_stream, refused},
};

impl State {
    pub(crate) fn receive(&self, receive: &wire::Receive, now: Timestamp) -> EngineStep {
        if let Some(other) = self.is_other_wallet() {
            return other;
        }
        let key = &receive.key;
        let started = Reply::PaymentStarted { key: key.clone() };
        if self.wallet.payment(key).is_some() {
            return Step::reply(started);
        }
        let amount_msat = receive.amount_msat.unwrap_or(Msat::ZERO);
        let payment = wire::Payment {
            account: receive.account.clone(),
            rail: receive.rail,
            memo: receive.memo.clone(),
            ..wire::Payment::requested(key.clone(), wire::Direction::In, amount_msat, now)
        };
        let expiry_secs = Some(receive.expiry_secs);
        let event = PaymentRequested { payment, max_fee_msat: None, expiry_secs };
        payment_step(key, event, WalletEffect::Receive(receive.clone())).answer(started)
    }

    /// The executor reads the request and decides; here only its key is known.
    pub(crate) fn pay(&self, pay: &wire::Pay, now: Timestamp) -> EngineStep {
        if let Some(other) = self.is_other_wallet() {
            return other;
        }
        let key = &pay.key;
        let started = Reply::PaymentStarted { key: key.clone() };
        if let Some(known) = self.wallet.payment(key) {
            if known.request.as_deref() == Some(&*pay.request) {
                return Step::reply(started);
            }
            return refused(ErrorBody::refused(
                "key_reused",
                "This key already stands for another payment; nothing was paid.",
            ));
        }
        let payment = wire::Payment {
            account: pay.account.clone(),
            request: Some(pay.request.clone()),
            payee: pay.lnurl.as_ref().map(|proof| proof.payee.clone()),
            ..wire::Payment::requested(key.clone(), wire::Direction::Out, pay.amount_msat, now)
        };
        let max_fee_msat = Some(pay.max_fee_msat);
        let event = PaymentRequested { payment, max_fee_msat, expiry_secs: None };
        payment_step(key, event, WalletEffect::Pay(pay.clone())).answer(started)
    }

    fn is_other_wallet(&self) -> Option<EngineStep> {
        self.wallet.other.as_ref().map(|other| {
            refused(
                ErrorBody::refused(
                    "other_wallet",
                    format!(
                        "Another wallet ({}) answers than the one of this desk. Nothing was done.",
                        other.fingerprint
                    ),
                )
                .hint("Bring the old wallet back, or accept this one: `pilothouse wallet accept`."),
            )
        })
    }

    /// Goes on with another wallet than before: never while a payment of the old one is open, as it
    /// could be paid a second time from the new one.
    pub(crate) fn accept_wallet(&self, fingerprint: &str) -> EngineStep {
        let Some(other) = &self.wallet.other else {
            return refused(ErrorBody::refused(
                "no_other_wallet",
                "No other wallet answers; nothing changed.",
            ));
        };
        if other.fingerprint != fingerprint {
            return refused(ErrorBody::refused(
                "other_fingerprint",
                format!("The wallet that answers is {}; nothing changed.", other.fingerprint),
            ));
        }
        let open = |payment: &&wire::Payment| {
            payment.direction == wire::Direction::Out
                && !payment.state.is_over()
                && payment.state != wire::PaymentState::AwaitingApproval
        };
        let open = self.wallet.payments().filter(open).count();
        if open > 0 {
            return refused(still_open(open));
        }
        desk(DeskEvent::WalletAttached(other.clone())).answer(Reply::Done)
    }

    pub(crate) fn answer_payment(&self, key: &IdempotencyKey, approve: bool) -> EngineStep {
        if let Some(other) = self.is_other_wallet() {
            return other;
        }
        let waits = self
            .wallet
            .payment(key)
            .is_some_and(|payment| payment.state == wire::PaymentState::AwaitingApproval);
        if !waits {
            return refused(ErrorBody::refused(
                "not_waiting",
                format!("The payment {key} does not wait for an answer; nothing changed."),
            ));
        }
        let answered = PaymentAnswered { key: key.clone(), approve };
        let effect = Effect::Wallet(WalletEffect::Answer { key: key.clone(), approve });
        let emit = Emit::new(payment_stream(key), DeskEvent::PaymentAnswered(answered));
        let started = Reply::PaymentStarted { key: key.clone() };
        Step::nothing().emit(emit.effect(effect)).answer(started)
    }
}

/// Payments of the old wallet stand in the way of a new one.
pub fn still_open(count: usize) -> ErrorBody {
    ErrorBody::refused(
        "payments_open",
        format!(
            "{count} payments of the old wallet are not over, and nobody else can say what became \
             of them. Nothing changed."
        ),
    )
    .hint("Bring the old wallet back until they are over, or begin anew in another home.")
}

fn payment_step(key: &IdempotencyKey, event: PaymentRequested, effect: WalletEffect) -> EngineStep {
    let emit = Emit::new(payment_stream(key), DeskEvent::PaymentRequested(event));
    Step::nothing().emit(emit.effect(Effect::Wallet(effect)))
}
