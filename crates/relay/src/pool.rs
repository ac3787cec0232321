//! The pool: all relays behind one port.

use futures_util::{StreamExt, stream::FuturesUnordered};
use nostr::filter::Filter;
use nostr::types::RelayUrl;
use rustls::ClientConfig;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    dial::Dialler,
    fact::{Counters, RelayFact, RelayHealth},
    flight::{Answer, Flight, Publish},
    inbox::Inbox,
    link::{Link, Shared},
    port::{
        BoxFuture, Clock, Door, NostrClient, RelayError, RelaySpec, Signer, Targets, name_of,
        normal_url,
    },
    publish::{Accepted, Outgoing, PublishOptions, PublishReport, Refusal, Rejected},
    subs::Subscriptions,
    tls,
    verify::Judge,
};

/// What a pool is made of.
pub struct PoolConfig {
    pub relays: Vec<RelaySpec>,
    /// Answers NIP-42 challenges; without one, relays that ask for it are not authenticated to.
    pub auth_signer: Option<Arc<dyn Signer>>,
    /// Decides where relay addresses may lead.
    pub door: Arc<dyn Door>,
    pub clock: Clock,
    pub tls: Arc<ClientConfig>,
    pub limits: Limits,
    pub timing: Timing,
}

impl PoolConfig {
    /// No relays, nobody to authenticate as, the usual limits.
    pub fn new(door: Arc<dyn Door>, clock: Clock) -> Self {
        Self {
            relays: Vec::new(),
            auth_signer: None,
            door,
            clock,
            tls: tls::client_config(),
            limits: Limits::default(),
            timing: Timing::default(),
        }
    }
}

/// Bounds on what relays can make us hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest message and frame that is read.
    pub message_bytes: usize,
    pub relays: usize,
    pub subscriptions: usize,
    /// Publications in flight to one relay; more wait.
    pub in_flight: usize,
    /// Events of one relay that wait for verification, in number and in bytes.
    pub queue_events: usize,
    pub queue_bytes: usize,
    /// Ids that are remembered to know copies (at most twice as many).
    pub remembered_ids: usize,
    /// Bad events and messages after which a connection is ended.
    pub bad_events: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1024 * 1024,
            relays: 32,
            subscriptions: 32,
            in_flight: 1024,
            queue_events: 2048,
            queue_bytes: 16 * 1024 * 1024,
            remembered_ids: 32 * 1024,
            bad_events: 200,
        }
    }
}

/// Waits and time-outs.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub connect: Duration,
    /// Silence after which a ping is sent.
    pub ping_after: Duration,
    /// Silence after which the connection counts as dead; longer than `ping_after`.
    pub dead_after: Duration,
    pub backoff_first: Duration,
    pub backoff_most: Duration,
    /// A connection that lasted this long makes the next wait short again.
    pub stable_after: Duration,
    /// How far a reconnected relay is asked to go back before the moment it was last heard: for
    /// authors' clocks that are behind, and for relays that are slow to pass events on.
    pub overlap_secs: u64,
    /// How long a publication waits for its `OK` after a bare `NOTICE`.
    pub notice_grace: Duration,
    /// The first wait after `rate-limited`; doubles.
    pub rate_limit_wait: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            ping_after: Duration::from_secs(25),
            dead_after: Duration::from_secs(45),
            backoff_first: Duration::from_millis(500),
            backoff_most: Duration::from_secs(60),
            stable_after: Duration::from_secs(30),
            overlap_secs: 300,
            notice_grace: Duration::from_secs(2),
            rate_limit_wait: Duration::from_secs(1),
        }
    }
}

/// A client of several relays. Clones are the same pool; it disconnects when the last is dropped.
///
/// Facts go to a bounded channel. While it is full no relay is read, so whoever receives the facts
/// must not wait for [`NostrClient::publish`] before it takes the next one.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Handle,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: BTreeMap<Arc<str>, LinkHandle>,
    tasks: JoinSet<()>,
    is_shut_down: bool,
}

struct LinkHandle {
    commands: mpsc::Sender<Publish>,
    stop: watch::Sender<bool>,
    counters: Arc<Counters>,
    read: bool,
    write: bool,
}

impl Pool {
    /// Connects to the configured relays. Must be called inside a tokio runtime, which then runs
    /// the pool's tasks. Facts go to `facts`; a dropped receiver makes the pool publish only.
    pub fn new(config: PoolConfig, facts: mpsc::Sender<RelayFact>) -> Result<Self, RelayError> {
        let shared = Arc::new(Shared {
            judge: Judge::new(config.limits.remembered_ids),
            subscriptions: Subscriptions::new(config.limits.subscriptions),
            door: config.door,
            tls: config.tls,
            clock: config.clock,
            signer: config.auth_signer,
            limits: config.limits,
            timing: config.timing,
            facts,
        });
        let state = Mutex::new(State::default());
        let pool = Self { inner: Arc::new(Inner { runtime: Handle::current(), shared, state }) };
        for relay in &config.relays {
            pool.add_relay(relay)?;
        }
        Ok(pool)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each target once, with the way to it where there is one.
    fn targets(&self, to: &Targets) -> Vec<(Arc<str>, Option<mpsc::Sender<Publish>>)> {
        let state = self.state();
        match to {
            Targets::All => state
                .links
                .iter()
                .filter(|(_, link)| link.write)
                .map(|(name, link)| (name.clone(), Some(link.commands.clone())))
                .collect(),
            Targets::Only(urls) => {
                let mut targets = BTreeMap::new();
                for url in urls {
                    let name =
                        normal_url(url).map_or_else(|_| url.as_str().into(), |url| name_of(&url));
                    let way = state.links.get(&name).map(|link| link.commands.clone());
                    targets.insert(name, way);
                }
                targets.into_iter().collect()
            }
        }
    }

    async fn publish_all(
        &self,
        event: Outgoing,
        to: Targets,
        options: PublishOptions,
    ) -> PublishReport {
        let deadline = Instant::now() + options.timeout;
        let mut report = PublishReport {
            event_id: event.id(),
            accepted: Vec::new(),
            rejected: Vec::new(),
            pending: Vec::new(),
        };
        let mut answers = FuturesUnordered::new();
        for (url, way) in self.targets(&to) {
            match way {
                None => report.rejected.push(Rejected { url, reason: Refusal::NotAdded }),
                Some(way) => {
                    report.pending.push(url.clone());
                    let event = event.clone();
                    answers.push(async move { (url, publish_one(way, event, deadline).await) });
                }
            }
        }
        while report.accepted.len() < options.enough {
            let Some((url, answer)) = answers.next().await else { break };
            report.pending.retain(|pending| *pending != url);
            match answer {
                Ok(message) => report.accepted.push(Accepted { url, message }),
                Err(reason) => report.rejected.push(Rejected { url, reason }),
            }
        }
        report
    }
}

/// Publishes to one relay. The relay's task keeps the deadline; the one here is for its own death.
async fn publish_one(way: mpsc::Sender<Publish>, event: Outgoing, deadline: Instant) -> Answer {
    const MARGIN: Duration = Duration::from_millis(500);
    let (done, answer) = oneshot::channel();
    let publish = Publish { id: event.id(), frame: event.frame().clone(), deadline, done };
    match timeout_at(deadline, way.send(publish)).await {
        Err(_) => return Err(Refusal::Busy),
        Ok(Err(_)) => return Err(Refusal::Removed),
        Ok(Ok(())) => {}
    }
    match timeout_at(deadline + MARGIN, answer).await {
        Err(_) => Err(Refusal::TimedOut { detail: None }),
        Ok(Err(_)) => Err(Refusal::Removed),
        Ok(Ok(answer)) => answer,
    }
}

impl NostrClient for Pool {
    fn add_relay(&self, spec: &RelaySpec) -> Result<(), RelayError> {
        let url = normal_url(&spec.url)?;
        let name = name_of(&url);
        let relay_url = RelayUrl::parse(&name)
            .map_err(|_| RelayError::BadUrl { url: spec.url.chars().take(200).collect() })?;
        let shared = &self.inner.shared;
        let mut state = self.state();
        if state.is_shut_down {
            return Err(RelayError::ShutDown);
        }
        if let Some(link) = state.links.get(&name) {
            if link.read >= spec.read && link.write >= spec.write {
                return Ok(());
            }
            // It was only written to on demand: from now on it is one of ours.
            link.stop.send_replace(true);
            state.links.remove(&name);
        }
        if state.links.len() >= shared.limits.relays {
            return Err(RelayError::TooManyRelays { max: shared.limits.relays });
        }
        let (commands, receiver) = mpsc::channel(shared.limits.in_flight.max(1));
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::new(Counters::new((shared.clock)()));
        let link = Link {
            name: name.clone(),
            relay_url,
            read: spec.read,
            shared: shared.clone(),
            dialler: Dialler {
                url,
                door: shared.door.clone(),
                tls: shared.tls.clone(),
                timeout: shared.timing.connect,
                max_message_bytes: shared.limits.message_bytes,
            },
            commands: receiver,
            stop: stopped,
            counters: counters.clone(),
            inbox: Inbox::start(
                &self.inner.runtime,
                shared.clone(),
                name.clone(),
                counters.clone(),
            ),
            flight: Flight::new(shared.timing.notice_grace, shared.timing.rate_limit_wait),
            in_step_until: HashMap::new(),
            detail: None,
        };
        while state.tasks.try_join_next().is_some() {}
        state.tasks.spawn_on(link.run(), &self.inner.runtime);
        let (read, write) = (spec.read, spec.write);
        state.links.insert(name, LinkHandle { commands, stop, counters, read, write });
        Ok(())
    }

    fn remove_relay(&self, url: &str) -> Result<(), RelayError> {
        let name = name_of(&normal_url(url)?);
        match self.state().links.remove(&name) {
            None => Err(RelayError::UnknownRelay { url: name.to_string() }),
            Some(link) => {
                link.stop.send_replace(true);
                Ok(())
            }
        }
    }

    fn subscribe(&self, id: &str, filters: Vec<Filter>) -> Result<(), RelayError> {
        self.inner.shared.subscriptions.put(id, filters)
    }

    fn unsubscribe(&self, id: &str) {
        self.inner.shared.subscriptions.remove(id);
    }

    fn publish(
        &self,
        event: Outgoing,
        to: Targets,
        options: PublishOptions,
    ) -> BoxFuture<'_, PublishReport> {
        Box::pin(self.publish_all(event, to, options))
    }

    fn health(&self) -> Vec<RelayHealth> {
        self.state()
            .links
            .iter()
            .map(|(name, link)| link.counters.health(name, link.read, link.write))
            .collect()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        const LONGEST: Duration = Duration::from_secs(3);
        Box::pin(async {
            let mut tasks = {
                let mut state = self.state();
                state.is_shut_down = true;
                for link in std::mem::take(&mut state.links).into_values() {
                    link.stop.send_replace(true);
                }
                std::mem::take(&mut state.tasks)
            };
            let all_ended = async { while tasks.join_next().await.is_some() {} };
            if timeout(LONGEST, all_ended).await.is_err() {
                tasks.shutdown().await;
            }
        })
    }
}
