//! What the backend did or saw: matched by key or by exact payment hash, taken once.

use domain::{Emit, IdempotencyKey, Msat, PaymentHash, Preimage, Sha256Hash, Step, Timestamp};

use super::{UNINVITED, emit, retry::next_try};
use crate::{
    entry::Entry,
    event::{
        ChannelClosed, ChannelOpened, ChannelPending, Failed, Invoiced, Observed, OutcomeUnknown,
        Sent, Settled, wallet_stream,
    },
    io::{Effect, Fact, Found, Made, Sought, Which},
    state::{Channel, Wallet},
    wire::{AccountId, Direction, Payment, PaymentState, Rail},
};

/// An expired request that the backend knows nothing of was never sent, once this long has passed.
const FORGOTTEN_AFTER_SECS: u64 = 24 * 60 * 60;

impl Wallet {
    pub(super) fn take_fact(&self, fact: &Fact, now: Timestamp) -> Step<Self> {
        match fact {
            Fact::InvoiceMade { key, made } => self.invoice_made(key, made),
            Fact::InvoiceRefused { key, reason } | Fact::SendRefused { key, reason } => {
                self.refused(key, reason)
            }
            Fact::NotSent { key, reason } => match self.payments.get(key) {
                Some(entry) => self.try_failed(entry, reason, true, now),
                None => Step::nothing(),
            },
            Fact::SendTaken { key, reference } => match self.payments.get(key) {
                // Between two tries it is an old answer: what it took has failed meanwhile.
                Some(entry)
                    if entry.payment.state == PaymentState::Requested
                        && entry.retry_at.is_none() =>
                {
                    sent(key, reference)
                }
                _ => Step::nothing(),
            },
            Fact::SendUnclear { key, reason } => self.unclear(key, reason),
            Fact::EffectDone => Step::nothing(),
            Fact::LookedUp { key, found } => self.looked_up(key, found, now),
            Fact::Claimable { payment_hash, amount_msat } => {
                self.claimable(*payment_hash, *amount_msat)
            }
            Fact::Received { which, rail, to, amount_msat, preimage } => {
                self.received(which, *rail, to.as_deref(), *amount_msat, *preimage)
            }
            Fact::Paid { which, payment_hash, preimage, fee_msat } => match self.outgoing(which) {
                Some(entry) => self.paid(entry, *payment_hash, *preimage, *fee_msat, None),
                None => Step::nothing(),
            },
            Fact::PayFailed { which, reason, no_way, still_open } => {
                match self.outgoing(which) {
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

    pub(super) fn find(&self, which: &Which) -> Option<&Entry> {
        let key = match which {
            Which::Hash(hash) => self.by_hash.get(hash)?,
            Which::Reference(reference) => self.by_reference.get(reference)?,
            Which::Key(key) => key,
        };
        self.payments.get(key)
    }

    fn outgoing(&self, which: &Which) -> Option<&Entry> {
        self.find(which).filter(|entry| entry.payment.direction == Direction::Out)
    }

    fn invoice_made(&self, key: &IdempotencyKey, made: &Made) -> Step<Self> {
        let asked = self.payments.get(key).map(|entry| &entry.payment).is_some_and(|payment| {
            payment.direction == Direction::In && payment.state == PaymentState::Requested
        });
        if !asked {
            return Step::nothing();
        }
        let known = match &made.payment_hash {
            Some(hash) => self.by_hash.contains_key(hash),
            None => self.by_request.contains_key(&made.text),
        };
        if known {
            return fail(key, "The backend made something that was used before.");
        }
        let invoiced = Invoiced {
            key: key.clone(),
            payment_hash: made.payment_hash,
            text: made.text.clone(),
            expires_at: made.expires_at,
        };
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
        let (PaymentState::Requested | PaymentState::Pending, Direction::Out) =
            (entry.payment.state, entry.payment.direction)
        else {
            return Step::nothing();
        };
        let unknown = OutcomeUnknown { key: key.clone(), reason: reason.to_owned() };
        let look_up = Effect::LookUp(Sought::of(&entry.payment));
        Step::nothing().emit(emit(key, unknown).effect(look_up))
    }

    fn looked_up(&self, key: &IdempotencyKey, found: &Found, now: Timestamp) -> Step<Self> {
        let Some(entry) = self.payments.get(key) else { return Step::nothing() };
        let (direction, state) = (entry.payment.direction, entry.payment.state);
        match (direction, found) {
            (
                Direction::Out,
                Found::Settled { fee_msat, preimage, payment_hash, reference, .. },
            ) => self.paid(entry, *payment_hash, *preimage, *fee_msat, reference.clone()),
            (Direction::In, Found::Settled { amount_msat, preimage, .. }) => {
                let which = Which::Key(key.clone());
                self.received(&which, entry.payment.rail, None, *amount_msat, *preimage)
            }
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
                sent(key, &None)
            }
            (Direction::In, Found::InFlight) => claim_again(entry),
            // What has no payment hash may have been taken up and lost before it left.
            (Direction::Out, Found::Nothing)
                if state == PaymentState::Pending && entry.payment.payment_hash.is_none() =>
            {
                let reason = "The backend has no record of it any more.".to_owned();
                let unknown = OutcomeUnknown { key: key.clone(), reason };
                Step::nothing().emit(emit(key, unknown))
            }
            (Direction::Out, Found::Nothing)
                if state == PaymentState::Unknown
                    && now
                        >= entry
                            .payment
                            .expires_at
                            .unwrap_or(entry.began_at)
                            .plus_secs(FORGOTTEN_AFTER_SECS) =>
            {
                fail(key, "The backend never saw this payment, and its time is over.")
            }
            _ => Step::nothing(),
        }
    }

    /// Credited once, by exact payment hash or reference. Money without an invoice of ours is money
    /// all the same, and so is each payment to an offer or an address: it gets a payment of its own.
    fn received(
        &self,
        which: &Which,
        rail: Rail,
        to: Option<&str>,
        amount_msat: Msat,
        preimage: Option<Preimage>,
    ) -> Step<Self> {
        let found = self.find(which).map(|entry| &entry.payment);
        let own = |payment: &&Payment| {
            payment.direction == Direction::In
                && payment.state != PaymentState::Settled
                && payment.payment_hash.is_some()
        };
        let (payment_hash, reference) = match which {
            Which::Hash(hash) => (Some(*hash), None),
            Which::Reference(reference) => (None, Some(reference.clone())),
            Which::Key(_) => (found.and_then(|payment| payment.payment_hash), None),
        };
        let (key, account, to) = match (found, which) {
            (Some(payment), _) if own(&payment) => {
                (payment.key.clone(), payment.account.clone(), None)
            }
            (Some(_), _) | (None, Which::Key(_)) => return Step::nothing(),
            (None, Which::Hash(hash)) => {
                (IdempotencyKey::of(UNINVITED, hash), self.account_of(to), to)
            }
            (None, Which::Reference(reference)) => {
                // As a hash, since a backend's names may have any length and letters.
                let name = Sha256Hash::of(reference.as_bytes());
                (IdempotencyKey::of(UNINVITED, name), self.account_of(to), to)
            }
        };
        let settled = Settled {
            key: key.clone(),
            account,
            direction: Direction::In,
            rail,
            payment_hash,
            reference,
            to: to.map(str::to_owned),
            preimage: preimage.filter(|preimage| Some(preimage.payment_hash()) == payment_hash),
            amount_msat,
            fee_msat: Msat::ZERO,
        };
        Step::nothing().emit(emit(&key, settled))
    }

    /// Whose offer or address it is.
    fn account_of(&self, request: Option<&str>) -> AccountId {
        request
            .and_then(|request| self.payments.get(self.by_request.get(request)?))
            .map_or_else(AccountId::operator, |entry| entry.payment.account.clone())
    }

    /// A preimage that does not fit the hash proves nothing: the outcome stays unknown.
    fn paid(
        &self,
        entry: &Entry,
        payment_hash: Option<PaymentHash>,
        preimage: Option<Preimage>,
        fee_msat: Msat,
        reference: Option<String>,
    ) -> Step<Self> {
        let payment = &entry.payment;
        if payment.state == PaymentState::Settled {
            return Step::nothing();
        }
        let proven = preimage.map(|preimage| preimage.payment_hash());
        let hash = payment.payment_hash.or(payment_hash).or(proven);
        if proven.is_some() && proven != hash {
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
            account: payment.account.clone(),
            direction: Direction::Out,
            rail: payment.rail,
            payment_hash: hash,
            reference: reference.or_else(|| payment.reference.clone()),
            to: None,
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
                && node.spendable_msat == seen.spendable_msat
                && node.unknown == seen.unknown
        });
        if same {
            return Step::nothing();
        }
        Step::nothing().emit(Emit::new(wallet_stream(), seen.clone()))
    }
}

fn sent(key: &IdempotencyKey, reference: &Option<String>) -> Step<Wallet> {
    let sent = Sent { key: key.clone(), reference: reference.clone() };
    Step::nothing().emit(emit(key, sent))
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
