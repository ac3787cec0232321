//! The check that stands before everything: contents hash to the id, the author signed the id.
//!
//! Nothing is ever believed because its id was seen before. The id is recomputed from the contents
//! of every copy first; only then may a remembered signature save the curve arithmetic.

use nostr::event::{Event, EventId, Signature};
use nostr::filter::MatchEventOptions;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{fact::EventFault, recent::Recent, subs::Subscription, wire};

/// Checks id and signature of an event, whatever it came through.
pub fn verify_event(event: &Event) -> Result<(), EventFault> {
    if !event.verify_id() {
        return Err(EventFault::WrongId);
    }
    if !event.verify_signature() {
        return Err(EventFault::BadSignature);
    }
    Ok(())
}

/// Reads an event in the one form that NIP-01 writes and checks id and signature.
pub fn read_verified(json: &str) -> Result<Event, EventFault> {
    let event = wire::parse_event(json).ok_or(EventFault::Malformed)?;
    verify_event(&event)?;
    Ok(event)
}

/// What becomes of an event that a relay sent.
#[derive(Debug)]
pub(crate) enum Verdict {
    Deliver(Arc<Event>),
    Duplicate,
    Bad(EventFault),
}

/// Judges what relays send; one for the whole pool, so that it also knows copies.
pub(crate) struct Judge {
    /// Signatures that were verified over an id.
    verified: Mutex<Recent<EventId, Signature>>,
    /// What was handed on, per subscription.
    delivered: Mutex<Recent<(u64, EventId), ()>>,
}

impl Judge {
    pub fn new(remember: usize) -> Self {
        Self {
            verified: Mutex::new(Recent::new(remember)),
            delivered: Mutex::new(Recent::new(remember)),
        }
    }

    /// The verdict over one event in `raw`. [`Verdict::Deliver`] is given once per subscription:
    /// the caller must hand the event on.
    pub fn judge(&self, subscription: &Subscription, raw: &str) -> Verdict {
        let Some(event) = wire::parse_event(raw) else {
            return Verdict::Bad(EventFault::Malformed);
        };
        if !event.verify_id() {
            return Verdict::Bad(EventFault::WrongId);
        }
        // From here on, equal ids mean equal contents.
        let known = lock(&self.verified).get(&event.id).copied();
        if known != Some(event.sig) {
            if !event.verify_signature() {
                return Verdict::Bad(EventFault::BadSignature);
            }
            lock(&self.verified).insert(event.id, event.sig);
        }
        let options = MatchEventOptions::new().nip50(false);
        if !subscription.filters.iter().any(|filter| filter.match_event(&event, options)) {
            return Verdict::Bad(EventFault::NotAskedFor);
        }
        if lock(&self.delivered).insert((subscription.generation, event.id), ()) {
            Verdict::Deliver(Arc::new(event))
        } else {
            Verdict::Duplicate
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nostr::event::{EventBuilder, FinalizeEvent, Kind};
    use nostr::filter::Filter;
    use nostr::key::Keys;
    use proptest::prelude::*;

    fn signed(content: &str) -> Event {
        let keys = Keys::parse(&"11".repeat(32)).unwrap();
        EventBuilder::new(Kind::from(5050), content).finalize(&keys).unwrap()
    }

    fn all(generation: u64) -> Subscription {
        Subscription { id: "s".into(), generation, filters: vec![Filter::new()] }
    }

    fn fault(verdict: Verdict) -> EventFault {
        match verdict {
            Verdict::Bad(fault) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_id_that_was_seen_vouches_for_nothing() {
        let judge = Judge::new(100);
        let event = signed("pay 1 sat");
        let json = event.as_json();
        assert!(matches!(judge.judge(&all(1), &json), Verdict::Deliver(_)));
        assert!(matches!(judge.judge(&all(1), &json), Verdict::Duplicate));
        let tampered = json.replace("pay 1 sat", "pay 9 sat");
        let forged_sig = json.replace(&event.sig.to_hex(), &signed("other").sig.to_hex());
        for subscription in [1, 2] {
            assert_eq!(fault(judge.judge(&all(subscription), &tampered)), EventFault::WrongId);
            assert_eq!(
                fault(judge.judge(&all(subscription), &forged_sig)),
                EventFault::BadSignature
            );
        }
        assert!(matches!(judge.judge(&all(2), &json), Verdict::Deliver(_)));
    }

    #[test]
    fn a_forgery_that_comes_first_does_not_hide_the_event() {
        let judge = Judge::new(100);
        let json = signed("real").as_json();
        assert_eq!(fault(judge.judge(&all(1), &json.replace("real", "fake"))), EventFault::WrongId);
        assert!(matches!(judge.judge(&all(1), &json), Verdict::Deliver(_)));
    }

    #[test]
    fn only_what_was_asked_for() {
        let judge = Judge::new(100);
        let asked = Filter::new().kind(Kind::from(6050));
        let subscription = Subscription { filters: vec![asked], ..all(1) };
        let verdict = judge.judge(&subscription, &signed("x").as_json());
        assert_eq!(fault(verdict), EventFault::NotAskedFor);
    }

    proptest! {
        #[test]
        fn no_changed_byte_gets_through(at in any::<prop::sample::Index>(), byte in 0x20_u8..0x7f) {
            let judge = Judge::new(100);
            let event = signed("contents of the event");
            let json = event.as_json();
            judge.judge(&all(1), &json);
            let mut bytes = json.clone().into_bytes();
            bytes[at.index(json.len())] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            match judge.judge(&all(2), &changed) {
                Verdict::Deliver(same) => prop_assert_eq!(&*same, &event),
                Verdict::Bad(_) => {}
                Verdict::Duplicate => prop_assert!(false, "nothing was delivered to 2"),
            }
        }
    }
}
