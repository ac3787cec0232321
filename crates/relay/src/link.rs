//! The life of one relay: connect, be connected, wait, connect again, until it is removed.

use domain::Timestamp;
use nostr::types::RelayUrl;
use rustls::ClientConfig;
use std::{
    collections::HashMap,
    future::{Future, pending},
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tokio::{
    pin,
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    backoff::Backoff,
    dial::Dialler,
    fact::{Counters, RelayFact, RelayState},
    flight::{Flight, Publish},
    inbox::{Inbox, Item},
    pool::{Limits, Timing},
    port::{Clock, Door, Signer},
    publish::Refusal,
    session::{End, Session},
    subs::Subscriptions,
    verify::Judge,
};

/// What the tasks of all relays share.
pub(crate) struct Shared {
    pub judge: Judge,
    pub subscriptions: Subscriptions,
    pub door: Arc<dyn Door>,
    pub tls: Arc<ClientConfig>,
    pub clock: Clock,
    pub signer: Option<Arc<dyn Signer>>,
    pub limits: Limits,
    pub timing: Timing,
    pub facts: mpsc::Sender<RelayFact>,
}

/// The task of one relay.
pub(crate) struct Link {
    pub name: Arc<str>,
    pub relay_url: RelayUrl,
    pub read: bool,
    pub shared: Arc<Shared>,
    pub dialler: Dialler,
    pub commands: mpsc::Receiver<Publish>,
    pub stop: watch::Receiver<bool>,
    pub counters: Arc<Counters>,
    pub inbox: Inbox,
    pub flight: Flight,
    /// Until when each subscription (by generation) was in step here.
    pub in_step_until: HashMap<u64, Timestamp>,
    /// Why there is no connection.
    pub detail: Option<String>,
}

impl Link {
    pub async fn run(mut self) {
        let timing = self.shared.timing;
        let mut backoff = Backoff::new(timing.backoff_first, timing.backoff_most);
        loop {
            self.report(RelayState::Connecting);
            let dialler = self.dialler.clone();
            let detail = match self.offline(dialler.dial()).await {
                None => break,
                Some(Err(detail)) => detail,
                Some(Ok(socket)) => {
                    let began = Instant::now();
                    self.detail = None;
                    self.report(RelayState::Connected);
                    self.counters.connects.fetch_add(1, Relaxed);
                    match Session::new(&mut self, socket).run().await {
                        End::Stop => break,
                        End::Lost { detail, misbehaved } => {
                            if misbehaved {
                                backoff.give_up_hope();
                            } else if began.elapsed() >= timing.stable_after {
                                backoff.reset();
                            }
                            self.flight.on_disconnected(&detail);
                            detail
                        }
                    }
                }
            };
            self.detail = Some(detail);
            self.report(RelayState::Disconnected);
            if self.offline(sleep(backoff.next())).await.is_none() {
                break;
            }
        }
        self.end();
    }

    /// Does `work` while publications keep coming in and time out. `None` when the relay was
    /// removed meanwhile.
    async fn offline<F: Future>(&mut self, work: F) -> Option<F::Output> {
        pin!(work);
        loop {
            self.counters.in_flight.store(self.in_flight(), Relaxed);
            let wake = self.flight.next_wake();
            let may_take = self.flight.len() < self.shared.limits.in_flight;
            tokio::select! {
                () = stopped(&mut self.stop) => return None,
                done = &mut work => return Some(done),
                publish = self.commands.recv(), if may_take => self.flight.add(publish?),
                () = self.inbox.pass_on(), if !self.inbox.is_clear() => {}
                () = until(wake) => self.flight.on_time(Instant::now(), self.detail.as_deref()),
            }
        }
    }

    pub fn in_flight(&self) -> u32 {
        u32::try_from(self.flight.len()).unwrap_or(u32::MAX)
    }

    pub fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    fn report(&mut self, state: RelayState) {
        let at = self.now();
        let detail = self.detail.clone().filter(|_| state != RelayState::Connected);
        tracing::debug!(relay = %self.name, %state, ?detail, "relay state");
        self.counters.set_state(state, detail.clone(), at);
        let url = self.name.clone();
        self.inbox.put(Item::Fact(RelayFact::State { url, state, detail, at }));
    }

    fn end(&mut self) {
        self.detail = None;
        self.report(RelayState::Disconnected);
        self.commands.close();
        while let Ok(publish) = self.commands.try_recv() {
            self.flight.add(publish);
        }
        self.flight.fail_all(&Refusal::Removed);
        self.counters.in_flight.store(0, Relaxed);
    }
}

/// Waits until the relay is removed or its pool is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Sleeps until then, or for ever.
pub(crate) async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => pending().await,
    }
}
