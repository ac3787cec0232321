//! One connection to a relay, from its first frame to its last.

use domain::Timestamp;
use futures_util::{
    Sink, StreamExt,
    stream::{SplitSink, SplitStream},
};
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    future::poll_fn,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Poll, ready},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

use crate::{
    auth::Auth,
    dial::{Socket, describe},
    fact::{RelayFact, shown},
    flight::AuthStanding,
    inbox::Item,
    link::{Link, stopped, until},
    port::{BoxFuture, RelayLimits},
    subs::Subscription,
    wire::{self, Incoming},
};

/// Why a connection ended.
pub(crate) enum End {
    /// The relay was removed or the pool shut down.
    Stop,
    Lost {
        detail: String,
        /// It was we who ended it: there is no hurry to be back.
        misbehaved: bool,
    },
}

fn lost(detail: impl Into<String>) -> End {
    End::Lost { detail: detail.into(), misbehaved: false }
}

/// A subscription on this connection.
struct Active {
    subscription: Arc<Subscription>,
    asked: Asked,
    /// Everything stored has come: what is missed from now on is newer.
    in_step: bool,
    tries: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Open,
    AwaitsAuth,
    Later(Instant),
    /// Not again on this connection.
    Refused,
}

pub(crate) struct Session<'a> {
    link: &'a mut Link,
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    out: VecDeque<Message>,
    /// Something was given to the sink and not flushed.
    dirty: bool,
    /// By generation, which is also the subscription's name on the wire: late frames of one that
    /// was replaced can't be mistaken for the new one's.
    active: HashMap<u64, Active>,
    changes: watch::Receiver<()>,
    auth: Auth,
    limits: Option<BoxFuture<'static, Option<RelayLimits>>>,
    last_heard: Instant,
    last_heard_at: Timestamp,
    is_pinged: bool,
}

impl<'a> Session<'a> {
    const MOST_OUT: usize = 256;
    const LONGEST_CLOSE: Duration = Duration::from_millis(500);

    pub fn new(link: &'a mut Link, socket: Socket) -> Self {
        let (sink, stream) = socket.split();
        let shared = link.shared.clone();
        let url = link.dialler.url.clone();
        let limits: Option<BoxFuture<'static, _>> =
            (!link.counters.limits_are_fresh()).then(|| {
                let door = shared.door.clone();
                Box::pin(async move { door.relay_limits(&url).await }) as _
            });
        link.counters.bad_this_session.store(0, Relaxed);
        link.flight.on_connected();
        Self {
            sink,
            stream,
            out: VecDeque::new(),
            dirty: false,
            active: HashMap::new(),
            changes: shared.subscriptions.changes(),
            auth: Auth::new(shared.signer.clone()),
            limits,
            last_heard: Instant::now(),
            last_heard_at: link.now(),
            is_pinged: false,
            link,
        }
    }

    pub async fn run(mut self) -> End {
        self.sync_subscriptions();
        let end = loop {
            self.pump();
            if let Err(end) = self.step().await {
                break end;
            }
        };
        for (generation, active) in &self.active {
            if active.in_step {
                self.link.in_step_until.insert(*generation, self.last_heard_at);
            }
        }
        let close = Message::Close(None);
        let farewell = async {
            self.out.push_back(close);
            let _ = write_out(&mut self.sink, &mut self.out, &mut self.dirty).await;
        };
        let _ = tokio::time::timeout(Self::LONGEST_CLOSE, farewell).await;
        end
    }

    /// Waits for one thing and does it. Nothing but this wait ever waits.
    async fn step(&mut self) -> Result<(), End> {
        self.link.counters.in_flight.store(self.link.in_flight(), Relaxed);
        let wake = self.next_wake();
        let link = &mut *self.link;
        let may_read = link.inbox.is_clear();
        let has_out = self.dirty || !self.out.is_empty();
        let may_take =
            self.out.len() < Self::MOST_OUT && link.flight.len() < link.shared.limits.in_flight;
        tokio::select! {
            () = stopped(&mut link.stop) => Err(End::Stop),
            done = write_out(&mut self.sink, &mut self.out, &mut self.dirty), if has_out => {
                done.map_err(|error| lost(describe(&error)))
            }
            message = self.stream.next(), if may_read => self.on_message(message),
            () = link.inbox.pass_on(), if !may_read => {
                // The pause was ours, not the relay's.
                self.last_heard = Instant::now();
                Ok(())
            }
            publish = link.commands.recv(), if may_take => {
                self.link.flight.add(publish.ok_or(End::Stop)?);
                while self.link.flight.len() < self.link.shared.limits.in_flight {
                    let Ok(publish) = self.link.commands.try_recv() else { break };
                    self.link.flight.add(publish);
                }
                Ok(())
            }
            changed = self.changes.changed() => {
                changed.map_err(|_| End::Stop)?;
                self.sync_subscriptions();
                Ok(())
            }
            signed = self.auth.signed(), if self.auth.is_signing() => {
                match self.auth.on_signed(signed) {
                    Ok(event) => self.send(wire::auth(&event)),
                    Err(why) => self.auth_failed(&why),
                }
                Ok(())
            }
            limits = finished(&mut self.limits), if self.limits.is_some() => {
                self.limits = None;
                if let Some(limits) = limits {
                    self.link.counters.set_limits(limits);
                }
                Ok(())
            }
            () = until(Some(wake)) => self.on_time(),
        }
    }

    /// Moves what may go out to the socket's queue.
    fn pump(&mut self) {
        if !self.link.flight.has_queued() {
            return;
        }
        let max_bytes = self.link.counters.limits().and_then(|limits| limits.max_message_bytes);
        while self.out.len() < Self::MOST_OUT {
            let Some(frame) = self.link.flight.next_frame(max_bytes) else { break };
            self.out.push_back(Message::Text(frame));
        }
    }

    fn send(&mut self, frame: String) {
        self.out.push_back(Message::text(frame));
    }

    fn next_wake(&self) -> Instant {
        let timing = &self.link.shared.timing;
        let silence = if self.is_pinged { timing.dead_after } else { timing.ping_after };
        let retries = self.active.values().filter_map(|active| match active.asked {
            Asked::Later(then) => Some(then),
            _ => None,
        });
        let others = retries.chain(self.link.flight.next_wake());
        others.fold(self.last_heard + silence, Instant::min)
    }

    fn on_time(&mut self) -> Result<(), End> {
        let now = Instant::now();
        self.link.flight.on_time(now, None);
        let due: Vec<u64> = self
            .active
            .iter()
            .filter(|(_, active)| matches!(active.asked, Asked::Later(then) if then <= now))
            .map(|(generation, _)| *generation)
            .collect();
        for generation in due {
            self.ask(generation);
        }
        let silence = now - self.last_heard;
        let timing = &self.link.shared.timing;
        if self.link.inbox.is_clear() && self.is_pinged && silence >= timing.dead_after {
            return Err(lost(format!("nothing was heard for {} s", silence.as_secs())));
        }
        if !self.is_pinged && silence >= timing.ping_after {
            self.is_pinged = true;
            self.out.push_back(Message::Ping(Bytes::new()));
        }
        if !self.link.inbox.is_clear() {
            self.last_heard = now;
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        message: Option<Result<Message, tungstenite::Error>>,
    ) -> Result<(), End> {
        let message = match message {
            None => return Err(lost("it closed the connection")),
            Some(Err(error)) => return Err(lost(describe(&error))),
            Some(Ok(message)) => message,
        };
        self.last_heard = Instant::now();
        self.last_heard_at = self.link.now();
        self.is_pinged = false;
        match message {
            Message::Text(text) => self.on_text(text.as_str())?,
            Message::Binary(_) => self.on_nonsense(),
            Message::Close(Some(frame)) if !frame.reason.is_empty() => {
                return Err(lost(format!("it closed the connection: {}", shown(&frame.reason))));
            }
            Message::Close(_) => return Err(lost("it closed the connection")),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
        if self.link.counters.bad_this_session.load(Relaxed) > self.link.shared.limits.bad_events {
            let detail = "it kept sending what does not hold".to_owned();
            return Err(End::Lost { detail, misbehaved: true });
        }
        Ok(())
    }

    fn on_text(&mut self, text: &str) -> Result<(), End> {
        match wire::parse(text) {
            Err(_) => self.on_nonsense(),
            Ok(Incoming::Event { subscription, event }) => {
                self.link.counters.received.fetch_add(1, Relaxed);
                // Events of a subscription that was just closed are still under way.
                if let Some(active) = self.active_named(&subscription) {
                    let subscription = active.subscription.clone();
                    self.link.inbox.put(Item::Event { subscription, raw: event.get().into() });
                }
            }
            Ok(Incoming::Ok { id, accepted, message }) => {
                match self.auth.on_ok(&id, accepted, &message) {
                    None => {
                        self.link.flight.on_ok(&id, accepted, &message, self.auth.standing());
                    }
                    Some(true) => self.authenticated(),
                    Some(false) => {
                        let why = format!("refused ours: {}", shown(&message));
                        self.auth_failed(&why);
                    }
                }
            }
            Ok(Incoming::Eose(name)) => {
                let at = self.last_heard_at;
                if let Some(active) = self.active_named(&name) {
                    active.in_step = true;
                    let subscription = active.subscription.id.clone();
                    let url = self.link.name.clone();
                    self.tell(RelayFact::Eose { url, subscription, at });
                }
            }
            Ok(Incoming::Closed { subscription, message }) => {
                self.on_closed(&subscription, &message);
            }
            Ok(Incoming::Notice(text)) => {
                self.link.flight.on_notice(&text);
                let url = self.link.name.clone();
                self.tell(RelayFact::Notice { url, text: shown(&text) });
            }
            Ok(Incoming::Auth(challenge)) => {
                let now = self.last_heard_at;
                self.auth.on_challenge(&challenge, &self.link.relay_url, now);
            }
            Ok(Incoming::Other) => {}
        }
        Ok(())
    }

    fn on_nonsense(&mut self) {
        let total = self.link.counters.count_bad();
        tracing::debug!(relay = %self.link.name, total, "refused a message that is not NIP-01");
    }

    fn on_closed(&mut self, name: &str, message: &str) {
        let standing = self.auth.standing().clone();
        let Some(active) = self.active_named(name) else { return };
        if message.starts_with("auth-required:") && standing == AuthStanding::Open {
            active.asked = Asked::AwaitsAuth;
            return;
        }
        if message.starts_with("rate-limited:") && active.tries < 8 {
            let wait = Duration::from_secs(1) * (1 << active.tries.min(6));
            active.asked = Asked::Later(Instant::now() + wait);
            return;
        }
        active.asked = Asked::Refused;
        let subscription = active.subscription.id.clone();
        let url = self.link.name.clone();
        self.tell(RelayFact::Closed { url, subscription, reason: shown(message) });
    }

    fn authenticated(&mut self) {
        self.link.flight.on_authenticated();
        let waiting: Vec<u64> = self
            .active
            .iter()
            .filter(|(_, active)| active.asked == Asked::AwaitsAuth)
            .map(|(generation, _)| *generation)
            .collect();
        for generation in waiting {
            self.ask(generation);
        }
    }

    fn auth_failed(&mut self, why: &str) {
        self.link.flight.on_auth_failed(why);
        let mut closed = Vec::new();
        for active in self.active.values_mut().filter(|a| a.asked == Asked::AwaitsAuth) {
            active.asked = Asked::Refused;
            closed.push(active.subscription.id.clone());
        }
        for subscription in closed {
            let url = self.link.name.clone();
            let reason = format!("auth-required: {why}");
            self.tell(RelayFact::Closed { url, subscription, reason });
        }
        let url = self.link.name.clone();
        let text = format!("authentication failed: {why}");
        self.tell(RelayFact::Notice { url, text });
    }

    fn tell(&mut self, fact: RelayFact) {
        self.link.inbox.put(Item::Fact(fact));
    }

    fn active_named(&mut self, name: &str) -> Option<&mut Active> {
        self.active.get_mut(&name.parse().ok()?)
    }

    /// Makes what the relay is asked for equal to what is wanted.
    fn sync_subscriptions(&mut self) {
        self.changes.mark_unchanged();
        if !self.link.read {
            return;
        }
        let wanted = self.link.shared.subscriptions.all();
        let is_wanted = |generation: &u64| wanted.iter().any(|w| w.generation == *generation);
        let mut gone = Vec::new();
        self.active.retain(|generation, active| {
            let keep = is_wanted(generation);
            if !keep && active.asked == Asked::Open {
                gone.push(*generation);
            }
            keep
        });
        self.link.in_step_until.retain(|generation, _| is_wanted(generation));
        for generation in gone {
            self.send(wire::close(&generation.to_string()));
        }
        for subscription in wanted {
            let generation = subscription.generation;
            if let Entry::Vacant(vacant) = self.active.entry(generation) {
                vacant.insert(Active {
                    subscription,
                    asked: Asked::Open,
                    in_step: false,
                    tries: 0,
                });
                self.ask(generation);
            }
        }
    }

    fn ask(&mut self, generation: u64) {
        let Some(active) = self.active.get_mut(&generation) else { return };
        active.asked = Asked::Open;
        active.tries += 1;
        let since = self.link.in_step_until.get(&generation).copied();
        let frame = active.subscription.req(since, self.link.shared.timing.overlap_secs);
        self.send(frame);
    }
}

/// Gives everything in `out` to the socket and flushes once, so that what is sent together goes
/// out together. Cancel-safe: what was not given is still in `out`.
async fn write_out(
    sink: &mut SplitSink<Socket, Message>,
    out: &mut VecDeque<Message>,
    dirty: &mut bool,
) -> Result<(), tungstenite::Error> {
    poll_fn(|cx| {
        let mut sink = Pin::new(&mut *sink);
        while !out.is_empty() {
            ready!(sink.as_mut().poll_ready(cx))?;
            if let Some(message) = out.pop_front() {
                *dirty = true;
                sink.as_mut().start_send(message)?;
            }
        }
        ready!(sink.as_mut().poll_flush(cx))?;
        *dirty = false;
        Poll::Ready(Ok(()))
    })
    .await
}

async fn finished<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
