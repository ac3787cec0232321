//! The events that are measured: those of one small job after the other.

use domain::{StreamId, Timestamp, event::Link};
use serde::{Deserialize, Serialize};

use super::BenchError;
use crate::rows::{Head, NewEvent};

/// A job has about this many events.
pub(super) const EVENTS_PER_STREAM: u64 = 6;
/// What each event asks of an adapter.
pub(super) const EFFECT: &str = r#"{"publish":{"kind":7000,"status":"processing","relays":"all"}}"#;

domain::events! {
    pub enum Measured { "bench.job_progressed" 1 => Progress(Progress); }
}

/// About what a job's event carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    request_id: domain::RequestId,
    state: String,
    amount_msat: domain::Msat,
    customer: domain::Pubkey,
    detail: String,
}

/// The name of the stream of job `number`: spread over the index as real ids are.
pub(super) fn stream_of(number: u64) -> StreamId {
    StreamId::of("job", domain::Sha256Hash::of(&number.to_be_bytes()))
}

/// Makes the events of one job after the other.
pub(super) struct Source {
    made: u64,
    stream: StreamId,
    head: Head,
}

impl Source {
    pub(super) fn new() -> Self {
        Self { made: 0, stream: StreamId::named("job/none"), head: Head::EMPTY }
    }

    pub(super) fn next(&mut self) -> Result<NewEvent, BenchError> {
        let job = domain::Sha256Hash::of(&(self.made / EVENTS_PER_STREAM).to_be_bytes()).0;
        if self.made.is_multiple_of(EVENTS_PER_STREAM) {
            self.stream = stream_of(self.made / EVENTS_PER_STREAM);
            self.head = Head::EMPTY;
        }
        let data = Measured::from(Progress {
            request_id: domain::RequestId(job),
            state: "running".into(),
            amount_msat: domain::Msat::from_sat(21),
            customer: domain::Pubkey(job),
            detail: "the sandbox has started".into(),
        });
        let link = Link {
            stream: &self.stream,
            seq: self.head.seq + 1,
            prev: self.head.hash,
            at: Timestamp(1_700_000_000_000 + self.made),
            bodies: &[],
            cause: None,
            data: &data,
        };
        let event = NewEvent::new(self.stream.clone(), self.head.seq + 1, link.canonical()?);
        self.head = event.head();
        self.made += 1;
        Ok(event)
    }
}
