//! What providers answer: offers, results; whom we choose, what we pay, and when we give up.

use domain::{
    Body, EventId, IdempotencyKey, Msat, PaymentHash, Pubkey, Receipt, RequestId, Sha256Hash,
};

use super::{
    effect::{BuyerEffect, Pay},
    event::{
        BuyFail, Chosen, ChosenFor, Fetched, LateResult, OfferRefused, Paid, Paying,
        PaymentUnknown, Published, ReceiptSigned, ResultSeen, Verified, Working,
    },
    input::{Answer, SeenAnswer, Settled},
    plan::Plan,
    purchase::Purchase,
    stage::{Spending, Stage},
};
use crate::{
    bolt11::Invoice,
    codec::{Feedback, JobResult, Payload, Status},
    provider::ReceiptState,
    types::{ResultRef, one_line},
};

pub(super) fn published(plan: &mut Plan<'_>, id: RequestId, relays: &[String]) {
    let Some(job) = plan.job(&id).filter(|job| job.stage == Stage::Submitted) else {
        return plan.ignore("the request is already out, or over");
    };
    let end_by = plan.answers_end(job);
    plan.record(id, Published { relays: relays.to_vec(), end_by }, Vec::new(), Vec::new());
}

pub(super) fn publish_failed(plan: &mut Plan<'_>, id: RequestId, reason: &str, may_be_out: bool) {
    let unseen =
        |job: &Purchase| job.stage == Stage::Submitted && job.spending == Spending::Reserved;
    if plan.job(&id).is_some_and(unseen) {
        let detail = format!("no relay took the request: {reason}");
        let reason = if may_be_out { BuyFail::NotPublished } else { BuyFail::NotTaken };
        plan.fail(id, reason, &detail, None);
    } else {
        plan.ignore("the request is already out, or over");
    }
}

pub(super) fn answer_seen(plan: &mut Plan<'_>, seen: &SeenAnswer) {
    let id = seen.request_id();
    let Some(job) = plan.job(&id) else { return plan.ignore("not a job of ours") };
    let (author, customer) = match &seen.answer {
        Answer::Feedback(feedback) => (feedback.author, feedback.terms.customer),
        Answer::Result(result) => (result.author, result.terms.customer),
    };
    // NIP-90 wants `p` on both; an answer to somebody else is not ours to act on.
    if customer != Some(plan.ctx.us) {
        return plan.ignore("the answer is not addressed to us");
    }
    if job.provider.is_some_and(|provider| provider != author) {
        return plan.ignore("the answer is not from the chosen provider");
    }
    if job.turned_down.contains(&author) {
        return plan.ignore("its result was none before");
    }
    match &seen.answer {
        Answer::Result(result) if job.stage.is_over() => late_result(plan, id, result, seen),
        _ if job.stage.is_over() => plan.ignore("the job is over"),
        Answer::Feedback(feedback) => feedback_seen(plan, id, feedback, &seen.raw),
        Answer::Result(result) => result_seen(plan, id, result, &seen.raw),
    }
}

/// Recorded once, so that the operator sees it; never paid.
fn late_result(plan: &mut Plan<'_>, id: RequestId, result: &JobResult, seen: &SeenAnswer) {
    let Some(job) = plan.job(&id) else { return };
    let known = job.late_result.is_some() || job.result_event == Some(result.id);
    if known || job.provider.is_none() {
        return plan.ignore("the job is over");
    }
    let event = LateResult {
        event_id: result.id,
        provider: result.author,
        event: seen.raw.reference.clone(),
    };
    plan.record(id, event, vec![seen.raw.clone()], Vec::new());
}

fn feedback_seen(plan: &mut Plan<'_>, id: RequestId, feedback: &Feedback, raw: &Body) {
    let Some(job) = plan.job(&id).filter(|job| job.stage.waits_for_result()) else {
        return plan.ignore("the result is already here");
    };
    let ours = job.provider == Some(feedback.author);
    match feedback.terms.status {
        Status::PaymentRequired if job.spending == Spending::Reserved && job.doomed.is_none() => {
            let terms = &feedback.terms;
            let offer = acceptable(plan, job, terms.amount_msat, terms.bolt11.as_deref());
            match offer {
                Ok(invoice) => {
                    choose(plan, id, feedback.author, ChosenFor::FirstInvoice);
                    pay(plan, id, &invoice);
                }
                Err(why) => turn_down(plan, id, feedback.author, BuyFail::InvoiceRefused, &why),
            }
        }
        Status::Processing if ours && job.stage != Stage::Working => {
            let working = Working { provider: feedback.author, end_by: plan.answers_end(job) };
            plan.record(id, working, Vec::new(), Vec::new());
        }
        Status::Error if ours => {
            let detail = "the provider reported an error";
            plan.fail(id, BuyFail::ProviderError, detail, Some(raw.clone()));
        }
        _ => plan.ignore("nothing follows from this feedback"),
    }
}

/// The exact invoice that may be paid: signed, of our network, not expired, of the amount that the
/// event names, within the bid, and not the invoice of another job.
fn acceptable(
    plan: &Plan<'_>,
    job: &Purchase,
    amount: Option<Msat>,
    bolt11: Option<&str>,
) -> Result<Invoice, String> {
    let bolt11 = bolt11.ok_or("payment is asked for without an invoice")?;
    let amount = amount.ok_or("an invoice came without its amount")?;
    let invoice = Invoice::parse(bolt11, plan.ctx.network).map_err(|fault| fault.to_string())?;
    invoice.check(amount, plan.now).map_err(|fault| fault.to_string())?;
    if invoice.amount_msat > job.bid_msat {
        return Err(format!(
            "the invoice asks {} msat, the limit of this job is {} msat; nothing was paid",
            invoice.amount_msat.get(),
            job.bid_msat.get()
        ));
    }
    match plan.buyer.job_of_payment(&invoice.payment_hash) {
        Some(other) if other != job.request_id => {
            Err("the invoice belongs to another job".to_owned())
        }
        _ => Ok(invoice),
    }
}

/// Of an open request the first acceptable answer wins; the others get nothing.
fn choose(plan: &mut Plan<'_>, id: RequestId, provider: Pubkey, why: ChosenFor) {
    if plan.job(&id).is_some_and(|job| job.provider.is_none()) {
        plan.record(id, Chosen { provider, why }, Vec::new(), Vec::new());
    }
}

/// A bad offer of the provider we deal with ends the job; of anybody else it is passed over.
fn turn_down(plan: &mut Plan<'_>, id: RequestId, author: Pubkey, reason: BuyFail, why: &str) {
    let Some(job) = plan.job(&id) else { return };
    if job.provider == Some(author) {
        plan.fail(id, reason, why, None);
    } else if job.offers_refused < plan.ctx.config.max_offers_refused {
        let event = OfferRefused { provider: author, reason: one_line(why, 240) };
        plan.record(id, event, Vec::new(), Vec::new());
    } else {
        plan.ignore(why);
    }
}

fn pay(plan: &mut Plan<'_>, id: RequestId, invoice: &Invoice) {
    let Some(max_fee_msat) = plan.job(&id).map(|job| job.max_fee_msat) else { return };
    let event = Paying {
        bolt11: invoice.bolt11.clone(),
        payment_hash: invoice.payment_hash,
        amount_msat: invoice.amount_msat,
        expires_at: invoice.expires_at,
    };
    let effect = BuyerEffect::Pay(Pay {
        request_id: id,
        key: IdempotencyKey::of("buy", id),
        bolt11: invoice.bolt11.clone(),
        payment_hash: invoice.payment_hash,
        amount_msat: invoice.amount_msat,
        max_fee_msat,
    });
    plan.record(id, event, Vec::new(), vec![effect]);
}

fn result_seen(plan: &mut Plan<'_>, id: RequestId, result: &JobResult, raw: &Body) {
    let waiting = |job: &&Purchase| job.stage.waits_for_result() && job.doomed.is_none();
    let Some(job) = plan.job(&id).filter(waiting) else {
        return plan.ignore("a result is already here");
    };
    if result.terms.request_kind != job.kind {
        return plan.ignore("the result is of another kind");
    }
    if job.provider.is_none() && job.turned_down.len() >= plan.ctx.config.max_results_tried {
        return plan.ignore("too many results were none");
    }
    let (reference, content) = match received(plan, result, raw) {
        Ok(received) => received,
        Err(why) => return turn_down(plan, id, result.author, BuyFail::ResultMismatch, &why),
    };
    let terms = &result.terms;
    let asks = terms.bolt11.is_some() || terms.amount_msat.is_some_and(|msat| !msat.is_zero());
    // What was paid, or is being paid, is not paid again, whatever the result asks.
    let bolt11 = if asks && job.spending == Spending::Reserved {
        match acceptable(plan, job, terms.amount_msat, terms.bolt11.as_deref()) {
            Ok(invoice) => Some(invoice.bolt11),
            Err(why) => {
                return turn_down(plan, id, result.author, BuyFail::InvoiceRefused, &why);
            }
        }
    } else {
        None
    };
    choose(plan, id, result.author, ChosenFor::FirstResult);
    take_result(plan, id, result.id, reference, raw, content, bolt11);
}

fn take_result(
    plan: &mut Plan<'_>,
    id: RequestId,
    event_id: EventId,
    result: ResultRef,
    raw: &Body,
    content: Option<Body>,
    bolt11: Option<String>,
) {
    let Some((kind, request)) = plan.job(&id).map(|job| (job.kind, job.request.clone())) else {
        return;
    };
    let config = plan.ctx.config;
    let (wait, effect) = match &result {
        ResultRef::Blob(blob) => {
            (config.fetch_secs, BuyerEffect::FetchBlob { request_id: id, blob: blob.clone() })
        }
        ResultRef::Event { .. } => {
            let result = result.clone();
            (config.check_secs, BuyerEffect::CheckResult { request_id: id, kind, request, result })
        }
    };
    let mut bodies = vec![raw.clone()];
    bodies.extend(content);
    let event = ResultSeen {
        event_id,
        event: raw.reference.clone(),
        result,
        bolt11,
        end_by: plan.now.plus_secs(wait),
    };
    plan.record(id, event, bodies, vec![effect]);
}

/// The result by reference, and its content as a body where it came with the event; its stated
/// hash must hold and its size be bearable.
fn received(
    plan: &Plan<'_>,
    result: &JobResult,
    raw: &Body,
) -> Result<(ResultRef, Option<Body>), String> {
    match &result.terms.payload {
        Payload::Event { content, media_type } => {
            let sha256 = Sha256Hash::of(content.as_bytes());
            if result.terms.sha256.is_some_and(|stated| stated != sha256) {
                return Err("the result's content is not what its hash says".to_owned());
            }
            let media_type = media_type.as_deref().unwrap_or("text/plain");
            let body = Body::new(raw.salt, &one_line(media_type, 100), content.as_bytes());
            Ok((ResultRef::Event { body: body.reference.clone(), sha256 }, Some(body)))
        }
        Payload::Blob(blob) if blob.size_bytes > plan.ctx.config.max_result_bytes => Err(format!(
            "the result has {} bytes, at most {} are fetched",
            blob.size_bytes, plan.ctx.config.max_result_bytes
        )),
        Payload::Blob(blob) => Ok((ResultRef::Blob(blob.clone()), None)),
    }
}

pub(super) fn blob_fetched(
    plan: &mut Plan<'_>,
    id: RequestId,
    sha256: Sha256Hash,
    size_bytes: u64,
) {
    let fetching = |job: &&Purchase| job.stage == Stage::Fetching && job.has_result(sha256);
    let Some(job) = plan.job(&id).filter(fetching) else {
        return plan.ignore("no such blob was expected");
    };
    let Some(ResultRef::Blob(blob)) = job.result.clone() else { return };
    if blob.size_bytes != size_bytes {
        let detail = "the fetched result is not of the stated size";
        return plan.fail(id, BuyFail::ResultMismatch, detail, None);
    }
    let effect = BuyerEffect::CheckResult {
        request_id: id,
        kind: job.kind,
        request: job.request.clone(),
        result: ResultRef::Blob(blob),
    };
    let end_by = plan.now.plus_secs(plan.ctx.config.check_secs);
    plan.record(id, Fetched { size_bytes, end_by }, Vec::new(), vec![effect]);
}

pub(super) fn blob_failed(plan: &mut Plan<'_>, id: RequestId, sha256: Sha256Hash, reason: &str) {
    let fetching = |job: &Purchase| job.stage == Stage::Fetching && job.has_result(sha256);
    if plan.job(&id).is_some_and(fetching) {
        let detail = format!("the result could not be fetched: {reason}");
        plan.fail(id, BuyFail::NotFetched, &detail, None);
    } else {
        plan.ignore("no blob was expected");
    }
}

/// The result is good: now its invoice is paid, if it came with one and nothing was paid yet.
pub(super) fn verified(plan: &mut Plan<'_>, id: RequestId, sha256: Sha256Hash) {
    let checking = |job: &&Purchase| {
        job.stage == Stage::Checking && job.doomed.is_none() && job.has_result(sha256)
    };
    if plan.job(&id).filter(checking).is_none() {
        return plan.ignore("no result was being checked");
    }
    plan.record(id, Verified {}, Vec::new(), Vec::new());
    let Some(job) = plan.job(&id) else { return };
    match (job.spending, job.bolt11.clone()) {
        (Spending::Reserved, Some(bolt11)) => {
            let amount = Invoice::parse(&bolt11, plan.ctx.network).map(|i| i.amount_msat).ok();
            match acceptable(plan, job, amount, Some(&bolt11)) {
                Ok(invoice) => pay(plan, id, &invoice),
                Err(why) => plan.fail(id, BuyFail::InvoiceRefused, &why, None),
            }
        }
        (Spending::Reserved | Spending::Paid, _) => plan.finish_job(id),
        _ => {}
    }
}

pub(super) fn rejected(plan: &mut Plan<'_>, id: RequestId, sha256: Sha256Hash, reason: &str) {
    let checking = |job: &Purchase| job.stage == Stage::Checking && job.has_result(sha256);
    if plan.job(&id).is_some_and(checking) {
        let detail = format!("the result is not what was asked for: {reason}");
        plan.fail(id, BuyFail::ResultRejected, &detail, None);
    } else {
        plan.ignore("no result was being checked");
    }
}

fn paying<'a>(plan: &'a Plan<'_>, id: RequestId, hash: PaymentHash) -> Option<&'a Purchase> {
    plan.job(&id).filter(|job| job.spending.in_flight() && job.payment_hash == Some(hash))
}

/// Proved by the preimage; what the reservation did not need is released to the msat. It counts
/// whenever the wallet says so, also after it had said that nothing was paid: what was released
/// then is gone, and the purchase stays over.
pub(super) fn settled(plan: &mut Plan<'_>, fact: &Settled) {
    let id = fact.request_id;
    let asked = plan.buyer.unpaid(&fact.payment_hash).filter(|asked| asked.request_id == id);
    let Some(asked) = asked else { return plan.ignore("no such payment was asked for") };
    if fact.preimage.payment_hash() != fact.payment_hash || asked.amount_msat != fact.amount_msat {
        return plan.ignore("the settlement does not prove this payment");
    }
    let held = plan.job(&id).map_or(Msat::ZERO, |job| job.reserved_msat);
    let spent = fact.amount_msat.saturating_add(fact.fee_msat);
    let event = Paid {
        payment_hash: fact.payment_hash,
        preimage: fact.preimage,
        amount_msat: fact.amount_msat,
        fee_msat: fact.fee_msat,
        released_msat: held.saturating_sub(spent),
        end_by: plan.now.plus_secs(plan.ctx.config.paid_result_secs),
    };
    plan.record(id, event, Vec::new(), Vec::new());
    resolve(plan, id);
}

/// With the money known, ends what only waited for it.
fn resolve(plan: &mut Plan<'_>, id: RequestId) {
    let Some(job) = plan.job(&id).filter(|job| !job.stage.is_over()) else { return };
    if let Some((reason, detail)) = job.doomed.clone() {
        plan.fail(id, reason, &detail, None);
    } else if job.stage == Stage::Verified {
        plan.finish_job(id);
    }
}

pub(super) fn pay_failed(plan: &mut Plan<'_>, id: RequestId, hash: PaymentHash, reason: &str) {
    if paying(plan, id, hash).is_none() {
        return plan.ignore("no such payment is on its way");
    }
    plan.payment_failed(id, reason);
}

pub(super) fn pay_unknown(plan: &mut Plan<'_>, id: RequestId, hash: PaymentHash) {
    match paying(plan, id, hash).map(|job| job.spending) {
        Some(Spending::Paying) => {
            plan.record(id, PaymentUnknown { payment_hash: hash }, Vec::new(), Vec::new());
        }
        _ => plan.ignore("no such payment is on its way"),
    }
}

/// A state outlived its time. Money in flight has no deadline: the wallet will say.
pub(super) fn overdue(plan: &mut Plan<'_>, id: RequestId) {
    let Some(job) = plan.job(&id) else { return };
    match job.stage {
        Stage::Submitted if job.spending == Spending::Reserved => {
            plan.fail(id, BuyFail::NotPublished, "no relay took the request in time", None);
        }
        Stage::Submitted | Stage::Asked | Stage::Working => {
            plan.fail(id, BuyFail::ProviderSilent, "the provider did not answer in time", None);
        }
        Stage::Fetching => {
            plan.fail(id, BuyFail::NotFetched, "the result could not be fetched in time", None);
        }
        Stage::Checking => {
            plan.fail(id, BuyFail::NotChecked, "the result could not be checked in time", None);
        }
        _ => {}
    }
}

/// A receipt is recorded once, and only if it is the one this purchase is owed.
pub(super) fn receipt_signed(plan: &mut Plan<'_>, id: RequestId, receipt: &Receipt) {
    let matches = plan.job(&id).is_some_and(|job| {
        let due = job.unsigned_receipt(plan.ctx, receipt.at).map(|mut due| {
            due.log_head = receipt.log_head;
            due.sig.clone_from(&receipt.sig);
            due
        });
        job.receipt == ReceiptState::Due && receipt.sig.is_some() && due.as_ref() == Some(receipt)
    });
    if matches {
        plan.record(id, ReceiptSigned { receipt: receipt.clone() }, Vec::new(), Vec::new());
    } else {
        plan.ignore("no such receipt is due");
    }
}
