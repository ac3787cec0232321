//! Commands: everything the operator (desk, palette, command line, later agents) can ask for.

use domain::{EffectId, IdempotencyKey, Msat, RequestId};
pub use nip90::{DemandAnswer, DemandRisk, JobDraft, JobInput, OfferDraft, PaymentPolicy};
use serde::{Deserialize, Serialize};
use wallet::wire;

/// One request of the operator. The host gives it an id; the same id again changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    ProviderOnline,
    ProviderOffline,
    OfferSet(OfferDraft),
    OfferRemove {
        kind: u16,
    },
    /// What to do with demand of one risk: accept, ask the operator, or refuse.
    DemandPolicySet {
        risk: DemandRisk,
        answer: DemandAnswer,
    },
    /// Answers a job that waits for the operator.
    JobAccept {
        request_id: RequestId,
    },
    JobRefuse {
        request_id: RequestId,
    },
    /// Pays what a sold job owes its buyer, to an invoice that the buyer handed over.
    JobRefund {
        request_id: RequestId,
        bolt11: String,
        /// Less than what is owed, where the operator chose so; absent means all of it.
        #[serde(default)]
        amount_msat: Option<Msat>,
        max_fee_msat: Msat,
    },
    /// The operator's word that the owed money went back another way; nothing is paid.
    JobHandedBack {
        request_id: RequestId,
        note: String,
    },
    /// Buys a job.
    JobSubmit(JobDraft),
    /// Cancels a job of ours, bought or (before payment) sold.
    JobCancel {
        request_id: RequestId,
    },
    WalletReceive(wire::Receive),
    WalletPay(wire::Pay),
    /// Lets a payment go that waits because of a limit, or does not.
    WalletAnswer {
        key: IdempotencyKey,
        approve: bool,
    },
    WalletRefresh,
    /// Goes on with another wallet than the one that this desk was attached to.
    WalletAccept {
        fingerprint: String,
    },
    /// Does an effect again that an adapter gave up on.
    EffectRetry {
        effect: EffectId,
    },
    /// Leaves an effect undone that an adapter gave up on.
    EffectDrop {
        effect: EffectId,
    },
    RelayAdd {
        url: String,
    },
    RelayRemove {
        url: String,
    },
}

/// The engine's answer to a command, once it is committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    Done,
    JobSubmitted {
        request_id: RequestId,
    },
    /// The wallet was asked; follow `payment` in the view by this key.
    PaymentStarted {
        key: IdempotencyKey,
    },
    Refused(domain::ErrorBody),
}
