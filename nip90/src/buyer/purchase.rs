//! One bought job: its stage and its money.

use domain::{
    BodyRef, CommandId, EventHash, EventId, Msat, PaymentHash, Preimage, Pubkey, Receipt,
    ReceiptType, RequestId, Sha256Hash, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{
    event::{self, BuyFail, BuyerEvent, Submitted},
    input::Context,
    stage::{Spending, SpendingStep, Stage, StageStep},
};
use crate::{
    provider::ReceiptState,
    types::{Mover, PaymentPolicy, ResultRef},
};

/// A job as buyer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purchase {
    pub request_id: RequestId,
    pub key: CommandId,
    pub kind: u16,
    pub bid_msat: Msat,
    pub max_fee_msat: Msat,
    /// What is still held back.
    pub reserved_msat: Msat,
    /// Named by the order.
    pub named: bool,
    /// Named, or chosen of those who answered.
    pub provider: Option<Pubkey>,
    pub created_at_secs: u64,
    pub expires_at_secs: u64,
    pub request: BodyRef,

    pub stage: Stage,
    pub spending: Spending,
    /// When the present state times out; never while money is in flight.
    pub end_by: Option<Timestamp>,
    pub offers_refused: usize,
    /// Those whose result to the open request was none: they get no second try.
    pub turned_down: Vec<Pubkey>,
    pub result: Option<ResultRef>,
    pub result_event: Option<EventId>,
    /// The invoice: paid, being paid, or to be paid once the result is verified.
    pub bolt11: Option<String>,
    /// When the provider wants its money, as its invoice came: for the work to begin, or with the
    /// result. Unknown until then.
    pub policy: Option<PaymentPolicy>,
    pub payment_hash: Option<PaymentHash>,
    pub amount_msat: Option<Msat>,
    pub fee_msat: Option<Msat>,
    pub preimage: Option<Preimage>,
    pub doomed: Option<(BuyFail, String)>,
    pub reason: Option<String>,
    pub late_result: Option<EventId>,
    pub receipt: ReceiptState,
    pub submitted_at: Timestamp,
    pub updated_at: Timestamp,
    /// The last committed event of its stream.
    pub head: Option<EventHash>,
}

impl Purchase {
    pub(super) fn new(request_id: RequestId, event: &Submitted, at: Timestamp) -> Self {
        Self {
            request_id,
            key: event.key.clone(),
            kind: event.kind,
            bid_msat: event.bid_msat,
            max_fee_msat: event.max_fee_msat,
            reserved_msat: event.reserved_msat,
            named: event.provider.is_some(),
            provider: event.provider,
            created_at_secs: event.created_at_secs,
            expires_at_secs: event.expires_at_secs,
            request: event.request.clone(),
            stage: Stage::Submitted,
            spending: Spending::Reserved,
            end_by: Some(event.end_by),
            offers_refused: 0,
            turned_down: Vec::new(),
            result: None,
            result_event: None,
            bolt11: None,
            policy: None,
            payment_hash: None,
            amount_msat: None,
            fee_msat: None,
            preimage: None,
            doomed: None,
            reason: None,
            late_result: None,
            receipt: ReceiptState::NotDue,
            submitted_at: at,
            updated_at: at,
            head: None,
        }
    }

    /// Whether nothing is expected of anybody any more.
    pub fn is_over(&self) -> bool {
        self.stage.is_over() && self.receipt != ReceiptState::Due
    }

    /// Over, and everything that was paid for is here.
    pub fn succeeded(&self) -> bool {
        self.stage == Stage::Done && self.receipt == ReceiptState::Signed
    }

    /// Who must move next; nobody when it is over.
    pub fn waiting_for(&self) -> Option<Mover> {
        if self.is_over() {
            return None;
        }
        Some(match (self.stage, self.spending) {
            (_, Spending::Paying | Spending::Unknown) => Mover::Wallet,
            (Stage::Asked | Stage::Working, _) => Mover::Provider,
            _ => Mover::Us,
        })
    }

    /// Whether these bytes are the result that we deal with.
    pub(super) fn has_result(&self, sha256: Sha256Hash) -> bool {
        self.result.as_ref().is_some_and(|result| result.sha256() == sha256)
    }

    pub fn apply(&mut self, event: &BuyerEvent, at: Timestamp) {
        self.updated_at = at;
        match event {
            BuyerEvent::Published(published) => {
                self.step(StageStep::Publish);
                self.is_heard(published.end_by);
            }
            BuyerEvent::Working(working) => {
                self.step(StageStep::Work);
                self.is_heard(working.end_by);
            }
            BuyerEvent::OfferRefused(_) => self.offers_refused += 1,
            BuyerEvent::Chosen(chosen) => self.provider = Some(chosen.provider),
            BuyerEvent::Unchosen(unchosen) => {
                self.step(StageStep::Reopen);
                self.turned_down.push(unchosen.provider);
                self.provider = None;
                self.result = None;
                self.result_event = None;
                self.bolt11 = None;
                self.policy = None;
                self.end_by = Some(unchosen.end_by);
            }
            BuyerEvent::ResultSeen(seen) => self.result_seen(seen),
            BuyerEvent::Fetched(fetched) => {
                self.step(StageStep::Check);
                self.end_by = Some(fetched.end_by);
            }
            BuyerEvent::Verified(_) => {
                self.step(StageStep::Verify);
                self.end_by = None;
            }
            BuyerEvent::Paying(paying) => {
                self.spend(SpendingStep::Pay);
                self.policy.get_or_insert(PaymentPolicy::Before);
                self.bolt11 = Some(paying.bolt11.clone());
                self.payment_hash = Some(paying.payment_hash);
                self.amount_msat = Some(paying.amount_msat);
                self.end_by = None;
            }
            BuyerEvent::PaymentUnknown(_) => self.spend(SpendingStep::Lose),
            BuyerEvent::Paid(paid) => {
                self.spend(SpendingStep::Settle);
                self.preimage = Some(paid.preimage);
                self.fee_msat = Some(paid.fee_msat);
                self.reserved_msat = Msat::ZERO;
                if self.stage.is_over() {
                    let spent = paid.amount_msat.saturating_add(paid.fee_msat);
                    let before = self.reason.take().unwrap_or_default();
                    self.reason = Some(format!(
                        "{before}; the wallet found later that {spent} were paid in vain"
                    ));
                } else {
                    self.end_by = Some(paid.end_by);
                }
            }
            BuyerEvent::Doomed(doomed) => {
                self.doomed = Some((doomed.reason, doomed.detail.clone()));
            }
            BuyerEvent::Done(_) => {
                self.step(StageStep::Finish);
                self.release();
                self.receipt = ReceiptState::Due;
            }
            BuyerEvent::Failed(failed) => {
                let silent = failed.reason == BuyFail::ProviderSilent;
                self.step(if silent { StageStep::TimeOut } else { StageStep::Fail });
                self.reason = Some(failed.detail.clone());
                self.release();
            }
            BuyerEvent::Cancelled(_) => {
                self.step(StageStep::Cancel);
                self.reason = Some("cancelled by you; nothing was paid".to_owned());
                self.release();
            }
            BuyerEvent::LateResult(late) => self.late_result = Some(late.event_id),
            BuyerEvent::ReceiptSigned(_) => self.receipt = ReceiptState::Signed,
            BuyerEvent::Submitted(_) | BuyerEvent::Unknown(_) => {}
        }
    }

    fn result_seen(&mut self, seen: &event::ResultSeen) {
        let blob = matches!(seen.result, ResultRef::Blob(_));
        self.step(if blob { StageStep::Fetch } else { StageStep::Check });
        self.result = Some(seen.result.clone());
        self.result_event = Some(seen.event_id);
        if seen.bolt11.is_some() {
            self.bolt11.clone_from(&seen.bolt11);
            self.policy = Some(PaymentPolicy::After);
        }
        self.end_by = Some(seen.end_by);
    }

    /// Somebody has the request. Money that is on its way, or arrived, has times of its own.
    fn is_heard(&mut self, end_by: Timestamp) {
        if self.spending == Spending::Reserved {
            self.end_by = Some(end_by);
        }
    }

    fn release(&mut self) {
        if self.spending != Spending::Paid {
            self.spend(SpendingStep::Release);
        }
        self.reserved_msat = Msat::ZERO;
        self.end_by = None;
    }

    /// An illegal step of a recorded event leaves the state as it is: `decide` never records one,
    /// and a log of another program must not stop the replay.
    fn step(&mut self, step: StageStep) {
        self.stage = self.stage.after(step).unwrap_or(self.stage);
    }

    fn spend(&mut self, step: SpendingStep) {
        self.spending = self.spending.after(step).unwrap_or(self.spending);
    }

    /// The receipt to sign for this purchase at `at`. Its `log_head` is the last event of the
    /// stream that was committed when the receipt fell due.
    pub(super) fn unsigned_receipt(&self, ctx: &Context<'_>, at: Timestamp) -> Option<Receipt> {
        let paid = self.spending == Spending::Paid;
        Some(Receipt {
            v: Receipt::VERSION,
            receipt_type: ReceiptType::JobBought,
            id: format!("bought/{}", self.request_id),
            network: ctx.network,
            issuer: ctx.us,
            subject: self.provider?,
            request_id: Some(self.request_id),
            kind: Some(self.kind),
            amount_msat: self.amount_msat.filter(|_| paid),
            fee_msat: self.fee_msat.filter(|_| paid),
            payment_hash: self.payment_hash.filter(|_| paid),
            preimage: self.preimage.filter(|_| paid),
            bolt11: self.bolt11.clone().filter(|_| paid),
            result_sha256: self.result.as_ref().map(ResultRef::sha256),
            log_head: self.head,
            at,
            sig: None,
        })
    }
}
