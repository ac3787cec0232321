//! One payment in the machine's memory.

use domain::{Msat, Sha256Hash, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    event::{Settled, Terms},
    wire::{AccountId, Direction, Payment, PaymentState, Rail},
};

/// A payment with what only the machine needs of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub payment: Payment,
    pub terms: Sha256Hash,
    pub max_fee_msat: Msat,
    /// Locked for us and not taken yet.
    pub arrived_msat: Option<Msat>,
    /// Something was locked for us once: it may be credited late.
    pub has_arrived: bool,
    /// Tries that failed for certain.
    pub failed_tries: u32,
    /// One of them failed before the process began: the backend may tell of that once more.
    pub failed_before_start: bool,
    /// Between two tries: when the next one is due. Nothing is on its way meanwhile.
    pub retry_at: Option<Timestamp>,
    /// When it could leave first: when it was asked for, or approved.
    pub began_at: Timestamp,
    /// Waits for the operator until then.
    pub approve_by: Option<Timestamp>,
    pub cursor: u64,
}

impl Entry {
    pub fn new(payment: Payment, terms: Sha256Hash, max_fee_msat: Msat) -> Self {
        Self {
            began_at: payment.created_at,
            payment,
            terms,
            max_fee_msat,
            arrived_msat: None,
            has_arrived: false,
            failed_tries: 0,
            failed_before_start: false,
            retry_at: None,
            approve_by: None,
            cursor: 0,
        }
    }

    /// An invoice that is over, and nothing ever came for it.
    pub fn is_unpaid(&self) -> bool {
        let is_over = matches!(self.payment.state, PaymentState::Expired | PaymentState::Failed);
        self.payment.direction == Direction::In && is_over && !self.has_arrived
    }
}

/// What makes two requests the same: everything the asker chose.
pub(crate) fn terms_digest(
    account: &AccountId,
    rail: Rail,
    amount_msat: Msat,
    memo: &str,
    terms: &Terms,
) -> Sha256Hash {
    let amount = amount_msat.get();
    let text = match terms {
        Terms::In { expiry_secs } => {
            format!("in\n{account}\n{rail:?}\n{amount}\n{expiry_secs}\n{memo}")
        }
        Terms::Out { request, max_fee_msat, .. } => {
            format!("out\n{account}\n{rail:?}\n{amount}\n{}\n{request}", max_fee_msat.get())
        }
    };
    Sha256Hash::of(text.as_bytes())
}

/// Money that came without an invoice of ours, or to something that can be paid more than once.
pub(crate) fn uninvited(settled: &Settled, at: Timestamp) -> Entry {
    let payment = Payment {
        key: settled.key.clone(),
        account: settled.account.clone(),
        direction: settled.direction,
        rail: settled.rail,
        state: PaymentState::Settled,
        amount_msat: settled.amount_msat,
        fee_msat: None,
        payment_hash: settled.payment_hash,
        reference: settled.reference.clone(),
        preimage: settled.preimage,
        request: settled.to.clone(),
        payee: None,
        memo: String::new(),
        created_at: at,
        updated_at: at,
        expires_at: None,
        detail: None,
        waits_for: None,
    };
    Entry::new(payment, Sha256Hash([0; 32]), Msat::ZERO)
}
