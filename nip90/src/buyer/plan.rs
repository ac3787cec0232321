//! A decision in the making: events are applied to a copy, so that later steps see earlier ones.

use domain::{Body, ErrorBody, Msat, Pubkey, RequestId, StreamId, Timestamp};
use std::collections::BTreeMap;

use super::{
    Buyer,
    effect::BuyerEffect,
    event::{BuyFail, BuyerEvent, Done, Doomed, Failed, Unchosen},
    input::Context,
    purchase::Purchase,
    stage::{Spending, Stage},
};
use crate::{
    codec::deletion,
    machine::{Decision, Emit, Reply},
    provider::ReceiptState,
    types::one_line,
};

/// The longest text of ours that goes into an event.
const MAX_DETAIL_CHARS: usize = 240;

pub(super) type BuyerDecision = Decision<BuyerEvent, BuyerEffect>;

pub(super) struct Plan<'a> {
    pub buyer: &'a Buyer,
    pub ctx: &'a Context<'a>,
    pub now: Timestamp,
    decision: BuyerDecision,
    touched: BTreeMap<RequestId, Purchase>,
}

impl<'a> Plan<'a> {
    pub fn new(buyer: &'a Buyer, ctx: &'a Context<'a>, now: Timestamp) -> Self {
        Self { buyer, ctx, now, decision: Decision::default(), touched: BTreeMap::new() }
    }

    pub fn job(&self, id: &RequestId) -> Option<&Purchase> {
        self.touched.get(id).or_else(|| self.buyer.job(id))
    }

    pub fn record(
        &mut self,
        id: RequestId,
        event: impl Into<BuyerEvent>,
        bodies: Vec<Body>,
        effects: Vec<BuyerEffect>,
    ) {
        let event = event.into();
        if let BuyerEvent::Submitted(submitted) = &event {
            self.touched.insert(id, Purchase::new(id, submitted, self.now));
        } else if let Some(mut job) = self.job(&id).cloned() {
            job.apply(&event, self.now);
            self.touched.insert(id, job);
        }
        let stream = StreamId::of("buy", id);
        self.decision.emits.push(Emit { stream, event, bodies, effects });
    }

    /// Adds an effect to the event that was recorded last.
    pub fn effect(&mut self, effect: BuyerEffect) {
        if let Some(emit) = self.decision.emits.last_mut() {
            emit.effects.push(effect);
        }
    }

    /// Ends the purchase in failure, or, while money is in flight, notes that it will. Where only
    /// the first result of an open request is none, others may still answer.
    pub fn fail(&mut self, id: RequestId, reason: BuyFail, detail: &str, feedback: Option<Body>) {
        let Some(job) = self.job(&id) else { return };
        if let Some(provider) = self.was_only_first(job) {
            let detail = one_line(detail, MAX_DETAIL_CHARS);
            let event = Unchosen { provider, reason, detail, end_by: self.answers_end(job) };
            let again = BuyerEffect::HearAgain { request_id: id };
            return self.record(id, event, Vec::new(), vec![again]);
        }
        if !job.spending.in_flight() {
            return self.end_failed(id, reason, detail, feedback);
        }
        if job.doomed.is_none() {
            let detail = one_line(detail, MAX_DETAIL_CHARS);
            let feedback = feedback.into_iter().collect();
            self.record(id, Doomed { reason, detail }, feedback, Vec::new());
        }
    }

    /// Who answered an open request first with a result, while nobody else has lost anything by it:
    /// nothing was paid, and there is time.
    fn was_only_first(&self, job: &Purchase) -> Option<Pubkey> {
        let has_result = matches!(job.stage, Stage::Fetching | Stage::Checking | Stage::Verified);
        let is_free = !job.named && job.spending == Spending::Reserved && job.doomed.is_none();
        job.provider.filter(|_| has_result && is_free && self.now < self.answers_end(job))
    }

    /// Until when an answer to a request may come.
    pub fn answers_end(&self, job: &Purchase) -> Timestamp {
        Timestamp::from_secs(job.expires_at_secs).plus_secs(self.ctx.config.answer_grace_secs)
    }

    /// The wallet is sure that no money moved: the purchase ends, for the reason it was doomed by
    /// before, if it was.
    pub fn payment_failed(&mut self, id: RequestId, reason: &str) {
        let doomed = self.job(&id).and_then(|job| job.doomed.clone());
        let (reason, detail) = doomed.unwrap_or_else(|| {
            let detail = format!("the payment failed, nothing was paid: {reason}");
            (BuyFail::PaymentFailed, detail)
        });
        self.end_failed(id, reason, &detail, None);
    }

    fn end_failed(&mut self, id: RequestId, reason: BuyFail, detail: &str, feedback: Option<Body>) {
        let Some(job) = self.job(&id) else { return };
        let detail = one_line(detail, MAX_DETAIL_CHARS);
        let spent = (job.spending == Spending::Paid).then(|| {
            let amount = job.amount_msat.unwrap_or_default();
            amount.saturating_add(job.fee_msat.unwrap_or_default())
        });
        let event = Failed {
            reason,
            detail,
            released_msat: job.reserved_msat,
            spent_msat: spent,
            feedback: feedback.as_ref().map(|body| body.reference.clone()),
        };
        // Whoever may still be working on it is told to stop; a relay may have taken the request
        // and not said so.
        let stop = spent.is_none()
            && matches!(
                reason,
                BuyFail::NotPublished | BuyFail::ProviderSilent | BuyFail::InvoiceRefused
            );
        let effects = if stop { vec![self.cancel_effect(job)] } else { Vec::new() };
        self.record(id, event, feedback.into_iter().collect(), effects);
    }

    pub fn cancel_effect(&self, job: &Purchase) -> BuyerEffect {
        let at = self.now.as_secs().max(job.created_at_secs);
        let template = deletion::of_request(job.request_id, job.kind, at);
        BuyerEffect::PublishCancel { request_id: job.request_id, template }
    }

    /// Ends a verified purchase whose money is settled, or that costs nothing.
    pub fn finish_job(&mut self, id: RequestId) {
        let Some(released_msat) = self.job(&id).map(|job| job.reserved_msat) else { return };
        self.record(id, Done { released_msat }, Vec::new(), Vec::new());
        let due = self.job(&id).filter(|job| job.receipt == ReceiptState::Due);
        if let Some(receipt) = due.and_then(|job| job.unsigned_receipt(self.ctx, self.now)) {
            self.effect(BuyerEffect::SignReceipt { request_id: id, receipt });
        }
    }

    pub fn ignore(&mut self, why: impl Into<String>) {
        self.decision.ignored = Some(why.into());
    }

    pub fn reply(&mut self, reply: Reply) {
        self.decision.reply = Some(reply);
    }

    pub fn refuse(&mut self, error: ErrorBody) {
        self.decision.reply = Some(Reply::Refused(error));
    }

    pub fn end(self) -> BuyerDecision {
        self.decision
    }
}

/// What one purchase may cost: nothing is reserved for a free one.
pub(super) fn reservation(bid: Msat, max_fee: Msat) -> Option<Msat> {
    if bid.is_zero() { Some(Msat::ZERO) } else { bid.checked_add(max_fee) }
}
