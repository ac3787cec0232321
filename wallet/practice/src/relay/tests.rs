//! The relay from outside: a small websocket client, over its whole life.

use super::*;
use futures_util::{SinkExt, StreamExt};
use nostr::{
    event::{Event, EventBuilder, FinalizeEvent, Kind, Tag},
    key::{Keys, SecretKey},
    types::Timestamp,
};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{MaybeTlsStream, connect_async, tungstenite::Message};

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    async fn connect(relay: &Relay) -> Self {
        let (socket, _) = connect_async(relay.url()).await.unwrap();
        Self { socket }
    }

    async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message; panics where none comes.
    async fn hear(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), self.socket.next()).await;
            match next.expect("nothing came").expect("the relay closed").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(_) => panic!("the relay closed"),
                _ => {}
            }
        }
    }

    async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(150), self.socket.next()).await.is_err()
    }

    /// Publishes and returns whether it was taken, and the text.
    async fn publish(&mut self, event: &Event) -> (bool, String) {
        self.say(json!(["EVENT", event])).await;
        loop {
            let heard = self.hear().await;
            if heard[0] == "OK" && heard[1] == event.id.to_hex() {
                return (heard[2].as_bool().unwrap(), heard[3].as_str().unwrap().to_owned());
            }
        }
    }

    /// Opens a subscription and returns the stored contents before EOSE.
    async fn subscribe(&mut self, id: &str, filter: Value) -> Vec<String> {
        self.say(json!(["REQ", id, filter])).await;
        let mut stored = Vec::new();
        loop {
            let heard = self.hear().await;
            match heard[0].as_str() {
                Some("EVENT") if heard[1] == id => {
                    stored.push(heard[2]["content"].as_str().unwrap().to_owned());
                }
                Some("EOSE") => return stored,
                _ => panic!("{heard}"),
            }
        }
    }
}

fn keys(byte: u8) -> Keys {
    Keys::new(SecretKey::from_slice(&[byte; 32]).unwrap())
}

fn now() -> u64 {
    host::clock::now().as_secs()
}

fn event(by: u8, kind: u16, content: &str, tags: &[(&str, &str)]) -> Event {
    dated(by, kind, content, tags, now())
}

fn dated(by: u8, kind: u16, content: &str, tags: &[(&str, &str)], at: u64) -> Event {
    let tags: Vec<_> =
        tags.iter().map(|(name, value)| Tag::parse([*name, *value]).unwrap()).collect();
    EventBuilder::new(Kind::from_u16(kind), content)
        .tags(tags)
        .custom_created_at(Timestamp::from_secs(at))
        .finalize(&keys(by))
        .unwrap()
}

async fn start(dir: &TempDir, config: RelayConfig) -> Relay {
    let listener = http::listen(0).await.unwrap();
    Relay::start(listener, &dir.path().join("events"), config).unwrap()
}

#[tokio::test]
async fn events_are_stored_sent_live_and_kept_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let relay = start(&dir, RelayConfig::default()).await;
    let (mut alice, mut bob) = (Client::connect(&relay).await, Client::connect(&relay).await);
    let me = keys(2).public_key().to_hex();
    assert!(bob.subscribe("jobs", json!({"kinds": [5050], "#p": [me]})).await.is_empty());
    let first = dated(1, 5050, "first", &[("p", &me)], now() - 5);
    assert_eq!(alice.publish(&first).await, (true, String::new()));
    assert_eq!(bob.hear().await, json!(["EVENT", "jobs", first]));
    assert!(alice.publish(&event(1, 5050, "for another", &[])).await.0);
    assert!(bob.is_silent().await);
    let (taken, text) = alice.publish(&first).await;
    assert!(taken && text.starts_with("duplicate:"), "{text}");
    bob.say(json!(["CLOSE", "jobs"])).await;
    assert_eq!(bob.subscribe("again", json!({"kinds": [5050]})).await, ["for another", "first"]);
    relay.stop().await;
    let relay = start(&dir, RelayConfig::default()).await;
    let mut carol = Client::connect(&relay).await;
    assert_eq!(carol.subscribe("s", json!({"ids": [first.id.to_hex()]})).await, ["first"]);
    assert_eq!(relay.stored_events(), 2);
    relay.stop().await;
}

#[tokio::test]
async fn ephemeral_events_are_sent_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let relay = start(&dir, RelayConfig::default()).await;
    let (mut alice, mut bob) = (Client::connect(&relay).await, Client::connect(&relay).await);
    bob.subscribe("s", json!({"kinds": [20_001]})).await;
    let passing = event(1, 20_001, "now", &[]);
    assert!(alice.publish(&passing).await.0);
    assert_eq!(bob.hear().await[2]["content"], "now");
    assert_eq!(relay.stored_events(), 0);
    relay.stop().await;
}

#[tokio::test]
async fn forged_future_expired_and_protected_events_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let relay = start(&dir, RelayConfig::default()).await;
    let mut alice = Client::connect(&relay).await;
    let mut forged = event(1, 1, "x", &[]);
    forged.content.push('!');
    assert!(alice.publish(&forged).await.1.starts_with("invalid:"));
    let mut stolen = event(1, 1, "x", &[]);
    stolen.sig = event(1, 1, "y", &[]).sig;
    assert!(alice.publish(&stolen).await.1.starts_with("invalid:"));
    assert!(alice.publish(&dated(1, 1, "x", &[], now() + 5_000)).await.1.starts_with("invalid:"));
    let expired = event(1, 1, "x", &[("expiration", "1000")]);
    assert!(alice.publish(&expired).await.1.contains("NIP-40"));
    let protected = EventBuilder::new(Kind::from_u16(1), "x").tag(Tag::protected());
    let protected = protected.finalize(&keys(1)).unwrap();
    assert!(alice.publish(&protected).await.1.starts_with("auth-required:"));
    assert_eq!(relay.stored_events(), 0);
    relay.stop().await;
}

#[tokio::test]
async fn limits_are_told_and_bad_messages_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let config = RelayConfig {
        max_event_bytes: 2_000,
        max_frame_bytes: 10_000,
        max_subscriptions: 2,
        events_per_sec: 1,
        events_burst: 2,
        ..RelayConfig::default()
    };
    let relay = start(&dir, config).await;
    let mut alice = Client::connect(&relay).await;
    let large = event(1, 1, &"x".repeat(3_000), &[]);
    let (taken, text) = alice.publish(&large).await;
    assert!(!taken && text.contains("at most 2000"), "{text}");
    alice.say(json!(["NONSENSE"])).await;
    assert_eq!(alice.hear().await[0], "NOTICE");
    alice.subscribe("a", json!({})).await;
    alice.subscribe("b", json!({})).await;
    alice.subscribe("b", json!({"kinds": [1]})).await;
    alice.say(json!(["REQ", "c", {}])).await;
    let heard = alice.hear().await;
    assert!(heard[0] == "CLOSED" && heard[1] == "c", "{heard}");
    alice.say(json!(["REQ", "a", {"search": "x"}])).await;
    assert!(alice.hear().await[2].as_str().unwrap().starts_with("unsupported:"));
    alice.say(json!(["CLOSE", "b"])).await;
    assert!(alice.publish(&event(1, 1, "1", &[])).await.0);
    assert!(alice.publish(&event(1, 1, "2", &[])).await.0);
    assert!(alice.publish(&event(1, 1, "3", &[])).await.1.starts_with("rate-limited:"));
    alice.say(json!("x".repeat(20_000))).await;
    assert!(alice.hear().await[1].as_str().unwrap().contains("too long"));
    relay.stop().await;
}

#[tokio::test]
async fn a_client_that_must_authenticate_is_challenged() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        RelayConfig { authentication: Authentication::ToDoAnything, ..RelayConfig::default() };
    let relay = start(&dir, config).await;
    let mut alice = Client::connect(&relay).await;
    let challenge = alice.hear().await;
    assert_eq!(challenge[0], "AUTH");
    let challenge = challenge[1].as_str().unwrap().to_owned();
    assert!(alice.publish(&event(1, 1, "x", &[])).await.1.starts_with("auth-required:"));
    alice.say(json!(["REQ", "s", {}])).await;
    let heard = alice.hear().await;
    assert!(heard[0] == "CLOSED" && heard[2].as_str().unwrap().starts_with("auth-required:"));
    let url = relay.url();
    let signed = |challenge: &str, url: &str| {
        event(1, 22_242, "", &[("relay", url), ("challenge", challenge)])
    };
    for wrong in
        [signed("other", &url), signed(&challenge, "ws://127.0.0.1:1"), event(1, 1, "", &[])]
    {
        alice.say(json!(["AUTH", wrong])).await;
        assert_eq!(alice.hear().await[2], false);
    }
    alice.say(json!(["AUTH", signed(&challenge, &url)])).await;
    assert_eq!(alice.hear().await[2], true);
    assert!(alice.publish(&event(1, 1, "x", &[])).await.0);
    assert_eq!(alice.subscribe("s", json!({})).await, ["x"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_dropped_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = RelayConfig {
        max_queued_messages: 64,
        max_queued_bytes: 1024 * 1024,
        sync_before_ok: false,
        ..RelayConfig::default()
    };
    let relay = start(&dir, config).await;
    let (mut alice, mut lazy, mut bob) = (
        Client::connect(&relay).await,
        Client::connect(&relay).await,
        Client::connect(&relay).await,
    );
    lazy.subscribe("s", json!({"kinds": [1]})).await;
    bob.subscribe("s", json!({"kinds": [1]})).await;
    let body = "x".repeat(100_000);
    for round in 0..120 {
        assert!(alice.publish(&event(1, 1, &format!("{round}{body}"), &[])).await.0);
        assert_eq!(bob.hear().await[0], "EVENT");
    }
    let mut read = 0;
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        while let Some(Ok(message)) = lazy.socket.next().await {
            if message.is_close() {
                break;
            }
            read += 1;
        }
    });
    ended.await.expect("the lazy client is still connected");
    assert!(read < 120, "it read all {read}");
    relay.stop().await;
}

#[tokio::test]
async fn every_event_reaches_every_reader_once_while_many_publish() {
    const CLIENTS: usize = 8;
    const EACH: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let relay = start(&dir, RelayConfig::default()).await;
    let mut reader = Client::connect(&relay).await;
    reader.subscribe("s", json!({"kinds": [1]})).await;
    let mut publishing = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(&relay).await;
        publishing.spawn(async move {
            for round in 0..EACH {
                let by = u8::try_from(number + 1).unwrap();
                assert!(client.publish(&event(by, 1, &round.to_string(), &[])).await.0);
            }
        });
    }
    let mut seen = std::collections::HashSet::new();
    while seen.len() < CLIENTS * EACH {
        let heard = reader.hear().await;
        assert!(seen.insert(heard[2]["id"].as_str().unwrap().to_owned()), "{heard}");
    }
    while let Some(ended) = publishing.join_next().await {
        ended.unwrap();
    }
    assert_eq!(relay.stored_events(), CLIENTS * EACH);
    assert!(reader.is_silent().await);
    relay.stop().await;
}

async fn raw(relay: &Relay, request: &str) -> String {
    let mut stream = TcpStream::connect(relay.url().trim_start_matches("ws://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    let _closed = tokio::time::timeout(Duration::from_secs(5), reading).await.unwrap();
    answer
}

#[tokio::test]
async fn the_same_port_tells_about_the_relay() {
    let dir = tempfile::tempdir().unwrap();
    let relay = start(&dir, RelayConfig::default()).await;
    let get =
        |headers: &str| format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    let told = raw(&relay, &get("Accept: application/nostr+json\r\n")).await;
    let document: Value = serde_json::from_str(told.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert!(document["supported_nips"].as_array().unwrap().contains(&json!(42)));
    assert_eq!(document["limitation"]["auth_required"], false);
    assert!(raw(&relay, &get("")).await.contains("200 OK"));
    assert!(raw(&relay, &get("Upgrade: websocket\r\n")).await.starts_with("HTTP/1.1 400"));
    assert!(raw(&relay, "BLAH\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    relay.stop().await;
}
