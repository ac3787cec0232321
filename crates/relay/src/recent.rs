//! A bounded memory of the newest things seen.

use std::{collections::HashMap, hash::Hash, mem};

/// Remembers at least the newest `keep` entries and at most twice as many: when the young half is
/// full it becomes the old one, and the old one is forgotten.
pub(crate) struct Recent<K, V> {
    keep: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    pub fn new(keep: usize) -> Self {
        Self { keep: keep.max(1), young: HashMap::new(), old: HashMap::new() }
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Remembers `key`; whether it was new.
    pub fn insert(&mut self, key: K, value: V) -> bool {
        let is_new = !self.contains(&key);
        if self.young.len() >= self.keep {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_the_newest_and_stays_bounded(keep in 1_usize..20, keys in prop::collection::vec(0_u32..60, 0..300)) {
            let mut recent = Recent::new(keep);
            for (index, key) in keys.iter().enumerate() {
                recent.insert(*key, ());
                for newest in &keys[index.saturating_sub(keep - 1)..=index] {
                    prop_assert!(recent.contains(newest));
                }
                prop_assert!(recent.young.len() + recent.old.len() <= 2 * keep);
            }
        }
    }
}
