//! Selling work over NIP-90: gates, execution and payment, each a machine, joined per job.
//!
//! [`Provider::decide`] never changes state and never touches the world; [`Provider::apply`] never
//! decides. Replaying the recorded events from [`Provider::default`] gives the same state.

mod config;
mod decide;
pub mod effect;
pub mod event;
pub mod execution;
pub mod gates;
pub mod input;
mod intake;
mod job;
mod mode;
pub mod payment;
mod plan;
mod presence;
mod refund;
mod work;

use domain::{Msat, PaymentHash, RequestId, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

pub use config::{Backend, Config, Context};
pub use effect::ProviderEffect;
pub use event::ProviderEvent;
pub use input::{ExecutionOutcome, PaidFact, ProviderInput, RefundFact, RefundOrder, SeenRequest};
pub use job::{Job, ReceiptState, Refund};
pub use mode::Mode;
pub use presence::ANNOUNCEMENT_D;

use event::LateFor;

use crate::{
    codec::LOOK_BACK_SECS,
    machine::{Decision, Emit, Place, request_of},
    types::{Blocker, DemandAnswer, DemandRisk, OfferDraft, ProviderState},
};

/// One recorded step of the provider.
pub type ProviderEmit = Emit<ProviderEvent, ProviderEffect>;

/// Jobs that are over and still shown from here; older ones are read from the log.
const KEEP_CLOSED: usize = 256;
/// Request ids that are remembered; beyond it the oldest are forgotten, and refused as too old.
const MAX_SEEN: usize = 100_000;
/// Payment hashes that are remembered after their invoice expired, for money that comes late.
const KEEP_HASH_SECS: u64 = 7 * 24 * 3_600;
/// Invoices that are remembered; beyond it the one that expired first is forgotten. Those that can
/// still be paid are far fewer: an open job has one, and the wallet bounds them itself.
const MAX_AWAITED: usize = 20_000;
/// Refusals that are remembered to bound how many are sent.
const KEEP_REFUSED: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AwaitedPayment {
    request_id: RequestId,
    keep_until: Timestamp,
    job: LateFor,
}

/// An invoice that a refund was sent to: no other job's refund goes there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct UsedInvoice {
    request_id: RequestId,
    amount_msat: Msat,
    /// The wallet proved that it was paid.
    is_paid: bool,
    keep_until: Timestamp,
}

/// The provider lane's whole state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    mode: Mode,
    offers: BTreeMap<u16, OfferDraft>,
    demand: BTreeMap<DemandRisk, DemandAnswer>,
    jobs: BTreeMap<RequestId, Arc<Job>>,
    /// Requests that were recorded, by when they were created.
    seen: BTreeSet<(u64, RequestId)>,
    /// Requests created before this may have been forgotten: they are refused.
    forgotten_before_secs: u64,
    running: BTreeSet<RequestId>,
    /// Ready jobs without a place, in the order they became ready.
    queue: VecDeque<RequestId>,
    /// Jobs that are not over.
    active: BTreeSet<RequestId>,
    /// Jobs whose execution is not over.
    open: BTreeSet<RequestId>,
    /// Jobs that are over, in the order they ended.
    closed: VecDeque<RequestId>,
    by_hash: BTreeMap<PaymentHash, AwaitedPayment>,
    refunded_to: BTreeMap<PaymentHash, UsedInvoice>,
    refused_at: VecDeque<Timestamp>,
    /// The announcement that stands, if one does.
    announced_at_secs: Option<u64>,
    last_announcement_secs: u64,
}

impl Provider {
    /// What `input` leads to. Pure: the same state, context, input and time give the same answer.
    pub fn decide(
        &self,
        ctx: &Context<'_>,
        input: &ProviderInput,
        now: Timestamp,
    ) -> Decision<ProviderEvent, ProviderEffect> {
        decide::decide(self, ctx, input, now)
    }

    /// Takes over one committed event.
    pub fn apply(&mut self, place: &Place<'_>, event: &ProviderEvent) {
        match event {
            ProviderEvent::Mode(changed) => {
                self.mode.state = changed.state;
                self.mode.since = place.at;
            }
            ProviderEvent::Readiness(readiness) => {
                self.mode.relays = readiness.relays;
                self.mode.blockers.clone_from(&readiness.blockers);
            }
            ProviderEvent::OfferSet(set) => {
                self.offers.insert(set.offer.kind, set.offer.clone());
            }
            ProviderEvent::OfferRemoved(removed) => {
                self.offers.remove(&removed.kind);
            }
            ProviderEvent::DemandSet(set) => {
                self.demand.insert(set.risk, set.answer);
            }
            ProviderEvent::Announced(announced) => {
                self.announced_at_secs = Some(announced.created_at_secs);
                self.last_announcement_secs = announced.created_at_secs;
            }
            ProviderEvent::Withdrawn(withdrawn) => {
                self.announced_at_secs = None;
                self.last_announcement_secs = withdrawn.created_at_secs;
            }
            ProviderEvent::Swept(swept) => self.sweep(swept.before_secs, place.at),
            ProviderEvent::Unknown(_) => {}
            job_event => {
                if let Some(id) = request_of(place.stream, "job") {
                    self.apply_job(id, place, job_event);
                }
            }
        }
    }

    fn apply_job(&mut self, id: RequestId, place: &Place<'_>, event: &ProviderEvent) {
        match event {
            ProviderEvent::Received(received) => {
                self.jobs.insert(id, Arc::new(Job::new(id, received, place.at)));
                self.seen.insert((received.created_at_secs, id));
                if self.seen.len() > MAX_SEEN
                    && let Some((oldest, _)) = self.seen.pop_first()
                {
                    self.forgotten_before_secs = self.forgotten_before_secs.max(oldest + 1);
                }
            }
            ProviderEvent::Invoiced(invoiced) => {
                let keep_until = invoiced.expires_at.plus_secs(KEEP_HASH_SECS);
                if let Some(job) = self.jobs.get(&id) {
                    let job = LateFor {
                        kind: job.kind,
                        author: job.author,
                        created_at_secs: job.created_at_secs,
                        price_msat: job.price_msat,
                        request: job.request.clone(),
                    };
                    let awaited = AwaitedPayment { request_id: id, keep_until, job };
                    self.by_hash.insert(invoiced.payment_hash, awaited);
                    if self.by_hash.len() > MAX_AWAITED {
                        let first = self.by_hash.iter().min_by_key(|(_, of)| of.keep_until);
                        if let Some(hash) = first.map(|(hash, _)| *hash) {
                            self.by_hash.remove(&hash);
                        }
                    }
                }
            }
            ProviderEvent::Refunding(refunding) => {
                let keep_until = refunding.expires_at.plus_secs(KEEP_HASH_SECS);
                let used = UsedInvoice {
                    request_id: id,
                    amount_msat: refunding.amount_msat,
                    is_paid: false,
                    keep_until,
                };
                self.refunded_to.insert(refunding.payment_hash, used);
            }
            ProviderEvent::Refunded(refunded) => {
                if let Some(used) = self.refunded_to.get_mut(&refunded.payment_hash) {
                    used.is_paid = true;
                }
            }
            ProviderEvent::Paid(paid) => {
                self.by_hash.remove(&paid.payment_hash);
            }
            ProviderEvent::RefundDue(late) => {
                self.by_hash.remove(&late.payment_hash);
                if let Some(of) = &late.late_for {
                    let forgotten = || Arc::new(Job::forgotten(id, of, place.at));
                    self.jobs.entry(id).or_insert_with(forgotten);
                }
            }
            ProviderEvent::Refused(_) => {
                self.refused_at.push_back(place.at);
                while self.refused_at.len() > KEEP_REFUSED {
                    self.refused_at.pop_front();
                }
            }
            _ => {}
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            let job = Arc::make_mut(job);
            job.apply(event, place.at);
            job.head = Some(place.hash);
            let job = Arc::clone(&self.jobs[&id]);
            self.index(&job);
        }
    }

    /// Brings the sets that are kept beside the jobs up to date.
    fn index(&mut self, job: &Job) {
        let id = job.request_id;
        let keep = |set: &mut BTreeSet<RequestId>, holds: bool| {
            if holds {
                set.insert(id)
            } else {
                set.remove(&id)
            };
        };
        keep(&mut self.running, job.execution == execution::Execution::Running);
        keep(&mut self.open, !job.execution.is_over());
        keep(&mut self.active, !job.is_over());
        let queued = self.queue.contains(&id);
        if job.is_ready() && !queued {
            self.queue.push_back(id);
        } else if !job.is_ready() && queued {
            self.queue.retain(|other| *other != id);
        }
        self.closed.retain(|other| *other != id);
        if job.is_over() {
            self.closed.push_back(id);
            if self.closed.len() > KEEP_CLOSED
                && let Some(oldest) = self.closed.pop_front()
            {
                self.jobs.remove(&oldest);
            }
        }
    }

    fn sweep(&mut self, before_secs: u64, at: Timestamp) {
        self.forgotten_before_secs = self.forgotten_before_secs.max(before_secs);
        self.seen = self.seen.split_off(&(before_secs, RequestId([0; 32])));
        self.by_hash.retain(|_, awaited| awaited.keep_until > at);
        let jobs = &self.jobs;
        let in_flight = |used: &UsedInvoice| {
            jobs.get(&used.request_id).is_some_and(|job| job.payment.refund_in_flight())
        };
        self.refunded_to.retain(|_, used| used.keep_until > at || in_flight(used));
    }

    pub const fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Everything in the way of selling work: empty means ready.
    pub fn blockers(&self, ctx: &Context<'_>) -> Vec<Blocker> {
        let own = |code: &str, message: &str, hint: &str| Blocker {
            code: code.to_owned(),
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
        };
        let mut blockers = Vec::new();
        if self.mode.relays == 0 {
            blockers.push(own("no_relay", "No relay is connected.", "Check the relay list."));
        }
        let able = |kind: &u16| ctx.backends.get(kind).is_some_and(|b| b.unable.is_none());
        if !self.offers.keys().any(able) {
            blockers.push(own(
                "no_offer",
                "There is no offer that this machine can execute.",
                "Set a price for at least one kind.",
            ));
        }
        blockers.extend(self.mode.blockers.iter().cloned());
        blockers
    }

    pub const fn offers(&self) -> &BTreeMap<u16, OfferDraft> {
        &self.offers
    }

    pub fn offer(&self, kind: u16) -> Option<&OfferDraft> {
        self.offers.get(&kind)
    }

    /// What happens to demand of one risk. Requests that name nobody are asked about until the
    /// operator says otherwise.
    pub fn demand_answer(&self, risk: DemandRisk) -> DemandAnswer {
        let default = match risk {
            DemandRisk::Aimed | DemandRisk::Starter => DemandAnswer::Accept,
            DemandRisk::Open => DemandAnswer::Ask,
        };
        self.demand.get(&risk).copied().unwrap_or(default)
    }

    /// Jobs that are not over, and the latest that are.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.values()
    }

    pub fn job(&self, id: &RequestId) -> Option<&Job> {
        self.jobs.get(id).map(Arc::as_ref)
    }

    /// Jobs whose execution is not over.
    pub fn open_jobs(&self) -> usize {
        self.open.len()
    }

    /// When our newest announcement, or its withdrawal, was made.
    pub const fn last_announcement_secs(&self) -> u64 {
        self.last_announcement_secs
    }

    /// Whether this program was switched on by the operator since it started.
    pub fn wants_online(&self) -> bool {
        self.mode.state != ProviderState::Offline
    }

    fn knows(&self, created_at_secs: u64, id: &RequestId) -> bool {
        self.jobs.contains_key(id) || self.seen.contains(&(created_at_secs, *id))
    }

    /// Requests created before this are not served: their ids may be forgotten.
    fn horizon_secs(&self, now: Timestamp) -> u64 {
        now.as_secs().saturating_sub(LOOK_BACK_SECS).max(self.forgotten_before_secs)
    }

    fn has_older_than(&self, before_secs: u64) -> bool {
        self.seen.first().is_some_and(|(oldest, _)| *oldest < before_secs)
    }

    fn job_of_payment(&self, hash: &PaymentHash) -> Option<RequestId> {
        self.by_hash.get(hash).map(|awaited| awaited.request_id)
    }

    fn late_for(&self, hash: &PaymentHash) -> Option<LateFor> {
        self.by_hash.get(hash).map(|awaited| awaited.job.clone())
    }

    /// The refund that was sent to this invoice.
    fn refunded_to(&self, hash: &PaymentHash) -> Option<&UsedInvoice> {
        self.refunded_to.get(hash)
    }
}

#[cfg(test)]
pub(crate) mod tests;
