//! The modelled relay: keeps what is published, once, and hands it out in any order.

use domain::{EventId, Pubkey};
use nip90::codec::{self, Feedback, Status, Template};
use nostr::event::{Event, Signature};
use std::collections::{BTreeMap, BTreeSet};
use vault::Identity;

/// One event as the relay holds it.
pub struct Stored {
    pub event: Event,
    pub kind: u16,
    pub author: Pubkey,
    /// Whom it names by `p`.
    pub people: Vec<String>,
    /// The request that it is the one answer to: a result or an error.
    pub answers: Option<String>,
}

#[derive(Default)]
pub struct Relay {
    stored: Vec<Stored>,
    by_id: BTreeMap<EventId, usize>,
}

impl Relay {
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    pub fn get(&self, index: usize) -> &Stored {
        &self.stored[index]
    }

    pub fn all(&self) -> &[Stored] {
        &self.stored
    }

    /// The event's id, and its place if it is new here.
    pub fn store(&mut self, event: Event) -> (EventId, Option<usize>) {
        let id = EventId(event.id.to_bytes());
        if self.by_id.contains_key(&id) {
            return (id, None);
        }
        let index = self.stored.len();
        let kind = event.kind.as_u16();
        let error = kind == codec::KIND_FEEDBACK
            && Feedback::parse(&event).is_ok_and(|said| said.terms.status == Status::Error);
        let named = |name: &str| -> Vec<String> {
            let tags = event.tags.iter().map(nostr::event::Tag::as_slice);
            let named = tags.filter(|tag| tag.first().is_some_and(|first| first == name));
            named.filter_map(|tag| tag.get(1).cloned()).collect()
        };
        let answers = (error || codec::is_result(kind)).then(|| named("e").into_iter().next());
        self.stored.push(Stored {
            kind,
            author: Pubkey(event.pubkey.to_bytes()),
            people: named("p"),
            answers: answers.flatten(),
            event,
        });
        self.by_id.insert(id, index);
        (id, Some(index))
    }

    /// Every answer of `author` to `request`.
    pub fn answers(&self, author: Pubkey, request: &str) -> BTreeSet<EventId> {
        let of_it = |stored: &&Stored| {
            stored.author == author && stored.answers.as_deref() == Some(request)
        };
        self.stored.iter().filter(of_it).map(|s| EventId(s.event.id.to_bytes())).collect()
    }
}

/// The template as an event of `identity`: the same each time.
pub fn sign(identity: &Identity, template: &Template) -> Event {
    let unsigned = template
        .unsigned(identity.pubkey())
        .expect("BUG: the engine builds templates that can be signed");
    let id = unsigned.compute_id();
    let signature = Signature::from_byte_array(identity.sign_digest(&id.to_bytes()));
    Event::new(
        id,
        unsigned.pubkey,
        unsigned.created_at,
        unsigned.kind,
        unsigned.tags,
        unsigned.content,
        signature,
    )
}
