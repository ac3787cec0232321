//! Sub-wallets: whose money a payment is, and what its owner may do with it.

use crate::connection::Connection;
use domain::{ErrorBody, Msat, Timestamp};
use safety::Renewal;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Most accounts of one wallet, closed ones included.
pub const MAX_ACCOUNTS: usize = 512;
/// Most payees in one allow-list.
pub const MAX_ALLOWED: usize = 64;
const MAX_NAME_LEN: usize = 80;

/// The name of a sub-wallet: 1 to 64 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AccountId(std::sync::Arc<str>);

/// Text that names no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an account's id has 1 to 64 of the characters a-z, 0-9 and -")]
pub struct BadAccountId;

impl AccountId {
    pub fn new(text: impl AsRef<str>) -> Result<Self, BadAccountId> {
        let text = text.as_ref();
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(good);
        if fits { Ok(Self(text.into())) } else { Err(BadAccountId) }
    }

    /// The operator's own: everything that no other account has to itself.
    pub fn operator() -> Self {
        Self("operator".into())
    }

    pub fn is_operator(&self) -> bool {
        &*self.0 == "operator"
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for AccountId {
    fn default() -> Self {
        Self::operator()
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountId {
    type Err = BadAccountId;
    fn from_str(text: &str) -> Result<Self, BadAccountId> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

/// Who uses an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    Agent,
    App,
    /// A Nostr Wallet Connect connection (NIP-47).
    Connection,
}

/// What an account may spend in a time: amounts and fees, what is under way or unknown included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub amount_msat: Msat,
    pub renews: Renewal,
}

/// What happens to a payment above a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// It waits for the operator.
    #[default]
    Ask,
    /// It is refused by name at once.
    Refuse,
}

/// The terms of a sub-wallet, as the operator sets them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    pub id: AccountId,
    /// For people.
    pub name: String,
    pub kind: AccountKind,
    /// Has money of its own: spends only what it was given or received, and nobody else spends it.
    #[serde(default)]
    pub isolated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// One payment's amount, its fee apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_payment_msat: Option<Msat>,
    /// The only payees that it may pay: node ids, addresses, lightning addresses. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default)]
    pub on_limit: OnLimit,
    /// Of a connection: who asks through it, and for what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
}

impl Account {
    /// What must hold for the terms before they are taken.
    pub fn check(&self) -> Result<(), ErrorBody> {
        let bad = |why: &str| Err(ErrorBody::new("bad_account", format!("{why} Nothing changed.")));
        if self.id.is_operator() {
            return bad(
                "The operator's own account has no terms; set the wallet's limits instead.",
            );
        }
        if self.name.is_empty() || self.name.len() > MAX_NAME_LEN {
            return bad("An account's name has 1 to 80 bytes.");
        }
        if self.name != crate::bolt11::printable(&self.name) {
            return bad("An account's name has no control characters.");
        }
        if self.allow.len() > MAX_ALLOWED || self.allow.iter().any(|payee| payee.len() > 200) {
            return bad("An allow-list has at most 64 payees of at most 200 characters each.");
        }
        if let Some(connection) = &self.connection {
            if self.kind != AccountKind::Connection {
                return bad("Only a connection's account says who asks through it.");
            }
            connection.check()?;
        }
        Ok(())
    }
}

/// `accounts`: a sub-wallet with what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    pub account: Account,
    pub closed: bool,
    /// Its own money, where it is isolated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_msat: Option<Msat>,
    /// What counts against its budget now.
    pub spent_msat: Msat,
    /// What its budget leaves now, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_msat: Option<Msat>,
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_plain_names_are_ids() {
        for good in ["a", "operator", "nwc-12ab"] {
            assert!(AccountId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a b", "ä", "a/b", &"a".repeat(65)] {
            assert!(AccountId::new(bad).is_err(), "{bad}");
        }
        assert!(AccountId::default().is_operator());
    }

    proptest! {
        #[test]
        fn an_id_that_is_read_is_written_the_same(text in "\\PC{0,70}") {
            if let Ok(id) = AccountId::new(&text) {
                let json = serde_json::to_string(&id).unwrap();
                prop_assert_eq!(serde_json::from_str::<AccountId>(&json).unwrap(), id);
            }
        }
    }
}
