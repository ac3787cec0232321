//! Effects: what a committed event asks the world to do, and what a crash may do with it.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

use crate::ids::StreamId;

/// Id of one effect: the event that caused it and its place among that event's effects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId {
    pub stream: StreamId,
    pub seq: u64,
    pub index: u16,
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}.{}", self.stream, self.seq, self.index)
    }
}

/// Text that is not `stream#seq.index`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an effect id reads stream#seq.index")]
pub struct BadEffectId;

impl FromStr for EffectId {
    type Err = BadEffectId;

    fn from_str(text: &str) -> Result<Self, BadEffectId> {
        let (stream, rest) = text.rsplit_once('#').ok_or(BadEffectId)?;
        let (seq, index) = rest.split_once('.').ok_or(BadEffectId)?;
        Ok(Self {
            stream: stream.parse().map_err(|_| BadEffectId)?,
            seq: seq.parse().map_err(|_| BadEffectId)?,
            index: index.parse().map_err(|_| BadEffectId)?,
        })
    }
}

impl Serialize for EffectId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EffectId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What may be done with an effect whose outcome a crash has hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepeatClass {
    /// Idempotent by effect id: do it again.
    Repeat,
    /// Ask the backend by key first, act only if it has not happened.
    LookUpFirst,
    /// Never do it again: report `OutcomeUnknown` and let the machine or the operator decide.
    Never,
}
