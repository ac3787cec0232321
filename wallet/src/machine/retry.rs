//! Trying again: only what failed for certain, with nothing on its way, and only for a short time.
//!
//! An unknown outcome is never tried again, nor is what the payee refused. Every try pays the same
//! invoice, so the payment hash is the same, and the backend takes one hash once at a time.

use domain::{ErrorBody, IdempotencyKey, Step, Timestamp};

use super::{LEAST_LEFT_SECS, emit, facts::fail};
use crate::{
    entry::Entry,
    event::{RetryPlanned, TriedAgain},
    io::{Effect, Order, Reply},
    state::Wallet,
    wire::{Direction, PaymentState},
};

/// The first pause; each one after it is twice as long, up to [`LONGEST_PAUSE_DOUBLINGS`].
const FIRST_PAUSE_SECS: u64 = 1;
const LONGEST_PAUSE_DOUBLINGS: u32 = 3;
/// Tries are planned for this long after the request: as long as a peer takes to come back.
const PLANNED_FOR_SECS: u64 = 30;
/// A try that a crash held up begins at the latest this long after the request: a payment must not
/// happen when nobody expects it any more.
const BEGUN_WITHIN_SECS: u64 = 60;

/// When the payment is tried again if its try fails now; never, where its time is over.
pub(super) fn next_try(entry: &Entry, now: Timestamp) -> Option<Timestamp> {
    let pause = FIRST_PAUSE_SECS << entry.failed_tries.min(LONGEST_PAUSE_DOUBLINGS);
    let at = now.plus_secs(pause);
    let last = entry.began_at.plus_secs(PLANNED_FOR_SECS);
    (at <= last && in_time(entry, at)).then_some(at)
}

/// Whether a next try may still begin.
fn may_begin(entry: &Entry, now: Timestamp) -> bool {
    now <= entry.began_at.plus_secs(BEGUN_WITHIN_SECS) && in_time(entry, now)
}

/// Only what has a payment hash and an expiry is tried again: the same hash cannot be paid twice.
fn in_time(entry: &Entry, at: Timestamp) -> bool {
    entry.payment.payment_hash.is_some()
        && entry.payment.expires_at.is_some_and(|expiry| at.plus_secs(LEAST_LEFT_SECS) <= expiry)
}

/// Nothing of it is on its way, and nothing more is tried: what the last try said stands.
fn too_late(entry: &Entry) -> Step<Wallet> {
    fail(&entry.payment.key, entry.payment.detail.as_deref().unwrap_or_default())
}

impl Wallet {
    /// Nothing of this try is on its way any more.
    pub(super) fn try_failed(
        &self,
        entry: &Entry,
        reason: &str,
        no_way: bool,
        now: Timestamp,
    ) -> Step<Self> {
        let payment = &entry.payment;
        let waits = payment.state == PaymentState::AwaitingApproval;
        let over = payment.direction == Direction::In || payment.state.is_over();
        // Between two tries nothing can fail: this was heard before. Nor can what was never asked.
        if over || waits || entry.retry_at.is_some() {
            return Step::nothing();
        }
        // What was unknown once is decided now, and not begun again.
        let again = no_way && payment.state != PaymentState::Unknown;
        match next_try(entry, now).filter(|_| again) {
            Some(at) => {
                let (key, reason) = (payment.key.clone(), reason.to_owned());
                Step::nothing().emit(emit(&payment.key, RetryPlanned { key, reason, at }))
            }
            None => fail(&payment.key, reason),
        }
    }

    /// A send that was taken up again after a crash may be of a try that has failed since, and a
    /// next try that was held up may come when nobody expects it any more: then it is over.
    pub(super) fn may_send(&self, key: &IdempotencyKey, now: Timestamp) -> Step<Self> {
        let waits = |entry: &&Entry| {
            entry.payment.state == PaymentState::Requested && entry.retry_at.is_none()
        };
        let not_wanted = Reply::Refused(ErrorBody::refused(
            "not_wanted",
            "The payment does not wait to be sent. Nothing was sent.",
        ));
        match self.payments.get(key).filter(waits) {
            Some(entry) if entry.failed_tries > 0 && !may_begin(entry, now) => {
                too_late(entry).answer(not_wanted)
            }
            Some(_) => Step::reply(Reply::Done),
            None => Step::reply(not_wanted),
        }
    }

    pub(super) fn try_again(&self, mut step: Step<Self>, now: Timestamp) -> Step<Self> {
        let due = self.retries.iter().take_while(|(at, _)| *at <= now);
        for entry in due.filter_map(|(_, key)| self.payments.get(key)) {
            let payment = &entry.payment;
            let key = &payment.key;
            let Some(request) = &payment.request else { continue };
            if !may_begin(entry, now) {
                step.emits.extend(too_late(entry).emits);
                continue;
            }
            let order = Order {
                key: key.clone(),
                rail: payment.rail,
                request: request.clone(),
                payment_hash: payment.payment_hash,
                amount_msat: payment.amount_msat,
                max_fee_msat: entry.max_fee_msat,
            };
            let again = emit(key, TriedAgain { key: key.clone() });
            step = step.emit(again.effect(Effect::Send(order)));
        }
        step
    }
}
