//! What the desk knows of its wallet: what the executor said, and up to which notice.

use domain::{IdempotencyKey, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wallet::wire;

use crate::{
    event::{DeskEvent, PaymentChanged, WalletAttached},
    view::WalletState,
};

/// Payments that are over and still held here; older ones are asked for by page.
const OVER_KEPT: usize = 200;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WalletMirror {
    pub state: WalletState,
    pub detail: Option<String>,
    pub node_id: Option<String>,
    pub backend: Option<String>,
    pub fingerprint: Option<String>,
    /// Another wallet than ours, which answers in its place: nothing is asked of it.
    pub other: Option<WalletAttached>,
    pub receives: Vec<wire::Rail>,
    pub pays: Vec<wire::Rail>,
    pub accounts: Vec<wire::AccountView>,
    /// The newest notice whose consequences are in the log.
    pub cursor: u64,
    pub balance: Option<wire::Balance>,
    payments: BTreeMap<IdempotencyKey, wire::Payment>,
}

impl WalletMirror {
    pub fn payment(&self, key: &IdempotencyKey) -> Option<&wire::Payment> {
        self.payments.get(key)
    }

    pub fn payments(&self) -> impl Iterator<Item = &wire::Payment> {
        self.payments.values()
    }

    /// A fact that says again what is known, or what was true before it, needs no event.
    pub fn knows(&self, payment: &wire::Payment) -> bool {
        let Some(known) = self.payments.get(&payment.key) else { return false };
        let timeless = wire::Payment {
            created_at: payment.created_at,
            updated_at: payment.updated_at,
            ..known.clone()
        };
        timeless == *payment || (is_over(known.state) && !is_over(payment.state))
    }

    pub fn apply(&mut self, event: &DeskEvent, at: Timestamp) {
        match event {
            DeskEvent::WalletAttached(attached) => {
                if self.node_id.as_ref() != Some(&attached.node_id) {
                    self.cursor = 0;
                    self.accounts.clear();
                    self.balance = None;
                }
                self.other = None;
                self.fingerprint = Some(attached.fingerprint.clone()).filter(|of| !of.is_empty());
                self.node_id = Some(attached.node_id.clone());
                self.backend = Some(attached.backend.clone());
                self.receives.clone_from(&attached.receives);
                self.pays.clone_from(&attached.pays);
            }
            DeskEvent::WalletOther(found) => {
                self.other = Some(found.found.clone());
                self.balance = None;
            }
            DeskEvent::WalletAccounts(seen) => {
                self.accounts.clone_from(&seen.accounts);
                self.advance(seen.cursor);
            }
            DeskEvent::AnswerFailed(failed) => {
                if let Some(payment) = self.payments.get_mut(&failed.key) {
                    payment.detail = Some(failed.error.message.clone());
                    payment.updated_at = at;
                }
            }
            DeskEvent::WalletBehind(_) => self.cursor = 0,
            DeskEvent::WalletChanged(changed) => {
                self.state = changed.state;
                self.detail.clone_from(&changed.detail);
                self.advance(changed.cursor);
            }
            DeskEvent::WalletBalance(seen) => {
                self.balance = Some(seen.balance);
                self.advance(seen.cursor);
            }
            DeskEvent::PaymentRequested(requested) => {
                self.payments.insert(requested.payment.key.clone(), requested.payment.clone());
            }
            DeskEvent::PaymentRefused(refused) => {
                // A refusal says that nothing was taken on; it takes back nothing that is over.
                if let Some(payment) = self.payments.get_mut(&refused.key)
                    && !is_over(payment.state)
                {
                    payment.state = wire::PaymentState::Failed;
                    payment.detail = Some(refused.error.message.clone());
                    payment.updated_at = at;
                }
            }
            DeskEvent::PaymentChanged(PaymentChanged { payment, cursor, .. }) => {
                self.payments.insert(payment.key.clone(), payment.clone());
                self.advance(*cursor);
                self.forget_old();
            }
            _ => {}
        }
    }

    fn advance(&mut self, cursor: Option<u64>) {
        self.cursor = self.cursor.max(cursor.unwrap_or(0));
    }

    fn forget_old(&mut self) {
        if self.payments.len() < OVER_KEPT * 2 {
            return;
        }
        let mut over: Vec<_> = self
            .payments
            .values()
            .filter(|payment| is_over(payment.state))
            .map(|payment| (payment.updated_at, payment.key.clone()))
            .collect();
        over.sort();
        let surplus = over.len().saturating_sub(OVER_KEPT);
        for (_, key) in over.into_iter().take(surplus) {
            self.payments.remove(&key);
        }
    }
}

/// States that nothing follows.
pub fn is_over(state: wire::PaymentState) -> bool {
    use wire::PaymentState::{Expired, Failed, Settled};
    matches!(state, Settled | Failed | Expired)
}
