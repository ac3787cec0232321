//! Connections of other apps (NIP-47): what the operator grants, and what an app is given, once.

use domain::{ErrorBody, Msat, Pubkey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::account::{AccountView, Budget, OnLimit};

/// Most methods that are named in one connection.
const MAX_METHODS: usize = 16;
const MAX_ADDRESS: usize = 320;

/// Who asks through a connection, and what they may ask for: part of its account's terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The app's public key; its secret was shown once and is kept nowhere.
    pub client: Pubkey,
    /// NIP-47's names.
    pub methods: Vec<String>,
    /// The lightning address that the app was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lud16: Option<String>,
}

impl Connection {
    /// What must hold before it is kept.
    pub(crate) fn check(&self) -> Result<(), ErrorBody> {
        let is_name = |name: &String| {
            (1..=40).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        let fits = self.methods.len() <= MAX_METHODS
            && self.methods.iter().all(is_name)
            && self.lud16.as_ref().is_none_or(|address| address.len() <= MAX_ADDRESS);
        if fits {
            return Ok(());
        }
        Err(ErrorBody::new("bad_account", "The connection's terms do not fit. Nothing changed."))
    }
}

/// `connection_create`: a new app, with an account of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionCreate {
    /// For people.
    pub name: String,
    /// What it may ask for, by NIP-47's names. Absent: everything that this wallet offers.
    #[serde(default)]
    pub methods: Option<Vec<String>>,
    /// Has money of its own, which it must be given (`move`) or receive.
    #[serde(default)]
    pub isolated: bool,
    #[serde(default)]
    pub budget: Option<Budget>,
    #[serde(default)]
    pub per_payment_msat: Option<Msat>,
    #[serde(default)]
    pub allow: Vec<String>,
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    #[serde(default)]
    pub on_limit: OnLimit,
    #[serde(default)]
    pub lud16: Option<String>,
}

/// The answer to `connection_create`. Who has `uri` spends within the budget: it is shown once,
/// never logged, and cannot be shown again.
#[derive(Clone, Serialize, Deserialize)]
pub struct ConnectionCreated {
    pub connection: ConnectionView,
    /// `nostr+walletconnect://…`
    pub uri: String,
}

/// `connections`: one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionView {
    pub account: AccountView,
    /// This wallet's public key of the connection.
    pub service: Pubkey,
    /// When the app last asked for something, since the wallet was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

/// `connections`: all of them, and where they meet this wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionList {
    pub connections: Vec<ConnectionView>,
    pub relays: Vec<String>,
    /// Why apps can't reach this wallet now, where they can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// `connection_relays`: where apps meet this wallet from now on. Apps that were connected before
/// know the old ones only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionRelays {
    pub relays: Vec<String>,
}
