//! What comes in from apps: who asked, whether it counts, and what it says. Pure; money is decided
//! on by the machine.

use domain::Timestamp;
use nostr::{
    event::{Event, EventId, Kind},
    key::{Keys, PublicKey},
};
use std::collections::{BTreeSet, HashMap};
use wallet::wire::AccountId;

use super::{
    seal::{self, Cipher},
    words::{Call, Code, Method, Refusal},
};

/// Requests that are older, or further ahead of our clock, are not looked at.
pub const FRESH_SECS: u64 = 10 * 60;
/// Connections at the same time.
pub const MAX_CONNECTIONS: usize = 256;
/// Requests of one connection: so many at once, and so many a second after that.
const BURST: u64 = 200;
const PER_SECOND: u64 = 10;
const MS: u64 = 1_000;

/// One connection, with our side's keys.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The account in the machine.
    pub account: AccountId,
    pub client: PublicKey,
    pub keys: Keys,
    pub methods: BTreeSet<Method>,
}

/// A request that must be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub account: AccountId,
    pub id: EventId,
    pub cipher: Cipher,
    /// What is asked, or the method it named and why it is not done.
    pub what: Result<Call, (String, Refusal)>,
}

/// Why an event is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Not a request, or not of a connection of ours.
    Stranger,
    /// Too old, too far ahead, or past its own end.
    Stale,
    TooLong,
    /// Not encrypted for us, or with something nobody has.
    Unreadable,
    /// So many that even saying so would be too much.
    Flood,
}

/// How fast one connection may ask: a bucket of milliseconds' worth of requests.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Thousandths of a request.
    left: u64,
    at: Timestamp,
    /// Refusals since the bucket last had room: the first few are answered, the rest are not.
    refused: u64,
}

/// Everybody who may ask.
#[derive(Debug, Default)]
pub struct Intake {
    connections: HashMap<PublicKey, Connection>,
    buckets: HashMap<PublicKey, Bucket>,
}

impl Intake {
    /// Replaces all connections; how fast each was asking is remembered.
    pub fn set(&mut self, connections: Vec<Connection>) {
        self.connections = connections.into_iter().map(|one| (one.client, one)).collect();
        self.buckets.retain(|client, _| self.connections.contains_key(client));
    }

    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.values()
    }

    pub fn of_account(&self, account: &AccountId) -> Option<&Connection> {
        self.connections.values().find(|one| one.account == *account)
    }

    /// What a relay is asked for.
    pub fn filter(&self, now: Timestamp) -> nostr::filter::Filter {
        nostr::filter::Filter::new()
            .kind(Kind::WalletConnectRequest)
            .authors(self.connections.keys().copied())
            .pubkeys(self.connections.values().map(|one| one.keys.public_key()))
            .since(nostr::types::Timestamp::from_secs(now.minus_secs(FRESH_SECS).as_secs()))
    }

    /// Judges an event whose id and signature hold. What is cheap comes first.
    pub fn take(&mut self, event: &Event, now: Timestamp) -> Result<Asked, Ignored> {
        let Some(connection) = self.connections.get(&event.pubkey) else {
            return Err(Ignored::Stranger);
        };
        let ours = connection.keys.public_key();
        if event.kind != Kind::WalletConnectRequest || !seal::is_for(event, &ours) {
            return Err(Ignored::Stranger);
        }
        if !is_fresh(event, now) {
            return Err(Ignored::Stale);
        }
        if event.content.len() > seal::MAX_SEALED {
            return Err(Ignored::TooLong);
        }
        let refused = |method: &str, why| Asked {
            account: connection.account.clone(),
            id: event.id,
            cipher: Cipher::Nip44,
            what: Err((method.to_owned(), why)),
        };
        let pace = self.buckets.entry(event.pubkey).or_insert_with(|| Bucket::new(now)).take(now);
        let Ok(cipher) = Cipher::of_request(event) else {
            pace.map_err(|()| Ignored::Flood)?;
            let why = Refusal::new(Code::UnsupportedEncryption, seal::UnknownCipher.to_string());
            return Ok(refused("", why));
        };
        let slow_down = match pace {
            Ok(true) => None,
            Ok(false) => Some(Refusal::new(
                Code::RateLimited,
                "Too many requests at once. Nothing was done; ask again in a few seconds.",
            )),
            Err(()) => return Err(Ignored::Flood),
        };
        let text = seal::open(cipher, &connection.keys, &event.pubkey, &event.content)
            .map_err(|_| Ignored::Unreadable)?;
        let what = match (Call::read(&text), slow_down) {
            (Ok(call), Some(why)) => Err((call.method().as_str().to_owned(), why)),
            (Ok(call), None) if !connection.methods.contains(&call.method()) => {
                let method = call.method().as_str();
                Err((method.to_owned(), not_allowed(&call)))
            }
            (Ok(call), None) => Ok(call),
            (Err(unread), slow_down) => Err((unread.method, slow_down.unwrap_or(unread.why))),
        };
        Ok(Asked { cipher, what, ..refused("", Refusal::new(Code::Other, "")) })
    }
}

fn not_allowed(call: &Call) -> Refusal {
    match call {
        Call::PayKeysend | Call::SignMessage(_) => {
            Refusal::new(Code::NotImplemented, "This wallet does not do that. Nothing was done.")
        }
        _ => Refusal::new(
            Code::Restricted,
            "The operator did not allow this connection to do that. Nothing was done.",
        ),
    }
}

fn is_fresh(event: &Event, now: Timestamp) -> bool {
    let (made, now) = (event.created_at.as_secs(), now.as_secs());
    if made.saturating_add(FRESH_SECS) < now || made > now.saturating_add(FRESH_SECS) {
        return false;
    }
    match seal::tag(event, "expiration") {
        None => true,
        // What can't be read as a time is as good as past.
        Some(until) => until.parse::<u64>().is_ok_and(|until| now <= until),
    }
}

impl Bucket {
    /// Refusals in a row that are still answered.
    const SAID: u64 = 200;

    fn new(now: Timestamp) -> Self {
        Self { left: BURST * MS, at: now, refused: 0 }
    }

    /// Whether there is room; an error where not even a refusal has any.
    fn take(&mut self, now: Timestamp) -> Result<bool, ()> {
        let earned = now.since_ms(self.at).saturating_mul(PER_SECOND);
        self.left = self.left.saturating_add(earned).min(BURST * MS);
        self.at = now.max(self.at);
        if self.left >= MS {
            self.left -= MS;
            self.refused = 0;
            return Ok(true);
        }
        self.refused += 1;
        if self.refused > Self::SAID { Err(()) } else { Ok(false) }
    }
}

#[cfg(test)]
mod tests;
