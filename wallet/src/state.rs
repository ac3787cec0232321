//! The wallet's state: a fold of its events. Nothing here decides.

use domain::{IdempotencyKey, Msat, Network, PaymentHash, Recorded, Timestamp};
use safety::{SpendLimits, SpendWindow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    entry::{Entry, terms_digest, uninvited},
    event::{
        ChannelOpened, Invoiced, Requested, RetryPlanned, Settled, Started, Terms, WalletEvent,
    },
    ledger::Ledger,
    machine::MAX_COMING,
    wire::{Balance, Direction, NodeState, Notice, NoticeKind, Payment, PaymentState},
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
    pub(crate) payments: BTreeMap<IdempotencyKey, Entry>,
    /// Every payment hash that was ever ours, in or out: credited once, paid once.
    pub(crate) by_hash: BTreeMap<PaymentHash, IdempotencyKey>,
    pub(crate) by_time: BTreeSet<(Timestamp, IdempotencyKey)>,
    /// Invoices of which the outcome is still to come.
    pub(crate) coming: BTreeSet<IdempotencyKey>,
    /// Payments out of which the outcome is still to come.
    pub(crate) going: BTreeSet<IdempotencyKey>,
    pub(crate) expiries: BTreeSet<(Timestamp, IdempotencyKey)>,
    /// Payments that are tried again, by when.
    pub(crate) retries: BTreeSet<(Timestamp, IdempotencyKey)>,
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
    balance_at: Timestamp,
    node_at: Timestamp,
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
}

impl Wallet {
    /// Position of the newest notice.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(crate) fn pending_out(&self) -> Msat {
        self.open_entries(&self.going)
            .map(|entry| entry.payment.amount_msat)
            .fold(Msat::ZERO, Msat::saturating_add)
    }

    fn pending_in(&self) -> Msat {
        self.open_entries(&self.coming)
            .filter_map(|entry| entry.arrived_msat)
            .fold(Msat::ZERO, Msat::saturating_add)
    }

    fn open_entries<'a>(
        &'a self,
        keys: &'a BTreeSet<IdempotencyKey>,
    ) -> impl Iterator<Item = &'a Entry> {
        keys.iter().filter_map(|key| self.payments.get(key))
    }

    fn under_way(&mut self, direction: Direction) -> &mut BTreeSet<IdempotencyKey> {
        match direction {
            Direction::In => &mut self.coming,
            Direction::Out => &mut self.going,
        }
    }

    /// What can be spent: ours in channels without what is already on its way out.
    pub(crate) fn spendable(&self) -> Option<Msat> {
        Some(self.ledger.total_msat()?.saturating_sub(self.pending_out()))
    }

    pub(crate) fn balance(&self) -> Option<Balance> {
        let node = self.node.as_ref().filter(|node| node.seen)?;
        Some(Balance {
            spendable_msat: self.spendable()?,
            pending_in_msat: self.pending_in(),
            pending_out_msat: self.pending_out(),
            inbound_msat: node.inbound_msat,
            onchain_msat: node.onchain_msat,
            as_of: self.balance_at,
        })
    }

    pub(crate) fn notices(&self, after: u64, count: usize) -> Vec<Notice> {
        self.changes
            .range(after.saturating_add(1)..)
            .filter_map(|(cursor, change)| self.notice(*cursor, change))
            .take(count)
            .collect()
    }

    fn notice(&self, cursor: u64, change: &Change) -> Option<Notice> {
        let (at, what) = match change {
            Change::Payment(key) => {
                let payment = &self.payments.get(key)?.payment;
                (payment.updated_at, NoticeKind::Payment(payment.clone()))
            }
            Change::Balance => (self.balance_at, NoticeKind::Balance(self.balance()?)),
            Change::Node => {
                let node = self.node.as_ref()?;
                let (state, detail) = (node.state, node.detail.clone());
                (self.node_at, NoticeKind::Node { state, detail })
            }
        };
        Some(Notice { cursor, at, what })
    }

    pub(crate) fn fold(&mut self, event: &Recorded<WalletEvent>) {
        let at = event.at;
        match &event.data {
            WalletEvent::Started(started) => self.started(started, at),
            WalletEvent::LimitsSet(set) => self.limits = Some(set.limits),
            WalletEvent::Observed(seen) => {
                let Some(node) = &mut self.node else { return };
                let new_state = node.state != seen.state || node.detail != seen.detail;
                let new_amounts = !node.seen
                    || node.inbound_msat != seen.inbound_msat
                    || node.onchain_msat != seen.onchain_msat;
                node.state = seen.state;
                node.detail.clone_from(&seen.detail);
                node.inbound_msat = seen.inbound_msat;
                node.onchain_msat = seen.onchain_msat;
                node.seen = true;
                if new_state {
                    self.node_changed(at);
                }
                if new_amounts {
                    self.balance_changed(at);
                }
            }
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
            WalletEvent::Sent(sent) => self.becomes(&sent.key, PaymentState::Pending, None, at),
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

    fn started(&mut self, started: &Started, at: Timestamp) {
        let before = self.node.take();
        let (inbound_msat, onchain_msat, seen) = before
            .map_or((Msat::ZERO, Msat::ZERO, false), |node| {
                (node.inbound_msat, node.onchain_msat, node.seen)
            });
        self.node = Some(Node {
            network: started.network,
            backend: started.backend.clone(),
            node_id: started.node_id.clone(),
            state: NodeState::Starting,
            detail: None,
            seen,
            inbound_msat,
            onchain_msat,
        });
        for key in &self.going {
            if let Some(entry) = self.payments.get_mut(key) {
                entry.failed_before_start = entry.failed_tries > 0;
            }
        }
        self.node_changed(at);
    }

    fn requested(&mut self, requested: &Requested, at: Timestamp) {
        let Requested { key, amount_msat, memo, terms } = requested;
        let (payment_hash, bolt11, max_fee_msat, expires_at) = match terms {
            Terms::In { .. } => (None, None, Msat::ZERO, None),
            Terms::Out { bolt11, payment_hash, max_fee_msat, expires_at, .. } => {
                (Some(*payment_hash), Some(bolt11.clone()), *max_fee_msat, Some(*expires_at))
            }
        };
        let payment = Payment {
            key: key.clone(),
            direction: terms.direction(),
            state: PaymentState::Requested,
            amount_msat: *amount_msat,
            fee_msat: None,
            payment_hash,
            preimage: None,
            bolt11,
            memo: memo.clone(),
            created_at: at,
            updated_at: at,
            expires_at,
            detail: None,
        };
        let entry = Entry::new(payment, terms_digest(*amount_msat, memo, terms), max_fee_msat);
        self.payments.insert(key.clone(), entry);
        self.by_time.insert((at, key.clone()));
        self.under_way(terms.direction()).insert(key.clone());
        if let Some(hash) = payment_hash {
            self.by_hash.insert(hash, key.clone());
            self.window.hold(key.clone(), amount_msat.saturating_add(max_fee_msat));
            self.balance_changed(at);
        }
        self.payment_changed(key, at);
    }

    fn invoiced(&mut self, invoiced: &Invoiced, at: Timestamp) {
        let Invoiced { key, payment_hash, bolt11, expires_at } = invoiced;
        let Some(entry) = self.payments.get_mut(key) else { return };
        entry.payment.state = PaymentState::Pending;
        entry.payment.payment_hash = Some(*payment_hash);
        entry.payment.bolt11 = Some(bolt11.clone());
        entry.payment.expires_at = Some(*expires_at);
        self.by_hash.insert(*payment_hash, key.clone());
        self.expiries.insert((*expires_at, key.clone()));
        self.payment_changed(key, at);
    }

    fn settled(&mut self, settled: &Settled, at: Timestamp) {
        let Settled { key, direction, payment_hash, preimage, amount_msat, fee_msat } = settled;
        self.no_retry(key);
        let entry = self.payments.entry(key.clone()).or_insert_with(|| {
            self.by_time.insert((at, key.clone()));
            self.by_hash.insert(*payment_hash, key.clone());
            uninvited(settled, at)
        });
        entry.payment.state = PaymentState::Settled;
        entry.payment.amount_msat = *amount_msat;
        entry.payment.fee_msat = Some(*fee_msat);
        entry.payment.preimage = *preimage;
        entry.payment.detail = None;
        entry.arrived_msat = None;
        match direction {
            Direction::In => self.ledger.receive(*amount_msat),
            Direction::Out => {
                self.ledger.pay(*amount_msat, *fee_msat);
                self.window.settle(key, amount_msat.saturating_add(*fee_msat), at);
            }
        }
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
        let direction = entry.payment.direction;
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
        if !self.under_way(direction).remove(key) {
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
                entry.payment.bolt11 = None;
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
