//! Owed money on its way back: to one invoice of the buyer, or by the operator's word.

use domain::{ErrorBody, Msat, RequestId};

use super::{
    effect::{PayRefund, ProviderEffect, refund_key},
    event::{HandedBack, RefundFailed, RefundUnknown, Refunded, Refunding},
    input::{RefundFact, RefundOrder},
    job::{Job, Refund},
    payment::Payment,
    plan::Plan,
};
use crate::{bolt11::Invoice, types::one_line};

/// The longest note of the operator.
const MAX_NOTE_CHARS: usize = 240;

/// Asks the wallet to pay the buyer's invoice, once everything about it was checked.
pub(super) fn order(plan: &mut Plan<'_>, order: &RefundOrder) {
    let id = order.request_id;
    let Some(job) = plan.job(&id) else { return plan.refuse(unknown_job(id)) };
    // The same order again is the same refund.
    if let Some(refund) = job.newest_refund()
        && refund.bolt11 == order.bolt11
        && (job.payment.refund_in_flight() || job.payment == Payment::Refunded)
    {
        let key = refund_key(id, refund.attempt);
        return plan.paying(key);
    }
    let checked = owed(job).and_then(|owed| invoice(plan, job, order, owed));
    let invoice = match checked {
        Ok(invoice) => invoice,
        Err(error) => return plan.refuse(error),
    };
    let attempt = job.newest_refund().map_or(1, |last| last.attempt.saturating_add(1));
    let key = refund_key(id, attempt);
    let effect = ProviderEffect::PayRefund(PayRefund {
        request_id: id,
        key: key.clone(),
        bolt11: invoice.bolt11.clone(),
        payment_hash: invoice.payment_hash,
        amount_msat: invoice.amount_msat,
        max_fee_msat: order.max_fee_msat,
    });
    let event = Refunding {
        attempt,
        bolt11: invoice.bolt11,
        payment_hash: invoice.payment_hash,
        amount_msat: invoice.amount_msat,
        max_fee_msat: order.max_fee_msat,
        expires_at: invoice.expires_at,
    };
    plan.record(id, event, Vec::new(), vec![effect]);
    plan.paying(key);
}

/// What the buyer is still owed.
fn owed(job: &Job) -> Result<Msat, ErrorBody> {
    let id = job.request_id.short();
    match (job.payment, job.paid_msat) {
        (Payment::RefundDue, Some(paid)) => Ok(paid),
        (Payment::Refunding | Payment::RefundUnknown, _) => Err(ErrorBody::refused(
            "refund_under_way",
            format!("A refund of job {id} is on its way; nothing more was sent."),
        )
        .hint("Wait until the wallet knows what became of it.")),
        _ => Err(ErrorBody::refused("no_refund_due", format!("No refund is due for job {id}."))),
    }
}

/// The exact invoice that may be paid: the buyer's, of our network, not expired, of what is owed or
/// of the smaller amount that the operator named, and not used for another refund.
fn invoice(
    plan: &Plan<'_>,
    job: &Job,
    order: &RefundOrder,
    owed: Msat,
) -> Result<Invoice, ErrorBody> {
    let wanted = order.amount_msat.unwrap_or(owed);
    if wanted > owed || wanted.is_zero() {
        let text = format!("{owed} are owed; {wanted} can't be given back. Nothing was paid.");
        return Err(ErrorBody::refused("bad_amount", text));
    }
    let bad = |why: &dyn std::fmt::Display| {
        ErrorBody::refused("bad_invoice", format!("{why}. Nothing was paid."))
    };
    let invoice = Invoice::parse(&order.bolt11, plan.ctx.network).map_err(|fault| bad(&fault))?;
    if invoice.amount_msat != wanted {
        let text = format!(
            "The invoice asks {}, but {wanted} would be given back. Nothing was paid.",
            invoice.amount_msat
        );
        return Err(ErrorBody::refused("bad_amount", text)
            .hint("Ask the buyer for an invoice of that amount, or name a smaller one."));
    }
    invoice.check(wanted, plan.now).map_err(|fault| bad(&fault))?;
    let hash = invoice.payment_hash;
    if plan.provider.job_of_payment(&hash).is_some() || job.payment_hash == Some(hash) {
        return Err(bad(&"This is an invoice of this desk, not of the buyer"));
    }
    match plan.provider.refunded_to(&hash) {
        Some(used) if used.request_id != job.request_id => {
            Err(bad(&"This invoice was used for the refund of another job"))
        }
        _ => Ok(invoice),
    }
}

fn unknown_job(id: RequestId) -> ErrorBody {
    ErrorBody::refused("no_refund_due", format!("No job {} is owed a refund.", id.short()))
}

/// Recorded as the operator's word; nothing is paid.
pub(super) fn hand_back(plan: &mut Plan<'_>, id: RequestId, note: &str) {
    let Some(job) = plan.job(&id) else { return plan.refuse(unknown_job(id)) };
    if job.payment == Payment::HandedBack {
        return plan.done();
    }
    if let Err(error) = owed(job) {
        return plan.refuse(error);
    }
    let note = one_line(note.trim(), MAX_NOTE_CHARS);
    if note.is_empty() {
        let text = "Say in a few words how the money went back; nothing was recorded.";
        return plan.refuse(ErrorBody::refused("no_note", text));
    }
    plan.record(id, HandedBack { note }, Vec::new(), Vec::new());
    plan.done();
}

/// The newest attempt, where the wallet speaks of it.
fn newest<'a>(plan: &'a Plan<'_>, id: RequestId, attempt: u32) -> Option<(&'a Job, &'a Refund)> {
    let job = plan.job(&id)?;
    let refund = job.newest_refund().filter(|refund| refund.attempt == attempt)?;
    Some((job, refund))
}

/// Proved by the preimage of exactly the invoice that was to be paid. It counts for every attempt
/// and whenever the wallet says so, also after it had said that nothing moved.
pub(super) fn settled(plan: &mut Plan<'_>, fact: &RefundFact) {
    let asked = plan.provider.refunded_to(&fact.payment_hash);
    let asked = asked.filter(|asked| asked.request_id == fact.request_id && !asked.is_paid);
    let Some(asked) = asked else { return plan.ignore("no such refund was asked for") };
    let proved = fact.preimage.payment_hash() == fact.payment_hash;
    if !proved || asked.amount_msat != fact.amount_msat {
        return plan.ignore("the settlement does not prove this refund");
    }
    let event = Refunded {
        payment_hash: fact.payment_hash,
        preimage: fact.preimage,
        amount_msat: fact.amount_msat,
        fee_msat: fact.fee_msat,
    };
    plan.record(fact.request_id, event, Vec::new(), Vec::new());
}

/// No money moved: it is owed as before, and may be tried with another invoice.
pub(super) fn failed(plan: &mut Plan<'_>, id: RequestId, attempt: u32, reason: &str) {
    match newest(plan, id, attempt) {
        Some((job, refund)) if job.payment.refund_in_flight() => {
            let reason = one_line(reason, MAX_NOTE_CHARS);
            let event = RefundFailed { payment_hash: refund.payment_hash, reason };
            plan.record(id, event, Vec::new(), Vec::new());
        }
        _ => plan.ignore("no such refund is on its way"),
    }
}

/// It stays unknown until the wallet says more; nothing is sent again.
pub(super) fn unknown(plan: &mut Plan<'_>, id: RequestId, attempt: u32) {
    match newest(plan, id, attempt) {
        Some((job, refund)) if job.payment == Payment::Refunding => {
            let event = RefundUnknown { payment_hash: refund.payment_hash };
            plan.record(id, event, Vec::new(), Vec::new());
        }
        _ => plan.ignore("no such refund is on its way"),
    }
}
