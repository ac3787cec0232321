//! The switch: Offline → Connecting → Online ⇄ Degraded, and Offline again.

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::types::{Blocker, ProviderState};

/// Where the provider stands, and what it heard of the world.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mode {
    pub state: ProviderState,
    pub since: Timestamp,
    /// Relays that are connected now.
    pub relays: u32,
    /// What others found in the way; [`crate::provider::Provider::blockers`] adds our own.
    pub blockers: Vec<Blocker>,
}

/// The next state, if it is another: `wanted` is the operator's switch, `ready` means that nothing
/// stands in the way. Going online always passes Connecting, so that each way up is recorded.
pub const fn next(state: ProviderState, wanted: bool, ready: bool) -> Option<ProviderState> {
    use ProviderState::{Connecting, Degraded, Offline, Online};
    match (state, wanted, ready) {
        (Offline, true, _) => Some(Connecting),
        (Connecting | Degraded, true, true) => Some(Online),
        (Online, true, false) => Some(Degraded),
        (Connecting | Online | Degraded, false, _) => Some(Offline),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProviderState::{Connecting, Degraded, Offline, Online};

    #[test]
    fn goes_through_connecting_and_never_up_by_itself() {
        let table = [
            (Offline, false, true, None),
            (Offline, false, false, None),
            (Offline, true, true, Some(Connecting)),
            (Offline, true, false, Some(Connecting)),
            (Connecting, true, true, Some(Online)),
            (Connecting, true, false, None),
            (Connecting, false, true, Some(Offline)),
            (Online, true, true, None),
            (Online, true, false, Some(Degraded)),
            (Online, false, true, Some(Offline)),
            (Degraded, true, true, Some(Online)),
            (Degraded, true, false, None),
            (Degraded, false, false, Some(Offline)),
        ];
        for (state, wanted, ready, expected) in table {
            assert_eq!(next(state, wanted, ready), expected, "{state:?} {wanted} {ready}");
        }
    }
}
