//! Events: the envelope that is hashed and chained, and how typed data goes in and out of it.
//!
//! The canonical bytes (RFC 8785) of
//! `{"at","bodies","cause","data","prev","seq","stream","type","v"}` are what is stored; the
//! event's hash is SHA-256 of them. `prev` is the hash of the event before it in its stream.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc};

use crate::{
    body::BodyRef,
    canonical::{CanonicalError, canonical_json},
    effect::EffectId,
    ids::StreamId,
    time::Timestamp,
};

/// SHA-256 of an event's canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventHash(pub [u8; 32]);

impl EventHash {
    /// What the first event of a stream has as `prev`.
    pub const GENESIS: Self = Self([0; 32]);

    pub fn of(canonical: &[u8]) -> Self {
        Self(Sha256::digest(canonical).into())
    }
}

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventHash({})", hex::encode(&self.0[..4]))
    }
}

impl Serialize for EventHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for EventHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.as_ref(), &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

/// Typed event data: how it is named, versioned, written and read. Made by [`crate::events!`].
pub trait EventData: Clone + fmt::Debug + Send + Sync + 'static {
    /// `area.what_happened`, stable for ever.
    fn type_name(&self) -> &str;
    fn version(&self) -> u32;
    fn to_json(&self) -> Result<serde_json::Value, serde_json::Error>;
    /// Reads data of any version ever written; a type nobody knows becomes the unknown variant.
    fn from_json(type_name: &str, version: u32, data: &str) -> Result<Self, serde_json::Error>;
}

/// An event as it is hashed. `data` stays raw, so that reading the head costs no parse of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope<'a> {
    pub at: Timestamp,
    #[serde(default)]
    pub bodies: Vec<BodyRef>,
    /// The effect whose fact caused this event, if one did.
    #[serde(default)]
    pub cause: Option<EffectId>,
    #[serde(borrow)]
    pub data: &'a serde_json::value::RawValue,
    pub prev: EventHash,
    pub seq: u64,
    pub stream: StreamId,
    #[serde(rename = "type", borrow)]
    pub type_name: std::borrow::Cow<'a, str>,
    pub v: u32,
}

impl<'a> Envelope<'a> {
    /// Reads the canonical bytes of one event.
    pub fn parse(canonical: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(canonical)
    }

    /// The event with its typed data.
    pub fn typed<E: EventData>(&self, hash: EventHash) -> Result<Recorded<E>, serde_json::Error> {
        Ok(Recorded {
            stream: self.stream.clone(),
            seq: self.seq,
            at: self.at,
            bodies: self.bodies.clone(),
            cause: self.cause.clone(),
            prev: self.prev,
            hash,
            data: E::from_json(&self.type_name, self.v, self.data.get())?,
        })
    }
}

/// A typed event with its place in its stream's chain. `seq` counts from 1.
#[derive(Clone, Debug)]
pub struct Recorded<E> {
    pub stream: StreamId,
    pub seq: u64,
    pub at: Timestamp,
    pub bodies: Vec<BodyRef>,
    pub cause: Option<EffectId>,
    pub prev: EventHash,
    pub hash: EventHash,
    pub data: E,
}

/// What is to be recorded next in a stream.
#[derive(Clone, Debug)]
pub struct Link<'a, E> {
    pub stream: &'a StreamId,
    pub seq: u64,
    pub prev: EventHash,
    pub at: Timestamp,
    pub bodies: &'a [BodyRef],
    pub cause: Option<&'a EffectId>,
    pub data: &'a E,
}

impl<E: EventData> Link<'_, E> {
    /// The canonical bytes to store and hash.
    pub fn canonical(&self) -> Result<Arc<[u8]>, CanonicalError> {
        #[derive(Serialize)]
        struct Wire<'a> {
            at: Timestamp,
            bodies: &'a [BodyRef],
            cause: Option<&'a EffectId>,
            data: serde_json::Value,
            prev: EventHash,
            seq: u64,
            stream: &'a StreamId,
            r#type: &'a str,
            v: u32,
        }
        let wire = Wire {
            at: self.at,
            bodies: self.bodies,
            cause: self.cause,
            data: self.data.to_json()?,
            prev: self.prev,
            seq: self.seq,
            stream: self.stream,
            r#type: self.data.type_name(),
            v: self.data.version(),
        };
        Ok(canonical_json(&wire)?.into())
    }
}

/// Data of a type this program does not know: kept, shown, never dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct UnknownEvent {
    pub type_name: String,
    pub version: u32,
    pub data: serde_json::Value,
}

impl UnknownEvent {
    pub fn read(type_name: &str, version: u32, data: &str) -> Result<Self, serde_json::Error> {
        Ok(Self { type_name: type_name.into(), version, data: serde_json::from_str(data)? })
    }
}

#[doc(hidden)]
pub fn read<T: DeserializeOwned>(data: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(data)
}

/// Declares an event enum: each variant carries one struct, has a stable name and a version.
///
/// `"job.accepted" 1 => Accepted(Accepted)`; older versions are read by an upcaster named after
/// the arrow: `"job.accepted" 2 => Accepted(Accepted), from 1 => accepted_v1`, a
/// `fn(serde_json::Value) -> Result<Accepted, serde_json::Error>`.
#[macro_export]
macro_rules! events {
    ($(#[$meta:meta])* pub enum $name:ident { $($type_name:literal $version:literal => $variant:ident($data:ty) $(, from $old:literal => $upcast:path)*;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $($variant($data),)*
            /// Written by a newer or foreign program; kept as it came.
            Unknown($crate::event::UnknownEvent),
        }
        $(impl From<$data> for $name {
            fn from(data: $data) -> Self { Self::$variant(data) }
        })*
        impl $crate::EventData for $name {
            fn type_name(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $type_name,)*
                    Self::Unknown(unknown) => &unknown.type_name,
                }
            }
            fn version(&self) -> u32 {
                match self {
                    $(Self::$variant(_) => $version,)*
                    Self::Unknown(unknown) => unknown.version,
                }
            }
            fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self {
                    $(Self::$variant(data) => serde_json::to_value(data),)*
                    Self::Unknown(unknown) => Ok(unknown.data.clone()),
                }
            }
            fn from_json(type_name: &str, version: u32, data: &str) -> Result<Self, serde_json::Error> {
                match (type_name, version) {
                    $(($type_name, $version) => $crate::event::read(data).map(Self::$variant),
                      $(($type_name, $old) => $crate::event::read(data).and_then($upcast).map(Self::$variant),)*)*
                    _ => $crate::event::UnknownEvent::read(type_name, version, data).map(Self::Unknown),
                }
            }
        }
    };
}
