//! Earned and spent, by UTC day, from signed receipts alone.

use domain::{Msat, Receipt, ReceiptType, Timestamp};
use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The totals of the newest day that had a receipt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    day: u64,
    earned_msat: Msat,
    spent_msat: Msat,
}

impl Totals {
    pub fn add(&mut self, receipt: &Receipt) {
        let day = receipt.at.0 / DAY_MS;
        if day > self.day {
            *self = Self { day, ..Self::default() };
        }
        if day < self.day {
            return;
        }
        let amount = receipt.amount_msat.unwrap_or(Msat::ZERO);
        match receipt.receipt_type {
            ReceiptType::JobSold => self.earned_msat = self.earned_msat.saturating_add(amount),
            ReceiptType::JobBought => {
                let fee = receipt.fee_msat.unwrap_or(Msat::ZERO);
                let spent = amount.saturating_add(fee);
                self.spent_msat = self.spent_msat.saturating_add(spent);
            }
        }
    }

    /// Earned and spent on the day of `now`.
    pub fn today(&self, now: Timestamp) -> (Msat, Msat) {
        if now.0 / DAY_MS == self.day {
            (self.earned_msat, self.spent_msat)
        } else {
            (Msat::ZERO, Msat::ZERO)
        }
    }
}
