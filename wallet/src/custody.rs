//! Custody on the wire: by which fingerprint a wallet is known, and whether it is sealed or locked.
//!
//! A passphrase crosses the socket in `unlock`, `set_passphrase` and `set_lock` only, and has no
//! type here: no value that holds one can be printed.

use domain::{Msat, Network, Sha256Hash, Timestamp};
use serde::{Deserialize, Serialize};

/// Refused because the operator was not there lately.
pub const LOCKED: &str = "locked";
/// Where nothing else is chosen, an operator who unlocked counts as there for so long.
pub const LOCK_AFTER_MINUTES: u32 = 15;
/// What can be chosen at most: a day.
pub const LONGEST_LOCK_AFTER_MINUTES: u32 = 24 * 60;
/// Where nothing else is chosen, the operator's own payments of so much need the operator.
pub const LARGE: Msat = Msat::from_sat(100_000);

/// `custody`: how the wallet's seed is kept, and whether the operator counts as there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustodyView {
    /// Of the wallet; absent until its node has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// `keychain`, `file_with_passphrase`, `file_with_passphrase_beside`.
    pub kept_in: String,
    pub has_passphrase: bool,
    /// The seed is not in memory: nothing is paid or received until it is unlocked.
    pub sealed: bool,
    /// Some calls wait for the operator to unlock. Never without a passphrase.
    pub locked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlocked_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_after_minutes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_msat: Option<Msat>,
    /// After wrong passphrases, the next one is looked at then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
    /// What this means, for people.
    pub detail: String,
}

/// By what people tell two wallets apart: 64 bits of a hash of the network and the node, as four
/// groups of four hex digits.
pub fn fingerprint(network: Network, node_id: &str) -> String {
    let text = format!("pilothouse wallet\n{}\n{node_id}", network.as_str());
    let digits = Sha256Hash::of(text.as_bytes()).to_string();
    let groups: Vec<&str> = (0..4).filter_map(|at| digits.get(at * 4..at * 4 + 4)).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_short_and_tells_nodes_and_networks_apart() {
        let of = fingerprint(Network::Practice, "02ab");
        assert_eq!(of.len(), 19);
        assert!(of.split('-').all(|group| group.len() == 4));
        assert!(of.chars().all(|c| c == '-' || c.is_ascii_hexdigit()));
        assert_eq!(of, fingerprint(Network::Practice, "02ab"));
        assert_ne!(of, fingerprint(Network::Mainnet, "02ab"));
        assert_ne!(of, fingerprint(Network::Practice, "02ac"));
    }
}
