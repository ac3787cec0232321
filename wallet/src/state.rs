//! The wallet's state: a fold of its events. Nothing here decides.

use domain::{IdempotencyKey, Msat, Network, PaymentHash, Recorded, Timestamp};
use safety::{SpendLimits, SpendWindow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    accounts::Accounts,
    entry::{Entry, terms_digest, uninvited},
    event::{
        ChannelOpened, Invoiced, Observed, Requested, RetryPlanned, Sent, Settled, Started, Terms,
        WalletEvent,
    },
    ledger::Ledger,
    machine::{APPROVED_WITHIN_SECS, LEAST_LEFT_SECS, MAX_COMING},
    wire::{Direction, NodeState, Payment, PaymentState},
};

/// Payments that are over and still carry their texts here; older ones keep their figures, and
/// their texts stay in the log.
pub(crate) const KEPT_WHOLE: usize = 2_048;
/// Invoices that nobody paid and that are over: older ones are in the log alone, as anybody may
/// have them made. Twice what can be out at once, so that a reader that was away misses no end.
pub(crate) const KEPT_UNPAID: usize = 2 * MAX_COMING;

/// The payment machine's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    pub(crate) node: Option<Node>,
    pub(crate) limits: Option<SpendLimits>,
    pub(crate) ledger: Ledger,
    pub(crate) window: SpendWindow<IdempotencyKey>,
    pub(crate) accounts: Accounts,
    pub(crate) payments: BTreeMap<IdempotencyKey, Entry>,
    /// Every payment hash that was ever ours, in or out: credited once, paid once.
    pub(crate) by_hash: BTreeMap<PaymentHash, IdempotencyKey>,
    /// Every name that the backend gave to a payment: likewise.
    pub(crate) by_reference: BTreeMap<String, IdempotencyKey>,
    /// What we can be paid by more than once: offers and addresses.
    pub(crate) by_request: BTreeMap<String, IdempotencyKey>,
    /// Payments out under way that have no payment hash: one per offer or address.
    pub(crate) by_target: BTreeMap<String, IdempotencyKey>,
    pub(crate) by_time: BTreeSet<(Timestamp, IdempotencyKey)>,
    /// Invoices of which the outcome is still to come.
    pub(crate) coming: BTreeSet<IdempotencyKey>,
    /// Payments out of which the outcome is still to come.
    pub(crate) going: BTreeSet<IdempotencyKey>,
    pub(crate) expiries: BTreeSet<(Timestamp, IdempotencyKey)>,
    /// Payments that are tried again, by when.
    pub(crate) retries: BTreeSet<(Timestamp, IdempotencyKey)>,
    /// Payments that wait for the operator, by until when.
    pub(crate) waiting: BTreeSet<(Timestamp, IdempotencyKey)>,
    /// Over, and still whole here; oldest first.
    pub(crate) whole: VecDeque<IdempotencyKey>,
    /// Over without money for us; oldest first.
    pub(crate) unpaid: VecDeque<IdempotencyKey>,
    /// Channels that count, and what will be ours in those that do not yet.
    pub(crate) channels: BTreeMap<String, Channel>,
    /// What changed last, by the cursor of its change: each thing stands here once, so a reader
    /// that was away gets every newest state and nothing twice.
    pub(crate) changes: BTreeMap<u64, Change>,
    pub(crate) cursor: u64,
    balance_cursor: Option<u64>,
    node_cursor: Option<u64>,
    accounts_cursor: Option<u64>,
    pub(crate) balance_at: Timestamp,
    pub(crate) node_at: Timestamp,
    pub(crate) accounts_at: Timestamp,
}

/// The node that this log belongs to and what was last seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub network: Network,
    pub backend: String,
    pub node_id: String,
    pub state: NodeState,
    pub detail: Option<String>,
    pub seen: bool,
    pub inbound_msat: Msat,
    pub onchain_msat: Msat,
    /// What the backend says can be spent, where our ledger cannot know.
    pub spendable_msat: Option<Msat>,
    /// Neither the backend nor our ledger knows what can be spent.
    #[serde(default)]
    pub unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "channel", content = "msat")]
pub(crate) enum Channel {
    Pending(Msat),
    Open,
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Payment(IdempotencyKey),
    Balance,
    Node,
    Accounts,
}

impl Wallet {
    fn under_way(&mut self, direction: Direction) -> &mut BTreeSet<IdempotencyKey> {
        match direction {
            Direction::In => &mut self.coming,
            Direction::Out => &mut self.going,
        }
    }

    pub(crate) fn fold(&mut self, event: &Recorded<WalletEvent>) {
        let at = event.at;
        match &event.data {
            WalletEvent::Started(started) => self.started(started, at),
            WalletEvent::LimitsSet(set) => self.limits = Some(set.limits),
            WalletEvent::Observed(seen) => self.observed_now(seen, at),
            WalletEvent::ChannelPending(pending) => {
                self.channels
                    .entry(pending.channel.clone())
                    .or_insert(Channel::Pending(pending.ours_msat));
            }
            WalletEvent::ChannelOpened(ChannelOpened { channel, ours_msat }) => {
                self.channels.insert(channel.clone(), Channel::Open);
                self.ledger.open(*ours_msat);
                self.balance_changed(at);
            }
            WalletEvent::ChannelClosed(closed) => {
                self.channels.insert(closed.channel.clone(), Channel::Closed);
                self.ledger.close(closed.left_msat);
                self.balance_changed(at);
            }
            WalletEvent::Requested(requested) => self.requested(requested, at),
            WalletEvent::Invoiced(invoiced) => self.invoiced(invoiced, at),
            WalletEvent::Arrived(arrived) => {
                if let Some(entry) = self.payments.get_mut(&arrived.key) {
                    entry.arrived_msat = Some(arrived.amount_msat);
                    entry.has_arrived = true;
                }
                self.payment_changed(&arrived.key, at);
                self.balance_changed(at);
            }
            WalletEvent::Sent(sent) => self.sent(sent, at),
            WalletEvent::Approved(approved) => {
                self.no_wait(&approved.key);
                self.becomes(&approved.key, PaymentState::Requested, None, at);
                self.begins(&approved.key, at);
            }
            WalletEvent::AccountSet(set) => {
                self.accounts.set(&set.account, at);
                self.accounts_changed(at);
            }
            WalletEvent::AccountClosed(closed) => {
                self.accounts.close(&closed.id);
                self.accounts_changed(at);
            }
            WalletEvent::Moved(moved) => {
                self.accounts.make_move(&moved.moved);
                self.accounts_changed(at);
            }
            WalletEvent::OutcomeUnknown(unknown) => {
                self.becomes(&unknown.key, PaymentState::Unknown, Some(&unknown.reason), at);
            }
            WalletEvent::RetryPlanned(planned) => self.retry_planned(planned, at),
            WalletEvent::TriedAgain(again) => self.no_retry(&again.key),
            WalletEvent::Settled(settled) => self.settled(settled, at),
            WalletEvent::Failed(failed) => {
                self.becomes(&failed.key, PaymentState::Failed, Some(&failed.reason), at);
                self.over_without_money(&failed.key, at);
            }
            WalletEvent::Expired(expired) => {
                self.becomes(&expired.key, PaymentState::Expired, None, at);
                self.over_without_money(&expired.key, at);
            }
            WalletEvent::TurnedAway(_) | WalletEvent::Unknown(_) => {}
        }
    }

    fn observed_now(&mut self, seen: &Observed, at: Timestamp) {
        let Some(node) = &mut self.node else { return };
        let new_state = node.state != seen.state || node.detail != seen.detail;
        let new_amounts = !node.seen
            || node.inbound_msat != seen.inbound_msat
            || node.onchain_msat != seen.onchain_msat
            || node.spendable_msat != seen.spendable_msat
            || node.unknown != seen.unknown;
        node.state = seen.state;
        node.detail.clone_from(&seen.detail);
        node.inbound_msat = seen.inbound_msat;
        node.onchain_msat = seen.onchain_msat;
        node.spendable_msat = seen.spendable_msat;
        node.unknown = seen.unknown;
        node.seen = true;
        if new_state {
            self.node_changed(at);
        }
        if new_amounts {
            self.balance_changed(at);
        }
    }

    fn started(&mut self, started: &Started, at: Timestamp) {
        let before = self.node.take();
        let begun = Node {
            network: started.network,
            backend: started.backend.clone(),
            node_id: started.node_id.clone(),
            state: NodeState::Starting,
            detail: None,
            seen: false,
            inbound_msat: Msat::ZERO,
            onchain_msat: Msat::ZERO,
            spendable_msat: None,
            unknown: false,
        };
        self.node = Some(match before {
            None => begun,
            Some(node) => Node {
                seen: node.seen,
                inbound_msat: node.inbound_msat,
                onchain_msat: node.onchain_msat,
                spendable_msat: node.spendable_msat,
                unknown: node.unknown,
                ..begun
            },
        });
        for key in &self.going {
            if let Some(entry) = self.payments.get_mut(key) {
                entry.failed_before_start = entry.failed_tries > 0;
            }
        }
        self.node_changed(at);
    }

    fn requested(&mut self, requested: &Requested, at: Timestamp) {
        let Requested { key, account, rail, amount_msat, memo, terms, waits_for } = requested;
        let (payment_hash, request, payee, max_fee_msat, expires_at) = match terms {
            Terms::In { .. } => (None, None, None, Msat::ZERO, None),
            Terms::Out { request, payment_hash, payee, max_fee_msat, expires_at } => {
                (*payment_hash, Some(request), Some(payee), *max_fee_msat, *expires_at)
            }
        };
        let direction = terms.direction();
        let payment = Payment {
            key: key.clone(),
            account: account.clone(),
            direction,
            rail: *rail,
            state: PaymentState::Requested,
            amount_msat: *amount_msat,
            fee_msat: None,
            payment_hash,
            reference: None,
            preimage: None,
            request: request.cloned(),
            payee: payee.cloned(),
            memo: memo.clone(),
            created_at: at,
            updated_at: at,
            expires_at,
            detail: None,
            waits_for: waits_for.clone(),
        };
        let digest = terms_digest(account, *rail, *amount_msat, memo, terms);
        self.payments.insert(key.clone(), Entry::new(payment, digest, max_fee_msat));
        self.by_time.insert((at, key.clone()));
        if let Some(hash) = payment_hash {
            self.by_hash.insert(hash, key.clone());
        } else if let Some(request) = request {
            self.by_target.insert(request.clone(), key.clone());
        }
        match (direction, waits_for) {
            (Direction::In, _) => drop(self.coming.insert(key.clone())),
            (Direction::Out, None) => self.begins(key, at),
            (Direction::Out, Some(_)) => self.waits(key, at),
        }
        self.payment_changed(key, at);
    }

    /// The payment may leave from now on, and counts as spent.
    fn begins(&mut self, key: &IdempotencyKey, at: Timestamp) {
        let Some(entry) = self.payments.get_mut(key) else { return };
        entry.payment.waits_for = None;
        // Tries are planned from when it may leave.
        entry.began_at = at;
        let most = entry.payment.amount_msat.saturating_add(entry.max_fee_msat);
        self.accounts.hold(&entry.payment.account, key, most);
        self.window.hold(key.clone(), most);
        self.going.insert(key.clone());
        self.balance_changed(at);
    }

    fn waits(&mut self, key: &IdempotencyKey, at: Timestamp) {
        let Some(entry) = self.payments.get_mut(key) else { return };
        let latest = at.plus_secs(APPROVED_WITHIN_SECS);
        let expiry = entry.payment.expires_at.map(|at| at.minus_secs(LEAST_LEFT_SECS));
        let until = expiry.map_or(latest, |expiry| expiry.min(latest));
        entry.payment.state = PaymentState::AwaitingApproval;
        entry.approve_by = Some(until);
        self.waiting.insert((until, key.clone()));
    }

    /// Whether it waited until now.
    fn no_wait(&mut self, key: &IdempotencyKey) -> bool {
        let until = self.payments.get_mut(key).and_then(|entry| entry.approve_by.take());
        until.is_some_and(|until| self.waiting.remove(&(until, key.clone())))
    }

    fn sent(&mut self, sent: &Sent, at: Timestamp) {
        if let (Some(reference), Some(entry)) = (&sent.reference, self.payments.get_mut(&sent.key))
        {
            entry.payment.reference = Some(reference.clone());
            self.by_reference.insert(reference.clone(), sent.key.clone());
        }
        self.becomes(&sent.key, PaymentState::Pending, None, at);
    }

    fn invoiced(&mut self, invoiced: &Invoiced, at: Timestamp) {
        let Invoiced { key, payment_hash, text, expires_at } = invoiced;
        let Some(entry) = self.payments.get_mut(key) else { return };
        entry.payment.state = PaymentState::Pending;
        entry.payment.payment_hash = *payment_hash;
        entry.payment.request = Some(text.clone());
        entry.payment.expires_at = *expires_at;
        match payment_hash {
            Some(hash) => drop(self.by_hash.insert(*hash, key.clone())),
            None => drop(self.by_request.insert(text.clone(), key.clone())),
        }
        if let Some(expires_at) = expires_at {
            self.expiries.insert((*expires_at, key.clone()));
        }
        self.payment_changed(key, at);
    }

    fn settled(&mut self, settled: &Settled, at: Timestamp) {
        let Settled {
            key, direction, rail, payment_hash, reference, amount_msat, fee_msat, ..
        } = settled;
        self.no_retry(key);
        let entry = self.payments.entry(key.clone()).or_insert_with(|| {
            self.by_time.insert((at, key.clone()));
            uninvited(settled, at)
        });
        if let Some(hash) = payment_hash {
            self.by_hash.insert(*hash, key.clone());
        }
        if let Some(reference) = reference {
            self.by_reference.insert(reference.clone(), key.clone());
        }
        entry.payment.state = PaymentState::Settled;
        entry.payment.amount_msat = *amount_msat;
        entry.payment.fee_msat = Some(*fee_msat);
        entry.payment.payment_hash = *payment_hash;
        entry.payment.reference.clone_from(reference);
        entry.payment.preimage = settled.preimage;
        entry.payment.detail = None;
        entry.payment.waits_for = None;
        entry.arrived_msat = None;
        match direction {
            Direction::In if rail.is_lightning() => self.ledger.receive(*amount_msat),
            Direction::Out if rail.is_lightning() => self.ledger.pay(*amount_msat, *fee_msat),
            Direction::In | Direction::Out => {}
        }
        if *direction == Direction::Out {
            self.window.settle(key, amount_msat.saturating_add(*fee_msat), at);
        }
        self.accounts.settle(settled, at);
        self.over(key);
        self.payment_changed(key, at);
        self.balance_changed(at);
    }

    fn retry_planned(&mut self, planned: &RetryPlanned, at: Timestamp) {
        let RetryPlanned { key, reason, at: due } = planned;
        self.becomes(key, PaymentState::Requested, Some(reason), at);
        if let Some(entry) = self.payments.get_mut(key) {
            entry.failed_tries += 1;
            entry.retry_at = Some(*due);
            self.retries.insert((*due, key.clone()));
        }
    }

    fn no_retry(&mut self, key: &IdempotencyKey) {
        let planned = self.payments.get_mut(key).and_then(|entry| entry.retry_at.take());
        if let Some(due) = planned {
            self.retries.remove(&(due, key.clone()));
        }
    }

    fn becomes(
        &mut self,
        key: &IdempotencyKey,
        state: PaymentState,
        detail: Option<&str>,
        at: Timestamp,
    ) {
        self.no_retry(key);
        if let Some(entry) = self.payments.get_mut(key) {
            entry.payment.state = state;
            entry.payment.detail = detail.map(str::to_owned);
        }
        self.payment_changed(key, at);
    }

    fn over_without_money(&mut self, key: &IdempotencyKey, at: Timestamp) {
        let Some(entry) = self.payments.get_mut(key) else { return };
        entry.arrived_msat = None;
        entry.payment.waits_for = None;
        let direction = entry.payment.direction;
        self.accounts.release(&entry.payment.account, key);
        self.window.release(key);
        self.over(key);
        if direction == Direction::Out {
            self.balance_changed(at);
        }
    }

    /// The payment is over: nothing waits for it, an old one gives up its texts, and an old
    /// invoice that nobody paid is forgotten.
    fn over(&mut self, key: &IdempotencyKey) {
        let Some(entry) = self.payments.get(key) else { return };
        let (direction, is_unpaid) = (entry.payment.direction, entry.is_unpaid());
        if let Some(at) = entry.payment.expires_at {
            self.expiries.remove(&(at, key.clone()));
        }
        if let Some(target) = &entry.payment.request
            && self.by_target.get(target) == Some(key)
        {
            self.by_target.remove(target);
        }
        let waited = self.no_wait(key);
        if !self.under_way(direction).remove(key) && !waited {
            return;
        }
        if is_unpaid {
            self.unpaid.push_back(key.clone());
            while self.unpaid.len() > KEPT_UNPAID {
                let oldest = self.unpaid.pop_front();
                oldest.iter().for_each(|key| self.forget_unpaid(key));
            }
        }
        self.whole.push_back(key.clone());
        while self.whole.len() > KEPT_WHOLE {
            let oldest = self.whole.pop_front();
            if let Some(entry) = oldest.and_then(|key| self.payments.get_mut(&key)) {
                entry.payment.request = None;
                entry.payment.memo = String::new();
                entry.payment.detail = None;
            }
        }
    }

    /// What comes for it from now on is nobody's: it goes back, or is money without an invoice.
    fn forget_unpaid(&mut self, key: &IdempotencyKey) {
        if !self.payments.get(key).is_some_and(Entry::is_unpaid) {
            return;
        }
        let Some(entry) = self.payments.remove(key) else { return };
        self.by_time.remove(&(entry.payment.created_at, key.clone()));
        self.changes.remove(&entry.cursor);
        if let Some(hash) = entry.payment.payment_hash {
            self.by_hash.remove(&hash);
        }
    }

    fn payment_changed(&mut self, key: &IdempotencyKey, at: Timestamp) {
        let Some(entry) = self.payments.get_mut(key) else { return };
        self.changes.remove(&entry.cursor);
        self.cursor += 1;
        entry.cursor = self.cursor;
        entry.payment.updated_at = at;
        self.changes.insert(self.cursor, Change::Payment(key.clone()));
        if !entry.payment.account.is_operator() {
            self.accounts_changed(at);
        }
    }

    fn accounts_changed(&mut self, at: Timestamp) {
        let old = self.accounts_cursor;
        self.accounts_cursor = Some(self.newest(old, Change::Accounts));
        self.accounts_at = at;
    }

    fn balance_changed(&mut self, at: Timestamp) {
        let old = self.balance_cursor;
        self.balance_cursor = Some(self.newest(old, Change::Balance));
        self.balance_at = at;
    }

    fn node_changed(&mut self, at: Timestamp) {
        let old = self.node_cursor;
        self.node_cursor = Some(self.newest(old, Change::Node));
        self.node_at = at;
    }

    fn newest(&mut self, old: Option<u64>, change: Change) -> u64 {
        if let Some(old) = old {
            self.changes.remove(&old);
        }
        self.cursor += 1;
        self.changes.insert(self.cursor, change);
        self.cursor
    }
}
