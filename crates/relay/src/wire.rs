//! The wire: NIP-01 messages in both directions, and the strict form of an event.

use nostr::event::{Event, EventId, Kind, Signature, Tags};
use nostr::filter::Filter;
use nostr::key::PublicKey;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// A message of a relay. Texts borrow from the frame where they can.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    Event {
        subscription: Cow<'a, str>,
        event: &'a RawValue,
    },
    Ok {
        id: EventId,
        accepted: bool,
        message: Cow<'a, str>,
    },
    Eose(Cow<'a, str>),
    Closed {
        subscription: Cow<'a, str>,
        message: Cow<'a, str>,
    },
    Notice(Cow<'a, str>),
    /// The challenge of NIP-42.
    Auth(Cow<'a, str>),
    /// A message of some other NIP, which we did not ask for.
    Other,
}

/// Reads one text frame of a relay.
pub(crate) fn parse(frame: &str) -> Result<Incoming<'_>, serde_json::Error> {
    serde_json::from_str(frame)
}

/// A string that is borrowed unless it holds escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Incoming<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;

        impl<'de> Visitor<'de> for Array {
            type Value = Incoming<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a relay's message: an array that begins with its name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let Text(label) = element(&mut seq)?;
                let message = match label.as_ref() {
                    "EVENT" => {
                        let Text(subscription) = element(&mut seq)?;
                        Incoming::Event { subscription, event: element(&mut seq)? }
                    }
                    "OK" => {
                        let Text(id) = element(&mut seq)?;
                        let id = lower_hex(&id)
                            .map(EventId::from_byte_array)
                            .ok_or_else(|| A::Error::custom("OK names no event id"))?;
                        let accepted = element(&mut seq)?;
                        Incoming::Ok { id, accepted, message: optional_text(&mut seq)? }
                    }
                    "EOSE" => Incoming::Eose(element::<Text<'_>, _>(&mut seq)?.0),
                    "CLOSED" => {
                        let Text(subscription) = element(&mut seq)?;
                        Incoming::Closed { subscription, message: optional_text(&mut seq)? }
                    }
                    "NOTICE" => Incoming::Notice(optional_text(&mut seq)?),
                    "AUTH" => Incoming::Auth(element::<Text<'_>, _>(&mut seq)?.0),
                    _ => Incoming::Other,
                };
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(message)
            }
        }

        deserializer.deserialize_seq(Array)
    }
}

fn element<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| A::Error::custom("the message is too short"))
}

fn optional_text<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Cow<'de, str>, A::Error> {
    Ok(seq.next_element::<Text<'de>>()?.map(|Text(text)| text).unwrap_or_default())
}

/// Reads an event exactly as NIP-01 writes one: hex in lower case, no other spellings of keys or
/// ids (`nostr`'s own reader also takes `npub1…` and `note1…`). Nothing is verified yet.
pub(crate) fn parse_event(json: &str) -> Option<Event> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(borrow)]
        pubkey: Cow<'a, str>,
        created_at: u64,
        kind: u16,
        tags: Tags,
        content: String,
        #[serde(borrow)]
        sig: Cow<'a, str>,
    }
    let wire: Wire<'_> = serde_json::from_str(json).ok()?;
    Some(Event::new(
        EventId::from_byte_array(lower_hex(&wire.id)?),
        PublicKey::from_byte_array(lower_hex(&wire.pubkey)?),
        wire.created_at.into(),
        Kind::from(wire.kind),
        wire.tags.to_vec(),
        wire.content,
        Signature::from_byte_array(lower_hex(&wire.sig)?),
    ))
}

fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let is_lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (is_lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

/// `["REQ",<id>,<filter>…]`
pub(crate) fn req<'a>(id: &str, filters: impl Iterator<Item = &'a Filter>) -> String {
    let mut frame = format!("[\"REQ\",{}", quoted(id));
    for filter in filters {
        frame.push(',');
        frame.push_str(&filter.as_json());
    }
    frame.push(']');
    frame
}

/// `["CLOSE",<id>]`
pub(crate) fn close(id: &str) -> String {
    format!("[\"CLOSE\",{}]", quoted(id))
}

/// `["AUTH",<event>]`
pub(crate) fn auth(event: &Event) -> String {
    format!("[\"AUTH\",{}]", event.as_json())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
