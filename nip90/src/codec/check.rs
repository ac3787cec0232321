//! Before anything: size, id and signature. The id is recomputed each time, no cache is trusted.

use domain::Timestamp;
use nostr::event::Event;

use super::{MAX_EVENT_BYTES, MAX_FUTURE_SECS, MAX_TAG_VALUES, MAX_TAGS, tags};

/// Why an event is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    #[error("the event has more than {MAX_EVENT_BYTES} bytes")]
    TooLarge,
    #[error("the event has more than {MAX_TAGS} tags, or a tag more than {MAX_TAG_VALUES} values")]
    TooManyTags,
    #[error("the event is not a Nostr event in JSON")]
    Malformed,
    #[error("the event's id is not the hash of its contents")]
    WrongId,
    #[error("the event's signature does not hold")]
    WrongSignature,
    #[error("the event is dated more than {MAX_FUTURE_SECS} s in the future")]
    FromTheFuture,
}

/// Checks size, id and signature (NIP-01).
pub fn verify(event: &Event) -> Result<(), EventFault> {
    let mut bytes = event.content.len();
    if event.tags.len() > MAX_TAGS {
        return Err(EventFault::TooManyTags);
    }
    for tag in event.tags.iter() {
        if tag.as_slice().len() > MAX_TAG_VALUES {
            return Err(EventFault::TooManyTags);
        }
        bytes += tag.as_slice().iter().map(String::len).sum::<usize>();
    }
    if bytes > MAX_EVENT_BYTES {
        return Err(EventFault::TooLarge);
    }
    if !event.verify_id() {
        return Err(EventFault::WrongId);
    }
    if !event.verify_signature() {
        return Err(EventFault::WrongSignature);
    }
    Ok(())
}

/// [`verify`], and not dated beyond [`MAX_FUTURE_SECS`] after `now`.
pub fn check(event: &Event, now: Timestamp) -> Result<(), EventFault> {
    if tags::created_at(event) > now.as_secs().saturating_add(MAX_FUTURE_SECS) {
        return Err(EventFault::FromTheFuture);
    }
    verify(event)
}

/// Reads one event from JSON and verifies it.
pub fn parse(json: &[u8]) -> Result<Event, EventFault> {
    let event = parse_kept(json)?;
    verify(&event)?;
    Ok(event)
}

/// Reads back one event that was verified before it was kept as a body: the body's salted hash,
/// which is in the log, vouches for its bytes.
pub fn parse_kept(json: &[u8]) -> Result<Event, EventFault> {
    if json.len() > MAX_EVENT_BYTES {
        return Err(EventFault::TooLarge);
    }
    Event::from_json(json).map_err(|_| EventFault::Malformed)
}
