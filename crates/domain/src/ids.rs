//! Ids: a newtype each, so that no two can be exchanged by mistake.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Text that should have been 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
pub struct NotHex32;

macro_rules! hex32 {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            pub fn as_bytes(&self) -> &[u8; 32] { &self.0 }
            /// The first eight hex digits, for people.
            pub fn short(&self) -> String { hex::encode(&self.0[..4]) }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&hex::encode(self.0)) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}({})", stringify!($name), self.short()) }
        }
        impl FromStr for $name {
            type Err = NotHex32;
            fn from_str(text: &str) -> Result<Self, NotHex32> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| NotHex32)?;
                Ok(Self(bytes))
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut text = [0; 64];
                hex::encode_to_slice(self.0, &mut text).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("64 hexadecimal digits") }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> { text.parse().map_err(E::custom) }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    )*};
}

hex32! {
    /// Id of a NIP-90 job: the id of its request event (NIP-01).
    RequestId;
    /// Id of any Nostr event (NIP-01).
    EventId;
    /// A Nostr public key, x-only (BIP-340).
    Pubkey;
    /// SHA-256 of a Lightning payment's preimage (BOLT 11 `p`).
    PaymentHash;
    /// The proof of a Lightning payment. Not a secret once the payment has settled.
    Preimage;
    /// SHA-256 of a blob or result (Blossom BUD-01).
    Sha256Hash;
}

impl Preimage {
    /// The hash that this preimage proves payment of.
    pub fn payment_hash(&self) -> PaymentHash {
        use sha2::Digest;
        PaymentHash(sha2::Sha256::digest(self.0).into())
    }
}

impl Sha256Hash {
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl From<RequestId> for EventId {
    fn from(id: RequestId) -> Self {
        Self(id.0)
    }
}

impl From<EventId> for RequestId {
    fn from(id: EventId) -> Self {
        Self(id.0)
    }
}

/// Text outside `1..=200` visible ASCII characters without spaces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to 200 visible ASCII characters and no spaces")]
pub struct BadTextId;

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            pub fn new(text: impl AsRef<str>) -> Result<Self, BadTextId> {
                let text = text.as_ref();
                let fits = (1..=200).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
                if fits { Ok(Self(text.into())) } else { Err(BadTextId) }
            }
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl FromStr for $name {
            type Err = BadTextId;
            fn from_str(text: &str) -> Result<Self, BadTextId> { Self::new(text) }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

text_id! {
    /// One hash chain of events: `job/<request id>`, `buy/<request id>`, `payment/<key>`, `provider`, …
    StreamId;
    /// What makes a repeated command the same command.
    CommandId;
    /// What makes a repeated `receive` or `pay` the same payment.
    IdempotencyKey;
}

impl StreamId {
    /// The stream `area/id`; both parts come from our own words and hex ids.
    pub fn of(area: &str, id: impl fmt::Display) -> Self {
        Self(format!("{area}/{id}").into())
    }

    /// A stream known by name alone.
    pub fn named(name: &'static str) -> Self {
        Self(name.into())
    }
}

impl IdempotencyKey {
    /// The key `area/id`; both parts come from our own words and hex ids.
    pub fn of(area: &str, id: impl fmt::Display) -> Self {
        Self(format!("{area}/{id}").into())
    }
}
