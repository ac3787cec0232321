//! A job as lists and the inspector show it: state, who moves next, timeline and proof ladder.

use domain::{EventHash, RequestId, Timestamp};
use engine::view::{JobRole, JobView, ProofSource, View};
use serde::Serialize;
use std::sync::Arc;

use super::{Tone, npub, words};
use crate::clock::{Clock, duration};

/// One line of a list of jobs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobRow {
    pub request_id: RequestId,
    pub role: JobRole,
    pub kind: String,
    pub state: String,
    pub tone: Tone,
    /// Empty when the job is over.
    pub waiting_for: String,
    pub peer: String,
    pub amount: String,
    pub updated: String,
    /// What a screen reader says of the whole line.
    pub name: String,
}

impl JobRow {
    pub fn of(job: &JobView, clock: &Clock) -> Self {
        let state = if words::waits_for_operator(job) {
            "Waiting for you".into()
        } else {
            words::sentence(&job.state)
        };
        let waiting_for = job.waiting_for.as_deref().map(words::mover).unwrap_or_default();
        let peer = job.peer.as_ref().map_or_else(|| "nobody yet".into(), npub::short);
        let amount = job.amount_msat.to_string();
        let role = words::role(job.role);
        let kind = words::one_line(&job.kind_name);
        let wait = if waiting_for.is_empty() || words::waits_for_operator(job) {
            String::new()
        } else {
            format!(", waiting for {waiting_for}")
        };
        Self {
            name: format!("{role} {kind}, {state}{wait}, {amount}"),
            request_id: job.request_id,
            role: job.role,
            tone: words::job_tone(job),
            updated: clock.moment(job.updated_at),
            kind,
            state,
            waiting_for,
            peer,
            amount,
        }
    }
}

/// The lists of the Market, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JobLists {
    /// Jobs that wait for the operator's answer.
    pub inbox: Vec<JobRow>,
    pub active: Vec<JobRow>,
    pub over: Vec<JobRow>,
    /// What this machine buys, running or over.
    pub bought: Vec<JobRow>,
}

impl JobLists {
    pub fn of(view: &View, clock: &Clock) -> Self {
        let mut lists = Self::default();
        for job in &view.jobs {
            let row = JobRow::of(job, clock);
            if job.role == JobRole::Buyer {
                lists.bought.push(row.clone());
            }
            if job.over {
                lists.over.push(row);
            } else if words::waits_for_operator(job) {
                lists.inbox.push(row);
            } else {
                lists.active.push(row);
            }
        }
        lists
    }
}

/// One step of a timeline, with what happened between it and the one before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    pub time: String,
    pub title: String,
    pub detail: Option<String>,
    /// How long after the step before; absent on the first.
    pub after: Option<String>,
    pub machine: String,
    pub seq: u64,
    /// Absent where only the log row is known.
    pub event_hash: Option<EventHash>,
    pub tone: Tone,
}

/// One rung of the proof ladder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    pub title: &'static str,
    pub source: Option<&'static str>,
    pub explain: &'static str,
}

/// Everything the inspector says of a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobDetail {
    pub row: JobRow,
    pub payment_state: String,
    /// Good only where a preimage proves it.
    pub payment_tone: Tone,
    pub waiting: Option<String>,
    pub reason: Option<String>,
    pub facts: Vec<Fact>,
    pub steps: Vec<Step>,
    pub rungs: Vec<Rung>,
}

/// A fact and what copying it gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    pub label: &'static str,
    pub shown: String,
    /// The whole value, where it can be copied.
    pub copy: Option<String>,
}

impl Fact {
    pub fn plain(label: &'static str, shown: impl Into<String>) -> Self {
        Self { label, shown: shown.into(), copy: None }
    }

    /// A long value: its ends are shown, the whole is copied.
    pub fn long(label: &'static str, whole: impl ToString) -> Self {
        let whole = whole.to_string();
        Self { label, shown: words::middle(&whole, 12, 8), copy: Some(whole) }
    }
}

impl JobDetail {
    pub fn of(job: &JobView, clock: &Clock) -> Self {
        let waiting = job.waiting_for.as_deref().map(words::mover);
        Self {
            row: JobRow::of(job, clock),
            payment_state: words::sentence(&job.payment_state),
            payment_tone: if job.proofs.paid.is_some() { Tone::Good } else { Tone::Neutral },
            waiting,
            reason: job.reason.as_deref().map(words::one_line),
            facts: facts(job, clock),
            steps: steps(job, clock),
            rungs: rungs(job),
        }
    }
}

fn facts(job: &JobView, clock: &Clock) -> Vec<Fact> {
    let mut facts = vec![
        Fact::plain("Amount", job.amount_msat.to_string()),
        Fact::plain("Fee", words::amount_or_unknown(job.fee_msat)),
    ];
    if let Some(bid) = job.bid_msat {
        facts.push(Fact::plain("Bid", bid.to_string()));
    }
    facts.push(Fact::plain("Payment", job.payment.map_or("unknown", words::policy)));
    facts.push(Fact::plain("Kind", format!("{} {}", job.kind, words::one_line(&job.kind_name))));
    let side = if job.role == JobRole::Provider { "Buyer" } else { "Provider" };
    facts.push(match &job.peer {
        Some(peer) => Fact { label: side, shown: npub::short(peer), copy: Some(npub::text(peer)) },
        None => Fact::plain(side, "nobody yet"),
    });
    facts.push(Fact::long("Request", job.request_id));
    facts.push(Fact::plain("Created", clock.full(job.created_at)));
    facts.push(Fact::plain("Updated", clock.full(job.updated_at)));
    facts.extend(job.payment_hash.map(|hash| Fact::long("Payment hash", hash)));
    facts.extend(job.preimage.map(|preimage| Fact::long("Preimage", preimage)));
    facts.extend(job.bolt11.as_ref().map(|bolt11| Fact::long("Invoice", bolt11)));
    facts.extend(job.result_sha256.map(|hash| Fact::long("Result SHA-256", hash)));
    facts
}

fn steps(job: &JobView, clock: &Clock) -> Vec<Step> {
    let last = job.timeline.len().saturating_sub(1);
    let mut before: Option<Timestamp> = None;
    let mut steps = Vec::with_capacity(job.timeline.len());
    for (index, step) in job.timeline.iter().enumerate() {
        let newest = index == last;
        steps.push(Step {
            time: clock.exact_time(step.at),
            title: words::sentence(&step.state),
            detail: step.detail.as_deref().map(words::one_line),
            after: before.map(|earlier| format!("+{}", duration(step.at.since_ms(earlier)))),
            machine: step.machine.clone(),
            seq: step.seq,
            event_hash: Some(step.event_hash),
            tone: if newest { words::job_tone(job) } else { Tone::Neutral },
        });
        before = Some(step.at);
    }
    steps
}

fn rungs(job: &JobView) -> Vec<Rung> {
    let proofs = &job.proofs;
    let rung = |title, source: Option<ProofSource>, explain| Rung {
        title,
        source: source.map(words::proof_source),
        explain,
    };
    vec![
        rung("Request seen", proofs.request_seen, "A relay delivered it, its signature holds"),
        rung("Work accepted", proofs.work_accepted, "The provider took the job"),
        rung("Result delivered", proofs.result_delivered, "The result event was published"),
        rung("Invoice seen", proofs.invoice_seen, "An invoice for exactly this job"),
        rung("Paid", proofs.paid, "The preimage hashes to the invoice's payment hash"),
        rung("Settled", proofs.settled, "The wallet holds the money, or has spent it"),
    ]
}

/// The job with this id, where the view holds it.
pub fn find(view: &View, id: RequestId) -> Option<&Arc<JobView>> {
    view.jobs.iter().find(|job| job.request_id == id)
}
