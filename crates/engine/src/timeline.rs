//! Timelines: the states a job went through, each with the event that proves it.

use domain::{EventData, Recorded, RequestId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

use crate::{
    event::Event,
    view::{JobRole, TimelineStep},
};

/// Jobs that are over and whose steps are still held; the rest is read by page.
const OVER_KEPT: usize = 200;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timelines {
    steps: BTreeMap<JobKey, Vec<TimelineStep>>,
    /// Jobs that are over, oldest first.
    over: VecDeque<JobKey>,
}

/// One job of ours: sold or bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey {
    pub role: JobRole,
    pub request_id: RequestId,
}

impl Serialize for JobKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let area = match self.role {
            JobRole::Provider => "job",
            JobRole::Buyer => "buy",
        };
        serializer.collect_str(&format_args!("{area}/{}", self.request_id))
    }
}

impl<'de> Deserialize<'de> for JobKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::of_stream(&text).ok_or_else(|| serde::de::Error::custom("not a job's stream"))
    }
}

impl JobKey {
    /// The job whose stream this is.
    pub fn of_stream(stream: &str) -> Option<Self> {
        let (area, id) = stream.split_once('/')?;
        let role = match area {
            "job" => JobRole::Provider,
            "buy" => JobRole::Buyer,
            _ => return None,
        };
        Some(Self { role, request_id: id.parse().ok()? })
    }
}

impl Timelines {
    /// Adds the step of an event in a job's stream.
    pub fn record(&mut self, key: JobKey, event: &Recorded<Event>) {
        self.steps.entry(key).or_default().push(step(event));
    }

    /// The job is over: it is held a while longer.
    pub fn over(&mut self, key: JobKey) {
        if self.over.contains(&key) {
            return;
        }
        self.over.push_back(key);
        while self.over.len() > OVER_KEPT {
            if let Some(oldest) = self.over.pop_front() {
                self.steps.remove(&oldest);
            }
        }
    }

    pub fn is_over(&self, key: &JobKey) -> bool {
        self.over.contains(key)
    }

    pub fn steps(&self, key: &JobKey) -> &[TimelineStep] {
        self.steps.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Jobs that are held, in no order that means anything.
    pub fn keys(&self) -> impl Iterator<Item = &JobKey> {
        self.steps.keys()
    }

    pub fn updated_at(&self, key: &JobKey) -> Timestamp {
        self.steps(key).last().map(|step| step.at).unwrap_or_default()
    }
}

fn step(event: &Recorded<Event>) -> TimelineStep {
    let (area, state) =
        event.data.type_name().split_once('.').unwrap_or(("", event.data.type_name()));
    let payment = [
        "invoiced",
        "paid",
        "unpaid",
        "refund_due",
        "refunding",
        "refund_unknown",
        "refund_failed",
        "refunded",
        "handed_back",
        "settled",
        "paying",
    ];
    let machine = match area {
        "job" if payment.contains(&state) => "payment",
        "job" => "execution",
        area => area,
    };
    TimelineStep {
        at: event.at,
        machine: machine.to_owned(),
        state: state.to_owned(),
        detail: event.data.to_json().ok().and_then(|data| detail(&data)),
        seq: event.seq,
        event_hash: event.hash,
    }
}

/// The words an event has for people.
fn detail(data: &Value) -> Option<String> {
    ["detail", "reason", "text", "note"]
        .iter()
        .find_map(|name| data[*name].as_str())
        .map(ToOwned::to_owned)
}
