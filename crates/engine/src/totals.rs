//! Earned and spent, by UTC day: earned by signed receipts, spent by what bought jobs paid.

use domain::{Msat, Receipt, ReceiptType, Timestamp};
use nip90::buyer::event::Paid;
use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The totals of the newest day on which something was earned or spent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    day: u64,
    earned_msat: Msat,
    spent_msat: Msat,
}

impl Totals {
    pub fn earned(&mut self, receipt: &Receipt) {
        if receipt.receipt_type == ReceiptType::JobSold && self.turn_to(receipt.at) {
            let amount = receipt.amount_msat.unwrap_or(Msat::ZERO);
            self.earned_msat = self.earned_msat.saturating_add(amount);
        }
    }

    /// Money that left for a bought job counts from when it is known to have left, whatever became
    /// of the job.
    pub fn spent(&mut self, paid: &Paid, at: Timestamp) {
        if self.turn_to(at) {
            let spent = paid.amount_msat.saturating_add(paid.fee_msat);
            self.spent_msat = self.spent_msat.saturating_add(spent);
        }
    }

    /// Begins a new day where `at` is in one; false where its day is over.
    fn turn_to(&mut self, at: Timestamp) -> bool {
        let day = at.0 / DAY_MS;
        if day > self.day {
            *self = Self { day, ..Self::default() };
        }
        day == self.day
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{PaymentHash, Preimage};

    const NOON: Timestamp = Timestamp::from_secs(1_700_049_600);

    fn paid(amount: u64, fee: u64) -> Paid {
        let msat = |amount| Msat::new(amount).unwrap();
        Paid {
            payment_hash: PaymentHash([1; 32]),
            preimage: Preimage([1; 32]),
            amount_msat: msat(amount),
            fee_msat: msat(fee),
            released_msat: Msat::ZERO,
            end_by: NOON,
        }
    }

    #[test]
    fn what_was_paid_counts_on_its_day_before_any_receipt_and_without_one() {
        let mut totals = Totals::default();
        totals.spent(&paid(700, 3), NOON);
        totals.spent(&paid(100, 0), NOON.plus_secs(60));
        assert_eq!(totals.today(NOON.plus_secs(3_600)).1.get(), 803);
        let tomorrow = NOON.plus_secs(24 * 3_600);
        assert_eq!(totals.today(tomorrow).1, Msat::ZERO);
        totals.spent(&paid(5, 0), tomorrow);
        totals.spent(&paid(9, 0), NOON);
        assert_eq!(totals.today(tomorrow).1.get(), 5, "of a day that is over nothing is asked");
    }
}
