//! A promised job on its way: invoice, payment, work, delivery, and every way it can end.

use domain::{ErrorBody, EventId, Receipt, RequestId, Sha256Hash};

use super::{
    effect::{Message, ProviderEffect, Slot},
    event::{
        Cancelled, CancelledBy, Delivered, Executed, FailReason, Gate, Invoiced, Paid,
        ReceiptSigned, RefundDue, Unpaid,
    },
    execution::Execution,
    input::{ExecutionOutcome, PaidFact},
    intake,
    job::{Job, ReceiptState, cancel_text},
    payment::Payment,
    plan::Plan,
};
use crate::{
    bolt11::Invoice,
    codec::{self, Deletion},
    types::ResultRef,
};

/// How often a job whose outcome a crash hid is begun: its work is a pure function of its input in
/// a throw-away sandbox, so a second run harms nobody.
const MAX_ATTEMPTS: u8 = 2;

/// The invoice is there: the buyer learns of it now, or with the result.
pub(super) fn invoice_made(plan: &mut Plan<'_>, id: RequestId, bolt11: &str) {
    let Some(job) = plan.job(&id).filter(|job| expects_invoice(job)) else {
        return plan.ignore("no invoice was expected");
    };
    let checked = Invoice::parse(bolt11, plan.ctx.network)
        .and_then(|invoice| invoice.check(job.price_msat, plan.now).map(|()| invoice));
    let invoice = match checked {
        Ok(invoice) => invoice,
        Err(fault) => return plan.fail(id, FailReason::NoInvoice, &fault.to_string()),
    };
    let config = plan.ctx.config;
    let at = plan.now.as_secs();
    let first = job.pays_first();
    let event = Invoiced {
        bolt11: invoice.bolt11.clone(),
        payment_hash: invoice.payment_hash,
        amount_msat: invoice.amount_msat,
        expires_at: invoice.expires_at,
        end_by: if first {
            invoice.expires_at.plus_secs(config.invoice_grace_secs)
        } else {
            plan.undeliverable_at()
        },
        answer_at_secs: (!first).then_some(at),
    };
    plan.record(id, event, Vec::new(), Vec::new());
    let Some(job) = plan.job(&id) else { return };
    let effect = if first {
        let message =
            Message::PaymentRequired { amount_msat: invoice.amount_msat, bolt11: invoice.bolt11 };
        Some(Plan::publish(job, Slot::PaymentRequired, at, message))
    } else {
        plan.result_effect(job)
    };
    if let Some(effect) = effect {
        plan.effect(effect);
    }
}

fn expects_invoice(job: &Job) -> bool {
    job.payment == Payment::Quoted
        && (job.execution == Execution::Executed
            || (job.execution == Execution::Accepted && job.pays_first()))
}

pub(super) fn invoice_failed(plan: &mut Plan<'_>, id: RequestId, reason: &str) {
    if plan.job(&id).is_some_and(expects_invoice) {
        plan.fail(id, FailReason::NoInvoice, reason);
    } else {
        plan.ignore("no invoice was expected");
    }
}

/// Money counts only by the exact payment hash; what comes late is honoured or owed back.
pub(super) fn paid(plan: &mut Plan<'_>, fact: &PaidFact) {
    if fact.preimage.payment_hash() != fact.payment_hash {
        return plan.ignore("the preimage does not match the payment hash");
    }
    let Some(id) = plan.provider.job_of_payment(&fact.payment_hash) else {
        return plan.ignore("no job waits for this payment");
    };
    let payment = plan.job(&id).map(|job| job.payment);
    let forgotten = payment.is_none().then(|| plan.provider.late_for(&fact.payment_hash));
    match payment {
        Some(Payment::Invoiced | Payment::Unpaid) => credit(plan, id, fact),
        Some(Payment::Expired) | None => {
            let event = RefundDue {
                payment_hash: fact.payment_hash,
                amount_msat: fact.amount_msat,
                preimage: fact.preimage,
                paid_at: fact.at,
                late_for: forgotten.flatten(),
            };
            plan.record(id, event, Vec::new(), Vec::new());
        }
        Some(_) => plan.ignore("the job is already paid"),
    }
}

fn credit(plan: &mut Plan<'_>, id: RequestId, fact: &PaidFact) {
    let Some(job) = plan.job(&id) else { return };
    let waits = job.execution == Execution::Accepted;
    let enough = fact.amount_msat >= job.price_msat;
    let event = Paid {
        payment_hash: fact.payment_hash,
        amount_msat: fact.amount_msat,
        preimage: fact.preimage,
        paid_at: fact.at,
        end_by: waits.then(|| plan.now.plus_secs(plan.ctx.config.queue_secs)),
    };
    plan.record(id, event, Vec::new(), Vec::new());
    if waits && !enough {
        plan.fail(id, FailReason::Underpaid, "");
    } else {
        plan.receipt_if_due(id);
    }
}

pub(super) fn executed(
    plan: &mut Plan<'_>,
    id: RequestId,
    attempt: u8,
    outcome: &ExecutionOutcome,
) {
    let running = |job: &&Job| job.execution == Execution::Running && job.attempt == attempt;
    let Some(job) = plan.job(&id).filter(running) else {
        return plan.ignore("that attempt does not run");
    };
    let (result, bodies) = match outcome {
        ExecutionOutcome::Inline(body) if std::str::from_utf8(&body.bytes).is_err() => {
            return plan.fail(id, FailReason::Work, "its result is not text");
        }
        ExecutionOutcome::Inline(body)
            if !std::str::from_utf8(&body.bytes).is_ok_and(codec::fits_inline) =>
        {
            return plan.fail(id, FailReason::Work, "its result is too large for an event");
        }
        ExecutionOutcome::Inline(body) => {
            let sha256 = Sha256Hash::of(&body.bytes);
            (ResultRef::Event { body: body.reference.clone(), sha256 }, vec![body.clone()])
        }
        ExecutionOutcome::Blob(blob) => (ResultRef::Blob(blob.clone()), Vec::new()),
        ExecutionOutcome::Failed { reason } => return plan.fail(id, FailReason::Work, reason),
        ExecutionOutcome::Unknown if attempt < MAX_ATTEMPTS => return plan.start(id, attempt + 1),
        ExecutionOutcome::Unknown => return plan.fail(id, FailReason::OutcomeUnknown, ""),
    };
    let after = job.pays_after();
    let make_invoice_secs = plan.ctx.config.make_invoice_secs;
    let event = Executed {
        attempt,
        result,
        end_by: if after { plan.now.plus_secs(make_invoice_secs) } else { plan.undeliverable_at() },
        answer_at_secs: (!after).then_some(plan.now.as_secs()),
    };
    plan.record(id, event, bodies, Vec::new());
    let Some(job) = plan.job(&id) else { return };
    let effect =
        if after { Some(intake::make_invoice(plan, job)) } else { plan.result_effect(job) };
    if let Some(effect) = effect {
        plan.effect(effect);
    }
}

pub(super) fn published(
    plan: &mut Plan<'_>,
    id: RequestId,
    slot: Slot,
    event_id: EventId,
    accepted: &[String],
) {
    if accepted.is_empty() {
        return publish_failed(plan, id, slot, "no relay took it", true);
    }
    let leaving = |job: &&Job| job.execution == Execution::Executed && job.answered;
    let Some(job) = plan.job(&id).filter(leaving).filter(|_| slot == Slot::Answer) else {
        return plan.ignore("nothing follows from this publication");
    };
    let grace = plan.ctx.config.invoice_grace_secs;
    let end_by = match job.payment {
        Payment::Invoiced => job.invoice_expires_at.map(|at| at.plus_secs(grace)),
        _ => None,
    };
    let event = Delivered { event_id, relays: accepted.to_vec(), end_by };
    plan.record(id, event, Vec::new(), Vec::new());
    plan.receipt_if_due(id);
}

pub(super) fn publish_failed(
    plan: &mut Plan<'_>,
    id: RequestId,
    slot: Slot,
    reason: &str,
    may_be_out: bool,
) {
    let lost = plan.job(&id).is_some_and(|job| match slot {
        Slot::Answer => job.execution == Execution::Executed && job.answered,
        Slot::PaymentRequired => {
            job.execution == Execution::Accepted && job.payment == Payment::Invoiced
        }
        Slot::Processing => false,
    });
    if lost && slot == Slot::Answer && !may_be_out {
        plan.fail_unanswered(id, FailReason::Undeliverable, reason);
    } else if lost {
        plan.fail(id, FailReason::Undeliverable, reason);
    } else {
        plan.ignore("nothing follows from this publication");
    }
}

/// Ends a job that nobody paid for, at no charge; stops its work.
fn cancel(plan: &mut Plan<'_>, id: RequestId, by: CancelledBy) {
    let Some(job) = plan.job(&id) else { return };
    let mut effects = Vec::new();
    if job.execution == Execution::Running {
        effects.push(ProviderEffect::StopExecution { request_id: id, attempt: job.attempt });
    }
    let answer_at_secs = (!job.answered).then_some(plan.now.as_secs());
    if let Some(at) = answer_at_secs {
        let message = Message::Error { text: cancel_text(by).to_owned() };
        effects.push(Plan::publish(job, Slot::Answer, at, message));
    }
    plan.record(id, Cancelled { by, answer_at_secs }, Vec::new(), effects);
}

/// Until it is paid or its result left, a job can be cancelled; paid jobs are delivered.
fn can_cancel(job: &Job) -> bool {
    !job.execution.is_over() && !job.answered && job.payment != Payment::Paid
}

/// A deletion (NIP-09) holds for events of its own author only.
pub(super) fn deletion_seen(plan: &mut Plan<'_>, deletion: &Deletion) {
    for id in &deletion.events {
        let id = RequestId::from(*id);
        let ours = |job: &&Job| job.author == deletion.author && can_cancel(job);
        if plan.job(&id).filter(ours).is_some() {
            cancel(plan, id, CancelledBy::Buyer);
        } else {
            plan.ignore("the deletion changes no job");
        }
    }
}

pub(super) fn operator_cancels(plan: &mut Plan<'_>, id: RequestId) {
    if plan.job(&id).is_some_and(can_cancel) {
        cancel(plan, id, CancelledBy::Operator);
        return plan.done();
    }
    let text = format!("Job {} can't be cancelled: it is paid, delivered or over.", id.short());
    plan.refuse(ErrorBody::refused("too_late", text));
}

pub(super) fn invoice_expired(plan: &mut Plan<'_>, id: RequestId) {
    let Some(job) = plan.job(&id).filter(|job| job.payment == Payment::Invoiced) else {
        return plan.ignore("the job has no open invoice");
    };
    match (job.execution, job.payment_hash) {
        (Execution::Accepted, _) => cancel(plan, id, CancelledBy::NotPaid),
        (Execution::Delivered, Some(payment_hash)) => {
            plan.record(id, Unpaid { payment_hash }, Vec::new(), Vec::new());
        }
        _ => plan.ignore("the result is still on its way"),
    }
}

/// A state outlived its time: each ends the job, none leaves it hanging.
pub(super) fn overdue(plan: &mut Plan<'_>, id: RequestId) {
    let Some(job) = plan.job(&id) else { return };
    match (job.execution, job.payment) {
        (Execution::Received, _) => {
            intake::refuse(plan, id, Gate::Demand, "nobody answered in time");
        }
        (Execution::Accepted, Payment::Quoted) if job.pays_first() => {
            plan.fail(id, FailReason::NoInvoice, "the wallet did not answer");
        }
        (Execution::Accepted, Payment::Invoiced) | (Execution::Delivered, Payment::Invoiced) => {
            invoice_expired(plan, id);
        }
        (Execution::Accepted, Payment::Paid) | (Execution::Running, _) => {
            plan.fail(id, FailReason::TimedOut, "");
        }
        (Execution::Accepted, _) => plan.fail(id, FailReason::Expired, ""),
        (Execution::Executed, Payment::Quoted) => {
            plan.fail(id, FailReason::NoInvoice, "the wallet did not answer");
        }
        (Execution::Executed, _) => plan.fail(id, FailReason::Undeliverable, ""),
        _ => {}
    }
}

/// A receipt is recorded once, and only if it is the one this job is owed.
pub(super) fn receipt_signed(plan: &mut Plan<'_>, id: RequestId, receipt: &Receipt) {
    let matches = plan.job(&id).is_some_and(|job| {
        let mut due = job.unsigned_receipt(plan.ctx, receipt.at);
        due.log_head = receipt.log_head;
        due.sig.clone_from(&receipt.sig);
        job.receipt == ReceiptState::Due && receipt.sig.is_some() && due == *receipt
    });
    if matches {
        plan.record(id, ReceiptSigned { receipt: receipt.clone() }, Vec::new(), Vec::new());
    } else {
        plan.ignore("no such receipt is due");
    }
}
