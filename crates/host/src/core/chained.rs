//! One step's events as the log will hold them, made before any of them is applied.

use domain::{
    Body, EffectId, Emit, ErrorBody, EventData, Machine, Recorded, Timestamp, event::Link,
    machine::Effect,
};
use store::{Head, NewEvent, OutboxRow};

/// What became of one step's events before any was applied.
pub(super) enum Linked<M: Machine> {
    Whole(Vec<Chained<M>>),
    /// Why one of them can't be recorded, so that none is.
    Not(ErrorBody),
}

/// One event with its place in its stream, its bodies, and its effects as the outbox keeps them.
pub(super) struct Chained<M: Machine> {
    pub new: NewEvent,
    pub recorded: Recorded<M::Event>,
    pub bodies: Vec<Body>,
    pub effects: Vec<(OutboxRow, M::Effect)>,
}

/// The event and its effects as they are to be recorded after `before`; nothing is applied.
pub(super) fn chained<M: Machine>(
    emit: Emit<M>,
    before: Head,
    cause: Option<&EffectId>,
    at: Timestamp,
) -> Result<Chained<M>, ErrorBody> {
    let Emit { stream, event, bodies, effects } = emit;
    let (seq, prev) = (before.seq + 1, before.hash);
    let references: Vec<_> = bodies.iter().map(|body| body.reference.clone()).collect();
    let link = Link { stream: &stream, seq, prev, at, bodies: &references, cause, data: &event };
    let not_recorded = |what: &str, error: &dyn std::fmt::Display| {
        let text = format!("{what} cannot be recorded ({error}); nothing of this input was done.");
        ErrorBody::new("not_recorded", text)
    };
    let canonical = link.canonical().map_err(|error| not_recorded(event.type_name(), &error))?;
    let effects = (0..)
        .zip(effects)
        .map(|(index, effect)| {
            let row = OutboxRow {
                id: EffectId { stream: stream.clone(), seq, index },
                adapter: effect.adapter(),
                class: effect.repeat_class(),
                json: serde_json::to_string(&effect)
                    .map_err(|error| not_recorded("an effect", &error))?,
            };
            Ok((row, effect))
        })
        .collect::<Result<_, ErrorBody>>()?;
    let new = NewEvent::new(stream.clone(), seq, canonical);
    let hash = new.hash();
    let cause = cause.cloned();
    let recorded = Recorded { stream, seq, at, bodies: references, cause, prev, hash, data: event };
    Ok(Chained { new, recorded, bodies, effects })
}
