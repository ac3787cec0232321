//! Facts: what a relay did, as it is reported to the house.

use domain::Timestamp;
use nostr::event::Event;
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};
use tokio::time::{Duration, Instant};

use crate::port::RelayLimits;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelayState {
    Connecting,
    Connected,
    Disconnected,
}

/// One thing a relay did. Facts of one relay come in the order in which they happened.
#[derive(Clone, Debug)]
pub enum RelayFact {
    State {
        url: Arc<str>,
        state: RelayState,
        /// Why it is not connected.
        detail: Option<String>,
        at: Timestamp,
    },
    /// An event whose id and signature were verified here, and that its subscription asked for.
    Event {
        url: Arc<str>,
        subscription: Arc<str>,
        event: Arc<Event>,
        /// The event's JSON as the relay sent it.
        raw: Arc<str>,
    },
    /// The relay has sent everything it had stored for a subscription (NIP-01 `EOSE`).
    Eose { url: Arc<str>, subscription: Arc<str>, at: Timestamp },
    /// The relay ended a subscription (NIP-01 `CLOSED`); it is asked for again on reconnect.
    Closed { url: Arc<str>, subscription: Arc<str>, reason: String },
    /// Words of the relay for people, shortened and without control characters.
    Notice { url: Arc<str>, text: String },
    /// The relay sent events that don't hold; none was handed on. At most one fact a second.
    BadEvents { url: Arc<str>, latest: EventFault, total: u64, at: Timestamp },
}

/// What is wrong with an event a relay sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EventFault {
    #[error("the event is not as NIP-01 writes one")]
    Malformed,
    #[error("the id is not the hash of the contents")]
    WrongId,
    #[error("the signature is not the author's")]
    BadSignature,
    #[error("the event matches none of the subscription's filters")]
    NotAskedFor,
}

/// How one relay is.
#[derive(Clone, Debug, PartialEq)]
pub struct RelayHealth {
    pub url: Arc<str>,
    pub state: RelayState,
    /// Why it is not connected.
    pub detail: Option<String>,
    /// Since when it is in this state.
    pub since: Timestamp,
    pub read: bool,
    pub write: bool,
    /// Times connected.
    pub connects: u32,
    /// Events received, good or bad.
    pub received: u64,
    /// Events handed on.
    pub delivered: u64,
    /// Events that had been handed on before.
    pub duplicates: u64,
    /// Events and messages that don't hold; see [`EventFault`].
    pub bad: u64,
    /// Publications waiting for an answer.
    pub in_flight: u32,
    /// NIP-11, where known.
    pub limits: Option<RelayLimits>,
}

/// The counters behind [`RelayHealth`], shared by a relay's tasks.
pub(crate) struct Counters {
    pub connects: AtomicU32,
    pub received: AtomicU64,
    pub delivered: AtomicU64,
    pub duplicates: AtomicU64,
    pub bad: AtomicU64,
    pub bad_this_session: AtomicU32,
    pub in_flight: AtomicU32,
    status: Mutex<Status>,
}

struct Status {
    state: RelayState,
    detail: Option<String>,
    since: Timestamp,
    limits: Option<(RelayLimits, Instant)>,
}

impl Counters {
    /// How long a NIP-11 answer is believed.
    const LIMITS_LAST: Duration = Duration::from_secs(3600);

    pub fn new(now: Timestamp) -> Self {
        Self {
            connects: AtomicU32::new(0),
            received: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            bad_this_session: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            status: Mutex::new(Status {
                state: RelayState::Connecting,
                detail: None,
                since: now,
                limits: None,
            }),
        }
    }

    fn status(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_state(&self, state: RelayState, detail: Option<String>, now: Timestamp) {
        let mut status = self.status();
        status.state = state;
        status.detail = detail;
        status.since = now;
    }

    pub fn limits(&self) -> Option<RelayLimits> {
        self.status().limits.map(|(limits, _)| limits)
    }

    pub fn limits_are_fresh(&self) -> bool {
        self.status().limits.is_some_and(|(_, read)| read.elapsed() < Self::LIMITS_LAST)
    }

    pub fn set_limits(&self, limits: RelayLimits) {
        self.status().limits = Some((limits, Instant::now()));
    }

    /// Counts one thing that does not hold; the new total.
    pub fn count_bad(&self) -> u64 {
        self.bad_this_session.fetch_add(1, Relaxed);
        self.bad.fetch_add(1, Relaxed) + 1
    }

    pub fn health(&self, url: &Arc<str>, read: bool, write: bool) -> RelayHealth {
        let status = self.status();
        RelayHealth {
            url: url.clone(),
            state: status.state,
            detail: status.detail.clone(),
            since: status.since,
            read,
            write,
            connects: self.connects.load(Relaxed),
            received: self.received.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            bad: self.bad.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            limits: status.limits.map(|(limits, _)| limits),
        }
    }
}

impl fmt::Display for RelayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
        })
    }
}

/// A stranger's words, fit to be shown: at most 300 characters, none of them control characters.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 300;
    let mut out: String = text
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() || is_bidi_control(c) { ' ' } else { c })
        .collect();
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}

/// Characters that reorder the text around them, and could so forge what a person reads.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_words_are_tamed() {
        assert_eq!(shown("a\u{1b}[31m\nb\u{202e}c"), "a [31m b c");
        assert_eq!(shown(&"x".repeat(301)).chars().count(), 301);
        assert!(shown(&"é".repeat(5000)).ends_with('…'));
    }
}
