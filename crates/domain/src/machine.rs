//! The one mechanism's shape: decide, persist, then act.

use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

use crate::{
    body::Body,
    effect::{EffectId, RepeatClass},
    event::{EventData, Recorded},
    ids::StreamId,
    time::Timestamp,
};

/// A pure state machine over its own inputs. Time and entropy are inputs.
///
/// Law: `decide` never mutates and never touches the world; `apply` never decides. Replaying the
/// recorded events through `apply` from [`Default`] gives the same state.
pub trait Machine: Default + Clone + Serialize + DeserializeOwned + Send + 'static {
    type Input: fmt::Debug + Send + 'static;
    type Event: EventData;
    type Effect: Effect;
    type Reply: fmt::Debug + Send + 'static;

    fn decide(&self, input: &Self::Input, now: Timestamp) -> Step<Self>;
    fn apply(&mut self, event: &Recorded<Self::Event>);
}

/// What an effect tells the outbox of itself.
pub trait Effect:
    Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    fn repeat_class(&self) -> RepeatClass;
    /// Which adapter takes it; each pulls its own, in order per stream.
    fn adapter(&self) -> &'static str;
}

/// One event to record, the bodies it refers to, and the effects that its commit releases.
pub struct Emit<M: Machine> {
    pub stream: StreamId,
    pub event: M::Event,
    pub bodies: Vec<Body>,
    pub effects: Vec<M::Effect>,
}

impl<M: Machine> Emit<M> {
    pub fn new(stream: StreamId, event: impl Into<M::Event>) -> Self {
        Self { stream, event: event.into(), bodies: Vec::new(), effects: Vec::new() }
    }

    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.bodies.push(body);
        self
    }

    #[must_use]
    pub fn effect(mut self, effect: M::Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

/// What one input leads to: events in order, and an answer for who asked.
pub struct Step<M: Machine> {
    pub emits: Vec<Emit<M>>,
    pub reply: Option<M::Reply>,
}

impl<M: Machine> Step<M> {
    pub fn nothing() -> Self {
        Self { emits: Vec::new(), reply: None }
    }

    pub fn reply(reply: M::Reply) -> Self {
        Self { emits: Vec::new(), reply: Some(reply) }
    }

    #[must_use]
    pub fn emit(mut self, emit: Emit<M>) -> Self {
        self.emits.push(emit);
        self
    }

    #[must_use]
    pub fn answer(mut self, reply: M::Reply) -> Self {
        self.reply = Some(reply);
        self
    }
}

/// An input on its way to the machine: what it is and which effect it acknowledges, if any.
///
/// The acknowledged effect leaves the outbox in the same transaction as the events of this input,
/// also where the machine ignores the input as late.
#[derive(Debug)]
pub struct Delivery<I> {
    pub input: I,
    pub acknowledges: Option<EffectId>,
    /// Nobody waits for what it leads to: it may wait a moment for others, to share their flush.
    pub is_patient: bool,
}

impl<I> Delivery<I> {
    pub fn new(input: I) -> Self {
        Self { input, acknowledges: None, is_patient: false }
    }

    #[must_use]
    pub fn patient(self) -> Self {
        Self { is_patient: true, ..self }
    }

    pub fn of_effect(effect: EffectId, input: I) -> Self {
        Self { input, acknowledges: Some(effect), is_patient: false }
    }
}
