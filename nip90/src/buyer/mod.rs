//! Buying work over NIP-90: a budget set aside first, one provider, one exact invoice, one check.
//!
//! [`Buyer::decide`] never changes state and never touches the world; [`Buyer::apply`] never
//! decides. Replaying the recorded events from [`Buyer::default`] gives the same state.

pub mod effect;
pub mod event;
pub mod input;
mod plan;
mod purchase;
pub mod stage;
mod submit;
mod trade;

use domain::{CommandId, Msat, PaymentHash, RequestId, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

pub use effect::BuyerEffect;
pub use event::BuyerEvent;
pub use input::{AnswerFault, BuyerInput, Config, Context, SeenAnswer, Settled, SpendLimits};
pub use purchase::Purchase;
pub use stage::{Spending, Stage};

use crate::machine::{Decision, Emit, Place, request_of};
use plan::Plan;

/// One recorded step of the buyer.
pub type BuyerEmit = Emit<BuyerEvent, BuyerEffect>;

/// Purchases that are over and still shown from here; older ones are read from the log.
const KEEP_CLOSED: usize = 256;
/// Payment hashes that are remembered; beyond it those of expired invoices are forgotten.
const MAX_HASHES: usize = 10_000;
/// How long after its invoice's expiry a hash is remembered at least.
const KEEP_HASH_SECS: u64 = 24 * 3_600;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct UsedInvoice {
    request_id: RequestId,
    amount_msat: Msat,
    /// The wallet proved that it was paid.
    is_paid: bool,
    keep_until: Timestamp,
}

/// What became of all reservations, in msat: `reserved = held + released + spent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Set aside, ever.
    pub reserved_msat: u64,
    /// Set aside now.
    pub held_msat: u64,
    /// Given back, ever.
    pub released_msat: u64,
    /// Paid out of reservations, fees included, ever.
    pub spent_msat: u64,
}

/// The buyer lane's whole state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Buyer {
    jobs: BTreeMap<RequestId, Arc<Purchase>>,
    keys: BTreeMap<CommandId, RequestId>,
    /// Purchases whose stage is not over.
    open: BTreeSet<RequestId>,
    closed: VecDeque<RequestId>,
    by_hash: BTreeMap<PaymentHash, UsedInvoice>,
    ledger: Ledger,
}

impl Buyer {
    /// What `input` leads to. Pure: the same state, context, input and time give the same answer.
    pub fn decide(
        &self,
        ctx: &Context<'_>,
        input: &BuyerInput,
        now: Timestamp,
    ) -> Decision<BuyerEvent, BuyerEffect> {
        let mut plan = Plan::new(self, ctx, now);
        let plan_ref = &mut plan;
        match input {
            BuyerInput::Submit { draft, salt, limits } => {
                submit::submit(plan_ref, draft, salt, limits);
            }
            BuyerInput::Cancel { request_id } => submit::cancel(plan_ref, *request_id),
            BuyerInput::RequestPublished { request_id, relays } => {
                trade::published(plan_ref, *request_id, relays);
            }
            BuyerInput::PublishFailed { request_id, reason, may_be_out } => {
                trade::publish_failed(plan_ref, *request_id, reason, *may_be_out);
            }
            BuyerInput::AnswerSeen(seen) => trade::answer_seen(plan_ref, seen),
            BuyerInput::BlobFetched { request_id, sha256, size_bytes } => {
                trade::blob_fetched(plan_ref, *request_id, *sha256, *size_bytes);
            }
            BuyerInput::BlobFailed { request_id, sha256, reason } => {
                trade::blob_failed(plan_ref, *request_id, *sha256, reason);
            }
            BuyerInput::ResultVerified { request_id, sha256 } => {
                trade::verified(plan_ref, *request_id, *sha256);
            }
            BuyerInput::ResultRejected { request_id, sha256, reason } => {
                trade::rejected(plan_ref, *request_id, *sha256, reason);
            }
            BuyerInput::PaySettled(fact) => trade::settled(plan_ref, fact),
            BuyerInput::PayFailed { request_id, payment_hash, reason } => {
                trade::pay_failed(plan_ref, *request_id, *payment_hash, reason);
            }
            BuyerInput::PayUnknown { request_id, payment_hash } => {
                trade::pay_unknown(plan_ref, *request_id, *payment_hash);
            }
            BuyerInput::ReceiptSigned { request_id, receipt } => {
                trade::receipt_signed(plan_ref, *request_id, receipt);
            }
            BuyerInput::Tick => {
                for id in self.overdue(now) {
                    trade::overdue(plan_ref, id);
                }
            }
        }
        plan.end()
    }

    fn overdue(&self, now: Timestamp) -> Vec<RequestId> {
        let late = |id: &&RequestId| {
            self.job(id).and_then(|job| job.end_by).is_some_and(|end_by| end_by <= now)
        };
        self.open.iter().filter(late).copied().collect()
    }

    /// Takes over one committed event.
    pub fn apply(&mut self, place: &Place<'_>, event: &BuyerEvent) {
        let Some(id) = request_of(place.stream, "buy") else { return };
        self.account(id, event);
        match event {
            BuyerEvent::Submitted(submitted) => {
                self.jobs.insert(id, Arc::new(Purchase::new(id, submitted, place.at)));
                self.keys.insert(submitted.key.clone(), id);
            }
            BuyerEvent::Paying(paying) => {
                if self.by_hash.len() >= MAX_HASHES {
                    let jobs = &self.jobs;
                    let in_flight = |used: &UsedInvoice| {
                        jobs.get(&used.request_id).is_some_and(|job| job.spending.in_flight())
                    };
                    self.by_hash.retain(|_, used| used.keep_until > place.at || in_flight(used));
                }
                let keep_until = paying.expires_at.plus_secs(KEEP_HASH_SECS);
                let used = UsedInvoice {
                    request_id: id,
                    amount_msat: paying.amount_msat,
                    is_paid: false,
                    keep_until,
                };
                self.by_hash.insert(paying.payment_hash, used);
            }
            BuyerEvent::Paid(paid) => {
                if let Some(used) = self.by_hash.get_mut(&paid.payment_hash) {
                    used.is_paid = true;
                }
            }
            _ => {}
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            let job = Arc::make_mut(job);
            job.apply(event, place.at);
            job.head = Some(place.hash);
            let (over, open) = (job.is_over(), !job.stage.is_over());
            self.index(id, over, open);
        }
    }

    /// Moves money between the ledger's columns as the event says.
    fn account(&mut self, id: RequestId, event: &BuyerEvent) {
        let held = self.job(&id).map_or(0, |job| job.reserved_msat.get());
        let ledger = &mut self.ledger;
        match event {
            BuyerEvent::Submitted(submitted) => {
                ledger.reserved_msat += submitted.reserved_msat.get();
                ledger.held_msat += submitted.reserved_msat.get();
            }
            BuyerEvent::Paid(paid) => {
                // A fee above its limit is the wallet's fault, but it was paid: it counts.
                let spent = paid.amount_msat.get() + paid.fee_msat.get();
                ledger.held_msat -= held;
                ledger.spent_msat += spent;
                ledger.released_msat += paid.released_msat.get();
                ledger.reserved_msat += spent.saturating_sub(held);
            }
            BuyerEvent::Done(_) | BuyerEvent::Failed(_) | BuyerEvent::Cancelled(_) => {
                ledger.held_msat -= held;
                ledger.released_msat += held;
            }
            _ => {}
        }
    }

    fn index(&mut self, id: RequestId, over: bool, open: bool) {
        if open {
            self.open.insert(id)
        } else {
            self.open.remove(&id)
        };
        self.closed.retain(|other| *other != id);
        if !over {
            return;
        }
        self.closed.push_back(id);
        if self.closed.len() > KEEP_CLOSED
            && let Some(oldest) = self.closed.pop_front()
            && let Some(job) = self.jobs.remove(&oldest)
        {
            self.keys.remove(&job.key);
        }
    }

    /// Purchases that are not over, and the latest that are.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Purchase>> {
        self.jobs.values()
    }

    pub fn job(&self, id: &RequestId) -> Option<&Purchase> {
        self.jobs.get(id).map(Arc::as_ref)
    }

    pub fn open_jobs(&self) -> usize {
        self.open.len()
    }

    /// Requests whose answers are to be watched for, with the kind of each.
    pub fn open_requests(&self) -> impl Iterator<Item = (RequestId, u16)> + '_ {
        self.open.iter().filter_map(|id| Some((*id, self.job(id)?.kind)))
    }

    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What is set aside now.
    pub fn reserved_msat(&self) -> Msat {
        Msat::new(self.ledger.held_msat).unwrap_or_default()
    }

    /// The job that was submitted under this key, while it is remembered.
    pub fn submitted_under(&self, key: &CommandId) -> Option<RequestId> {
        self.keys.get(key).copied()
    }

    fn job_of_payment(&self, hash: &PaymentHash) -> Option<RequestId> {
        self.by_hash.get(hash).map(|used| used.request_id)
    }

    /// What the wallet was asked to pay under this hash and is not known to have paid.
    fn unpaid(&self, hash: &PaymentHash) -> Option<&UsedInvoice> {
        self.by_hash.get(hash).filter(|used| !used.is_paid)
    }
}

#[cfg(test)]
mod tests;
