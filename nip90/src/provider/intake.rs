//! A request comes in: through the gates to a promise, a question or a refusal.

use domain::{ErrorBody, IdempotencyKey, RequestId};

use super::{
    decide::not_waiting,
    effect::{MakeInvoice, Message, ProviderEffect, Slot},
    event::{Accepted, Gate, Received, Refused},
    execution::Execution,
    gates::{self, Asked, Verdict},
    input::SeenRequest,
    job::Job,
    plan::Plan,
};
use crate::{
    codec::publishable,
    types::{DemandRisk, ProviderState},
};

/// The same request from another relay, again, or after a restart is the same job (dedup by id).
pub(super) fn request_seen(plan: &mut Plan<'_>, seen: &SeenRequest) {
    if plan.provider.knows(seen.created_at_secs, &seen.id) {
        return plan.ignore("known");
    }
    match gates::admit(plan.provider, plan.ctx, seen, plan.now) {
        Verdict::Accept => {
            receive(plan, seen, Keep::Promised);
            accept(plan, seen.id);
        }
        Verdict::Ask => receive(plan, seen, Keep::UntilAnswered),
        Verdict::Refuse(refusal) if refusal.say && may_say(plan) => {
            receive(plan, seen, Keep::Not);
            refuse(plan, seen.id, refusal.gate, &refusal.reason);
        }
        Verdict::Refuse(refusal) => plan.ignore(refusal.reason),
    }
}

/// A flood of requests that we would refuse is passed over in silence.
fn may_say(plan: &Plan<'_>) -> bool {
    let since = plan.now.minus_secs(60);
    let recent = plan.provider.refused_at.iter().rev().take_while(|at| **at > since).count();
    recent < plan.ctx.config.max_refusals_per_minute
}

/// Whether a request's event is kept, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// It is refused: a stranger would fill the disk for nothing.
    Not,
    /// The operator is asked.
    UntilAnswered,
    Promised,
}

fn receive(plan: &mut Plan<'_>, seen: &SeenRequest, keep: Keep) {
    let terms = seen.request.as_ref().ok().map(|request| &request.terms);
    let expires_at_secs = terms.and_then(|terms| terms.expires_at_secs);
    let named = terms.map(|terms| terms.relays.as_slice()).unwrap_or_default();
    let ask_until = plan.now.plus_secs(plan.ctx.config.ask_secs);
    let event = Received {
        kind: seen.kind,
        author: seen.author,
        created_at_secs: seen.created_at_secs,
        expires_at_secs,
        bid_msat: terms.and_then(|terms| terms.bid_msat),
        risk: gates::risk(plan.ctx, seen),
        request: (keep != Keep::Not).then(|| seen.raw.reference.clone()),
        seen_at: seen.relay.clone(),
        relays: publishable(named, plan.ctx.own_relays, plan.ctx.allows_loopback()),
        ask_until: (keep == Keep::UntilAnswered).then(|| match expires_at_secs {
            Some(secs) => ask_until.min(domain::Timestamp::from_secs(secs)),
            None => ask_until,
        }),
    };
    let bodies = (keep != Keep::Not).then(|| seen.raw.clone()).into_iter().collect();
    plan.record(seen.id, event, bodies, Vec::new());
}

/// Promises the job: asks the wallet for its invoice where the buyer pays first.
fn accept(plan: &mut Plan<'_>, id: RequestId) {
    let Some(job) = plan.job(&id) else { return };
    let Some(offer) = plan.provider.offer(job.kind) else { return };
    let config = plan.ctx.config;
    let pays_first = super::effect::pays_first(offer.payment) && !offer.price_msat.is_zero();
    let mut end_by =
        plan.now.plus_secs(if pays_first { config.make_invoice_secs } else { config.queue_secs });
    if let Some(expires_at) = job.expires_at_secs {
        end_by = end_by.min(domain::Timestamp::from_secs(expires_at));
    }
    let event = Accepted { price_msat: offer.price_msat, payment: offer.payment, end_by };
    plan.record(id, event, Vec::new(), Vec::new());
    if pays_first && let Some(job) = plan.job(&id) {
        let effect = make_invoice(plan, job);
        plan.effect(effect);
    }
}

pub(super) fn make_invoice(plan: &Plan<'_>, job: &Job) -> ProviderEffect {
    let expiry = plan.ctx.config.invoice_expiry_secs;
    // Paying later than the request's expiry would buy nothing: the invoice ends with it.
    let left = job.expires_at_secs.map(|at| at.saturating_sub(plan.now.as_secs()));
    let expiry = match left {
        Some(left) if job.pays_first() => expiry.min(left).max(1),
        _ => expiry,
    };
    ProviderEffect::MakeInvoice(MakeInvoice {
        request_id: job.request_id,
        key: IdempotencyKey::of("job", job.request_id),
        amount_msat: job.price_msat,
        memo: format!("NIP-90 job {}", job.request_id),
        expiry_secs: u32::try_from(expiry).unwrap_or(u32::MAX),
    })
}

/// Ends a request that was not promised, and tells its buyer once.
pub(super) fn refuse(plan: &mut Plan<'_>, id: RequestId, gate: Gate, reason: &str) {
    let Some(job) = plan.job(&id) else { return };
    let at = plan.now.as_secs();
    let message = Message::Error { text: reason.to_owned() };
    let effects = vec![Plan::publish(job, Slot::Answer, at, message)];
    let event = Refused { gate, reason: reason.to_owned(), answer_at_secs: Some(at) };
    plan.record(id, event, Vec::new(), effects);
}

pub(super) fn waits_for_operator(plan: &Plan<'_>, id: &RequestId) -> bool {
    plan.job(id).is_some_and(|job| job.execution == Execution::Received)
}

/// The operator says yes: the gates that time may have changed are passed again.
pub(super) fn operator_accepts(plan: &mut Plan<'_>, id: RequestId) {
    let Some(job) = plan.job(&id).filter(|job| job.execution == Execution::Received) else {
        return plan.refuse(not_waiting(&id));
    };
    if matches!(plan.provider.mode().state, ProviderState::Offline | ProviderState::Connecting) {
        let error =
            ErrorBody::refused("offline", "The provider is not online; the job still waits.");
        return plan.refuse(error.hint("Go online, then accept it."));
    }
    let asked = Asked {
        kind: job.kind,
        aimed: job.risk == DemandRisk::Aimed,
        bid_msat: job.bid_msat,
        expires_at_secs: job.expires_at_secs,
    };
    match gates::terms(plan.provider, plan.ctx, &asked, plan.now) {
        Ok(()) => {
            accept(plan, id);
            plan.done();
        }
        Err(refusal) => {
            refuse(plan, id, refusal.gate, &refusal.reason);
            let text = format!("The job can't be accepted any more: {}.", refusal.reason);
            plan.refuse(ErrorBody::refused("gate", text));
        }
    }
}
