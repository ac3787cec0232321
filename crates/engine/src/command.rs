//! Commands: everything the operator (desk, palette, command line, later agents) can ask for.

use domain::{CommandId, IdempotencyKey, Msat, Pubkey, RequestId, Sha256Hash};
use serde::{Deserialize, Serialize};

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
    /// Buys a job.
    JobSubmit(JobDraft),
    /// Cancels a job of ours, bought or (before payment) sold.
    JobCancel {
        request_id: RequestId,
    },
    WalletReceive {
        key: IdempotencyKey,
        amount_msat: Msat,
        memo: String,
        expiry_secs: u32,
    },
    WalletPay {
        key: IdempotencyKey,
        bolt11: String,
        max_fee_msat: Msat,
    },
    WalletRefresh,
    RelayAdd {
        url: String,
    },
    RelayRemove {
        url: String,
    },
}

/// How exposed accepting a request makes us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemandRisk {
    /// The request names us by `p`.
    Aimed,
    /// The request names nobody.
    Open,
    /// Demand the practice network makes, so that a newcomer sees a first job.
    Starter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemandAnswer {
    Accept,
    Ask,
    Refuse,
}

/// When the buyer pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentPolicy {
    /// No work until paid.
    Before,
    /// The result carries the invoice.
    After,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferDraft {
    /// NIP-90 request kind, 5000..=5999.
    pub kind: u16,
    pub price_msat: Msat,
    pub payment: PaymentPolicy,
}

/// A job to buy. Inputs that are files were packed and hashed before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobDraft {
    /// Makes the same submission the same job.
    pub key: CommandId,
    pub kind: u16,
    pub inputs: Vec<JobInput>,
    pub params: Vec<(String, String)>,
    /// The most we pay, fees apart.
    pub bid_msat: Msat,
    /// The most we pay in routing fees.
    pub max_fee_msat: Msat,
    /// Ask this provider only; else the first acceptable offer is taken.
    pub provider: Option<Pubkey>,
    /// Seconds until the request expires (NIP-40).
    pub timeout_secs: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JobInput {
    Text {
        text: String,
    },
    Url {
        url: String,
    },
    /// A blob that the host has put in its own store; uploaded before the request is published.
    Blob {
        sha256: Sha256Hash,
        len: u64,
        media_type: String,
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
