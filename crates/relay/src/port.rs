//! The port: what the house asks of a Nostr client, and what a client asks of the house.

use domain::Timestamp;
use nostr::event::{Event, EventBuilder};
use nostr::filter::Filter;
use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};
use url::Url;

use crate::{
    fact::RelayHealth,
    publish::{Outgoing, PublishOptions, PublishReport},
};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where the time comes from; `host::clock::now` in a running program.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the house asks of a Nostr client. [`crate::Pool`] is ours; another library could stand
/// behind the same trait in one file, but would still owe the verification of every event.
pub trait NostrClient: Send + Sync {
    /// Adds a relay and starts to connect. A relay that is there already is left as it is.
    fn add_relay(&self, spec: &RelaySpec) -> Result<(), RelayError>;
    /// Disconnects from a relay. What was being published there is answered as
    /// [`crate::Refusal::Removed`].
    fn remove_relay(&self, url: &str) -> Result<(), RelayError>;
    /// Asks all `read` relays for what matches any of `filters`, now and after each reconnect.
    /// Each matching event is handed on once for this subscription, whichever relay sent it first.
    /// The same id replaces the subscription; the same id and filters change nothing.
    fn subscribe(&self, id: &str, filters: Vec<Filter>) -> Result<(), RelayError>;
    fn unsubscribe(&self, id: &str);
    /// Sends an event and waits for the relays' `OK` (NIP-01). Never longer than
    /// `options.timeout`; dropping the future does not take the event back.
    fn publish(
        &self,
        event: Outgoing,
        to: Targets,
        options: PublishOptions,
    ) -> BoxFuture<'_, PublishReport>;
    /// How each relay is, in the order of their addresses.
    fn health(&self) -> Vec<RelayHealth>;
    /// Closes all connections and waits (a few seconds at most) until they are closed.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}

/// A relay and what it is for (NIP-65 words).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelaySpec {
    pub url: String,
    /// Subscriptions go here.
    pub read: bool,
    /// [`Targets::All`] includes it.
    pub write: bool,
}

impl RelaySpec {
    /// One of the operator's relays: read and write.
    pub fn full(url: impl Into<String>) -> Self {
        Self { url: url.into(), read: true, write: true }
    }

    /// A relay that somebody else named, for example in a request's `relays` tag: only what is
    /// addressed to it by [`Targets::Only`] goes there.
    pub fn addressed_only(url: impl Into<String>) -> Self {
        Self { url: url.into(), read: false, write: false }
    }
}

/// Which relays an event goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// All `write` relays.
    All,
    /// These; one that was never added is answered as [`crate::Refusal::NotAdded`].
    Only(Vec<String>),
}

/// Why a relay or a subscription was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    #[error("{url:?} is not a relay address: it must begin with wss:// (or ws:// on this machine)")]
    BadUrl { url: String },
    #[error("{max} relays are in use; remove one before adding another")]
    TooManyRelays { max: usize },
    #[error("no relay {url} is in use")]
    UnknownRelay { url: String },
    #[error("a subscription id has 1 to 64 characters (NIP-01)")]
    BadSubscriptionId,
    #[error("a subscription needs 1 to {max} filters")]
    BadFilters { max: usize },
    #[error("{max} subscriptions are open; close one first")]
    TooManySubscriptions { max: usize },
    #[error("the relay client has been shut down")]
    ShutDown,
}

/// Signs as the operator's Nostr identity; the key stays where it lives (`vault`, NIP-46).
pub trait Signer: Send + Sync {
    /// The event, with the identity's key and signature. `created_at` is already set.
    fn sign(&self, draft: EventBuilder) -> BoxFuture<'_, Result<Event, SignFault>>;
}

/// The identity could not sign: locked vault, remote signer not reachable. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not sign: {0}")]
pub struct SignFault(pub String);

impl<F> Signer for F
where
    F: Fn(EventBuilder) -> Result<Event, SignFault> + Send + Sync,
{
    fn sign(&self, draft: EventBuilder) -> BoxFuture<'_, Result<Event, SignFault>> {
        let signed = self(draft);
        Box::pin(async move { signed })
    }
}

/// Decides where a relay address may lead; in a running program this is `net`'s egress gate.
pub trait Door: Send + Sync {
    /// The addresses that may be dialled for `url`, or why none may. Name resolution is the
    /// door's, so that what was checked is what is dialled.
    fn admit<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Vec<SocketAddr>, String>>;

    /// What the relay says about its limits (NIP-11); `None` where that is not known.
    fn relay_limits<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Option<RelayLimits>> {
        let _ = url;
        Box::pin(async { None })
    }
}

/// The limits of a relay that matter to a client (NIP-11 `limitation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayLimits {
    /// The longest message the relay reads, in bytes of JSON.
    pub max_message_bytes: Option<usize>,
    pub auth_required: bool,
    pub payment_required: bool,
}

impl RelayLimits {
    /// Reads a NIP-11 document. Fields of the wrong type count as absent: the document is a
    /// courtesy, and relays get it wrong.
    pub fn parse(document: &[u8]) -> Option<Self> {
        let document: serde_json::Value = serde_json::from_slice(document).ok()?;
        let limitation = document.as_object()?.get("limitation");
        let flag = |name: &str| limitation.and_then(|l| l.get(name)?.as_bool()).unwrap_or(false);
        Some(Self {
            max_message_bytes: limitation
                .and_then(|l| l.get("max_message_length")?.as_u64())
                .filter(|&bytes| bytes > 0)
                .and_then(|bytes| usize::try_from(bytes).ok()),
            auth_required: flag("auth_required"),
            payment_required: flag("payment_required"),
        })
    }
}

/// The one form of a relay's address that is used as its name everywhere: lower-case host, no
/// default port, no trailing slash, no user, no fragment.
pub fn normal_url(text: &str) -> Result<Url, RelayError> {
    let bad = || RelayError::BadUrl { url: text.chars().take(200).collect() };
    let mut url = Url::parse(text.trim()).map_err(|_| bad())?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "ws" | "wss") || url.host_str().is_none() || has_user {
        return Err(bad());
    }
    url.set_fragment(None);
    Ok(url)
}

/// The one name of a relay, as facts and health carry it.
pub fn normal_name(text: &str) -> Result<String, RelayError> {
    normal_url(text).map(|url| name_of(&url).to_string())
}

/// [`normal_url`] as it is shown and compared.
pub(crate) fn name_of(url: &Url) -> Arc<str> {
    let text = url.as_str();
    if url.query().is_none() { text.trim_end_matches('/').into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_relay_has_one_name() {
        for same in ["wss://Relay.Example:443", "wss://relay.example/", " wss://relay.example/#x"] {
            assert_eq!(&*name_of(&normal_url(same).unwrap()), "wss://relay.example", "{same}");
        }
        assert_eq!(&*name_of(&normal_url("ws://[::1]:7000/a/").unwrap()), "ws://[::1]:7000/a");
        for bad in ["https://relay.example", "wss://", "relay.example", "wss://me@relay.example"] {
            assert!(matches!(normal_url(bad), Err(RelayError::BadUrl { .. })), "{bad}");
        }
    }

    #[test]
    fn reads_limits_and_ignores_nonsense() {
        let limits = |json: &str| RelayLimits::parse(json.as_bytes());
        assert_eq!(
            limits(r#"{"limitation":{"max_message_length":16384,"auth_required":true}}"#),
            Some(RelayLimits {
                max_message_bytes: Some(16384),
                auth_required: true,
                payment_required: false
            })
        );
        for odd in ["{}", r#"{"limitation":{"max_message_length":-1}}"#, r#"{"limitation":7}"#] {
            assert_eq!(limits(odd), Some(RelayLimits::default()), "{odd}");
        }
        assert_eq!(limits("[]"), None);
        assert_eq!(limits("{"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_an_error(text in ".{0,80}", scheme in "(wss?://)?") {
            if let Ok(url) = normal_url(&format!("{scheme}{text}")) {
                let name = name_of(&url);
                prop_assert_eq!(name_of(&normal_url(&name).unwrap()), name);
            }
        }

        #[test]
        fn any_document_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = RelayLimits::parse(&bytes);
        }
    }
}
