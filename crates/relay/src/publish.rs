//! Publishing: what goes out, and what each relay answered.

use nostr::event::{Event, EventId};
use std::{sync::Arc, time::Duration};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{fact::EventFault, verify};

/// A signed event on its way out. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outgoing {
    id: EventId,
    /// `["EVENT",<event>]`, as it goes over the wire.
    frame: Utf8Bytes,
}

/// JSON that cannot be published: it is not an event, or its id or signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event was not published: {0}")]
pub struct BadOutgoing(#[from] pub EventFault);

impl Outgoing {
    /// The event of this JSON, verified: what would be refused by relays is refused here.
    pub fn from_json(json: &str) -> Result<Self, BadOutgoing> {
        let event = verify::read_verified(json)?;
        Ok(Self { id: event.id, frame: frame_of(json) })
    }

    pub fn id(&self) -> EventId {
        self.id
    }

    pub(crate) fn frame(&self) -> &Utf8Bytes {
        &self.frame
    }
}

impl From<&Event> for Outgoing {
    fn from(event: &Event) -> Self {
        Self { id: event.id, frame: frame_of(&event.as_json()) }
    }
}

fn frame_of(json: &str) -> Utf8Bytes {
    let json = json.trim();
    let mut frame = String::with_capacity(json.len() + 10);
    frame.push_str("[\"EVENT\",");
    frame.push_str(json);
    frame.push(']');
    frame.into()
}

/// How long to wait, and for how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishOptions {
    /// When the answer is given at the latest. Until then the event is sent again after a
    /// reconnect, a `rate-limited` or an authentication.
    pub timeout: Duration,
    /// Answer as soon as so many relays have accepted; the others go on on their own.
    pub enough: usize,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), enough: usize::MAX }
    }
}

/// What each relay answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishReport {
    pub event_id: EventId,
    pub accepted: Vec<Accepted>,
    pub rejected: Vec<Rejected>,
    /// Relays that had not answered when enough others had accepted.
    pub pending: Vec<Arc<str>>,
}

impl PublishReport {
    /// At least one relay has the event.
    pub fn is_published(&self) -> bool {
        !self.accepted.is_empty()
    }

    /// Whether a relay may have the event, whatever it said.
    pub fn may_be_out(&self) -> bool {
        let maybe = |rejected: &Rejected| rejected.reason.may_be_out();
        self.is_published() || !self.pending.is_empty() || self.rejected.iter().any(maybe)
    }

    /// Publishing the same event again later may do better: also where nobody was asked, as the
    /// relays of a program that just started are added in a moment.
    pub fn is_retryable(&self) -> bool {
        let nobody_asked =
            self.accepted.is_empty() && self.rejected.is_empty() && self.pending.is_empty();
        nobody_asked || self.rejected.iter().any(|rejected| rejected.reason.is_retryable())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub url: Arc<str>,
    /// The relay's words, often empty; `duplicate: …` where it had the event already.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub url: Arc<str>,
    pub reason: Refusal,
}

/// Why a relay is not known to have an event. Sending the same event again is always safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the relay refused the event: {message}")]
    Refused { message: String },
    #[error("the relay asks for payment or membership: {message}")]
    Restricted { message: String },
    #[error("the relay asks for authentication (NIP-42), and {detail}")]
    AuthRequired { detail: String },
    #[error("the relay did not acknowledge the event, but said: {notice}")]
    NoticeOnly { notice: String },
    #[error("the event has {bytes} bytes; the relay reads at most {max_bytes}")]
    TooLarge { bytes: usize, max_bytes: usize },
    #[error("the relay did not acknowledge the event in time{}", after(.detail))]
    TimedOut { detail: Option<String> },
    #[error("the connection was lost before the relay acknowledged the event: {detail}")]
    Disconnected { detail: String },
    #[error("not connected to the relay in time{}", after(.detail))]
    NotConnected { detail: Option<String> },
    #[error("too much is waiting to go to the relay")]
    Busy,
    #[error("the relay was removed")]
    Removed,
    #[error("the relay was never added")]
    NotAdded,
}

impl Refusal {
    /// Whether the relay may have the event: it was sent, and not plainly refused.
    pub fn may_be_out(&self) -> bool {
        match self {
            Self::Refused { message } => message.starts_with("error:"),
            Self::NoticeOnly { .. }
            | Self::TimedOut { .. }
            | Self::Disconnected { .. }
            | Self::Removed => true,
            Self::Restricted { .. }
            | Self::AuthRequired { .. }
            | Self::TooLarge { .. }
            | Self::NotConnected { .. }
            | Self::Busy
            | Self::NotAdded => false,
        }
    }

    /// Whether sending the same event to the same relay later may do better.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { message } => {
                message.starts_with("rate-limited:") || message.starts_with("error:")
            }
            Self::TimedOut { .. }
            | Self::Disconnected { .. }
            | Self::NotConnected { .. }
            | Self::Busy
            | Self::Removed
            | Self::NotAdded => true,
            Self::Restricted { .. }
            | Self::AuthRequired { .. }
            | Self::NoticeOnly { .. }
            | Self::TooLarge { .. } => false,
        }
    }
}

fn after(detail: &Option<String>) -> String {
    detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reached_nobody_is_tried_again() {
        let report = |reasons: Vec<Refusal>| PublishReport {
            event_id: EventId::from_byte_array([1; 32]),
            accepted: Vec::new(),
            rejected: reasons
                .into_iter()
                .map(|reason| Rejected { url: "ws://127.0.0.1:7000".into(), reason })
                .collect(),
            pending: Vec::new(),
        };
        assert!(report(vec![]).is_retryable(), "no relay was there yet");
        assert!(report(vec![Refusal::NotAdded]).is_retryable());
        assert!(report(vec![Refusal::Removed]).is_retryable());
        let blocked = Refusal::Refused { message: "blocked: not here".to_owned() };
        assert!(!report(vec![blocked.clone()]).is_retryable());
        assert!(report(vec![blocked, Refusal::Busy]).is_retryable());
    }

    #[test]
    fn an_event_may_be_out_unless_every_relay_refused_it_or_never_got_it() {
        let refused = |message: &str| Refusal::Refused { message: message.to_owned() };
        let lost = Refusal::Disconnected { detail: "reset".to_owned() };
        let cases = [
            (vec![], false),
            (vec![refused("blocked: not here")], false),
            (vec![refused("rate-limited: slow down"), Refusal::NotAdded], false),
            (vec![Refusal::NotConnected { detail: None }, Refusal::Busy], false),
            (vec![Refusal::TooLarge { bytes: 9, max_bytes: 1 }], false),
            (vec![refused("error: disk is slow")], true),
            (vec![refused("blocked: not here"), Refusal::TimedOut { detail: None }], true),
            (vec![lost], true),
        ];
        for (reasons, expected) in cases {
            let url: Arc<str> = "ws://127.0.0.1:7000".into();
            let rejected: Vec<_> =
                reasons.into_iter().map(|reason| Rejected { url: url.clone(), reason }).collect();
            let report = PublishReport {
                event_id: EventId::from_byte_array([1; 32]),
                accepted: Vec::new(),
                rejected,
                pending: Vec::new(),
            };
            assert_eq!(report.may_be_out(), expected, "{:?}", report.rejected);
        }
    }
}
