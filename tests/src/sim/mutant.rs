//! Machines, hosts and worlds that break one law each: the invariants must notice every one.

use domain::Emit;
use engine::{Effect, Event, State};
use nip90::{
    PaymentPolicy,
    buyer::BuyerEvent,
    provider::{
        ProviderEffect, ProviderEvent,
        effect::Execute,
        event::{RefundFailed, Refunded},
    },
};
use serde::{Deserialize, Serialize};

use super::observed::request_of;

/// One broken law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutant {
    /// A payment asked for again is paid again.
    ExecutorForgetsKeys,
    /// Money that left is not told whole.
    FeeHidden,
    /// The wallet says paid where nothing came.
    WalletLies,
    /// What finishes an effect does not take it out of the outbox.
    AcknowledgementLost,
    /// Effects leave before their event is in the log.
    ReleaseBeforeCommit,
    /// A byte of the log changes on disk.
    EventCorrupted,
    /// The newest event is not read after a crash.
    EventForgotten,
    /// An event published again is dated anew, so that it is another event.
    AnswerDatedAnew,
    /// The signer signs something else.
    ReceiptForged,
    /// Timers never fire.
    TimeStandsStill,
    /// The provider works as soon as it has promised to.
    WorksUnpaid,
    /// A job that has ended ends again.
    EndsTwice,
    /// Money that came too late is kept in silence.
    KeepsLateMoney,
    /// A reservation is given back and spent as well.
    ReleasesWhatItSpends,
    /// A refund that settled counts as failed, so that it is owed and given again.
    RefundsAgain,
    /// A payment that gets no answer is given up.
    GivesUpPayments,
    /// A refund that was only ordered counts as done.
    CallsRefundsDone,
    /// A result leaves however late it is.
    PublishesLate,
}

impl Mutant {
    /// Every one, with the law that must notice it.
    pub const ALL: [(Self, &'static str); 18] = [
        (Self::ExecutorForgetsKeys, "never_pays_twice"),
        (Self::FeeHidden, "ledger_adds_up"),
        (Self::WalletLies, "credited_only_by_exact_hash"),
        (Self::AcknowledgementLost, "nothing_waits_for_ever"),
        (Self::ReleaseBeforeCommit, "effects_only_after_commit"),
        (Self::EventCorrupted, "chain_is_whole"),
        (Self::EventForgotten, "replay_equals_memory"),
        (Self::AnswerDatedAnew, "one_answer_per_job"),
        (Self::ReceiptForged, "receipts_prove"),
        (Self::TimeStandsStill, "nothing_waits_for_ever"),
        (Self::WorksUnpaid, "no_work_before_payment_when_announced_so"),
        (Self::EndsTwice, "one_terminal_state_per_job"),
        (Self::KeepsLateMoney, "paid_job_has_result_or_explicit_failure"),
        (Self::ReleasesWhatItSpends, "ledger_adds_up"),
        (Self::RefundsAgain, "never_refunds_twice"),
        (Self::GivesUpPayments, "no_payment_is_given_up"),
        (Self::CallsRefundsDone, "refunded_only_by_its_settled_payment"),
        (Self::PublishesLate, "no_result_of_a_failed_job_leaves"),
    ];

    /// What a machine with this fault decides instead.
    pub fn distort(self, state: &State, emits: Vec<Emit<State>>) -> Vec<Emit<State>> {
        let mut distorted: Vec<Emit<State>> = Vec::new();
        for mut emit in emits {
            match (self, &mut emit.event) {
                (Self::WorksUnpaid, Event::Provider(ProviderEvent::Accepted(accepted)))
                    if accepted.payment == PaymentPolicy::Before =>
                {
                    let work = early_work(state, &emit, &distorted);
                    emit.effects.extend(work);
                }
                (Self::EndsTwice, Event::Provider(ProviderEvent::Delivered(_))) => {
                    distorted.push(Emit::new(emit.stream.clone(), emit.event.clone()));
                }
                (Self::KeepsLateMoney, Event::Provider(ProviderEvent::RefundDue(_))) => continue,
                (Self::ReleasesWhatItSpends, Event::Buyer(BuyerEvent::Paid(paid))) => {
                    paid.released_msat = paid.released_msat.saturating_add(paid.amount_msat);
                }
                (Self::RefundsAgain, Event::Provider(ProviderEvent::Refunded(refunded))) => {
                    let payment_hash = refunded.payment_hash;
                    let reason = "it is said to have failed".to_owned();
                    emit.event =
                        ProviderEvent::RefundFailed(RefundFailed { payment_hash, reason }).into();
                }
                (Self::CallsRefundsDone, Event::Provider(ProviderEvent::Refunding(refunding))) => {
                    let done = ProviderEvent::Refunded(Refunded {
                        payment_hash: refunding.payment_hash,
                        preimage: domain::Preimage([0; 32]),
                        amount_msat: refunding.amount_msat,
                        fee_msat: domain::Msat::ZERO,
                    });
                    let stream = emit.stream.clone();
                    distorted.push(emit);
                    distorted.push(Emit::new(stream, done));
                    continue;
                }
                _ => {}
            }
            distorted.push(emit);
        }
        distorted
    }
}

/// The work of a job that was only just accepted.
fn early_work(state: &State, accepted: &Emit<State>, before: &[Emit<State>]) -> Option<Effect> {
    let request_id = request_of(&accepted.stream)?;
    let received = before.iter().find_map(|emit| match &emit.event {
        Event::Provider(ProviderEvent::Received(received)) => received.request.clone(),
        _ => None,
    });
    let known = || state.provider.job(&request_id)?.request.clone();
    Some(Effect::Provider(ProviderEffect::Execute(Execute {
        request_id,
        attempt: 1,
        kind: super::world::KIND,
        request: received.or_else(known)?,
        stop_at: domain::Timestamp(u64::MAX >> 12),
    })))
}
