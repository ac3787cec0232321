//! Worlds that break one law each: the invariants must notice every one of them.

use serde::{Deserialize, Serialize};

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
}

impl Mutant {
    /// Every one, with the law that must notice it.
    pub const ALL: [(Self, &'static str); 10] = [
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
    ];
}
