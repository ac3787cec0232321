//! Who wants an event: subscriptions found by what their filters name, not by trying them all.

use super::{event::Stored, outbox::Outbox};
use nostr::filter::Filter;
use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

pub type ConnectionId = u64;
type SubscriptionKey = u64;
/// A subscription and which of its filters.
type Places = BTreeSet<(SubscriptionKey, usize)>;

/// The one condition of a filter by which it is found.
enum Handle<'a> {
    Ids(Vec<[u8; 32]>),
    Tag(u8, Vec<&'a str>),
    Authors(Vec<[u8; 32]>),
    Kinds(Vec<u16>),
    Any,
}

fn handle(filter: &Filter) -> Handle<'_> {
    if let Some(ids) = &filter.ids {
        return Handle::Ids(ids.iter().map(|id| id.to_bytes()).collect());
    }
    let rarest = filter.generic_tags.iter().min_by_key(|(_, values)| values.len());
    if let Some((letter, values)) = rarest {
        return Handle::Tag(letter.as_byte(), values.iter().map(String::as_str).collect());
    }
    if let Some(authors) = &filter.authors {
        return Handle::Authors(authors.iter().map(|author| author.to_bytes()).collect());
    }
    match &filter.kinds {
        Some(kinds) => Handle::Kinds(kinds.iter().map(|kind| kind.as_u16()).collect()),
        None => Handle::Any,
    }
}

struct Subscription {
    id: Arc<str>,
    outbox: Arc<Outbox>,
    filters: Vec<Filter>,
}

/// All open subscriptions.
#[derive(Default)]
pub struct Subscriptions {
    open: HashMap<SubscriptionKey, Subscription>,
    by_connection: HashMap<ConnectionId, HashMap<Arc<str>, SubscriptionKey>>,
    next: SubscriptionKey,
    by_id: HashMap<[u8; 32], Places>,
    by_tag: HashMap<u8, HashMap<Box<str>, Places>>,
    by_author: HashMap<[u8; 32], Places>,
    by_kind: HashMap<u16, Places>,
    any: Places,
}

impl Subscriptions {
    /// How many a connection has besides one of this id.
    pub fn others(&self, connection: ConnectionId, id: &str) -> usize {
        self.by_connection
            .get(&connection)
            .map_or(0, |own| own.len() - usize::from(own.contains_key(id)))
    }

    /// Opens a subscription; one of the same id on the same connection is replaced (NIP-01).
    pub fn open(
        &mut self,
        connection: ConnectionId,
        id: Arc<str>,
        outbox: Arc<Outbox>,
        filters: Vec<Filter>,
    ) {
        self.close(connection, &id);
        let key = self.next;
        self.next += 1;
        for (place, filter) in filters.iter().enumerate() {
            let at = (key, place);
            match handle(filter) {
                Handle::Ids(ids) => add_all(&mut self.by_id, ids, at),
                Handle::Authors(authors) => add_all(&mut self.by_author, authors, at),
                Handle::Kinds(kinds) => add_all(&mut self.by_kind, kinds, at),
                Handle::Tag(letter, values) => {
                    let values = values.into_iter().map(Box::from);
                    add_all(self.by_tag.entry(letter).or_default(), values, at);
                }
                Handle::Any => {
                    self.any.insert(at);
                }
            }
        }
        self.by_connection.entry(connection).or_default().insert(Arc::clone(&id), key);
        self.open.insert(key, Subscription { id, outbox, filters });
    }

    pub fn close(&mut self, connection: ConnectionId, id: &str) {
        let Some(own) = self.by_connection.get_mut(&connection) else { return };
        let Some(key) = own.remove(id) else { return };
        if own.is_empty() {
            self.by_connection.remove(&connection);
        }
        self.forget(key);
    }

    pub fn close_all(&mut self, connection: ConnectionId) {
        for key in self.by_connection.remove(&connection).unwrap_or_default().into_values() {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: SubscriptionKey) {
        let Some(subscription) = self.open.remove(&key) else { return };
        for (place, filter) in subscription.filters.iter().enumerate() {
            let at = (key, place);
            match handle(filter) {
                Handle::Ids(ids) => remove_all(&mut self.by_id, &ids, at),
                Handle::Authors(authors) => remove_all(&mut self.by_author, &authors, at),
                Handle::Kinds(kinds) => remove_all(&mut self.by_kind, &kinds, at),
                Handle::Tag(letter, values) => {
                    let known = self.by_tag.entry(letter).or_default();
                    for value in values {
                        if let Some(places) = known.get_mut(value) {
                            places.remove(&at);
                            if places.is_empty() {
                                known.remove(value);
                            }
                        }
                    }
                }
                Handle::Any => {
                    self.any.remove(&at);
                }
            }
        }
    }

    /// Calls `deliver` once for each subscription that wants the event.
    pub fn wanting(&self, stored: &Stored, mut deliver: impl FnMut(&Arc<str>, &Arc<Outbox>)) {
        let mut matched: Vec<SubscriptionKey> = Vec::new();
        let mut consider = |places: Option<&Places>| {
            for (key, place) in places.into_iter().flatten() {
                let Some(subscription) = self.open.get(key) else { continue };
                if stored.matches(&subscription.filters[*place]) && !matched.contains(key) {
                    matched.push(*key);
                    deliver(&subscription.id, &subscription.outbox);
                }
            }
        };
        consider(self.by_id.get(&stored.id()));
        for (letter, value) in stored.indexed_tags() {
            consider(self.by_tag.get(&letter).and_then(|values| values.get(value)));
        }
        consider(self.by_author.get(&stored.author()));
        consider(self.by_kind.get(&stored.kind()));
        consider(Some(&self.any));
    }
}

fn add_all<K: Eq + Hash>(
    map: &mut HashMap<K, Places>,
    keys: impl IntoIterator<Item = K>,
    at: (SubscriptionKey, usize),
) {
    for key in keys {
        map.entry(key).or_default().insert(at);
    }
}

fn remove_all<K: Eq + Hash>(
    map: &mut HashMap<K, Places>,
    keys: &[K],
    at: (SubscriptionKey, usize),
) {
    for key in keys {
        if let Some(places) = map.get_mut(key) {
            places.remove(&at);
            if places.is_empty() {
                map.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nostr::{
        event::{EventBuilder, FinalizeEvent, Kind, Tag},
        key::{Keys, SecretKey},
    };

    fn event(kind: u16, tags: &[(&str, &str)]) -> Stored {
        let keys = Keys::new(SecretKey::from_slice(&[3; 32]).unwrap());
        let tags = tags.iter().map(|(name, value)| Tag::parse([*name, *value]).unwrap());
        let built = EventBuilder::new(Kind::from_u16(kind), "").tags(tags.collect::<Vec<_>>());
        Stored::new(built.finalize(&keys).unwrap())
    }

    fn wanting(all: &Subscriptions, stored: &Stored) -> Vec<String> {
        let mut ids = Vec::new();
        all.wanting(stored, |id, _| ids.push(id.to_string()));
        ids.sort();
        ids
    }

    #[test]
    fn each_subscription_that_wants_an_event_is_named_once() {
        let mut all = Subscriptions::default();
        let (outbox, _queue) = Outbox::new(8, 1_000);
        let mut open = |connection, id: &str, filters| {
            all.open(connection, id.into(), Arc::clone(&outbox), filters);
        };
        open(1, "kind", vec![Filter::new().kind(Kind::from_u16(5050))]);
        open(
            1,
            "tag",
            vec![Filter::new().custom_tag(nostr::filter::SingleLetterTag::LOWERCASE_P, "me")],
        );
        open(
            2,
            "both",
            vec![
                Filter::new().kind(Kind::from_u16(5050)),
                Filter::new().kind(Kind::from_u16(1)),
                Filter::new().custom_tag(nostr::filter::SingleLetterTag::LOWERCASE_P, "me"),
            ],
        );
        open(2, "all", vec![Filter::new()]);
        open(2, "none", vec![Filter::new().kinds(Vec::<Kind>::new())]);
        assert_eq!(wanting(&all, &event(5050, &[("p", "me")])), ["all", "both", "kind", "tag"]);
        assert_eq!(wanting(&all, &event(1, &[])), ["all", "both"]);
        all.close(2, "both");
        assert_eq!(all.others(2, "all"), 1);
        all.close_all(1);
        assert_eq!(wanting(&all, &event(5050, &[("p", "me")])), ["all"]);
        all.close_all(2);
        assert!(all.open.is_empty() && all.by_connection.is_empty());
        assert!(all.by_kind.is_empty() && all.any.is_empty());
        assert!(all.by_tag.values().all(HashMap::is_empty));
    }
}
