//! An event as the relay keeps it, and whether a filter wants it.

use nostr::{event::Event, filter::Filter};
use std::cmp::Reverse;

/// Newest first; of the same second, the lowest id first (NIP-01).
pub type Order = (Reverse<u64>, [u8; 32]);

/// A verified event with its JSON, which is sent to every reader as it is.
#[derive(Debug)]
pub struct Stored {
    pub event: Event,
    pub json: Box<str>,
}

/// The address of a replaceable or addressable event (NIP-01).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub kind: u16,
    pub author: [u8; 32],
    /// Empty for replaceable kinds.
    pub identifier: String,
}

impl Stored {
    pub fn new(event: Event) -> Self {
        let json = event.as_json().into_boxed_str();
        Self { event, json }
    }

    pub fn id(&self) -> [u8; 32] {
        self.event.id.to_bytes()
    }

    pub fn author(&self) -> [u8; 32] {
        self.event.pubkey.to_bytes()
    }

    pub fn kind(&self) -> u16 {
        self.event.kind.as_u16()
    }

    pub fn created_at(&self) -> u64 {
        self.event.created_at.as_secs()
    }

    pub fn order(&self) -> Order {
        (Reverse(self.created_at()), self.id())
    }

    /// When it expires, in seconds (NIP-40).
    pub fn expires_at(&self) -> Option<u64> {
        self.event.tags.expiration().map(|time| time.as_secs())
    }

    pub fn has_expired(&self, now_secs: u64) -> bool {
        self.expires_at().is_some_and(|at| at <= now_secs)
    }

    pub fn address(&self) -> Option<Address> {
        let kind = self.event.kind;
        let identifier = if kind.is_addressable() {
            self.event.tags.identifier().unwrap_or_default()
        } else if kind.is_replaceable() {
            String::new()
        } else {
            return None;
        };
        Some(Address { kind: self.kind(), author: self.author(), identifier })
    }

    /// Tags of one letter with their first value: what filters can ask for.
    pub fn indexed_tags(&self) -> impl Iterator<Item = (u8, &str)> {
        self.event.tags.iter().filter_map(|tag| {
            let (letter, value) = (tag.single_letter_tag()?, tag.content()?);
            Some((letter.as_byte(), value))
        })
    }

    /// Whether a filter wants it. An empty list wants nothing.
    pub fn matches(&self, filter: &Filter) -> bool {
        let event = &self.event;
        filter.since.is_none_or(|since| event.created_at >= since)
            && filter.until.is_none_or(|until| event.created_at <= until)
            && filter.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind))
            && filter.authors.as_ref().is_none_or(|authors| authors.contains(&event.pubkey))
            && filter.ids.as_ref().is_none_or(|ids| ids.contains(&event.id))
            && filter.generic_tags.iter().all(|(letter, values)| {
                self.indexed_tags()
                    .any(|(own, value)| own == letter.as_byte() && values.contains(value))
            })
    }
}
