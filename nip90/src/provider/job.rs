//! One sold job: its execution and its payment, joined by the policy that was announced.

use domain::{
    BodyRef, EventHash, EventId, Msat, PaymentHash, Preimage, Pubkey, Receipt, ReceiptType,
    RequestId, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{
    config::Context,
    effect::pays_first,
    event::{self, FailReason, LateFor, ProviderEvent, Received},
    execution::{Execution, ExecutionStep},
    payment::{Payment, PaymentStep},
};
use crate::types::{DemandRisk, Mover, PaymentPolicy, ResultRef};

/// What is owed to the books: a receipt is due exactly when a job is delivered and paid, or free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    #[default]
    NotDue,
    Due,
    Signed,
}

/// Owed money on its way back to the buyer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Counts from 1.
    pub attempt: u32,
    /// The buyer's.
    pub bolt11: String,
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    /// Known once it is settled.
    pub fee_msat: Option<Msat>,
    pub preimage: Option<Preimage>,
}

/// A job as provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub request_id: RequestId,
    pub kind: u16,
    pub author: Pubkey,
    pub created_at_secs: u64,
    pub expires_at_secs: Option<u64>,
    pub bid_msat: Option<Msat>,
    pub risk: DemandRisk,
    /// Its event; none of a request that was refused at once.
    pub request: Option<BodyRef>,
    pub seen_at: String,
    pub relays: Vec<String>,

    pub execution: Execution,
    pub payment: Payment,
    /// Set once accepted.
    pub price_msat: Msat,
    pub policy: PaymentPolicy,
    /// When the present state times out.
    pub end_by: Option<Timestamp>,
    pub attempt: u8,
    pub result: Option<ResultRef>,
    /// The result event, once a relay has it.
    pub result_event: Option<EventId>,
    pub bolt11: Option<String>,
    pub payment_hash: Option<PaymentHash>,
    /// When the invoice expires.
    pub invoice_expires_at: Option<Timestamp>,
    /// What was received, which may be more than the price.
    pub paid_msat: Option<Msat>,
    pub preimage: Option<Preimage>,
    /// The attempt that gave back what was owed, else the newest.
    pub refund: Option<Refund>,
    /// The other attempts: each was said to have failed before the next, or settled besides.
    pub other_refunds: Vec<Refund>,
    /// The operator's word on how the money went back outside of this wallet.
    pub handed_back: Option<String>,
    /// The one terminal event was released.
    pub answered: bool,
    pub receipt: ReceiptState,
    /// Why it ended as it did, in our words.
    pub reason: Option<String>,
    pub received_at: Timestamp,
    pub updated_at: Timestamp,
    /// The last committed event of its stream.
    pub head: Option<EventHash>,
}

impl Job {
    pub(super) fn new(request_id: RequestId, event: &Received, at: Timestamp) -> Self {
        Self {
            request_id,
            kind: event.kind,
            author: event.author,
            created_at_secs: event.created_at_secs,
            expires_at_secs: event.expires_at_secs,
            bid_msat: event.bid_msat,
            risk: event.risk,
            request: event.request.clone(),
            seen_at: event.seen_at.clone(),
            relays: event.relays.clone(),
            execution: Execution::Received,
            payment: Payment::None,
            price_msat: Msat::ZERO,
            policy: PaymentPolicy::Before,
            end_by: event.ask_until,
            attempt: 0,
            result: None,
            result_event: None,
            bolt11: None,
            payment_hash: None,
            invoice_expires_at: None,
            paid_msat: None,
            preimage: None,
            refund: None,
            other_refunds: Vec::new(),
            handed_back: None,
            answered: false,
            receipt: ReceiptState::NotDue,
            reason: None,
            received_at: at,
            updated_at: at,
            head: None,
        }
    }

    /// A job that ended so long ago that no more than this was kept of it; then its money came.
    pub(super) fn forgotten(request_id: RequestId, of: &LateFor, at: Timestamp) -> Self {
        let received = Received {
            kind: of.kind,
            author: of.author,
            created_at_secs: of.created_at_secs,
            expires_at_secs: None,
            bid_msat: None,
            risk: DemandRisk::Aimed,
            request: of.request.clone(),
            seen_at: String::new(),
            relays: Vec::new(),
            ask_until: None,
        };
        Self {
            execution: Execution::Cancelled,
            payment: Payment::Expired,
            price_msat: of.price_msat,
            answered: true,
            reason: Some("its money came long after it had ended".to_owned()),
            ..Self::new(request_id, &received, at)
        }
    }

    /// Whether money must come before work.
    pub const fn pays_first(&self) -> bool {
        pays_first(self.policy) && !self.price_msat.is_zero()
    }

    /// Whether the invoice travels with the result.
    pub const fn pays_after(&self) -> bool {
        !pays_first(self.policy) && !self.price_msat.is_zero()
    }

    /// Whether it waits for nothing but a free place.
    pub fn is_ready(&self) -> bool {
        self.execution == Execution::Accepted
            && (!self.pays_first() || self.payment == Payment::Paid)
    }

    /// Whether nothing is expected of anybody any more.
    pub fn is_over(&self) -> bool {
        let money_open = matches!(self.payment, Payment::Invoiced | Payment::RefundDue)
            || self.payment.refund_in_flight();
        self.execution.is_over() && !money_open && self.receipt != ReceiptState::Due
    }

    /// Over, and everything it promised holds.
    pub fn succeeded(&self) -> bool {
        self.execution == Execution::Delivered && self.receipt == ReceiptState::Signed
    }

    /// Who must move next; nobody when it is over.
    pub fn waiting_for(&self) -> Option<Mover> {
        if self.is_over() {
            return None;
        }
        Some(match (self.execution, self.payment) {
            (_, Payment::RefundDue) | (Execution::Received, _) => Mover::Operator,
            (_, Payment::Refunding | Payment::RefundUnknown) => Mover::Wallet,
            (Execution::Accepted | Execution::Executed, Payment::Quoted)
                if self.execution == Execution::Executed || self.pays_first() =>
            {
                Mover::Wallet
            }
            (Execution::Accepted, Payment::Invoiced) => Mover::Buyer,
            (Execution::Delivered, Payment::Invoiced) => Mover::Buyer,
            _ => Mover::Us,
        })
    }

    pub fn apply(&mut self, event: &ProviderEvent, at: Timestamp) {
        self.updated_at = at;
        match event {
            ProviderEvent::Refused(refused) => {
                self.step(ExecutionStep::Refuse);
                self.reason = Some(refused.reason.clone());
                self.end_by = None;
                self.answered |= refused.answer_at_secs.is_some();
            }
            ProviderEvent::Accepted(accepted) => {
                self.step(ExecutionStep::Accept);
                self.price_msat = accepted.price_msat;
                self.policy = accepted.payment;
                self.end_by = Some(accepted.end_by);
                if !accepted.price_msat.is_zero() {
                    self.pay(PaymentStep::Quote);
                }
            }
            ProviderEvent::Invoiced(invoiced) => self.invoiced(invoiced),
            ProviderEvent::Paid(paid) => self.paid(paid),
            ProviderEvent::Started(started) => {
                self.step(ExecutionStep::Start);
                self.attempt = started.attempt;
                self.end_by = Some(started.end_by);
            }
            ProviderEvent::Executed(executed) => {
                self.step(ExecutionStep::Finish);
                self.result = Some(executed.result.clone());
                self.end_by = Some(executed.end_by);
                self.answered |= executed.answer_at_secs.is_some();
            }
            ProviderEvent::Delivered(delivered) => {
                self.step(ExecutionStep::Deliver);
                self.result_event = Some(delivered.event_id);
                self.end_by = delivered.end_by;
                self.owe_receipt();
            }
            ProviderEvent::Failed(failed) => {
                self.step(ExecutionStep::Fail);
                self.reason = Some(failed.detail.clone());
                self.end_by = None;
                self.answered |= failed.answer_at_secs.is_some();
                self.pay(PaymentStep::Close);
                if failed.refund_due_msat.is_some() {
                    self.pay(PaymentStep::OweRefund);
                }
            }
            ProviderEvent::Cancelled(cancelled) => self.cancelled(cancelled),
            ProviderEvent::Unpaid(_) => {
                self.pay(PaymentStep::GiveUp);
                self.end_by = None;
                self.reason = Some("the invoice was not paid in time".to_owned());
            }
            ProviderEvent::RefundDue(late) => {
                self.pay(PaymentStep::OweRefund);
                self.paid_msat = Some(late.amount_msat);
                self.payment_hash = Some(late.payment_hash);
                self.preimage = Some(late.preimage);
                self.end_by = None;
            }
            ProviderEvent::ReceiptSigned(_) => {
                self.receipt = ReceiptState::Signed;
                self.end_by = None;
            }
            other => self.apply_refund(other),
        }
    }

    /// What becomes of the money that is owed back.
    fn apply_refund(&mut self, event: &ProviderEvent) {
        match event {
            ProviderEvent::Refunding(refunding) => {
                self.pay(PaymentStep::SendRefund);
                self.other_refunds.extend(self.refund.take());
                self.refund = Some(Refund {
                    attempt: refunding.attempt,
                    bolt11: refunding.bolt11.clone(),
                    payment_hash: refunding.payment_hash,
                    amount_msat: refunding.amount_msat,
                    fee_msat: None,
                    preimage: None,
                });
            }
            ProviderEvent::RefundUnknown(_) => self.pay(PaymentStep::LoseRefund),
            ProviderEvent::RefundFailed(_) => self.pay(PaymentStep::FailRefund),
            ProviderEvent::Refunded(refunded) => {
                self.pay(PaymentStep::Refund);
                self.refunded(refunded);
            }
            ProviderEvent::HandedBack(handed_back) => {
                self.pay(PaymentStep::HandBack);
                self.handed_back = Some(handed_back.note.clone());
            }
            _ => {}
        }
    }

    /// Marks the attempt that settled. Of several that did, the first is the one that counts.
    fn refunded(&mut self, settled: &event::Refunded) {
        let again = self.handed_back.is_some() || self.given_back().next().is_some();
        let all = || self.refund.iter().chain(&self.other_refunds);
        let attempts = all().filter(|refund| refund.payment_hash == settled.payment_hash);
        let Some(attempt) = attempts.map(|refund| refund.attempt).max() else { return };
        for refund in self.refund.iter_mut().chain(&mut self.other_refunds) {
            if refund.attempt == attempt {
                refund.fee_msat = Some(settled.fee_msat);
                refund.preimage = Some(settled.preimage);
            }
        }
        if again {
            let before = self.reason.take().unwrap_or_default();
            self.reason = Some(format!(
                "{before}; {} went back besides, by refund {attempt}",
                settled.amount_msat
            ));
        }
        if self.refund.as_ref().is_some_and(|shown| shown.preimage.is_none())
            && let Some(at) = self.other_refunds.iter().position(|other| other.attempt == attempt)
        {
            let counts = self.other_refunds.swap_remove(at);
            self.other_refunds.extend(self.refund.replace(counts));
        }
    }

    /// The refunds that settled.
    pub fn given_back(&self) -> impl Iterator<Item = &Refund> {
        let all = self.refund.iter().chain(&self.other_refunds);
        all.filter(|refund| refund.preimage.is_some())
    }

    /// The newest attempt to give back what is owed.
    pub(super) fn newest_refund(&self) -> Option<&Refund> {
        let all = self.refund.iter().chain(&self.other_refunds);
        all.max_by_key(|refund| refund.attempt)
    }

    fn invoiced(&mut self, invoiced: &event::Invoiced) {
        self.pay(PaymentStep::Invoice);
        self.bolt11 = Some(invoiced.bolt11.clone());
        self.payment_hash = Some(invoiced.payment_hash);
        self.invoice_expires_at = Some(invoiced.expires_at);
        self.end_by = Some(invoiced.end_by);
        self.answered |= invoiced.answer_at_secs.is_some();
    }

    fn paid(&mut self, paid: &event::Paid) {
        self.pay(PaymentStep::Pay);
        self.paid_msat = Some(paid.amount_msat);
        self.preimage = Some(paid.preimage);
        if self.execution == Execution::Delivered {
            self.reason = None;
            self.end_by = None;
        } else if paid.end_by.is_some() {
            self.end_by = paid.end_by;
        }
        self.owe_receipt();
    }

    fn cancelled(&mut self, cancelled: &event::Cancelled) {
        self.step(ExecutionStep::Cancel);
        self.reason = Some(cancel_text(cancelled.by).to_owned());
        self.end_by = None;
        self.answered |= cancelled.answer_at_secs.is_some();
        self.pay(PaymentStep::Close);
    }

    fn owe_receipt(&mut self) {
        let settled = self.price_msat.is_zero() || self.payment == Payment::Paid;
        if self.execution == Execution::Delivered && settled {
            self.receipt = ReceiptState::Due;
        }
    }

    /// An illegal step of a recorded event leaves the state as it is: `decide` never records one,
    /// and a log of another program must not stop the replay.
    fn step(&mut self, step: ExecutionStep) {
        self.execution = self.execution.after(step).unwrap_or(self.execution);
    }

    fn pay(&mut self, step: PaymentStep) {
        self.payment = self.payment.after(step).unwrap_or(self.payment);
    }

    /// The receipt to sign for this job at `at`. Its `log_head` is the last event of the job's
    /// stream that was committed when the receipt fell due.
    pub(super) fn unsigned_receipt(&self, ctx: &Context<'_>, at: Timestamp) -> Receipt {
        let priced = !self.price_msat.is_zero();
        Receipt {
            v: Receipt::VERSION,
            receipt_type: ReceiptType::JobSold,
            id: format!("sold/{}", self.request_id),
            network: ctx.network,
            issuer: ctx.us,
            subject: self.author,
            request_id: Some(self.request_id),
            kind: Some(self.kind),
            amount_msat: if priced { self.paid_msat } else { None },
            fee_msat: None,
            payment_hash: self.payment_hash.filter(|_| priced),
            preimage: self.preimage.filter(|_| priced),
            bolt11: self.bolt11.clone().filter(|_| priced),
            result_sha256: self.result.as_ref().map(ResultRef::sha256),
            log_head: self.head,
            at,
            sig: None,
        }
    }
}

pub(super) const fn cancel_text(by: event::CancelledBy) -> &'static str {
    match by {
        event::CancelledBy::Buyer => "cancelled by the buyer; nothing is charged",
        event::CancelledBy::Operator => "cancelled by the provider; nothing is charged",
        event::CancelledBy::NotPaid => "not paid in time; nothing was done",
    }
}

pub(super) const fn fail_text(reason: FailReason) -> &'static str {
    match reason {
        FailReason::Work => "the job failed",
        FailReason::OutcomeUnknown => "the job was interrupted twice",
        FailReason::NoInvoice => "no invoice could be made",
        FailReason::TimedOut => "the job took too long and was stopped",
        FailReason::Expired => "the request expired before a place was free",
        FailReason::Undeliverable => "no relay took the answer",
        FailReason::Underpaid => "less was paid than the invoice asked",
    }
}
