//! How fast the relay takes and delivers events; run with `--ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "test code outside of a test function")]

use futures_util::{SinkExt, StreamExt};
use nostr::{
    event::{Event, EventBuilder, FinalizeEvent, Kind, Tag},
    key::{Keys, SecretKey},
};
use pilothouse_practice::{Options, Practice, relay::RelayConfig};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn signed(client: u8, count: usize) -> Vec<Event> {
    let keys = Keys::new(SecretKey::from_slice(&[client + 1; 32]).unwrap());
    let me = keys.public_key().to_hex();
    let build = |number: usize| {
        EventBuilder::new(Kind::from_u16(5_050), format!("job {number} of {client}"))
            .tag(Tag::parse(["p", &me]).unwrap())
            .finalize(&keys)
            .unwrap()
    };
    (0..count).map(build).collect()
}

async fn connect(url: &str) -> Socket {
    let (socket, _) = connect_async(url).await.unwrap();
    if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
        stream.set_nodelay(true).unwrap();
    }
    socket
}

/// Publishes all with at most `window` without an OK; each is also heard by its own subscription.
async fn publish(mut socket: Socket, events: Vec<Event>, window: usize) -> Vec<Duration> {
    let me = events[0].pubkey.to_hex();
    let req = json!(["REQ", "s", {"kinds": [5_050], "#p": [me], "limit": 0}]).to_string();
    socket.send(Message::text(req)).await.unwrap();
    while !socket.next().await.unwrap().unwrap().to_string().contains("EOSE") {}
    let total = events.len();
    let mut waiting = events.into_iter();
    let mut sent = std::collections::VecDeque::new();
    let mut took = Vec::with_capacity(total);
    let mut heard = 0;
    while took.len() < total || heard < total {
        while sent.len() < window
            && let Some(event) = waiting.next()
        {
            socket.send(Message::text(json!(["EVENT", event]).to_string())).await.unwrap();
            sent.push_back(Instant::now());
        }
        let text = socket.next().await.unwrap().unwrap().to_string();
        if text.starts_with("[\"OK\"") {
            assert!(text.contains("true"), "{text}");
            took.push(sent.pop_front().unwrap().elapsed());
        } else {
            heard += 1;
        }
    }
    took
}

async fn measure(sync: bool, clients: u8, each: usize, window: usize) {
    let dir = tempfile::tempdir().unwrap();
    let relay = RelayConfig {
        sync_before_ok: sync,
        events_per_sec: 1_000_000,
        events_burst: 1_000_000,
        ..RelayConfig::default()
    };
    let options =
        Options { dir: dir.path().into(), without_lightning: true, relay, ..Options::default() };
    let practice = Practice::start(options).await.unwrap();
    let url = practice.rendezvous().relay_url.clone();
    let mut tasks = tokio::task::JoinSet::new();
    let mut ready = Vec::new();
    for client in 0..clients {
        ready.push((connect(&url).await, signed(client, each)));
    }
    let started = Instant::now();
    for (socket, events) in ready {
        tasks.spawn(publish(socket, events, window));
    }
    let mut took = Vec::new();
    while let Some(done) = tasks.join_next().await {
        took.extend(done.unwrap());
    }
    let elapsed = started.elapsed();
    took.sort();
    let (half, nearly) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    let rate = took.len() as f64 / elapsed.as_secs_f64();
    println!(
        "sync {sync}, {clients} clients, {window} in flight each: {rate:.0} events/s, \
         OK p50 {half:?}, p99 {nearly:?}"
    );
    practice.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a check"]
async fn relay_throughput() {
    for sync in [false, true] {
        measure(sync, 1, 500, 1).await;
        measure(sync, 1, 4_000, 64).await;
        measure(sync, 16, 500, 4).await;
        measure(sync, 64, 200, 2).await;
    }
}
