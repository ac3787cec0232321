//! A decision in the making: events are applied to copies, so that later steps see earlier ones.

use domain::{Body, ErrorBody, RequestId, StreamId, Timestamp};
use std::collections::BTreeMap;

use super::{
    Provider,
    config::Context,
    effect::{Execute, Message, ProviderEffect, Publish, Slot},
    event::{FailReason, Failed, ProviderEvent, Started},
    execution::Execution,
    job::{Job, ReceiptState, fail_text},
    payment::Payment,
};
use crate::{
    machine::{Decision, Emit, Reply},
    types::one_line,
};

/// The longest text of ours that goes into an event or feedback.
const MAX_DETAIL_CHARS: usize = 240;

pub(super) type ProviderDecision = Decision<ProviderEvent, ProviderEffect>;

pub(super) struct Plan<'a> {
    pub provider: &'a Provider,
    pub ctx: &'a Context<'a>,
    pub now: Timestamp,
    decision: ProviderDecision,
    touched: BTreeMap<RequestId, Job>,
}

impl<'a> Plan<'a> {
    pub fn new(provider: &'a Provider, ctx: &'a Context<'a>, now: Timestamp) -> Self {
        Self { provider, ctx, now, decision: Decision::default(), touched: BTreeMap::new() }
    }

    pub fn job(&self, id: &RequestId) -> Option<&Job> {
        self.touched.get(id).or_else(|| self.provider.job(id))
    }

    /// Records an event of the provider itself.
    pub fn note(&mut self, event: impl Into<ProviderEvent>, effects: Vec<ProviderEffect>) {
        let mut emit = Emit::new(StreamId::named("provider"), event);
        emit.effects = effects;
        self.decision.emits.push(emit);
    }

    /// Records an event of a job.
    pub fn record(
        &mut self,
        id: RequestId,
        event: impl Into<ProviderEvent>,
        bodies: Vec<Body>,
        effects: Vec<ProviderEffect>,
    ) {
        let event = event.into();
        if let ProviderEvent::Received(received) = &event {
            self.touched.insert(id, Job::new(id, received, self.now));
        } else if let Some(job) = self.touched.get_mut(&id) {
            job.apply(&event, self.now);
        } else if let Some(job) = self.provider.job(&id) {
            let mut job = job.clone();
            job.apply(&event, self.now);
            self.touched.insert(id, job);
        }
        let stream = StreamId::of("job", id);
        self.decision.emits.push(Emit { stream, event, bodies, effects });
    }

    /// Adds an effect to the event that was recorded last.
    pub fn effect(&mut self, effect: ProviderEffect) {
        if let Some(emit) = self.decision.emits.last_mut() {
            emit.effects.push(effect);
        }
    }

    pub fn publish(
        job: &Job,
        slot: Slot,
        created_at_secs: u64,
        message: Message,
    ) -> ProviderEffect {
        ProviderEffect::Publish(Publish {
            request_id: job.request_id,
            slot,
            created_at_secs,
            customer: job.author,
            hint: job.seen_at.clone(),
            extra_relays: job.relays.clone(),
            request: job.request.clone(),
            message,
            not_after: None,
        })
    }

    /// The result's event, with its invoice where it is paid after.
    pub fn result_effect(&self, job: &Job) -> Option<ProviderEffect> {
        let message = Message::Result {
            result: job.result.clone()?,
            amount_msat: Some(job.price_msat).filter(|price| !price.is_zero()),
            bolt11: job.bolt11.clone().filter(|_| job.pays_after()),
        };
        let effect = Self::publish(job, Slot::Answer, self.now.as_secs(), message);
        let ProviderEffect::Publish(publish) = effect else { return None };
        let not_after = Some(self.now.plus_secs(self.ctx.config.publish_secs));
        Some(ProviderEffect::Publish(Publish { not_after, ..publish }))
    }

    /// When a result that leaves now counts as undeliverable.
    pub fn undeliverable_at(&self) -> Timestamp {
        let config = self.ctx.config;
        self.now.plus_secs(config.publish_secs).plus_secs(config.publish_grace_secs)
    }

    /// Ends an accepted job in failure: tells the buyer unless the result already left, and writes
    /// down what we owe.
    pub fn fail(&mut self, id: RequestId, reason: FailReason, detail: &str) {
        let answered = self.job(&id).is_some_and(|job| job.answered);
        self.end_failed(id, reason, detail, answered);
    }

    /// The same where the answer was released and certainly reached nobody: the buyer is told.
    pub fn fail_unanswered(&mut self, id: RequestId, reason: FailReason, detail: &str) {
        self.end_failed(id, reason, detail, false);
    }

    fn end_failed(&mut self, id: RequestId, reason: FailReason, detail: &str, answered: bool) {
        let Some(job) = self.job(&id) else { return };
        let refund = (job.payment == Payment::Paid).then_some(job.paid_msat).flatten();
        let mut detail = match detail {
            "" => fail_text(reason).to_owned(),
            more => format!("{}: {more}", fail_text(reason)),
        };
        if let (Some(refund), Some(hash)) = (refund, job.payment_hash) {
            let owed = format!("; {} msat paid under {hash} are owed back", refund.get());
            detail = one_line(&detail, MAX_DETAIL_CHARS - owed.len()) + &owed;
        }
        let detail = one_line(&detail, MAX_DETAIL_CHARS);
        let mut effects = Vec::new();
        if job.execution == Execution::Running {
            effects.push(ProviderEffect::StopExecution { request_id: id, attempt: job.attempt });
        }
        let answer_at_secs = (!answered).then_some(self.now.as_secs());
        if let Some(at) = answer_at_secs {
            let message = Message::Error { text: detail.clone() };
            effects.push(Self::publish(job, Slot::Answer, at, message));
        }
        let event = Failed { reason, detail, refund_due_msat: refund, answer_at_secs };
        self.record(id, event, Vec::new(), effects);
    }

    /// Releases the receipt if the last event of this job made it due.
    pub fn receipt_if_due(&mut self, id: RequestId) {
        let due = self.job(&id).filter(|job| job.receipt == ReceiptState::Due);
        if let Some(job) = due {
            let receipt = job.unsigned_receipt(self.ctx, self.now);
            self.effect(ProviderEffect::SignReceipt { request_id: id, receipt });
        }
    }

    /// Starts one attempt of a job that may run.
    pub fn start(&mut self, id: RequestId, attempt: u8) {
        let Some(job) = self.job(&id) else { return };
        let Some(backend) = self.ctx.backends.get(&job.kind) else {
            return self.fail(id, FailReason::Work, "nothing here can execute it any more");
        };
        let Some(request) = job.request.clone() else {
            return self.fail(id, FailReason::Work, "its request was not kept");
        };
        let stop_at = self.now.plus_secs(backend.deadline_secs);
        let mut effects = Vec::new();
        if attempt == 1 && backend.estimate_ms > self.ctx.config.quick_ms {
            let at = self.now.as_secs();
            effects.push(Self::publish(job, Slot::Processing, at, Message::Processing));
        }
        effects.push(ProviderEffect::Execute(Execute {
            request_id: id,
            attempt,
            kind: job.kind,
            request,
            stop_at,
        }));
        let end_by = stop_at.plus_secs(self.ctx.config.stop_grace_secs);
        self.record(id, Started { attempt, end_by }, Vec::new(), effects);
    }

    pub fn ignore(&mut self, why: impl Into<String>) {
        self.decision.ignored = Some(why.into());
    }

    pub fn done(&mut self) {
        self.decision.reply = Some(Reply::Done);
    }

    /// The wallet pays under this key, or has paid.
    pub fn paying(&mut self, key: domain::IdempotencyKey) {
        self.decision.reply = Some(Reply::PaymentStarted { key });
    }

    pub fn refuse(&mut self, error: ErrorBody) {
        self.decision.reply = Some(Reply::Refused(error));
    }

    /// Gives free places to jobs that wait for one, oldest first, and ends the decision.
    pub fn finish(mut self) -> ProviderDecision {
        if !self.decision.emits.is_empty() {
            self.fill();
        }
        self.decision
    }

    fn fill(&mut self) {
        let held = self.provider.running.iter();
        let kept = held.filter(|id| !self.touched.contains_key(id)).count();
        let mine = self.touched.values().filter(|job| job.execution == Execution::Running).count();
        let mut free = self.ctx.config.max_running.saturating_sub(kept + mine);
        if free == 0 {
            return;
        }
        let waiting = self.provider.queue.iter().copied();
        let fresh = self.touched.keys().copied().filter(|id| !self.provider.queue.contains(id));
        let candidates: Vec<RequestId> = waiting
            .chain(fresh)
            .filter(|id| self.job(id).is_some_and(Job::is_ready))
            .take(free)
            .collect();
        for id in candidates {
            if free > 0 {
                self.start(id, 1);
                free -= 1;
            }
        }
    }
}
