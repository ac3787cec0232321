//! The shape both machines share, so that the engine can embed each in its own.

use domain::{Body, ErrorBody, EventHash, IdempotencyKey, RequestId, StreamId, Timestamp};

/// One event to record, the bodies it refers to, and the effects that its commit releases.
#[derive(Clone, Debug, PartialEq)]
pub struct Emit<E, F> {
    pub stream: StreamId,
    pub event: E,
    pub bodies: Vec<Body>,
    pub effects: Vec<F>,
}

impl<E, F> Emit<E, F> {
    pub fn new(stream: StreamId, event: impl Into<E>) -> Self {
        Self { stream, event: event.into(), bodies: Vec::new(), effects: Vec::new() }
    }
}

/// What one input leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<E, F> {
    pub emits: Vec<Emit<E, F>>,
    /// For commands: the answer for who asked.
    pub reply: Option<Reply>,
    /// Why an input changed nothing, where that is worth a line in a diagnostic log. Never content
    /// from outside.
    pub ignored: Option<String>,
}

impl<E, F> Default for Decision<E, F> {
    fn default() -> Self {
        Self { emits: Vec::new(), reply: None, ignored: None }
    }
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Done,
    Submitted {
        request_id: RequestId,
    },
    /// The wallet was asked to pay under this key.
    PaymentStarted {
        key: IdempotencyKey,
    },
    Refused(ErrorBody),
}

/// Where a committed event stands: what `apply` needs to know beside the event itself.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub stream: &'a StreamId,
    pub at: Timestamp,
    pub hash: EventHash,
}

/// The request id in a stream's name `area/<request id>`.
pub(crate) fn request_of(stream: &StreamId, area: &str) -> Option<RequestId> {
    stream.as_str().strip_prefix(area)?.strip_prefix('/')?.parse().ok()
}
