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
    canonical::{self, CanonicalError},
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
    /// The canonical bytes to store and hash. The envelope's keys are written in their order;
    /// a test compares with the general form.
    pub fn canonical(&self) -> Result<Arc<[u8]>, CanonicalError> {
        let mut out = Vec::with_capacity(640);
        out.extend_from_slice(b"{\"at\":");
        canonical::write_number(&mut out, self.at.0)?;
        out.extend_from_slice(b",\"bodies\":");
        if self.bodies.is_empty() {
            out.extend_from_slice(b"[]");
        } else {
            canonical::write_value(&mut out, &serde_json::to_value(self.bodies)?)?;
        }
        out.extend_from_slice(b",\"cause\":");
        match self.cause {
            None => out.extend_from_slice(b"null"),
            Some(cause) => canonical::write_string(&mut out, &cause.to_string())?,
        }
        out.extend_from_slice(b",\"data\":");
        canonical::write_value(&mut out, &self.data.to_json()?)?;
        out.extend_from_slice(b",\"prev\":\"");
        let mut prev = [0; 64];
        hex::encode_to_slice(self.prev.0, &mut prev).expect("BUG: 64 digits are room for 32 bytes");
        out.extend_from_slice(&prev);
        out.extend_from_slice(b"\",\"seq\":");
        canonical::write_number(&mut out, self.seq)?;
        out.extend_from_slice(b",\"stream\":");
        canonical::write_string(&mut out, self.stream.as_str())?;
        out.extend_from_slice(b",\"type\":");
        canonical::write_string(&mut out, self.data.type_name())?;
        out.extend_from_slice(b",\"v\":");
        canonical::write_number(&mut out, self.data.version().into())?;
        out.push(b'}');
        Ok(out.into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{canonical_json, ids::Sha256Hash};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_link_is_the_canonical_form_of_its_envelope(
            at in 0_u64..1 << 53,
            seq in 1_u64..1 << 53,
            prev: [u8; 32],
            name in "[!-~]{1,30}",
            type_name in ".*",
            version: u32,
            text in ".*",
            bodies in 0_usize..3,
            has_cause: bool,
        ) {
            let stream = StreamId::new(&name).unwrap();
            let data = UnknownEvent {
                type_name,
                version,
                data: serde_json::json!({"z": text, "a": [text, null]}),
            };
            let reference =
                BodyRef { hash: Sha256Hash(prev), len: at, media_type: name.as_str().into() };
            let bodies = vec![reference; bodies];
            let cause = has_cause.then(|| EffectId { stream: stream.clone(), seq, index: 7 });
            let link = Link {
                stream: &stream,
                seq,
                prev: EventHash(prev),
                at: Timestamp(at),
                bodies: &bodies,
                cause: cause.as_ref(),
                data: &data,
            };
            let bytes = link.canonical().unwrap();
            let raw = serde_json::value::to_raw_value(&data.data).unwrap();
            let envelope = Envelope {
                at: Timestamp(at),
                bodies: bodies.clone(),
                cause: cause.clone(),
                data: &raw,
                prev: EventHash(prev),
                seq,
                stream: stream.clone(),
                type_name: data.type_name.as_str().into(),
                v: version,
            };
            prop_assert_eq!(bytes.as_ref(), canonical_json(&envelope).unwrap());
            let read = Envelope::parse(&bytes).unwrap();
            prop_assert_eq!((read.seq, read.prev, &read.stream), (seq, EventHash(prev), &stream));
            prop_assert_eq!(read.cause, cause);
        }
    }

    impl EventData for UnknownEvent {
        fn type_name(&self) -> &str {
            &self.type_name
        }
        fn version(&self) -> u32 {
            self.version
        }
        fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
            Ok(self.data.clone())
        }
        fn from_json(type_name: &str, version: u32, data: &str) -> Result<Self, serde_json::Error> {
            Self::read(type_name, version, data)
        }
    }
}
