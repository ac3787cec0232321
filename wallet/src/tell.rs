//! What the state says to who asks: balances and notices. Nothing here changes or decides.

use domain::{IdempotencyKey, Msat};
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    entry::Entry,
    state::{Change, Wallet},
    wire::{AccountId, Balance, Notice, NoticeKind, PaymentState},
};

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

    /// Whether nobody can say what can be spent: it is neither shown nor spent then.
    pub(crate) fn is_unknown(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.unknown)
    }

    /// What can be spent: ours in channels without what is already on its way out; or what the
    /// backend says, without what it has not been asked for yet.
    pub(crate) fn spendable(&self) -> Option<Msat> {
        if self.is_unknown() {
            return None;
        }
        if let Some(seen) = self.node.as_ref().and_then(|node| node.spendable_msat) {
            let not_asked = self
                .open_entries(&self.going)
                .filter(|entry| entry.payment.state == PaymentState::Requested)
                .map(|entry| entry.payment.amount_msat)
                .fold(Msat::ZERO, Msat::saturating_add);
            return Some(seen.saturating_sub(not_asked));
        }
        Some(self.ledger.total_msat()?.saturating_sub(self.pending_out()))
    }

    /// What other accounts have to themselves of what can be spent.
    pub(crate) fn set_apart(&self) -> Msat {
        let mut apart: BTreeMap<&AccountId, Msat> = self
            .accounts
            .all()
            .filter_map(|held| Some((&held.account.id, held.balance()?)))
            .collect();
        for entry in self.open_entries(&self.going) {
            if let Some(own) = apart.get_mut(&entry.payment.account) {
                *own = own.saturating_sub(entry.payment.amount_msat);
            }
        }
        apart.into_values().fold(Msat::ZERO, Msat::saturating_add)
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
            Change::Accounts => {
                let accounts = self.accounts.all().map(|held| held.view(self.accounts_at));
                (self.accounts_at, NoticeKind::Accounts { accounts: accounts.collect() })
            }
            Change::Node => {
                let node = self.node.as_ref()?;
                let (state, detail) = (node.state, node.detail.clone());
                (self.node_at, NoticeKind::Node { state, detail })
            }
        };
        Some(Notice { cursor, at, what })
    }
}
