//! What the operator asks of the wallet by hand: an invoice, or a payment.

use domain::{Emit, ErrorBody, IdempotencyKey, Msat, Step, Timestamp};

use crate::{
    command::Reply,
    effect::{Effect, WalletEffect},
    event::{DeskEvent, PaymentRequested},
    state::{EngineStep, State, payment_stream, refused},
};

impl State {
    pub(crate) fn receive(
        &self,
        key: &IdempotencyKey,
        amount_msat: Msat,
        memo: &str,
        expiry_secs: u32,
        now: Timestamp,
    ) -> EngineStep {
        let started = Reply::PaymentStarted { key: key.clone() };
        if self.wallet.payment(key).is_some() {
            return Step::reply(started);
        }
        let payment = wallet::wire::Payment {
            memo: memo.to_owned(),
            expires_at: Some(now.plus_secs(u64::from(expiry_secs))),
            ..requested(key, wallet::wire::Direction::In, amount_msat, now)
        };
        let event =
            PaymentRequested { payment, max_fee_msat: None, expiry_secs: Some(expiry_secs) };
        let effect = WalletEffect::Receive {
            key: key.clone(),
            amount_msat,
            memo: memo.to_owned(),
            expiry_secs,
        };
        payment_step(key, event, effect).answer(started)
    }

    pub(crate) fn pay(
        &self,
        key: &IdempotencyKey,
        bolt11: &str,
        max_fee_msat: Msat,
        now: Timestamp,
    ) -> EngineStep {
        let started = Reply::PaymentStarted { key: key.clone() };
        if let Some(known) = self.wallet.payment(key) {
            if known.bolt11.as_deref() == Some(bolt11) {
                return Step::reply(started);
            }
            return refused(ErrorBody::refused(
                "key_reused",
                "This key already stands for another payment; nothing was paid.",
            ));
        }
        let read = nip90::bolt11::Invoice::parse(bolt11, self.network)
            .and_then(|invoice| invoice.check(invoice.amount_msat, now).map(|()| invoice));
        let invoice = match read {
            Ok(invoice) => invoice,
            Err(fault) => {
                return refused(ErrorBody::refused(
                    "bad_invoice",
                    format!("{fault}. Nothing was paid."),
                ));
            }
        };
        let payment = wallet::wire::Payment {
            bolt11: Some(bolt11.to_owned()),
            payment_hash: Some(invoice.payment_hash),
            ..requested(key, wallet::wire::Direction::Out, invoice.amount_msat, now)
        };
        let event =
            PaymentRequested { payment, max_fee_msat: Some(max_fee_msat), expiry_secs: None };
        let effect = WalletEffect::Pay {
            key: key.clone(),
            bolt11: bolt11.to_owned(),
            amount_msat: invoice.amount_msat,
            max_fee_msat,
        };
        payment_step(key, event, effect).answer(started)
    }
}

fn requested(
    key: &IdempotencyKey,
    direction: wallet::wire::Direction,
    amount_msat: Msat,
    now: Timestamp,
) -> wallet::wire::Payment {
    wallet::wire::Payment {
        key: key.clone(),
        direction,
        state: wallet::wire::PaymentState::Requested,
        amount_msat,
        fee_msat: None,
        payment_hash: None,
        preimage: None,
        bolt11: None,
        memo: String::new(),
        created_at: now,
        updated_at: now,
        expires_at: None,
        detail: None,
    }
}

fn payment_step(key: &IdempotencyKey, event: PaymentRequested, effect: WalletEffect) -> EngineStep {
    let emit = Emit::new(payment_stream(key), DeskEvent::PaymentRequested(event));
    Step::nothing().emit(emit.effect(Effect::Wallet(effect)))
}
