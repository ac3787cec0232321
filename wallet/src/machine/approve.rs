//! Payments above a limit: they wait for the operator, for a day at most, and then they are over.

use domain::{Emit, ErrorBody, IdempotencyKey, Step, Timestamp};
use safety::SpendLimits;

use super::{emit, facts::fail, refuse};
use crate::{
    entry::Entry,
    event::{Approved, LimitsSet, wallet_stream},
    io::{Effect, Order, Reply},
    state::Wallet,
    wire::{LimitsView, PaymentState},
};

const NOBODY: &str = "Nobody approved it in time. Nothing was sent.";
const DENIED: &str = "The operator denied it. Nothing was sent.";

impl Wallet {
    pub(super) fn set_limits(&self, limits: &SpendLimits) -> Step<Self> {
        if self.limits == Some(*limits) {
            return Step::reply(Reply::Done);
        }
        let set = LimitsSet { limits: *limits };
        Step::nothing().emit(Emit::new(wallet_stream(), set)).answer(Reply::Done)
    }

    pub(super) fn limits_view(&self, now: Timestamp) -> Reply {
        Reply::Limits(LimitsView { limits: self.limits(), spent_msat: self.window.total(now) })
    }

    /// Sends what waits; a second time changes nothing.
    pub(super) fn approve(&self, key: &IdempotencyKey, now: Timestamp) -> Step<Self> {
        let entry = match self.waits_for_approval(key) {
            Ok(entry) => entry,
            Err(reply) => return Step::reply(*reply),
        };
        if entry.approve_by.is_some_and(|until| now >= until) {
            let late = ErrorBody::refused("approval_expired", NOBODY);
            return fail(key, NOBODY).answer(Reply::Refused(late));
        }
        let payment = &entry.payment;
        if !payment.account.is_operator()
            && let Err(error) = self.open_account(&payment.account, now)
        {
            return refuse(error);
        }
        let most = payment.amount_msat.saturating_add(entry.max_fee_msat);
        let in_wallet = self.spendable().unwrap_or_default();
        let have = match self.own_money(&payment.account) {
            Some(own) => own.min(in_wallet),
            None => in_wallet.saturating_sub(self.set_apart()),
        };
        if most > have {
            return refuse(ErrorBody::refused(
                "insufficient_balance",
                format!(
                    "The payment can cost up to {most}, and {have} can be spent. It still waits."
                ),
            ));
        }
        let Some(request) = payment.request.clone() else {
            return fail(key, "Its request is not kept any more. Nothing was sent.");
        };
        let order = Order {
            key: key.clone(),
            rail: payment.rail,
            request,
            payment_hash: payment.payment_hash,
            amount_msat: payment.amount_msat,
            max_fee_msat: entry.max_fee_msat,
        };
        let approved = emit(key, Approved { key: key.clone() }).effect(Effect::Send(order));
        Step::nothing().emit(approved).answer(Reply::Done)
    }

    pub(super) fn deny(&self, key: &IdempotencyKey) -> Step<Self> {
        match self.waits_for_approval(key) {
            Ok(_) => fail(key, DENIED).answer(Reply::Done),
            Err(reply) => Step::reply(*reply),
        }
    }

    /// The payment while it waits; else what it is, for who asks a second time.
    fn waits_for_approval(&self, key: &IdempotencyKey) -> Result<&Entry, Box<Reply>> {
        match self.payments.get(key) {
            Some(entry) if entry.payment.state == PaymentState::AwaitingApproval => Ok(entry),
            known => Err(Box::new(self.tell_payment(known.map(|_| key)))),
        }
    }

    /// What nobody approved in time is over.
    pub(super) fn stop_waiting(&self, mut step: Step<Self>, now: Timestamp) -> Step<Self> {
        for (_, key) in self.waiting.iter().take_while(|(until, _)| *until <= now) {
            step.emits.extend(fail(key, NOBODY).emits);
        }
        step
    }
}
