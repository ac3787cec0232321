//! The stored events, found by id, author, kind, tag and time; and what replaces or deletes them.

use super::event::{Address, Order, Stored};
use nostr::filter::Filter;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

const DELETION: u16 = 5;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    New,
    /// It is stored already.
    Duplicate,
    /// A newer version of the same address is stored.
    Superseded,
    /// Its author deleted it (NIP-09).
    Deleted,
}

type Set = BTreeSet<Order>;

#[derive(Debug, Default)]
pub struct EventIndex {
    by_id: HashMap<[u8; 32], Arc<Stored>>,
    by_time: BTreeMap<Order, Arc<Stored>>,
    by_author: HashMap<[u8; 32], Set>,
    by_kind: HashMap<u16, Set>,
    by_tag: HashMap<u8, HashMap<Box<str>, Set>>,
    by_address: HashMap<Address, Order>,
    by_expiry: BTreeSet<(u64, [u8; 32])>,
    /// Ids that their author took back, and addresses up to a time.
    deleted_ids: HashSet<([u8; 32], [u8; 32])>,
    deleted_addresses: HashMap<Address, u64>,
    json_bytes: u64,
}

impl EventIndex {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Bytes of the JSON of all stored events.
    pub fn json_bytes(&self) -> u64 {
        self.json_bytes
    }

    /// Oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.by_time.values().rev()
    }

    /// What would become of this event; changes nothing.
    pub fn outcome(&self, stored: &Stored) -> Outcome {
        if self.by_id.contains_key(&stored.id()) {
            return Outcome::Duplicate;
        }
        if self.deleted_ids.contains(&(stored.id(), stored.author())) {
            return Outcome::Deleted;
        }
        let Some(address) = stored.address() else { return Outcome::New };
        let deleted_until = self.deleted_addresses.get(&address);
        if deleted_until.is_some_and(|until| stored.created_at() <= *until) {
            return Outcome::Deleted;
        }
        match self.by_address.get(&address) {
            // `Order` counts newest and lowest id as least.
            Some(current) if *current < stored.order() => Outcome::Superseded,
            _ => Outcome::New,
        }
    }

    /// Adds an event, and lets it replace or delete what it does.
    pub fn insert(&mut self, stored: &Arc<Stored>) -> Outcome {
        let outcome = self.outcome(stored);
        if outcome != Outcome::New {
            return outcome;
        }
        if let Some(address) = stored.address()
            && let Some(replaced) = self.by_address.insert(address, stored.order())
        {
            self.remove(&replaced);
        }
        if stored.kind() == DELETION {
            self.delete_what_it_names(stored);
        }
        self.add(stored);
        Outcome::New
    }

    fn add(&mut self, stored: &Arc<Stored>) {
        let order = stored.order();
        self.by_id.insert(stored.id(), Arc::clone(stored));
        self.by_time.insert(order, Arc::clone(stored));
        self.by_author.entry(stored.author()).or_default().insert(order);
        self.by_kind.entry(stored.kind()).or_default().insert(order);
        for (letter, value) in stored.indexed_tags() {
            let values = self.by_tag.entry(letter).or_default();
            match values.get_mut(value) {
                Some(set) => set.insert(order),
                None => values.entry(value.into()).or_default().insert(order),
            };
        }
        if let Some(at) = stored.expires_at() {
            self.by_expiry.insert((at, stored.id()));
        }
        self.json_bytes += stored.json.len() as u64;
    }

    fn remove(&mut self, order: &Order) {
        let Some(stored) = self.by_time.remove(order) else { return };
        self.by_id.remove(&stored.id());
        remove_from(&mut self.by_author, &stored.author(), order);
        remove_from(&mut self.by_kind, &stored.kind(), order);
        for (letter, value) in stored.indexed_tags() {
            if let Some(values) = self.by_tag.get_mut(&letter)
                && let Some(set) = values.get_mut(value)
            {
                set.remove(order);
                if set.is_empty() {
                    values.remove(value);
                }
            }
        }
        if let Some(at) = stored.expires_at() {
            self.by_expiry.remove(&(at, stored.id()));
        }
        if let Some(address) = stored.address()
            && self.by_address.get(&address) == Some(order)
        {
            self.by_address.remove(&address);
        }
        self.json_bytes -= stored.json.len() as u64;
    }

    /// NIP-09: only the author's own events, and never a deletion itself.
    fn delete_what_it_names(&mut self, deletion: &Stored) {
        let author = deletion.author();
        for id in deletion.event.tags.event_ids() {
            let id = id.to_bytes();
            match self.by_id.get(&id) {
                Some(named) if named.author() != author || named.kind() == DELETION => continue,
                Some(named) => {
                    let order = named.order();
                    self.remove(&order);
                }
                None => {}
            }
            self.deleted_ids.insert((id, author));
        }
        for coordinate in deletion.event.tags.coordinates() {
            if coordinate.public_key.to_bytes() != author {
                continue;
            }
            let address = Address {
                kind: coordinate.kind.as_u16(),
                author,
                identifier: coordinate.identifier,
            };
            let until = deletion.created_at();
            if let Some(current) = self.by_address.get(&address).copied()
                && current.0.0 <= until
            {
                self.remove(&current);
            }
            let known = self.deleted_addresses.entry(address).or_insert(0);
            *known = until.max(*known);
        }
    }

    /// Drops what has expired (NIP-40) and, oldest first, what is over `max_events`.
    pub fn prune(&mut self, now_secs: u64, max_events: usize) {
        while let Some((at, id)) = self.by_expiry.first().copied()
            && at <= now_secs
        {
            match self.by_id.get(&id).map(|stored| stored.order()) {
                Some(order) => self.remove(&order),
                None => {
                    self.by_expiry.pop_first();
                }
            }
        }
        while self.by_id.len() > max_events
            && let Some((order, _)) = self.by_time.last_key_value()
        {
            let order = *order;
            self.remove(&order);
        }
    }

    /// Stored events that any of the filters wants, newest first, each filter within its limit.
    pub fn query(
        &self,
        filters: &[Filter],
        default_limit: usize,
        max_limit: usize,
        now_secs: u64,
    ) -> Vec<Arc<Stored>> {
        let mut found: BTreeMap<Order, Arc<Stored>> = BTreeMap::new();
        for filter in filters {
            let limit = filter.limit.unwrap_or(default_limit).min(max_limit);
            self.query_one(filter, limit, now_secs, &mut found);
        }
        found.into_values().collect()
    }

    fn query_one(
        &self,
        filter: &Filter,
        limit: usize,
        now_secs: u64,
        found: &mut BTreeMap<Order, Arc<Stored>>,
    ) {
        let newest = (Reverse(filter.until.map_or(u64::MAX, |t| t.as_secs())), [0; 32]);
        let oldest = (Reverse(filter.since.map_or(0, |t| t.as_secs())), [u8::MAX; 32]);
        if limit == 0 || newest > oldest {
            return;
        }
        let wanted = |order: &Order| {
            let stored = self.by_time.get(order)?;
            let wanted = stored.matches(filter) && !stored.has_expired(now_secs);
            wanted.then(|| (*order, Arc::clone(stored)))
        };
        if let Some(ids) = &filter.ids {
            let orders =
                ids.iter().filter_map(|id| self.by_id.get(id.as_bytes())).map(|s| s.order());
            let chosen: BTreeMap<_, _> = orders.filter_map(|order| wanted(&order)).collect();
            found.extend(chosen.into_iter().take(limit));
            return;
        }
        match self.narrowest(filter) {
            None => found.extend(
                self.by_time
                    .range(newest..=oldest)
                    .map(|(order, _)| order)
                    .filter_map(wanted)
                    .take(limit),
            ),
            Some(sets) => {
                // The newest `limit` of all are among the newest `limit` of each.
                let mut candidates = BTreeMap::new();
                for set in sets {
                    candidates.extend(set.range(newest..=oldest).filter_map(wanted).take(limit));
                }
                found.extend(candidates.into_iter().take(limit));
            }
        }
    }

    /// The sets of the one condition that leaves the fewest candidates; none without conditions.
    fn narrowest(&self, filter: &Filter) -> Option<Vec<&Set>> {
        let mut conditions: Vec<Vec<&Set>> = Vec::new();
        if let Some(authors) = &filter.authors {
            let known = authors.iter().filter_map(|author| self.by_author.get(author.as_bytes()));
            conditions.push(known.collect());
        }
        if let Some(kinds) = &filter.kinds {
            let known = kinds.iter().filter_map(|kind| self.by_kind.get(&kind.as_u16()));
            conditions.push(known.collect());
        }
        for (letter, values) in &filter.generic_tags {
            let known = self.by_tag.get(&letter.as_byte());
            let known = values.iter().filter_map(|value| known?.get(value.as_str()));
            conditions.push(known.collect());
        }
        conditions.into_iter().min_by_key(|sets| sets.iter().map(|set| set.len()).sum::<usize>())
    }
}

fn remove_from<K: Eq + Hash>(sets: &mut HashMap<K, Set>, key: &K, order: &Order) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(order);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nostr::{
        event::{EventBuilder, FinalizeEvent, Kind, Tag},
        key::{Keys, SecretKey},
        types::Timestamp,
    };

    const NOW: u64 = 1_000_000;

    fn keys(byte: u8) -> Keys {
        Keys::new(SecretKey::from_slice(&[byte; 32]).unwrap())
    }

    fn made(by: u8, kind: u16, at: u64, tags: &[&[&str]]) -> Arc<Stored> {
        let tags: Vec<Tag> =
            tags.iter().map(|tag| Tag::parse(tag.iter().copied()).unwrap()).collect();
        let event = EventBuilder::new(Kind::from_u16(kind), format!("{kind} at {at}"))
            .tags(tags)
            .custom_created_at(Timestamp::from_secs(at))
            .finalize(&keys(by))
            .unwrap();
        Arc::new(Stored::new(event))
    }

    fn found(index: &EventIndex, filter: Filter) -> Vec<u64> {
        index.query(&[filter], 500, 5_000, NOW).iter().map(|s| s.created_at()).collect()
    }

    #[test]
    fn finds_by_each_condition_newest_first() {
        let mut index = EventIndex::default();
        for at in 1..=10 {
            let kind = if at % 2 == 0 { 5050 } else { 1 };
            let topic = format!("t{}", at % 3);
            index.insert(&made(1 + (at % 2) as u8, kind, at, &[&["t", &topic], &["e", "x"]]));
        }
        assert_eq!(found(&index, Filter::new()), [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(found(&index, Filter::new().limit(2)), [10, 9]);
        assert_eq!(found(&index, Filter::new().kind(Kind::from_u16(5050)).limit(2)), [10, 8]);
        assert_eq!(found(&index, Filter::new().author(keys(2).public_key())), [9, 7, 5, 3, 1]);
        assert_eq!(found(&index, Filter::new().hashtag("t1")), [10, 7, 4, 1]);
        let span = Filter::new().since(Timestamp::from_secs(3)).until(Timestamp::from_secs(5));
        assert_eq!(found(&index, span), [5, 4, 3]);
        let both = Filter::new().kind(Kind::from_u16(5050)).hashtag("t1");
        assert_eq!(found(&index, both), [10, 4]);
        let id = index.by_time.first_key_value().unwrap().1.event.id;
        assert_eq!(found(&index, Filter::new().id(id)), [10]);
        assert_eq!(found(&index, Filter::new().kinds(Vec::<Kind>::new())), Vec::<u64>::new());
        assert_eq!(found(&index, Filter::new().limit(0)), Vec::<u64>::new());
    }

    #[test]
    fn replaceable_events_keep_the_newest_and_of_one_second_the_lowest_id() {
        let mut index = EventIndex::default();
        assert_eq!(index.insert(&made(1, 10_002, 5, &[])), Outcome::New);
        assert_eq!(index.insert(&made(1, 10_002, 4, &[])), Outcome::Superseded);
        assert_eq!(index.insert(&made(1, 10_002, 6, &[])), Outcome::New);
        assert_eq!(index.insert(&made(2, 10_002, 1, &[])), Outcome::New);
        assert_eq!(found(&index, Filter::new()), [6, 1]);
        let (a, b) =
            (made(1, 31_990, 7, &[&["d", "x"]]), made(1, 31_990, 7, &[&["d", "x"], &["k", "1"]]));
        let (low, high) = if a.id() < b.id() { (a, b) } else { (b, a) };
        assert_eq!(index.insert(&high), Outcome::New);
        assert_eq!(index.insert(&low), Outcome::New);
        assert_eq!(index.insert(&high), Outcome::Superseded);
        assert_eq!(index.insert(&made(1, 31_990, 3, &[&["d", "y"]])), Outcome::New);
        assert_eq!(found(&index, Filter::new().kind(Kind::from_u16(31_990))), [7, 3]);
    }

    #[test]
    fn authors_delete_their_own_events_only() {
        let mut index = EventIndex::default();
        let (mine, theirs) = (made(1, 1, 5, &[]), made(2, 1, 6, &[]));
        index.insert(&mine);
        index.insert(&theirs);
        let (a, b) = (mine.event.id.to_hex(), theirs.event.id.to_hex());
        let deletion = made(1, 5, 7, &[&["e", &a], &["e", &b]]);
        assert_eq!(index.insert(&deletion), Outcome::New);
        assert_eq!(found(&index, Filter::new()), [7, 6]);
        assert_eq!(index.insert(&mine), Outcome::Deleted);
        let undo = made(1, 5, 8, &[&["e", &deletion.event.id.to_hex()]]);
        index.insert(&undo);
        assert_eq!(found(&index, Filter::new()), [8, 7, 6]);
    }

    #[test]
    fn a_deleted_address_takes_only_newer_versions() {
        let mut index = EventIndex::default();
        index.insert(&made(1, 31_990, 5, &[&["d", "x"]]));
        let address = format!("31990:{}:x", keys(1).public_key().to_hex());
        index.insert(&made(1, 5, 7, &[&["a", &address]]));
        assert_eq!(index.insert(&made(1, 31_990, 6, &[&["d", "x"]])), Outcome::Deleted);
        assert_eq!(index.insert(&made(1, 31_990, 8, &[&["d", "x"]])), Outcome::New);
    }

    #[test]
    fn what_expired_or_is_too_much_goes() {
        let mut index = EventIndex::default();
        index.insert(&made(1, 1, 5, &[&["expiration", "900"]]));
        index.insert(&made(1, 1, 6, &[&["expiration", "2000000"]]));
        index.insert(&made(1, 1, 7, &[]));
        assert_eq!(found(&index, Filter::new()), [7, 6], "what expired is not shown");
        index.prune(NOW, 10);
        assert_eq!(index.len(), 2);
        index.prune(NOW, 1);
        assert_eq!(found(&index, Filter::new()), [7]);
        assert_eq!(index.json_bytes(), index.all().map(|s| s.json.len() as u64).sum::<u64>());
        assert!(index.by_expiry.is_empty() && index.by_tag.values().all(HashMap::is_empty));
    }
}
