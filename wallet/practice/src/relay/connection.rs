//! One client: reads and verifies what it says, and writes what waits for it.

use super::{
    config::{Authentication, RelayConfig},
    event::Stored,
    hub::{Hub, ok},
    message::{self, ClientMessage, Refusal},
    outbox::{Outbox, Outgoing, Queue},
    subscriptions::ConnectionId,
};
use crate::stop::asked;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use nostr::{
    event::{Event, Kind},
    key::PublicKey,
};
use serde_json::json;
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_tungstenite::tungstenite::{
    Error, Message, Utf8Bytes,
    error::CapacityError,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// A silent client is asked for a sign of life, and dropped if none comes.
const SILENCE: Duration = Duration::from_secs(60);
const WRITE_WITHIN: Duration = Duration::from_secs(20);
/// NIP-42 asks for "close to now".
const AUTH_WITHIN_SECS: u64 = 600;
/// Messages read before other connections get their turn.
const TURN: u32 = 32;
const WRITTEN_AT_ONCE: usize = 256;

/// Serves a client until it goes, is dropped, or the relay stops.
pub async fn converse<S>(socket: S, id: ConnectionId, hub: Arc<Hub>, relay_port: u16)
where
    S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Send + 'static,
{
    let (sink, mut stream) = socket.split();
    let config = &hub.config;
    let (outbox, queue) = Outbox::new(config.max_queued_messages, config.max_queued_bytes);
    let writing = tokio::spawn(write(sink, queue, Arc::clone(&outbox)));
    let _ends_writing = DropsClient(Arc::clone(&outbox));
    let mut client = match Client::new(id, Arc::clone(&hub), Arc::clone(&outbox), relay_port) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "a relay connection could not start");
            return;
        }
    };
    let mut dropped = outbox.dropped();
    let mut pinged = false;
    let mut turn = 0;
    loop {
        let next = tokio::select! {
            () = asked(&mut dropped) => break,
            next = tokio::time::timeout(SILENCE, stream.next()) => next,
        };
        let Ok(next) = next else {
            if pinged {
                break;
            }
            pinged = true;
            outbox.push(Outgoing::Ping);
            continue;
        };
        pinged = false;
        match next {
            Some(Ok(Message::Text(text))) => client.hear(&text).await,
            Some(Ok(Message::Binary(_))) => notice(&outbox, "invalid: messages are text"),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { size, max_size }))) => {
                notice(&outbox, &format!("invalid: {size} bytes are too long, at most {max_size}"));
                break;
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => break,
        }
        turn += 1;
        if turn % TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    hub.disconnect(id);
    drop(client);
    outbox.push(Outgoing::End);
    let _ended = tokio::time::timeout(WRITE_WITHIN, writing).await;
}

/// Ends the writing task however the conversation ends.
struct DropsClient(Arc<Outbox>);

impl Drop for DropsClient {
    fn drop(&mut self) {
        self.0.drop_client();
    }
}

fn notice(outbox: &Outbox, text: &str) {
    outbox.push(Outgoing::Text(json!(["NOTICE", text]).to_string()));
}

/// Writes in batches: one flush for all that waits.
async fn write<S>(mut sink: S, mut queue: Queue, outbox: Arc<Outbox>)
where
    S: Sink<Message, Error = Error> + Unpin,
{
    let mut batch = Vec::with_capacity(WRITTEN_AT_ONCE);
    let mut dropped = outbox.dropped();
    loop {
        batch.clear();
        let sending = async {
            queue.take(&mut batch, WRITTEN_AT_ONCE).await;
            let ends = matches!(batch.last(), Some(Outgoing::End));
            let feeding = async {
                for outgoing in batch.drain(..) {
                    feed(&mut sink, outgoing).await?;
                }
                sink.flush().await
            };
            match tokio::time::timeout(WRITE_WITHIN, feeding).await {
                Ok(Ok(())) => !ends,
                _ => false,
            }
        };
        let goes_on = tokio::select! {
            () = asked(&mut dropped) => false,
            goes_on = sending => goes_on,
        };
        if !goes_on {
            return outbox.drop_client();
        }
    }
}

async fn feed<S>(sink: &mut S, outgoing: Outgoing) -> Result<(), Error>
where
    S: Sink<Message, Error = Error> + Unpin,
{
    match outgoing {
        Outgoing::Text(text) => sink.feed(Message::text(text)).await,
        Outgoing::Event { subscription, stored } => {
            sink.feed(Message::text(event_text(&quoted(&subscription), &stored))).await
        }
        Outgoing::Stored { subscription, events } => {
            let subscription = quoted(&subscription);
            for stored in events {
                sink.feed(Message::text(event_text(&subscription, &stored))).await?;
            }
            sink.feed(Message::text(format!("[\"EOSE\",{subscription}]"))).await
        }
        Outgoing::Ping => sink.feed(Message::Ping(bytes::Bytes::new())).await,
        Outgoing::End => {
            let (code, reason) = (CloseCode::Normal, Utf8Bytes::default());
            sink.feed(Message::Close(Some(CloseFrame { code, reason }))).await
        }
    }
}

fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn event_text(quoted_subscription: &str, stored: &Stored) -> String {
    let mut text = String::with_capacity(stored.json.len() + quoted_subscription.len() + 12);
    text.push_str("[\"EVENT\",");
    text.push_str(quoted_subscription);
    text.push(',');
    text.push_str(&stored.json);
    text.push(']');
    text
}

struct Client {
    id: ConnectionId,
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    relay_port: u16,
    challenge: String,
    authenticated: HashSet<PublicKey>,
    rate: Rate,
}

impl Client {
    fn new(
        id: ConnectionId,
        hub: Arc<Hub>,
        outbox: Arc<Outbox>,
        relay_port: u16,
    ) -> Result<Self, host::entropy::NoEntropy> {
        let challenge = hex::encode(host::entropy::random_32()?);
        let rate = Rate::new(&hub.config);
        let client =
            Self { id, hub, outbox, relay_port, challenge, authenticated: HashSet::new(), rate };
        if client.hub.config.authentication != Authentication::Off {
            client.challenge();
        }
        Ok(client)
    }

    fn challenge(&self) {
        self.outbox.push(Outgoing::Text(json!(["AUTH", self.challenge]).to_string()));
    }

    async fn hear(&mut self, text: &str) {
        match message::parse(text, &self.hub.config) {
            Ok(ClientMessage::Event(event)) => self.publish(*event).await,
            Ok(ClientMessage::Auth(event)) => self.authenticate(&event),
            Ok(ClientMessage::Req { subscription, filters }) => {
                let opened = if self.must_authenticate_first(Authentication::ToDoAnything) {
                    Err("auth-required: sign the challenge first (NIP-42)".to_owned())
                } else {
                    self.hub.subscribe(self.id, &subscription, filters, &self.outbox)
                };
                if let Err(text) = opened {
                    self.closed(&subscription, &text);
                }
            }
            Ok(ClientMessage::Close(id)) => self.hub.unsubscribe(self.id, &id),
            Err(Refusal::Event { id, text }) => self.outbox.push(ok(&id, false, &text)),
            Err(Refusal::Subscription { id, text }) => {
                // A bad REQ also ends an older subscription of its id.
                self.hub.unsubscribe(self.id, &id);
                self.closed(&id, &text);
            }
            Err(Refusal::Message(text)) => notice(&self.outbox, &text),
        }
    }

    fn closed(&self, id: &str, text: &str) {
        self.outbox.push(Outgoing::Text(json!(["CLOSED", id, text]).to_string()));
    }

    fn must_authenticate_first(&self, from: Authentication) -> bool {
        let policy = self.hub.config.authentication;
        let required = policy == Authentication::ToDoAnything || policy == from;
        required && policy != Authentication::Off && self.authenticated.is_empty()
    }

    async fn publish(&mut self, event: Event) {
        match self.judge(&event) {
            Ok(()) => self.hub.submit(event, &self.outbox).await,
            Err(text) => self.outbox.push(ok(&event.id.to_hex(), false, &text)),
        }
    }

    /// Everything that can be said about an event without the others; id and signature last, as
    /// they cost most.
    fn judge(&mut self, event: &Event) -> Result<(), String> {
        let config = &self.hub.config;
        if !self.rate.allows_one_more(Instant::now()) {
            let most = config.events_per_sec;
            return Err(format!("rate-limited: at most {most} events per second"));
        }
        if self.must_authenticate_first(Authentication::ToPublish) {
            return Err("auth-required: sign the challenge first (NIP-42)".into());
        }
        if event.kind == Kind::Authentication {
            return Err("invalid: authentication events belong into AUTH (NIP-42)".into());
        }
        let now = host::clock::now().as_secs();
        if event.created_at.as_secs() > now.saturating_add(config.max_future_secs) {
            return Err("invalid: the event is dated too far in the future".into());
        }
        if event.tags.expiration().is_some_and(|at| at.as_secs() <= now) {
            return Err("invalid: the event has expired (NIP-40)".into());
        }
        if event.is_protected() && !self.authenticated.contains(&event.pubkey) {
            self.challenge();
            let text = "auth-required: only its author may publish a protected event (NIP-70)";
            return Err(text.into());
        }
        event.verify().map_err(|error| format!("invalid: {error}"))
    }

    /// NIP-42.
    fn authenticate(&mut self, event: &Event) {
        let now = host::clock::now().as_secs();
        let names_challenge = event.tags.challenge().is_some_and(|named| named == self.challenge);
        let refused = if event.kind != Kind::Authentication {
            Some("invalid: an authentication event has kind 22242")
        } else if event.created_at.as_secs().abs_diff(now) > AUTH_WITHIN_SECS {
            Some("invalid: the authentication is not of now")
        } else if !names_challenge {
            Some("invalid: the challenge is another one")
        } else if !names_relay(event, self.relay_port) {
            Some("invalid: the authentication is for another relay")
        } else if event.verify().is_err() {
            Some("invalid: id or signature is wrong")
        } else {
            None
        };
        if refused.is_none() {
            self.authenticated.insert(event.pubkey);
        }
        self.outbox.push(ok(&event.id.to_hex(), refused.is_none(), refused.unwrap_or_default()));
    }
}

/// Whether the `relay` tag names this port of this machine, by whichever loopback name.
fn names_relay(event: &Event, port: u16) -> bool {
    let urls =
        event.tags.iter().filter(|tag| tag.kind() == "relay").filter_map(|tag| tag.content());
    urls.into_iter().any(|url| {
        let host = url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        host.rsplit_once(':').is_some_and(|(name, given)| {
            matches!(name, "127.0.0.1" | "localhost" | "[::1]") && given == port.to_string()
        })
    })
}

/// A token bucket.
struct Rate {
    per_sec: f64,
    burst: f64,
    left: f64,
    at: Instant,
}

impl Rate {
    fn new(config: &RelayConfig) -> Self {
        let burst = f64::from(config.events_burst);
        Self { per_sec: f64::from(config.events_per_sec), burst, left: burst, at: Instant::now() }
    }

    fn allows_one_more(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_sec;
        self.at = now;
        self.left = (self.left + earned).min(self.burst);
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_a_burst_and_then_its_pace() {
        let config = RelayConfig { events_per_sec: 10, events_burst: 3, ..RelayConfig::default() };
        let mut rate = Rate::new(&config);
        let start = rate.at;
        let at = |ms| start + Duration::from_millis(ms);
        let allowed = (0..5).filter(|_| rate.allows_one_more(at(0))).count();
        assert_eq!(allowed, 3);
        assert!(!rate.allows_one_more(at(50)));
        assert!(rate.allows_one_more(at(150)));
        assert!(!rate.allows_one_more(at(160)));
    }
}
