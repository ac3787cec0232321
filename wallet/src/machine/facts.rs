//! What the backend did or saw: matched by key or by exact payment hash, taken once.

use domain::{Emit, IdempotencyKey, Msat, PaymentHash, Preimage, Step, Timestamp};

use super::{UNINVITED, emit, retry::next_try};
use crate::{
    entry::Entry,
    event::{
        ChannelClosed, ChannelOpened, ChannelPending, Failed, Invoiced, Observed, OutcomeUnknown,
        Sent, Settled, wallet_stream,
    },
    io::{Effect, Fact, Found},
    state::{Channel, Wallet},
    wire::{Direction, PaymentState},
};

/// An expired request that the backend knows nothing of was never sent, once this long has passed.
const FORGOTTEN_AFTER_SECS: u64 = 24 * 60 * 60;

impl Wallet {
    pub(super) fn take_fact(&self, fact: &Fact, now: Timestamp) -> Step<Self> {
        match fact {
            Fact::InvoiceMade { key, payment_hash, bolt11, expires_at } => {
                self.invoice_made(key, *payment_hash, bolt11, *expires_at)
            }
            Fact::InvoiceRefused { key, reason } | Fact::SendRefused { key, reason } => {
                self.refused(key, reason)
            }
            Fact::NotSent { key, reason } => match self.payments.get(key) {
                Some(entry) => self.try_failed(entry, reason, true, now),
                None => Step::nothing(),
            },
            Fact::SendTaken { key } => match self.payments.get(key) {
                // Between two tries it is an old answer: what it took has failed meanwhile.
                Some(entry)
                    if entry.payment.state == PaymentState::Requested
                        && entry.retry_at.is_none() =>
                {
                    Step::nothing().emit(emit(key, Sent { key: key.clone() }))
                }
                _ => Step::nothing(),
            },
            Fact::SendUnclear { key, reason } => self.unclear(key, reason),
            Fact::EffectDone => Step::nothing(),
            Fact::LookedUp { key, found } => self.looked_up(key, found, now),
            Fact::Claimable { payment_hash, amount_msat } => {
                self.claimable(*payment_hash, *amount_msat)
            }
            Fact::Received { payment_hash, amount_msat, preimage } => {
                self.received(*payment_hash, *amount_msat, *preimage)
            }
            Fact::Paid { payment_hash, preimage, fee_msat } => match self.outgoing(payment_hash) {
                Some(entry) => self.paid(entry, *preimage, *fee_msat),
                None => Step::nothing(),
            },
            Fact::PayFailed { payment_hash, reason, no_way, still_open } => {
                match self.outgoing(payment_hash) {
                    // Told once more after a restart; the open record is of a later try.
                    Some(entry) if *still_open && entry.failed_before_start => Step::nothing(),
                    // The backend does not send over an open record, so there is no next try.
                    Some(entry) => self.try_failed(entry, reason, *no_way && !*still_open, now),
                    None => Step::nothing(),
                }
            }
            Fact::ChannelPending { .. }
            | Fact::ChannelReady { .. }
            | Fact::ChannelClosed { .. } => self.channel(fact),
            Fact::Observed(seen) => self.observed(seen),
        }
    }

    fn state_of(&self, key: &IdempotencyKey) -> Option<PaymentState> {
        self.payments.get(key).map(|entry| entry.payment.state)
    }

    fn outgoing(&self, hash: &PaymentHash) -> Option<&Entry> {
        let entry = self.payments.get(self.by_hash.get(hash)?)?;
        (entry.payment.direction == Direction::Out).then_some(entry)
    }

    fn invoice_made(
        &self,
        key: &IdempotencyKey,
        payment_hash: PaymentHash,
        bolt11: &str,
        expires_at: Timestamp,
    ) -> Step<Self> {
        let asked = self.payments.get(key).map(|entry| &entry.payment).is_some_and(|payment| {
            payment.direction == Direction::In && payment.state == PaymentState::Requested
        });
        if !asked {
            return Step::nothing();
        }
        if self.by_hash.contains_key(&payment_hash) {
            return fail(
                key,
                "The backend made an invoice with a payment hash that was used before.",
            );
        }
        let invoiced =
            Invoiced { key: key.clone(), payment_hash, bolt11: bolt11.to_owned(), expires_at };
        Step::nothing().emit(emit(key, invoiced))
    }

    /// Refused before anything left: over, and it cost nothing.
    fn refused(&self, key: &IdempotencyKey, reason: &str) -> Step<Self> {
        match self.state_of(key) {
            Some(PaymentState::Requested | PaymentState::Unknown) => fail(key, reason),
            _ => Step::nothing(),
        }
    }

    fn unclear(&self, key: &IdempotencyKey, reason: &str) -> Step<Self> {
        let Some(entry) = self.payments.get(key) else { return Step::nothing() };
        let (PaymentState::Requested | PaymentState::Pending, Some(payment_hash)) =
            (entry.payment.state, entry.payment.payment_hash)
        else {
            return Step::nothing();
        };
        let unknown = OutcomeUnknown { key: key.clone(), reason: reason.to_owned() };
        let look_up = Effect::LookUp { key: key.clone(), payment_hash };
        Step::nothing().emit(emit(key, unknown).effect(look_up))
    }

    fn looked_up(&self, key: &IdempotencyKey, found: &Found, now: Timestamp) -> Step<Self> {
        let Some(entry) = self.payments.get(key) else { return Step::nothing() };
        let (direction, state) = (entry.payment.direction, entry.payment.state);
        match (direction, found) {
            (Direction::Out, Found::Settled { fee_msat, preimage, .. }) => {
                self.paid(entry, *preimage, *fee_msat)
            }
            (Direction::In, Found::Settled { amount_msat, preimage, .. }) => entry
                .payment
                .payment_hash
                .map_or_else(Step::nothing, |hash| self.received(hash, *amount_msat, *preimage)),
            // Of an earlier try, maybe, or of one that has a next: the backend's fact says which.
            (Direction::Out, Found::Failed { .. })
                if state != PaymentState::Unknown && next_try(entry, now).is_some() =>
            {
                Step::nothing()
            }
            (Direction::Out, Found::Failed { reason }) => {
                self.try_failed(entry, reason, false, now)
            }
            (Direction::Out, Found::InFlight)
                if matches!(state, PaymentState::Requested | PaymentState::Unknown) =>
            {
                Step::nothing().emit(emit(key, Sent { key: key.clone() }))
            }
            (Direction::In, Found::InFlight) => claim_again(entry),
            (Direction::Out, Found::Nothing)
                if state == PaymentState::Unknown
                    && entry
                        .payment
                        .expires_at
                        .is_some_and(|at| now >= at.plus_secs(FORGOTTEN_AFTER_SECS)) =>
            {
                fail(key, "The backend never saw this payment, and its invoice has expired.")
            }
            _ => Step::nothing(),
        }
    }

    /// Credited once, by exact payment hash. Money without an invoice of ours is money all the
    /// same: it gets a payment of its own.
    fn received(
        &self,
        payment_hash: PaymentHash,
        amount_msat: Msat,
        preimage: Option<Preimage>,
    ) -> Step<Self> {
        let key = match self.by_hash.get(&payment_hash) {
            None => IdempotencyKey::of(UNINVITED, payment_hash),
            Some(key) => match self.payments.get(key).map(|entry| &entry.payment) {
                Some(payment)
                    if payment.direction == Direction::In
                        && payment.state != PaymentState::Settled =>
                {
                    key.clone()
                }
                _ => return Step::nothing(),
            },
        };
        let settled = Settled {
            key: key.clone(),
            direction: Direction::In,
            payment_hash,
            preimage: preimage.filter(|preimage| preimage.payment_hash() == payment_hash),
            amount_msat,
            fee_msat: Msat::ZERO,
        };
        Step::nothing().emit(emit(&key, settled))
    }

    /// A preimage that does not fit the hash proves nothing: the outcome stays unknown.
    fn paid(&self, entry: &Entry, preimage: Option<Preimage>, fee_msat: Msat) -> Step<Self> {
        let payment = &entry.payment;
        let Some(payment_hash) = payment.payment_hash else { return Step::nothing() };
        if payment.state == PaymentState::Settled {
            return Step::nothing();
        }
        if preimage.is_some_and(|preimage| preimage.payment_hash() != payment_hash) {
            return match payment.state {
                PaymentState::Requested | PaymentState::Pending => {
                    let reason = "The backend gave a proof of payment that does not fit.";
                    let unknown =
                        OutcomeUnknown { key: payment.key.clone(), reason: reason.to_owned() };
                    Step::nothing().emit(emit(&payment.key, unknown))
                }
                _ => Step::nothing(),
            };
        }
        let settled = Settled {
            key: payment.key.clone(),
            direction: Direction::Out,
            payment_hash,
            preimage,
            amount_msat: payment.amount_msat,
            fee_msat,
        };
        Step::nothing().emit(emit(&payment.key, settled))
    }

    fn channel(&self, fact: &Fact) -> Step<Self> {
        match fact {
            Fact::ChannelPending { channel, ours_msat } if !self.channels.contains_key(channel) => {
                let pending = ChannelPending { channel: channel.clone(), ours_msat: *ours_msat };
                Step::nothing().emit(Emit::new(wallet_stream(), pending))
            }
            Fact::ChannelReady { channel, ours_msat } => {
                let ours_msat = match self.channels.get(channel) {
                    None => *ours_msat,
                    Some(Channel::Pending(opening)) => *opening,
                    Some(Channel::Open | Channel::Closed) => return Step::nothing(),
                };
                let opened = ChannelOpened { channel: channel.clone(), ours_msat };
                Step::nothing().emit(Emit::new(wallet_stream(), opened))
            }
            Fact::ChannelClosed { channel, remaining_msat, reason } => {
                let counted = match self.channels.get(channel) {
                    Some(Channel::Open) => self.spendable().unwrap_or(Msat::ZERO),
                    Some(Channel::Pending(_)) => *remaining_msat,
                    None | Some(Channel::Closed) => return Step::nothing(),
                };
                let closed = ChannelClosed {
                    channel: channel.clone(),
                    left_msat: counted.saturating_sub(*remaining_msat),
                    reason: reason.clone(),
                };
                Step::nothing().emit(Emit::new(wallet_stream(), closed))
            }
            _ => Step::nothing(),
        }
    }

    fn observed(&self, seen: &Observed) -> Step<Self> {
        let same = self.node.as_ref().is_some_and(|node| {
            node.seen
                && node.state == seen.state
                && node.detail == seen.detail
                && node.inbound_msat == seen.inbound_msat
                && node.onchain_msat == seen.onchain_msat
        });
        if same {
            return Step::nothing();
        }
        Step::nothing().emit(Emit::new(wallet_stream(), seen.clone()))
    }
}

pub(super) fn fail(key: &IdempotencyKey, reason: &str) -> Step<Wallet> {
    Step::nothing().emit(emit(key, Failed { key: key.clone(), reason: reason.to_owned() }))
}

/// Arrived before a restart and not taken yet, as far as the backend knows: claimed again.
fn claim_again(entry: &Entry) -> Step<Wallet> {
    let payment = &entry.payment;
    let (Some(amount_msat), Some(payment_hash)) = (entry.arrived_msat, payment.payment_hash) else {
        return Step::nothing();
    };
    let claim = Effect::Claim { key: payment.key.clone(), payment_hash, amount_msat };
    let arrived = crate::event::Arrived { key: payment.key.clone(), amount_msat };
    Step::nothing().emit(emit(&payment.key, arrived).effect(claim))
}
