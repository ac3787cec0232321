//! Deletion requests, kind 5 (NIP-09): how a buyer cancels a job, and a provider its announcement.

use domain::{EventId, Pubkey, RequestId};
use nostr::event::Event;

use super::{KIND_ANNOUNCEMENT, KIND_DELETION, MAX_NAMED, ParseError, Template, tags};

/// A deletion as it stands in a verified event. It holds only for events of the same author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    pub id: EventId,
    pub author: Pubkey,
    pub created_at_secs: u64,
    pub events: Vec<EventId>,
}

impl Deletion {
    /// Reads a deletion out of an event that was verified before.
    pub fn parse(event: &Event) -> Result<Self, ParseError> {
        let kind = tags::kind(event);
        if kind != KIND_DELETION {
            return Err(ParseError::WrongKind(kind, "a deletion"));
        }
        let ids = tags::all(event, "e").filter_map(|values| values.first()?.parse().ok());
        Ok(Self {
            id: tags::id(event),
            author: tags::author(event),
            created_at_secs: tags::created_at(event),
            events: ids.take(MAX_NAMED).collect(),
        })
    }
}

/// Cancels a request of ours.
pub fn of_request(id: RequestId, kind: u16, created_at_secs: u64) -> Template {
    let mut template = Template::new(KIND_DELETION, created_at_secs);
    template.tag(["e", &id.to_string()]);
    template.tag(["k", &kind.to_string()]);
    template
}

/// Takes back our announcement `d`.
pub fn of_announcement(author: Pubkey, d: &str, created_at_secs: u64) -> Template {
    let mut template = Template::new(KIND_DELETION, created_at_secs);
    template.tag(["a", &format!("{KIND_ANNOUNCEMENT}:{author}:{d}")]);
    template.tag(["k", &KIND_ANNOUNCEMENT.to_string()]);
    template
}
