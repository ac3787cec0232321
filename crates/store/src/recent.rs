//! Bodies that were written lately, in memory: their first readers need neither disk nor cipher.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{Body, BodyRef, Sha256Hash};

/// Bytes of each of the two generations.
const GENERATION_BYTES: usize = 4 << 20;

/// The newest committed bodies of one store, shared with whoever reads them. Bounded in bytes; the
/// database stays the only home of a body.
#[derive(Clone, Debug, Default)]
pub struct RecentBodies(Arc<Mutex<Generations>>);

/// When the young one is full it becomes the old one, and the old one is dropped.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Sha256Hash, Arc<[u8]>>,
    young_bytes: usize,
    old: HashMap<Sha256Hash, Arc<[u8]>>,
}

impl RecentBodies {
    /// The bytes of a body that was committed lately.
    pub fn get(&self, reference: &BodyRef) -> Option<Arc<[u8]>> {
        let kept = self.lock();
        kept.young.get(&reference.hash).or_else(|| kept.old.get(&reference.hash)).cloned()
    }

    /// Takes over what a batch has committed.
    pub(crate) fn keep(&self, bodies: &[Body]) {
        if bodies.is_empty() {
            return;
        }
        let mut kept = self.lock();
        for body in bodies.iter().filter(|body| body.bytes.len() <= GENERATION_BYTES) {
            if kept.young_bytes + body.bytes.len() > GENERATION_BYTES {
                kept.old = mem::take(&mut kept.young);
                kept.young_bytes = 0;
            }
            if kept.young.insert(body.reference.hash, Arc::clone(&body.bytes)).is_none() {
                kept.young_bytes += body.bytes.len();
            }
        }
    }

    /// A forgotten body is gone here too.
    pub(crate) fn forget(&self, reference: &BodyRef) {
        let mut kept = self.lock();
        if let Some(bytes) = kept.young.remove(&reference.hash) {
            kept.young_bytes -= bytes.len();
        }
        kept.old.remove(&reference.hash);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(salt: u8, len: usize) -> Body {
        Body::new([salt; 32], "text/plain", vec![salt; len])
    }

    #[test]
    fn a_forgotten_body_is_gone() {
        let recent = RecentBodies::default();
        let body = body(1, 10);
        recent.keep(std::slice::from_ref(&body));
        assert_eq!(recent.get(&body.reference).as_deref(), Some(&[1; 10][..]));
        recent.forget(&body.reference);
        assert_eq!(recent.get(&body.reference), None);
        assert_eq!(recent.lock().young_bytes, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn stays_bounded_and_keeps_the_newest(
            sizes in prop::collection::vec(0_usize..2 * GENERATION_BYTES, 1..12),
        ) {
            let recent = RecentBodies::default();
            for (salt, size) in (0..).zip(&sizes) {
                let body = body(salt, *size);
                recent.keep(std::slice::from_ref(&body));
                let found = recent.get(&body.reference);
                prop_assert_eq!(found.is_some(), *size <= GENERATION_BYTES);
                let kept = recent.lock();
                let bytes = |bodies: &HashMap<Sha256Hash, Arc<[u8]>>| -> usize {
                    bodies.values().map(|bytes| bytes.len()).sum()
                };
                prop_assert_eq!(bytes(&kept.young), kept.young_bytes);
                prop_assert!(kept.young_bytes <= GENERATION_BYTES);
                prop_assert!(bytes(&kept.old) <= GENERATION_BYTES);
            }
        }
    }
}
