//! Subscriptions: what the pool wants of all relays, and how a reconnected one is asked to catch up.

use domain::Timestamp;
use nostr::filter::Filter;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

use crate::{port::RelayError, wire};

/// One subscription. A changed one has a new generation.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub id: Arc<str>,
    pub generation: u64,
    pub filters: Vec<Filter>,
}

impl Subscription {
    /// What relays call it: says nothing about us, and is never used twice.
    fn wire_name(&self) -> String {
        self.generation.to_string()
    }

    /// The `REQ` frame. A relay that was in step until `seen_until` is asked for what came since,
    /// without the `limit`s, which were meant for the first time.
    pub fn req(&self, seen_until: Option<Timestamp>, overlap_secs: u64) -> String {
        let Some(seen_until) = seen_until else {
            return wire::req(&self.wire_name(), self.filters.iter());
        };
        let since = seen_until.minus_secs(overlap_secs).as_secs();
        let filters: Vec<Filter> = self
            .filters
            .iter()
            .map(|filter| {
                let since = filter.since.map_or(since, |own| own.as_secs().max(since));
                filter.clone().since(since.into()).remove_limit()
            })
            .collect();
        wire::req(&self.wire_name(), filters.iter())
    }
}

/// What all read relays are asked for.
pub(crate) struct Subscriptions {
    table: Mutex<Table>,
    changed: watch::Sender<()>,
    most: usize,
}

struct Table {
    wanted: BTreeMap<Arc<str>, Arc<Subscription>>,
    generation: u64,
}

impl Subscriptions {
    /// More filters than any relay takes (NIP-11 names 10 to 100).
    const MOST_FILTERS: usize = 32;

    pub fn new(most: usize) -> Self {
        let table = Mutex::new(Table { wanted: BTreeMap::new(), generation: 0 });
        Self { table, changed: watch::Sender::new(()), most }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, id: &str, filters: Vec<Filter>) -> Result<(), RelayError> {
        if !(1..=64).contains(&id.chars().count()) || id.len() > 64 {
            return Err(RelayError::BadSubscriptionId);
        }
        if !(1..=Self::MOST_FILTERS).contains(&filters.len()) {
            return Err(RelayError::BadFilters { max: Self::MOST_FILTERS });
        }
        let mut table = self.table();
        match table.wanted.get(id) {
            Some(same) if same.filters == filters => return Ok(()),
            None if table.wanted.len() >= self.most => {
                return Err(RelayError::TooManySubscriptions { max: self.most });
            }
            _ => {}
        }
        table.generation += 1;
        let subscription = Subscription { id: id.into(), generation: table.generation, filters };
        table.wanted.insert(subscription.id.clone(), Arc::new(subscription));
        drop(table);
        self.changed.send_replace(());
        Ok(())
    }

    pub fn remove(&self, id: &str) {
        if self.table().wanted.remove(id).is_some() {
            self.changed.send_replace(());
        }
    }

    pub fn all(&self) -> Vec<Arc<Subscription>> {
        self.table().wanted.values().cloned().collect()
    }

    /// Wakes at each change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nostr::event::Kind;

    fn kind(kind: u16) -> Filter {
        Filter::new().kind(Kind::from(kind))
    }

    #[test]
    fn the_same_again_changes_nothing_and_a_change_is_a_new_generation() {
        let subs = Subscriptions::new(2);
        subs.put("a", vec![kind(1)]).unwrap();
        let first = subs.all()[0].generation;
        subs.put("a", vec![kind(1)]).unwrap();
        assert_eq!(subs.all()[0].generation, first);
        subs.put("a", vec![kind(2)]).unwrap();
        assert!(subs.all()[0].generation > first);
        subs.put("b", vec![kind(1)]).unwrap();
        let full = subs.put("c", vec![kind(1)]);
        assert_eq!(full, Err(RelayError::TooManySubscriptions { max: 2 }));
        subs.remove("b");
        subs.put("c", vec![kind(1)]).unwrap();
    }

    #[test]
    fn refuses_what_nip01_forbids() {
        let subs = Subscriptions::new(2);
        for id in ["", &"x".repeat(65)] {
            assert_eq!(subs.put(id, vec![kind(1)]), Err(RelayError::BadSubscriptionId));
        }
        assert!(matches!(subs.put("a", vec![]), Err(RelayError::BadFilters { .. })));
        assert!(matches!(subs.put("a", vec![kind(1); 33]), Err(RelayError::BadFilters { .. })));
    }

    #[test]
    fn catches_up_from_where_it_was_in_step() {
        let subscription = Subscription {
            id: "s".into(),
            generation: 1,
            filters: vec![kind(1).limit(5), kind(2).since(2_000.into())],
        };
        assert_eq!(
            subscription.req(None, 100),
            r#"["REQ","1",{"kinds":[1],"limit":5},{"kinds":[2],"since":2000}]"#
        );
        assert_eq!(
            subscription.req(Some(Timestamp::from_secs(1_500)), 100),
            r#"["REQ","1",{"kinds":[1],"since":1400},{"kinds":[2],"since":2000}]"#
        );
    }
}
