//! A small relay for tests: honest by default, and as broken as a test asks for.
#![expect(clippy::disallowed_methods, reason = "tests read the clock")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "each test file uses a part")]

use domain::Timestamp;
use futures_util::{SinkExt, StreamExt};
use nostr::event::{Event, EventBuilder, FinalizeEvent, Kind, Tag};
use nostr::filter::{Filter, MatchEventOptions};
use nostr::key::Keys;
use relay::{
    BoxFuture, Door, NostrClient, Pool, PoolConfig, RelayFact, RelaySpec, RelayState, Timing,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{broadcast, mpsc},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};
use url::Url;

/// What the relay does with an `EVENT` of a client.
#[derive(Clone, Debug)]
pub enum OnEvent {
    Accept,
    Refuse(String),
    Silent,
    NoticeOnly(String),
    DropConnection,
    /// Refuses so many times with `rate-limited`, then accepts.
    RateLimit(u32),
}

#[derive(Clone, Debug)]
pub struct Knobs {
    pub on_event: OnEvent,
    pub require_auth: bool,
    pub refuse_auth: bool,
    /// Connects, then neither reads nor answers.
    pub deaf: bool,
    /// Sent to each connection before anything else.
    pub greeting: Vec<Message>,
}

#[derive(Clone, Debug)]
pub enum Push {
    Send(Message),
    Drop,
}

pub struct Inner {
    pub knobs: Mutex<Knobs>,
    pub stored: Mutex<Vec<Event>>,
    pub received: Mutex<Vec<Value>>,
    pub connections: AtomicU32,
    push: broadcast::Sender<Push>,
    live: broadcast::Sender<Event>,
    url: String,
}

pub struct TestRelay {
    pub url: String,
    pub inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestRelay {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Knobs)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, None, change)
    }

    pub fn serve(
        listener: TcpListener,
        tls: Option<tokio_rustls::TlsAcceptor>,
        change: impl FnOnce(&mut Knobs),
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let url = match tls {
            None => format!("ws://127.0.0.1:{port}"),
            Some(_) => format!("wss://localhost:{port}"),
        };
        let mut knobs = Knobs {
            on_event: OnEvent::Accept,
            require_auth: false,
            refuse_auth: false,
            deaf: false,
            greeting: Vec::new(),
        };
        change(&mut knobs);
        let inner = Arc::new(Inner {
            knobs: Mutex::new(knobs),
            stored: Mutex::default(),
            received: Mutex::default(),
            connections: AtomicU32::new(0),
            push: broadcast::channel(16_384).0,
            live: broadcast::channel(16_384).0,
            url: url.clone(),
        });
        let task = tokio::spawn(accept_loop(listener, tls, inner.clone()));
        Self { url, inner, task }
    }

    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.inner.knobs.lock().unwrap());
    }

    pub fn send(&self, text: impl Into<String>) {
        let _ = self.inner.push.send(Push::Send(Message::text(text.into())));
    }

    pub fn send_message(&self, message: Message) {
        let _ = self.inner.push.send(Push::Send(message));
    }

    pub fn drop_connections(&self) {
        let _ = self.inner.push.send(Push::Drop);
    }

    /// Stores an event without telling anybody.
    pub fn store(&self, event: &Event) {
        self.inner.stored.lock().unwrap().push(event.clone());
    }

    pub fn connections(&self) -> u32 {
        self.inner.connections.load(SeqCst)
    }

    pub fn received(&self, label: &str) -> Vec<Value> {
        let received = self.inner.received.lock().unwrap();
        received.iter().filter(|frame| frame[0] == label).cloned().collect()
    }

    /// Waits until so many frames of this kind have come.
    pub async fn wait_received(&self, label: &str, count: usize) -> Vec<Value> {
        until(|| Some(self.received(label)).filter(|frames| frames.len() >= count)).await
    }

    /// The wire name of the newest open subscription.
    pub async fn subscription(&self) -> String {
        let frames = self.wait_received("REQ", 1).await;
        frames.last().unwrap()[1].as_str().unwrap().to_owned()
    }
}

/// Polls until there is something; the time-out of a failing test.
pub async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn accept_loop(
    listener: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    inner: Arc<Inner>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let inner = inner.clone();
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => connection(stream, inner).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, inner).await;
                    }
                }
            }
        });
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(stream: S, inner: Arc<Inner>) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    let (mut push, mut live) = (inner.push.subscribe(), inner.live.subscribe());
    inner.connections.fetch_add(1, SeqCst);
    let knobs = inner.knobs.lock().unwrap().clone();
    if knobs.deaf {
        std::future::pending::<()>().await;
    }
    for message in knobs.greeting {
        if socket.send(message).await.is_err() {
            return;
        }
    }
    let challenge = format!("challenge-{}", inner.connections.load(SeqCst));
    let mut is_known = !knobs.require_auth;
    if knobs.require_auth {
        reply(&mut socket, json!(["AUTH", challenge])).await;
    }
    let mut subscriptions: HashMap<String, Vec<Filter>> = HashMap::new();
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    inner.received.lock().unwrap().push(frame.clone());
                    let go_on = handle(&mut socket, &inner, &frame, &mut subscriptions, &challenge, &mut is_known).await;
                    if !go_on { return }
                }
                Some(Ok(_)) => {}
                _ => return,
            },
            pushed = push.recv() => match pushed {
                Ok(Push::Send(message)) => if socket.send(message).await.is_err() { return },
                _ => return,
            },
            event = live.recv() => {
                let event = event.unwrap();
                for (name, filters) in &subscriptions {
                    if matches(filters, &event) {
                        reply(&mut socket, json!(["EVENT", name, event])).await;
                    }
                }
            }
        }
    }
}

fn matches(filters: &[Filter], event: &Event) -> bool {
    filters.iter().any(|filter| filter.match_event(event, MatchEventOptions::new()))
}

async fn reply<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, value: Value) {
    let _ = socket.send(Message::text(value.to_string())).await;
}

async fn handle<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    inner: &Inner,
    frame: &Value,
    subscriptions: &mut HashMap<String, Vec<Filter>>,
    challenge: &str,
    is_known: &mut bool,
) -> bool {
    let knobs = inner.knobs.lock().unwrap().clone();
    match frame[0].as_str().unwrap() {
        "AUTH" => {
            let event: Event = serde_json::from_value(frame[1].clone()).unwrap();
            let url = nostr::types::RelayUrl::parse(&inner.url).unwrap();
            let valid = event.verify().is_ok()
                && nostr::nips::nip42::is_valid_auth_event(&event, &url, challenge)
                && !knobs.refuse_auth;
            *is_known = valid;
            let words = if valid { "" } else { "restricted: not on the list" };
            reply(socket, json!(["OK", event.id, valid, words])).await;
        }
        "EVENT" => {
            let event: Event = serde_json::from_value(frame[1].clone()).unwrap();
            if !*is_known {
                reply(socket, json!(["OK", event.id, false, "auth-required: who are you"])).await;
                return true;
            }
            match knobs.on_event {
                OnEvent::Accept => accept(socket, inner, event).await,
                OnEvent::Refuse(words) => {
                    reply(socket, json!(["OK", event.id, false, words])).await;
                }
                OnEvent::Silent => {}
                OnEvent::NoticeOnly(words) => reply(socket, json!(["NOTICE", words])).await,
                OnEvent::DropConnection => return false,
                OnEvent::RateLimit(0) => accept(socket, inner, event).await,
                OnEvent::RateLimit(left) => {
                    inner.knobs.lock().unwrap().on_event = OnEvent::RateLimit(left - 1);
                    let words = "rate-limited: slow down";
                    reply(socket, json!(["OK", event.id, false, words])).await;
                }
            }
        }
        "REQ" => {
            let name = frame[1].as_str().unwrap().to_owned();
            if !*is_known {
                reply(socket, json!(["CLOSED", name, "auth-required: who are you"])).await;
                return true;
            }
            let filters: Vec<Filter> = frame.as_array().unwrap()[2..]
                .iter()
                .map(|filter| serde_json::from_value(filter.clone()).unwrap())
                .collect();
            let stored = inner.stored.lock().unwrap().clone();
            for event in stored.iter().filter(|event| matches(&filters, event)) {
                reply(socket, json!(["EVENT", name, event])).await;
            }
            reply(socket, json!(["EOSE", name])).await;
            subscriptions.insert(name, filters);
        }
        "CLOSE" => {
            subscriptions.remove(frame[1].as_str().unwrap());
        }
        other => panic!("the client sent {other}"),
    }
    true
}

async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    inner: &Inner,
    event: Event,
) {
    event.verify().unwrap();
    inner.stored.lock().unwrap().push(event.clone());
    reply(socket, json!(["OK", event.id, true, ""])).await;
    let _ = inner.live.send(event);
}

/// Lets every loopback address through, and nothing else.
pub struct Loopback;

impl Door for Loopback {
    fn admit<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Vec<SocketAddr>, String>> {
        Box::pin(async move {
            let port = url.port_or_known_default().ok_or("no port")?;
            match url.host_str() {
                Some("127.0.0.1" | "localhost") => {
                    Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
                }
                _ => Err("only this machine".to_owned()),
            }
        })
    }
}

pub fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

/// Quick times, so that tests are.
pub fn timing() -> Timing {
    Timing {
        connect: Duration::from_secs(5),
        backoff_first: Duration::from_millis(20),
        backoff_most: Duration::from_millis(200),
        notice_grace: Duration::from_millis(200),
        rate_limit_wait: Duration::from_millis(50),
        ..Timing::default()
    }
}

pub fn config(relays: &[&TestRelay]) -> PoolConfig {
    let mut config = PoolConfig::new(Arc::new(Loopback), Arc::new(now));
    config.relays = relays.iter().map(|relay| RelaySpec::full(&relay.url)).collect();
    config.timing = timing();
    config
}

/// A pool and what it reports.
pub struct Client {
    pub pool: Pool,
    pub facts: mpsc::Receiver<RelayFact>,
}

impl Client {
    pub fn new(config: PoolConfig) -> Self {
        let (sender, facts) = mpsc::channel(1024);
        Self { pool: Pool::new(config, sender).unwrap(), facts }
    }

    pub fn of(relays: &[&TestRelay]) -> Self {
        Self::new(config(relays))
    }

    /// The next fact for which `pick` has something.
    pub async fn wait<T>(&mut self, mut pick: impl FnMut(RelayFact) -> Option<T>) -> T {
        let search = async {
            loop {
                let fact = self.facts.recv().await.expect("the pool is alive");
                if let Some(found) = pick(fact) {
                    return found;
                }
            }
        };
        timeout(Duration::from_secs(20), search).await.expect("the fact came in time")
    }

    pub async fn wait_event(&mut self) -> (String, Event) {
        self.wait(|fact| match fact {
            RelayFact::Event { subscription, event, raw, .. } => {
                assert_eq!(Event::from_json(&*raw).unwrap(), *event);
                Some((subscription.to_string(), (*event).clone()))
            }
            _ => None,
        })
        .await
    }

    pub async fn wait_state(&mut self, wanted: RelayState) -> Option<String> {
        self.wait(|fact| match fact {
            RelayFact::State { state, detail, .. } if state == wanted => Some(detail),
            _ => None,
        })
        .await
    }

    pub async fn wait_eose(&mut self) {
        self.wait(|fact| matches!(fact, RelayFact::Eose { .. }).then_some(())).await;
    }

    /// All events that are reported within a short time.
    pub async fn events_for(&mut self, time: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        let deadline = Instant::now() + time;
        while let Ok(Some(fact)) = tokio::time::timeout_at(deadline, self.facts.recv()).await {
            if let RelayFact::Event { event, .. } = fact {
                events.push((*event).clone());
            }
        }
        events
    }

    pub fn subscribe_kind(&self, id: &str, kind: u16) {
        self.pool.subscribe(id, vec![Filter::new().kind(Kind::from(kind))]).unwrap();
    }
}

pub fn keys() -> Keys {
    Keys::parse(&"22".repeat(32)).unwrap()
}

pub fn signed_at(content: &str, at_secs: u64) -> Event {
    EventBuilder::new(Kind::from(5050), content)
        .tag(Tag::parse(["t", "test"]).unwrap())
        .custom_created_at(at_secs.into())
        .finalize(&keys())
        .unwrap()
}

pub fn signed(content: &str) -> Event {
    signed_at(content, now().as_secs())
}

/// `["EVENT",<subscription>,<json>]`
pub fn event_frame(subscription: &str, json: &str) -> String {
    format!(r#"["EVENT","{subscription}",{json}]"#)
}

/// A TCP listener that nobody serves: connections hang.
pub async fn silent_listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// An address at which nothing listens.
pub async fn dead_url() -> String {
    let (listener, url) = silent_listener().await;
    drop(listener);
    url
}

pub async fn raw_connection(url: &str) -> TcpStream {
    TcpStream::connect(url.trim_start_matches("ws://")).await.unwrap()
}
