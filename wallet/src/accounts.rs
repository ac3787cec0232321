//! The accounts' state: a fold of events, and what each may spend.

use domain::{IdempotencyKey, Msat, Timestamp};
use safety::{Renewal, SpendWindow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

use crate::{
    account::{Account, AccountId, AccountView},
    event::Settled,
    wire::{Direction, Move},
};

/// Moves whose keys are remembered.
const MOVES_KEPT: usize = 4_096;

/// Every sub-wallet that ever was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accounts {
    by_id: BTreeMap<AccountId, Held>,
    moves: BTreeMap<IdempotencyKey, Move>,
    moves_by_age: VecDeque<IdempotencyKey>,
}

/// One sub-wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub account: Account,
    pub closed: bool,
    pub created_at: Timestamp,
    pub window: SpendWindow<IdempotencyKey>,
    credited_msat: Msat,
    debited_msat: Msat,
}

impl Held {
    /// Its own money, payments under way included; none where it has no money of its own.
    pub fn balance(&self) -> Option<Msat> {
        let own = self.account.isolated && !self.closed;
        own.then(|| self.credited_msat.saturating_sub(self.debited_msat))
    }

    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.account.expires_at.is_some_and(|at| now >= at)
    }

    pub fn view(&self, now: Timestamp) -> AccountView {
        let spent_msat = self.window.total(now);
        AccountView {
            account: self.account.clone(),
            closed: self.closed,
            balance_msat: self.balance(),
            spent_msat,
            left_msat: self
                .account
                .budget
                .map(|budget| budget.amount_msat.saturating_sub(spent_msat)),
            created_at: self.created_at,
        }
    }
}

impl Accounts {
    pub fn get(&self, id: &AccountId) -> Option<&Held> {
        self.by_id.get(id)
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn all(&self) -> impl Iterator<Item = &Held> {
        self.by_id.values()
    }

    /// The move of this key, if it was made.
    pub fn moved(&self, key: &IdempotencyKey) -> Option<&Move> {
        self.moves.get(key)
    }

    pub fn set(&mut self, account: &Account, at: Timestamp) {
        let renews = account.budget.map_or(Renewal::Never, |budget| budget.renews);
        let held = self.by_id.entry(account.id.clone()).or_insert_with(|| Held {
            account: account.clone(),
            closed: false,
            created_at: at,
            window: SpendWindow::new(renews),
            credited_msat: Msat::ZERO,
            debited_msat: Msat::ZERO,
        });
        held.account = account.clone();
        held.window.renew(renews);
    }

    pub fn close(&mut self, id: &AccountId) {
        if let Some(held) = self.by_id.get_mut(id) {
            held.closed = true;
        }
    }

    pub fn make_move(&mut self, moved: &Move) {
        if let Some(from) = self.by_id.get_mut(&moved.from) {
            from.debited_msat = from.debited_msat.saturating_add(moved.amount_msat);
        }
        if let Some(to) = self.by_id.get_mut(&moved.to) {
            to.credited_msat = to.credited_msat.saturating_add(moved.amount_msat);
        }
        self.moves.insert(moved.key.clone(), moved.clone());
        self.moves_by_age.push_back(moved.key.clone());
        while self.moves_by_age.len() > MOVES_KEPT {
            let oldest = self.moves_by_age.pop_front();
            oldest.iter().for_each(|key| drop(self.moves.remove(key)));
        }
    }

    /// A payment of the account may leave: it can cost at most `most`.
    pub fn hold(&mut self, id: &AccountId, key: &IdempotencyKey, most: Msat) {
        if let Some(held) = self.by_id.get_mut(id) {
            held.window.hold(key.clone(), most);
        }
    }

    pub fn release(&mut self, id: &AccountId, key: &IdempotencyKey) {
        if let Some(held) = self.by_id.get_mut(id) {
            held.window.release(key);
        }
    }

    pub fn settle(&mut self, settled: &Settled, at: Timestamp) {
        let Some(held) = self.by_id.get_mut(&settled.account) else { return };
        match settled.direction {
            Direction::In => {
                held.credited_msat = held.credited_msat.saturating_add(settled.amount_msat);
            }
            Direction::Out => {
                let cost = settled.amount_msat.saturating_add(settled.fee_msat);
                held.debited_msat = held.debited_msat.saturating_add(cost);
                held.window.settle(&settled.key, cost, at);
            }
        }
    }
}
