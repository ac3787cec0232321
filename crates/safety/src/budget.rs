//! Spending limits in msat: per payment, per rolling time, and on fees.
//!
//! What may still leave (asked for, on its way, or unknown) counts as spent in full, fees
//! included, however long it stays open. What has left counts until the budget renews it.

use domain::{ErrorBody, Msat, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// How far back the rolling limit of a day looks, in seconds.
pub const WINDOW_SECS: u64 = 24 * 60 * 60;

/// A window has at most this many entries and one: spends close together share one. The entry
/// leaves the window with its newest spend, so it errs on the careful side.
const ENTRIES: u64 = 1_440;

/// How long a spend counts against a budget. Rolling: each spend is free again this long after it,
/// so no hour of a day lets two budgets be spent at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Renewal {
    /// For ever.
    Never,
    #[default]
    Daily,
    Weekly,
    /// 30 days.
    Monthly,
    /// 365 days.
    Yearly,
}

impl Renewal {
    /// In seconds; none for ever.
    pub const fn secs(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::Daily => Some(WINDOW_SECS),
            Self::Weekly => Some(7 * WINDOW_SECS),
            Self::Monthly => Some(30 * WINDOW_SECS),
            Self::Yearly => Some(365 * WINDOW_SECS),
        }
    }
}

/// The most that may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpendLimits {
    /// One payment's amount, its fee apart.
    pub per_payment_msat: Msat,
    /// All amounts and fees of any 24 hours.
    pub per_day_msat: Msat,
    /// One payment's routing fee.
    pub max_fee_msat: Msat,
}

impl SpendLimits {
    /// For coins without value: wide enough never to be in the way of a first hour of practice.
    pub const PRACTICE: Self = Self {
        per_payment_msat: Msat::from_sat(1_000_000),
        per_day_msat: Msat::from_sat(10_000_000),
        max_fee_msat: Msat::from_sat(10_000),
    };

    /// For coins with value, until the operator chooses: pocket money.
    pub const CAREFUL: Self = Self {
        per_payment_msat: Msat::from_sat(10_000),
        per_day_msat: Msat::from_sat(50_000),
        max_fee_msat: Msat::from_sat(200),
    };
}

/// Why a payment would break a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverLimit {
    Payment { asked: Msat, limit: Msat },
    Fee { asked: Msat, limit: Msat },
    Day { asked: Msat, spent: Msat, limit: Msat },
}

impl OverLimit {
    /// The refusal as people and programs read it; nothing was sent.
    pub fn to_error(self) -> ErrorBody {
        let message = match self {
            Self::Payment { asked, limit } => {
                format!("The payment of {asked} is above the limit of {limit} for one payment.")
            }
            Self::Fee { asked, limit } => {
                format!("A fee of up to {asked} is above the limit of {limit} for one fee.")
            }
            Self::Day { asked, spent, limit } => format!(
                "With {spent} spent or on its way, {asked} more would pass the limit of {limit} in 24 hours."
            ),
        };
        ErrorBody::refused("over_limit", format!("{message} Nothing was sent."))
            .hint("Raise the limit in the wallet's settings if this payment is meant.")
    }
}

/// What was spent in a rolling time and what may still be, by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendWindow<K: Ord> {
    renews: Renewal,
    /// The most that each payment under way can cost.
    open: BTreeMap<K, Msat>,
    /// Oldest first: when the newest spend of the entry was, and how much the entry holds.
    spent: VecDeque<(Timestamp, Msat)>,
    /// Spent while nothing renewed it.
    for_ever: Msat,
}

impl<K: Ord> Default for SpendWindow<K> {
    fn default() -> Self {
        Self::new(Renewal::Daily)
    }
}

impl<K: Ord> SpendWindow<K> {
    pub fn new(renews: Renewal) -> Self {
        Self { renews, open: BTreeMap::new(), spent: VecDeque::new(), for_ever: Msat::ZERO }
    }

    /// From now on what was spent counts this long. What counts no more already stays so.
    pub fn renew(&mut self, renews: Renewal) {
        self.renews = renews;
    }

    /// Whether a payment of `amount` with a fee of up to `max_fee` is within `limits` at `now`.
    pub fn check(
        &self,
        limits: &SpendLimits,
        amount: Msat,
        max_fee: Msat,
        now: Timestamp,
    ) -> Result<(), OverLimit> {
        if amount > limits.per_payment_msat {
            return Err(OverLimit::Payment { asked: amount, limit: limits.per_payment_msat });
        }
        if max_fee > limits.max_fee_msat {
            return Err(OverLimit::Fee { asked: max_fee, limit: limits.max_fee_msat });
        }
        let asked = amount.saturating_add(max_fee);
        let spent = self.total(now);
        match spent.checked_add(asked) {
            Some(sum) if sum <= limits.per_day_msat => Ok(()),
            _ => Err(OverLimit::Day { asked, spent, limit: limits.per_day_msat }),
        }
    }

    /// Everything that counts at `now`: what is open, and what was spent within the window.
    pub fn total(&self, now: Timestamp) -> Msat {
        let from = self.renews.secs().map(|secs| now.minus_secs(secs));
        let counts = |at: &Timestamp| from.is_none_or(|from| *at > from);
        let spent = self.spent.iter().filter(|(at, _)| counts(at)).map(|(_, msat)| *msat);
        let open = self.open.values().copied();
        let older = if from.is_none() { self.for_ever } else { Msat::ZERO };
        open.chain(spent).fold(older, Msat::saturating_add)
    }

    /// What is open: the most that it can cost together.
    pub fn open(&self) -> Msat {
        self.open.values().copied().fold(Msat::ZERO, Msat::saturating_add)
    }

    /// A payment begins: it can cost at most `most`.
    pub fn hold(&mut self, key: K, most: Msat) {
        self.open.insert(key, most);
    }

    /// The payment is over and cost nothing.
    pub fn release(&mut self, key: &K) {
        self.open.remove(key);
    }

    /// The payment is over and cost `msat`.
    pub fn settle(&mut self, key: &K, msat: Msat, at: Timestamp) {
        self.open.remove(key);
        let Some(secs) = self.renews.secs() else {
            self.for_ever = self.for_ever.saturating_add(msat);
            return;
        };
        let from = at.minus_secs(secs);
        while self.spent.front().is_some_and(|(then, _)| *then <= from) {
            self.spent.pop_front();
        }
        let grain_ms = secs * 1_000 / ENTRIES;
        match self.spent.back_mut() {
            Some((then, sum)) if at.0 / grain_ms <= then.0 / grain_ms => {
                *then = at.max(*then);
                *sum = sum.saturating_add(msat);
            }
            _ => self.spent.push_back((at, msat)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: SpendLimits = SpendLimits {
        per_payment_msat: Msat::from_sat(100),
        per_day_msat: Msat::from_sat(250),
        max_fee_msat: Msat::from_sat(5),
    };

    fn sat(sat: u32) -> Msat {
        Msat::from_sat(sat)
    }

    #[test]
    fn each_limit_refuses_one_above_and_allows_itself() {
        let window = SpendWindow::<u8>::default();
        let now = Timestamp::from_secs(1_000_000);
        let over = |amount, fee| window.check(&LIMITS, amount, fee, now).unwrap_err();
        assert_eq!(window.check(&LIMITS, sat(100), sat(5), now), Ok(()));
        assert!(matches!(over(sat(101), sat(0)), OverLimit::Payment { .. }));
        assert!(matches!(over(sat(100), sat(6)), OverLimit::Fee { .. }));
    }

    #[test]
    fn what_is_open_counts_in_full_and_for_ever() {
        let mut window = SpendWindow::default();
        let then = Timestamp::from_secs(1_000_000);
        window.hold("a", sat(105));
        window.hold("b", sat(105));
        let much_later = then.plus_secs(10 * WINDOW_SECS);
        assert_eq!(window.total(much_later), sat(210));
        let error = window.check(&LIMITS, sat(40), sat(1), much_later).unwrap_err();
        assert_eq!(
            error,
            OverLimit::Day { asked: sat(41), spent: sat(210), limit: LIMITS.per_day_msat }
        );
        window.release(&"a");
        assert_eq!(window.check(&LIMITS, sat(100), sat(5), much_later), Ok(()));
    }

    #[test]
    fn what_was_spent_counts_for_a_day() {
        let mut window = SpendWindow::default();
        let then = Timestamp::from_secs(1_000_000);
        window.hold("a", sat(105));
        window.settle(&"a", sat(101), then);
        assert_eq!(window.total(then), sat(101));
        assert_eq!(window.total(then.plus_secs(WINDOW_SECS - 1)), sat(101));
        assert_eq!(window.total(then.plus_secs(WINDOW_SECS)), sat(0));
    }

    #[test]
    fn what_nothing_renews_counts_for_ever_and_a_week_is_a_week() {
        let then = Timestamp::from_secs(1_000_000);
        for (renews, later_days, counted) in
            [(Renewal::Never, 9_000, 7), (Renewal::Weekly, 6, 7), (Renewal::Weekly, 7, 0)]
        {
            let mut window = SpendWindow::new(renews);
            window.hold("a", sat(9));
            window.settle(&"a", sat(7), then);
            let later = then.plus_secs(later_days * WINDOW_SECS);
            assert_eq!(window.total(later), sat(counted), "{renews:?}");
        }
    }

    proptest! {
        /// Never less than what an exact list of the spends would say, and never more than what
        /// one grain more of it would.
        #[test]
        fn errs_on_the_careful_side_by_less_than_a_minute(
            spends in prop::collection::vec((0..200_000_u64, 1..1_000_u32), 1..200),
        ) {
            let mut window = SpendWindow::default();
            let (mut at, mut exact) = (Timestamp::from_secs(1_000_000), Vec::new());
            for (index, (pause_secs, amount)) in spends.into_iter().enumerate() {
                at = at.plus_secs(pause_secs / 4);
                window.hold(index, sat(amount));
                window.settle(&index, sat(amount), at);
                exact.push((at, u64::from(amount) * 1_000));
                let sum = |from: Timestamp| -> u64 {
                    exact.iter().filter(|(then, _)| *then > from).map(|(_, msat)| msat).sum()
                };
                let from = at.minus_secs(WINDOW_SECS);
                let counted = window.total(at).get();
                prop_assert!(counted >= sum(from));
                prop_assert!(counted <= sum(from.minus_secs(60)));
                prop_assert!(window.spent.len() <= 1_442);
            }
        }
    }
}
