//! Amounts: millisatoshi as integers, never a float, never above 2^53-1 (RFC 8785 safe integers).

use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest amount that canonical JSON can carry exactly.
pub const MAX_MSAT: u64 = (1 << 53) - 1;

/// An amount in millisatoshi, at most [`MAX_MSAT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Msat(u64);

/// An amount above [`MAX_MSAT`] was refused at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount {0} msat is above the largest amount that can be kept exactly")]
pub struct AmountTooLarge(pub u64);

impl Msat {
    pub const ZERO: Self = Self(0);

    /// An amount of `msat` millisatoshi.
    pub const fn new(msat: u64) -> Result<Self, AmountTooLarge> {
        if msat > MAX_MSAT { Err(AmountTooLarge(msat)) } else { Ok(Self(msat)) }
    }

    /// A whole number of satoshi.
    pub const fn from_sat(sat: u32) -> Self {
        Self(sat as u64 * 1_000)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(|sum| Self::new(sum).ok())
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum, held at [`MAX_MSAT`]: for limits and displays, never for ledgers.
    pub fn saturating_add(self, other: Self) -> Self {
        Self((self.0 + other.0).min(MAX_MSAT))
    }
}

impl<'de> Deserialize<'de> for Msat {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Msat {
    /// `12,345 sat`, or `1.500 sat` where it is not a whole satoshi.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = group_thousands(self.0 / 1_000);
        match self.0 % 1_000 {
            0 => write!(f, "{whole} sat"),
            rest => write!(f, "{whole}.{rest:03} sat"),
        }
    }
}

fn group_thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_thousands_and_the_msat_that_are_left() {
        assert_eq!(Msat(12_345_000).to_string(), "12,345 sat");
        assert_eq!(Msat(1_500).to_string(), "1.500 sat");
        assert_eq!(Msat(1_000_000_000).to_string(), "1,000,000 sat");
    }

    #[test]
    fn refuses_floats_negatives_and_what_is_too_large() {
        for bad in ["1.5", "-1", "9007199254740992", "\"1\""] {
            assert!(serde_json::from_str::<Msat>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Msat>("9007199254740991").is_ok());
    }
}
