//! The inbox of one relay: a bounded queue from its socket to the verifier, and the verifier.
//!
//! The socket's task never waits here: what has no room stays in its backlog, and it stops reading
//! until there is room, while writes, pings and time-outs go on.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};

use crate::{
    fact::{Counters, EventFault, RelayFact},
    link::Shared,
    subs::Subscription,
    verify::Verdict,
};

/// What goes from the socket to the verifier, in order.
#[derive(Debug)]
pub(crate) enum Item {
    Event { subscription: Arc<Subscription>, raw: Arc<str> },
    Fact(RelayFact),
}

impl Item {
    fn kibibytes(&self) -> u32 {
        let bytes = match self {
            Self::Event { raw, .. } => raw.len(),
            Self::Fact(_) => 0,
        };
        u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX)
    }
}

struct Queued {
    item: Item,
    _room: OwnedSemaphorePermit,
}

/// The socket's end. Bounded in items and in bytes.
pub(crate) struct Inbox {
    sender: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    most_kibibytes: u32,
    backlog: VecDeque<Item>,
}

impl Inbox {
    /// Starts the verifier of one relay; it ends when the inbox is dropped and empty.
    pub fn start(
        runtime: &tokio::runtime::Handle,
        shared: Arc<Shared>,
        url: Arc<str>,
        counters: Arc<Counters>,
    ) -> Self {
        let limits = &shared.limits;
        let (sender, receiver) = mpsc::channel(limits.queue_events.max(1));
        let most = u32::try_from(limits.queue_bytes / 1024).unwrap_or(u32::MAX).max(1);
        let room = Arc::new(Semaphore::new(most as usize));
        let verifier = Verifier { shared, url, counters, last_bad_fact: None };
        runtime.spawn(verifier.run(receiver));
        Self { sender, room, most_kibibytes: most, backlog: VecDeque::new() }
    }

    /// Whether everything so far has found room.
    pub fn is_clear(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Passes an item on, or keeps it in the backlog.
    pub fn put(&mut self, item: Item) {
        if self.backlog.is_empty() {
            let kibibytes = item.kibibytes().min(self.most_kibibytes);
            let room = self.room.clone().try_acquire_many_owned(kibibytes);
            if let (Ok(room), Ok(slot)) = (room, self.sender.try_reserve()) {
                slot.send(Queued { item, _room: room });
                return;
            }
        }
        // While a stalled consumer holds everything up, only the newest state is worth keeping.
        if let (Some(Item::Fact(RelayFact::State { .. })), Item::Fact(RelayFact::State { .. })) =
            (self.backlog.back(), &item)
        {
            self.backlog.pop_back();
        }
        self.backlog.push_back(item);
    }

    /// Passes the oldest of the backlog on. Cancel-safe: an item is taken out only with its place.
    pub async fn pass_on(&mut self) {
        let Some(first) = self.backlog.front() else { return };
        let kibibytes = first.kibibytes().min(self.most_kibibytes);
        let room = self.room.clone().acquire_many_owned(kibibytes).await;
        let slot = self.sender.reserve().await;
        let item = self.backlog.pop_front();
        if let (Ok(room), Ok(slot), Some(item)) = (room, slot, item) {
            slot.send(Queued { item, _room: room });
        }
    }
}

/// Judges what one relay sends and hands on what holds, in order.
struct Verifier {
    shared: Arc<Shared>,
    url: Arc<str>,
    counters: Arc<Counters>,
    last_bad_fact: Option<Instant>,
}

impl Verifier {
    const BAD_FACT_EVERY: Duration = Duration::from_secs(1);

    async fn run(mut self, mut receiver: mpsc::Receiver<Queued>) {
        let facts = self.shared.facts.clone();
        while let Some(Queued { item, _room }) = receiver.recv().await {
            // Room first: what has been judged as delivered must be handed on, whatever happens.
            // Without anybody to hand it to, the queue is only emptied.
            let Ok(place) = facts.reserve().await else { continue };
            if let Some(fact) = self.fact_of(item) {
                place.send(fact);
            }
        }
    }

    fn fact_of(&mut self, item: Item) -> Option<RelayFact> {
        let (subscription, raw) = match item {
            Item::Fact(fact) => return Some(fact),
            Item::Event { subscription, raw } => (subscription, raw),
        };
        match self.shared.judge.judge(&subscription, &raw) {
            Verdict::Deliver(event) => {
                self.counters.delivered.fetch_add(1, Relaxed);
                let subscription = subscription.id.clone();
                Some(RelayFact::Event { url: self.url.clone(), subscription, event, raw })
            }
            Verdict::Duplicate => {
                self.counters.duplicates.fetch_add(1, Relaxed);
                None
            }
            Verdict::Bad(latest) => self.bad(latest),
        }
    }

    fn bad(&mut self, latest: EventFault) -> Option<RelayFact> {
        let total = self.counters.count_bad();
        tracing::debug!(relay = %self.url, fault = %latest, total, "refused an event");
        if self.last_bad_fact.is_some_and(|last| last.elapsed() < Self::BAD_FACT_EVERY) {
            return None;
        }
        self.last_bad_fact = Some(Instant::now());
        let at = (self.shared.clock)();
        Some(RelayFact::BadEvents { url: self.url.clone(), latest, total, at })
    }
}
