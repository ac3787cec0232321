//! The ledger: what is ours in channels, to the msat, as a sum of named movements.

use domain::Msat;
use serde::{Deserialize, Serialize};

/// `opened + received - paid - fees - closed` is what is ours in channels.
///
/// Every movement enters once, by the event that recorded it; so balances before and after differ
/// by exactly the payments between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Ours when channels opened.
    pub opened_msat: Msat,
    pub received_msat: Msat,
    pub paid_msat: Msat,
    pub fees_msat: Msat,
    /// Ours when channels closed: it went on chain.
    pub closed_msat: Msat,
    /// A sum passed what can be kept exactly; from then on no total is shown.
    pub overflowed: bool,
}

impl Ledger {
    /// What is ours in channels, payments under way included. `None` where more left than ever
    /// entered, which means that a movement was not seen: then no number is shown.
    pub fn total_msat(&self) -> Option<Msat> {
        if self.overflowed {
            return None;
        }
        let entered = self.opened_msat.checked_add(self.received_msat)?;
        let left = self.paid_msat.checked_add(self.fees_msat)?.checked_add(self.closed_msat)?;
        entered.checked_sub(left)
    }

    pub(crate) fn open(&mut self, msat: Msat) {
        self.opened_msat = self.sum(self.opened_msat, msat);
    }

    pub(crate) fn receive(&mut self, msat: Msat) {
        self.received_msat = self.sum(self.received_msat, msat);
    }

    pub(crate) fn pay(&mut self, msat: Msat, fee: Msat) {
        self.paid_msat = self.sum(self.paid_msat, msat);
        self.fees_msat = self.sum(self.fees_msat, fee);
    }

    pub(crate) fn close(&mut self, msat: Msat) {
        self.closed_msat = self.sum(self.closed_msat, msat);
    }

    fn sum(&mut self, a: Msat, b: Msat) -> Msat {
        a.checked_add(b).unwrap_or_else(|| {
            self.overflowed = true;
            a
        })
    }
}
