//! Every event of a desk: the provider's, the buyer's, and the desk's own.

use domain::{EventData, Pubkey, Timestamp, event::UnknownEvent};
use nip90::{buyer::BuyerEvent, provider::ProviderEvent};
use serde::{Deserialize, Serialize};
use wallet::wire;

use crate::view::{RelayState, ServiceState, WalletState};

/// The log's events. Each area keeps its own enum; the prefix of the type name tells them apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Provider(ProviderEvent),
    Buyer(BuyerEvent),
    Desk(DeskEvent),
    /// Written by a newer or foreign program; kept as it came.
    Unknown(UnknownEvent),
}

impl From<ProviderEvent> for Event {
    fn from(event: ProviderEvent) -> Self {
        Self::Provider(event)
    }
}

impl From<BuyerEvent> for Event {
    fn from(event: BuyerEvent) -> Self {
        Self::Buyer(event)
    }
}

impl From<DeskEvent> for Event {
    fn from(event: DeskEvent) -> Self {
        Self::Desk(event)
    }
}

impl EventData for Event {
    fn type_name(&self) -> &str {
        match self {
            Self::Provider(event) => event.type_name(),
            Self::Buyer(event) => event.type_name(),
            Self::Desk(event) => event.type_name(),
            Self::Unknown(event) => &event.type_name,
        }
    }

    fn version(&self) -> u32 {
        match self {
            Self::Provider(event) => event.version(),
            Self::Buyer(event) => event.version(),
            Self::Desk(event) => event.version(),
            Self::Unknown(event) => event.version,
        }
    }

    fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        match self {
            Self::Provider(event) => event.to_json(),
            Self::Buyer(event) => event.to_json(),
            Self::Desk(event) => event.to_json(),
            Self::Unknown(event) => Ok(event.data.clone()),
        }
    }

    fn from_json(type_name: &str, version: u32, data: &str) -> Result<Self, serde_json::Error> {
        let area = type_name.split('.').next().unwrap_or_default();
        Ok(match area {
            "provider" | "job" => match ProviderEvent::from_json(type_name, version, data)? {
                ProviderEvent::Unknown(unknown) => Self::Unknown(unknown),
                event => Self::Provider(event),
            },
            "buyer" | "buy" => match BuyerEvent::from_json(type_name, version, data)? {
                BuyerEvent::Unknown(unknown) => Self::Unknown(unknown),
                event => Self::Buyer(event),
            },
            _ => match DeskEvent::from_json(type_name, version, data)? {
                DeskEvent::Unknown(unknown) => Self::Unknown(unknown),
                event => Self::Desk(event),
            },
        })
    }
}

domain::events! {
    pub enum DeskEvent {
        "desk.started" 1 => Started(Started);
        "desk.identity" 1 => Identity(Identity);
        "desk.backends" 1 => Backends(Backends);
        "desk.blob_server" 1 => BlobServer(BlobServer);
        "relay.added" 1 => RelayAdded(RelayAdded);
        "relay.removed" 1 => RelayRemoved(RelayRemoved);
        "relay.changed" 1 => RelayChanged(RelayChanged);
        "service.changed" 1 => ServiceChanged(ServiceChanged);
        "wallet.attached" 1 => WalletAttached(WalletAttached);
        "wallet.other_found" 1 => WalletOther(WalletOther);
        "wallet.behind" 1 => WalletBehind(WalletBehind);
        "wallet.changed" 1 => WalletChanged(WalletChanged);
        "wallet.balance" 1 => WalletBalance(WalletBalance);
        "payment.requested" 1 => PaymentRequested(PaymentRequested);
        "payment.refused" 1 => PaymentRefused(PaymentRefused);
        "payment.changed" 1 => PaymentChanged(PaymentChanged);
        "payment.answered" 1 => PaymentAnswered(PaymentAnswered);
        "payment.answer_failed" 1 => AnswerFailed(AnswerFailed);
        "wallet.accounts" 1 => WalletAccounts(WalletAccounts);
        "effect.given_up" 1 => GivenUp(GivenUp);
        "effect.tried_again" 1 => TriedAgain(TriedAgain);
        "effect.dropped" 1 => Dropped(Dropped);
    }
}

/// The process started over this log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    pub version: String,
    pub network: domain::Network,
}

/// Whose log this is. A change of identity is never silent: it is this event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub pubkey: Pubkey,
    pub npub: String,
    pub kept_in: String,
    pub backed_up: bool,
    /// What the operator calls this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What can execute jobs on this machine, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backends {
    pub backends: std::collections::BTreeMap<u16, nip90::provider::Backend>,
}

/// Where large inputs and results go from now on (Blossom BUD-02).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlobServer {
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayAdded {
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayRemoved {
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayChanged {
    pub url: String,
    pub state: RelayState,
    pub detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceChanged {
    pub name: String,
    pub state: ServiceState,
    pub restarts: u32,
    pub detail: Option<String>,
}

/// The executor was found; another node than before starts its notices from the beginning. That one
/// is `WalletOther` first, until the operator accepts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalletAttached {
    pub node_id: String,
    pub backend: String,
    /// By which people tell it from another one (`wallet::custody::fingerprint`).
    #[serde(default)]
    pub fingerprint: String,
    #[serde(default)]
    pub receives: Vec<wire::Rail>,
    #[serde(default)]
    pub pays: Vec<wire::Rail>,
}

/// Another wallet than the attached one answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WalletOther {
    pub found: WalletAttached,
}

/// The executor's newest notice is older than the newest one here: its log is an older copy or a new
/// one. Its notices are read anew, from the beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalletBehind {
    pub newest: u64,
    pub known: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalletChanged {
    pub state: WalletState,
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalletBalance {
    pub balance: wire::Balance,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
}

/// The operator asked for an invoice or a payment; the executor was not asked yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentRequested {
    pub payment: wire::Payment,
    pub max_fee_msat: Option<domain::Msat>,
    pub expiry_secs: Option<u32>,
}

/// The executor took nothing on: no money moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentRefused {
    pub key: domain::IdempotencyKey,
    pub error: domain::ErrorBody,
}

/// The operator approved or denied what waits because of a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentAnswered {
    pub key: domain::IdempotencyKey,
    pub approve: bool,
}

/// The executor did not take the answer: the payment is as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerFailed {
    pub key: domain::IdempotencyKey,
    pub error: domain::ErrorBody,
}

/// The wallet's accounts, all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalletAccounts {
    pub accounts: Vec<wire::AccountView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
}

/// What the executor said of one payment, whole, with the cursor that the desk has read up to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentChanged {
    pub payment: wire::Payment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    pub noticed_at: Timestamp,
}

/// An adapter tried as long as its class allows; the effect is kept for the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenUp {
    pub effect: domain::EffectId,
    pub what: crate::effect::Effect,
    pub tries: u32,
    pub why: String,
}

/// The operator had it released anew, by this event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriedAgain {
    pub effect: domain::EffectId,
}

/// It is left undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    pub effect: domain::EffectId,
    pub why: String,
}
