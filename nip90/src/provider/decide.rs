//! What each input leads to.

use domain::{ErrorBody, RequestId, Timestamp};

use super::{
    Provider,
    config::Context,
    event::{DemandSet, Gate, OfferRemoved, OfferSet, Readiness, Swept},
    input::ProviderInput,
    plan::{Plan, ProviderDecision},
    {intake, presence, refund, work},
};
use crate::{codec, types::OfferDraft};

/// How often old ids are forgotten.
const SWEEP_SECS: u64 = 3_600;

pub(super) fn decide(
    provider: &Provider,
    ctx: &Context<'_>,
    input: &ProviderInput,
    now: Timestamp,
) -> ProviderDecision {
    let mut plan = Plan::new(provider, ctx, now);
    let plan_ref = &mut plan;
    match input {
        ProviderInput::Started => presence::started(plan_ref),
        ProviderInput::GoOnline => presence::switch(plan_ref, true),
        ProviderInput::GoOffline => presence::switch(plan_ref, false),
        ProviderInput::OfferSet(offer) => offer_set(plan_ref, offer),
        ProviderInput::OfferRemove { kind } => offer_remove(plan_ref, *kind),
        ProviderInput::DemandPolicySet { risk, answer } => {
            if provider.demand_answer(*risk) != *answer {
                plan.note(DemandSet { risk: *risk, answer: *answer }, Vec::new());
            }
            plan.done();
        }
        ProviderInput::Relays { connected } => {
            let blockers = provider.mode().blockers.clone();
            readiness(plan_ref, Readiness { relays: *connected, blockers });
        }
        ProviderInput::Blockers(blockers) => {
            let relays = provider.mode().relays;
            readiness(plan_ref, Readiness { relays, blockers: blockers.clone() });
        }
        ProviderInput::RequestSeen(seen) => intake::request_seen(plan_ref, seen),
        ProviderInput::JobAccept { request_id } => intake::operator_accepts(plan_ref, *request_id),
        ProviderInput::JobRefuse { request_id } => {
            let waits = intake::waits_for_operator(plan_ref, request_id);
            if waits {
                intake::refuse(plan_ref, *request_id, Gate::Demand, "the operator refused it");
                plan.done();
            } else {
                plan.refuse(not_waiting(request_id));
            }
        }
        ProviderInput::JobCancel { request_id } => work::operator_cancels(plan_ref, *request_id),
        ProviderInput::DeletionSeen(deletion) => work::deletion_seen(plan_ref, deletion),
        ProviderInput::Refund(order) => refund::order(plan_ref, order),
        ProviderInput::HandBack { request_id, note } => {
            refund::hand_back(plan_ref, *request_id, note);
        }
        ProviderInput::RefundSettled(fact) => refund::settled(plan_ref, fact),
        ProviderInput::RefundFailed { request_id, attempt, reason } => {
            refund::failed(plan_ref, *request_id, *attempt, reason);
        }
        ProviderInput::RefundUnknown { request_id, attempt } => {
            refund::unknown(plan_ref, *request_id, *attempt);
        }
        ProviderInput::InvoiceMade { request_id, bolt11 } => {
            work::invoice_made(plan_ref, *request_id, bolt11);
        }
        ProviderInput::InvoiceFailed { request_id, reason } => {
            work::invoice_failed(plan_ref, *request_id, reason);
        }
        ProviderInput::InvoiceExpired { request_id } => {
            work::invoice_expired(plan_ref, *request_id);
        }
        ProviderInput::Paid(paid) => work::paid(plan_ref, paid),
        ProviderInput::Executed { request_id, attempt, outcome } => {
            work::executed(plan_ref, *request_id, *attempt, outcome);
        }
        ProviderInput::Published { request_id, slot, event_id, accepted } => {
            work::published(plan_ref, *request_id, *slot, *event_id, accepted);
        }
        ProviderInput::PublishFailed { request_id, slot, reason, may_be_out } => {
            work::publish_failed(plan_ref, *request_id, *slot, reason, *may_be_out);
        }
        ProviderInput::ReceiptSigned { request_id, receipt } => {
            work::receipt_signed(plan_ref, *request_id, receipt);
        }
        ProviderInput::Tick => tick(plan_ref),
    }
    plan.finish()
}

pub(super) fn not_waiting(request_id: &RequestId) -> ErrorBody {
    ErrorBody::refused("not_waiting", format!("Job {} does not wait for you.", request_id.short()))
        .hint("It may have been answered, or have timed out; see its timeline.")
}

fn offer_set(plan: &mut Plan<'_>, offer: &OfferDraft) {
    if !codec::is_request(offer.kind) {
        let text = format!("Kind {} is no job request; those are 5000 to 5999.", offer.kind);
        return plan.refuse(ErrorBody::refused("bad_kind", text));
    }
    if !plan.ctx.backends.contains_key(&offer.kind) {
        let text = format!("Nothing on this machine can execute kind {}.", offer.kind);
        return plan.refuse(ErrorBody::refused("no_backend", text));
    }
    if plan.provider.offer(offer.kind) != Some(offer) {
        plan.note(OfferSet { offer: offer.clone() }, Vec::new());
        let mut offers = plan.provider.offers().clone();
        offers.insert(offer.kind, offer.clone());
        presence::follow(
            plan,
            plan.provider.mode().relays,
            &plan.provider.mode().blockers,
            &offers,
            true,
        );
    }
    plan.done();
}

fn offer_remove(plan: &mut Plan<'_>, kind: u16) {
    if plan.provider.offer(kind).is_some() {
        plan.note(OfferRemoved { kind }, Vec::new());
        let mut offers = plan.provider.offers().clone();
        offers.remove(&kind);
        presence::follow(
            plan,
            plan.provider.mode().relays,
            &plan.provider.mode().blockers,
            &offers,
            true,
        );
    }
    plan.done();
}

fn readiness(plan: &mut Plan<'_>, readiness: Readiness) {
    let mode = plan.provider.mode();
    if mode.relays == readiness.relays && mode.blockers == readiness.blockers {
        return;
    }
    plan.note(readiness.clone(), Vec::new());
    let offers = plan.provider.offers();
    presence::follow(plan, readiness.relays, &readiness.blockers, offers, false);
}

fn tick(plan: &mut Plan<'_>) {
    let due: Vec<RequestId> = plan
        .provider
        .active
        .iter()
        .filter(|id| {
            let end_by = plan.provider.job(id).and_then(|job| job.end_by);
            end_by.is_some_and(|end_by| end_by <= plan.now)
        })
        .copied()
        .collect();
    for id in due {
        work::overdue(plan, id);
    }
    presence::heartbeat(plan);
    let before_secs = plan.now.as_secs().saturating_sub(codec::LOOK_BACK_SECS + SWEEP_SECS);
    if plan.provider.has_older_than(before_secs) {
        plan.note(Swept { before_secs: before_secs + SWEEP_SECS / 2 }, Vec::new());
    }
}
