//! An event before it is signed, and its id (NIP-01).

use domain::{EventId, Pubkey};
use nostr::{
    event::{Kind, Tag, UnsignedEvent},
    key::PublicKey,
};
use serde::{Deserialize, Serialize};

use super::MAX_EVENT_BYTES;

/// An event without author, id and signature: the same template and key give the same id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub kind: u16,
    pub created_at_secs: u64,
    pub tags: Vec<Vec<String>>,
    pub content: String,
}

/// Why an event cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error(
        "the event would have {0} bytes; relays take at most {MAX_EVENT_BYTES}. Send large things as a blob"
    )]
    TooLarge(usize),
    #[error("kind {0} is not a job request's (5000 to 5999)")]
    NotARequest(u16),
    #[error("a tag without a name cannot be sent")]
    EmptyTag,
    #[error("the value of {0} is not what NIP-90 allows there")]
    BadValue(&'static str),
    #[error("the stored request cannot be read: {0}")]
    Request(String),
    #[error("the result's content is not text and no blob was made of it")]
    NotText,
}

impl Template {
    pub(crate) fn new(kind: u16, created_at_secs: u64) -> Self {
        Self { kind, created_at_secs, tags: Vec::new(), content: String::new() }
    }

    pub(crate) fn tag<const N: usize>(&mut self, values: [&str; N]) {
        self.tags.push(values.iter().map(|value| (*value).to_owned()).collect());
    }

    /// The bytes of the signed event as JSON.
    pub fn signed_bytes(&self) -> usize {
        // id, pubkey, sig, the keys and their punctuation.
        const FRAME: usize = 64 + 64 + 128 + 96;
        serde_json::to_vec(&(&self.tags, &self.content))
            .map_or(usize::MAX, |json| json.len() + FRAME)
    }

    /// Refuses what relays will not take.
    pub fn fits(self) -> Result<Self, BuildError> {
        match self.signed_bytes() {
            bytes if bytes > MAX_EVENT_BYTES => Err(BuildError::TooLarge(bytes)),
            _ => Ok(self),
        }
    }

    /// The event as the `nostr` crate signs it.
    pub fn unsigned(&self, author: Pubkey) -> Result<UnsignedEvent, BuildError> {
        let tags: Vec<Tag> = self
            .tags
            .iter()
            .map(|tag| Tag::parse(tag.iter().map(String::as_str)))
            .collect::<Result<_, _>>()
            .map_err(|_| BuildError::EmptyTag)?;
        Ok(UnsignedEvent::new(
            PublicKey::from_byte_array(author.0),
            nostr::types::Timestamp::from_secs(self.created_at_secs),
            Kind::from(self.kind),
            tags,
            self.content.as_str(),
        ))
    }

    /// The id the event has when `author` signs it.
    pub fn id(&self, author: Pubkey) -> Result<EventId, BuildError> {
        Ok(EventId(self.unsigned(author)?.compute_id().to_bytes()))
    }
}
