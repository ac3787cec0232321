//! Relays that buyers name: their answers go there, a few such relays at a time, none for good.

use relay::{NostrClient, RelaySpec};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Half of what the pool takes: strangers never crowd out the operator's own relays.
const MOST: usize = 16;

/// The relays of the pool that are there because a request named them, oldest first.
#[derive(Default)]
pub struct Guests(Mutex<VecDeque<String>>);

impl Guests {
    /// Makes the relay reachable, which may send the oldest guest away; false where its address
    /// can't be used.
    pub fn admit(&self, pool: &dyn NostrClient, url: &str) -> bool {
        if pool.add_relay(&RelaySpec::addressed_only(url)).is_err() {
            return false;
        }
        let mut urls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !urls.iter().any(|known| known == url) {
            urls.push_back(url.to_owned());
        }
        while urls.len() > MOST {
            if let Some(oldest) = urls.pop_front() {
                let _was_gone = pool.remove_relay(&oldest);
            }
        }
        true
    }

    /// The operator has this relay in the list now: it stays.
    pub fn adopt(&self, url: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known != url);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay::{Pool, PoolConfig};
    use std::sync::Arc;

    #[tokio::test]
    async fn strangers_do_not_fill_the_pool() {
        let (facts, _seen) = tokio::sync::mpsc::channel(64);
        let door = Arc::new(net::Egress::default());
        let pool = Pool::new(PoolConfig::new(door, Arc::new(host::clock::now)), facts).unwrap();
        let guests = Guests::default();
        for n in 0..40 {
            assert!(guests.admit(&pool, &format!("wss://relay{n}.invalid")));
        }
        assert!(!guests.admit(&pool, "https://relay.invalid"));
        assert_eq!(pool.health().len(), MOST);
        // One of them becomes the operator's own: read and written from then on, and never sent away.
        pool.add_relay(&RelaySpec::full("wss://relay39.invalid")).unwrap();
        guests.adopt("wss://relay39.invalid");
        for n in 50..90 {
            guests.admit(&pool, &format!("wss://relay{n}.invalid"));
        }
        let own: Vec<_> = pool.health().into_iter().filter(|relay| relay.read).collect();
        assert_eq!(own.len(), 1);
        assert!(own[0].write && own[0].url.contains("relay39"));
        pool.shutdown().await;
    }
}
