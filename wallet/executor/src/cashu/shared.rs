//! What the adapter's parts share: the mints, the book, and the facts that wait to be told.

use domain::{Msat, Network, PaymentHash};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use wallet::{
    Fact,
    event::Observed,
    wire::{Direction, NodeState},
};

use super::{
    book::{Book, Record},
    mint::{Heard, Mint},
    open::Tempo,
};

/// A quote that is not paid is looked at until so long after it expired.
const LATE_SECS: u64 = 7 * 24 * 3_600;

pub struct Shared {
    pub network: Network,
    pub mints: Vec<Mint>,
    pub book: Book,
    pub tempo: Tempo,
    state: Mutex<State>,
    told: Notify,
    pub nudge: Notify,
}

#[derive(Default)]
struct State {
    /// Oldest first, each with its record's key.
    facts: VecDeque<(String, Fact)>,
    /// Records whose end is awaited, with when they were looked at last.
    awaited: HashMap<String, (Record, Option<Instant>)>,
    /// Hashes that are being paid by this process at this moment.
    paying: HashSet<PaymentHash>,
}

impl Shared {
    pub fn new(
        network: Network,
        mints: Vec<Mint>,
        book: Book,
        tempo: Tempo,
        untold: Vec<Record>,
    ) -> Self {
        let awaited = untold.into_iter().map(|record| (record.key(), (record, None))).collect();
        let state = Mutex::new(State { awaited, ..State::default() });
        let (told, nudge) = (Notify::new(), Notify::new());
        Self { network, mints, book, tempo, state, told, nudge }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn mint(&self, url: &str) -> Option<&Mint> {
        self.mints.iter().find(|mint| mint.url == url)
    }

    /// Nothing where this hash is being paid already.
    pub fn claim(&self, payment_hash: PaymentHash) -> Option<Claim<'_>> {
        let is_first = self.state().paying.insert(payment_hash);
        is_first.then(|| Claim { shared: self, payment_hash })
    }

    pub fn is_paying(&self, payment_hash: PaymentHash) -> bool {
        self.state().paying.contains(&payment_hash)
    }

    pub fn await_end(&self, record: Record) {
        self.state().awaited.insert(record.key(), (record, None));
        self.nudge.notify_one();
    }

    /// Those to be looked at now: new ones often, older ones seldom.
    pub fn due(&self, all: bool) -> Vec<Record> {
        let (now, at) = (host::clock::now(), Instant::now());
        let mut state = self.state();
        let mut due = Vec::new();
        for (record, looked) in state.awaited.values_mut() {
            let age = Duration::from_millis(now.since_ms(record.at));
            let pause = self.tempo.look_every.max(age / 20);
            if all || looked.is_none_or(|looked| at.duration_since(looked) >= pause) {
                *looked = Some(at);
                due.push(record.clone());
            }
        }
        due
    }

    /// Whether nobody will pay this invoice any more.
    pub fn is_late(&self, record: &Record) -> bool {
        let end = record.expires_at.unwrap_or(record.at).plus_secs(LATE_SECS);
        record.direction == Direction::In && host::clock::now() > end
    }

    pub fn forget(&self, key: &str) {
        self.state().awaited.remove(key);
    }

    /// What became of a record. It is told once, and again until it is acknowledged.
    pub fn tell(&self, key: String, fact: Fact) {
        let mut state = self.state();
        if state.awaited.remove(&key).is_some() {
            state.facts.push_back((key, fact));
            drop(state);
            self.told.notify_waiters();
        }
    }

    pub async fn next_fact(&self) -> Fact {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if let Some((_, fact)) = self.state().facts.front() {
                return fact.clone();
            }
            told.await;
        }
    }

    /// The key of the fact that was told; it stays the first until [`Shared::drop_fact`].
    pub fn first_fact(&self) -> Option<String> {
        self.state().facts.front().map(|(key, _)| key.clone())
    }

    pub fn drop_fact(&self) {
        self.state().facts.pop_front();
    }

    /// What invoices that are not paid yet would bring to a mint.
    pub fn promised(&self, mint: &str) -> Msat {
        let now = host::clock::now();
        let state = self.state();
        let open = state.awaited.values().map(|(record, _)| record).filter(|record| {
            record.direction == Direction::In
                && record.mint == mint
                && record.expires_at.is_none_or(|end| end > now)
        });
        open.fold(Msat::ZERO, |sum, record| sum.saturating_add(record.amount_msat))
    }

    /// What a mint may still take in.
    pub fn room(&self, mint: &Mint, held: Msat) -> Msat {
        mint.most.saturating_sub(held).saturating_sub(self.promised(&mint.url))
    }

    pub async fn observe(&self) -> Observed {
        let (mut spendable, mut inbound) = (Msat::ZERO, Msat::ZERO);
        let mut troubles = Vec::new();
        let mut state = NodeState::Starting;
        let mut unknown = false;
        for mint in &self.mints {
            // What the seed had there before was not asked for yet.
            unknown |= !mint.was_restored(&self.book).await.unwrap_or(false);
            match mint.balance().await {
                Ok(held) => {
                    spendable = spendable.saturating_add(held);
                    if mint.heard() == Heard::Yes {
                        inbound = inbound.saturating_add(self.room(mint, held));
                    }
                }
                Err(error) => troubles.push(error.to_string()),
            }
            match mint.heard() {
                Heard::Yes => state = NodeState::Ready,
                Heard::No(why) => troubles.push(why),
                Heard::NotYet => {}
            }
        }
        if state == NodeState::Starting && !troubles.is_empty() {
            state = NodeState::Degraded;
        }
        let detail = (!troubles.is_empty()).then(|| troubles.join("; "));
        let (inbound_msat, onchain_msat) = (inbound, Msat::ZERO);
        let spendable_msat = (!unknown).then_some(spendable);
        Observed { state, detail, inbound_msat, onchain_msat, spendable_msat, unknown }
    }
}

/// One payment of a hash at a time in this process.
pub struct Claim<'a> {
    shared: &'a Shared,
    payment_hash: PaymentHash,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.shared.state().paying.remove(&self.payment_hash);
        self.shared.nudge.notify_one();
    }
}
