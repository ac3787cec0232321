//! What the buyer is told: commands of the operator and facts that adapters saw.

use domain::{Body, Msat, Network, PaymentHash, Preimage, Pubkey, Receipt, RequestId, Sha256Hash};
use nostr::event::Event;
use serde::{Deserialize, Serialize};
use std::fmt;

use crate::{
    codec::{self, EventFault, Feedback, JobResult, ParseError},
    types::JobDraft,
};

/// What may be set aside now, before what is already reserved here is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendLimits {
    /// Of one job, fees included.
    pub per_job_msat: Msat,
    /// What today's limit still allows.
    pub left_today_msat: Msat,
    /// What the wallet can send.
    pub spendable_msat: Msat,
}

/// One input of the buyer.
#[derive(Clone, Debug)]
pub enum BuyerInput {
    /// `salt` is for the request's body, and makes its id unlike any other.
    Submit {
        draft: JobDraft,
        salt: [u8; 32],
        limits: SpendLimits,
    },
    Cancel {
        request_id: RequestId,
    },

    RequestPublished {
        request_id: RequestId,
        relays: Vec<String>,
    },
    /// It can't be published and won't be tried again.
    PublishFailed {
        request_id: RequestId,
        reason: String,
        /// A relay may have it all the same. False where it never left, or every relay refused it.
        may_be_out: bool,
    },
    AnswerSeen(Box<SeenAnswer>),
    BlobFetched {
        request_id: RequestId,
        sha256: Sha256Hash,
        size_bytes: u64,
    },
    BlobFailed {
        request_id: RequestId,
        sha256: Sha256Hash,
        reason: String,
    },
    /// Of exactly these bytes: a request may see more than one result.
    ResultVerified {
        request_id: RequestId,
        sha256: Sha256Hash,
    },
    ResultRejected {
        request_id: RequestId,
        sha256: Sha256Hash,
        reason: String,
    },
    PaySettled(Settled),
    /// For sure: no money moved, and none will.
    PayFailed {
        request_id: RequestId,
        payment_hash: PaymentHash,
        reason: String,
    },
    PayUnknown {
        request_id: RequestId,
        payment_hash: PaymentHash,
    },
    ReceiptSigned {
        request_id: RequestId,
        receipt: Receipt,
    },
    Tick,
}

/// A payment of ours that settled.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    pub request_id: RequestId,
    pub payment_hash: PaymentHash,
    pub preimage: Preimage,
    pub amount_msat: Msat,
    pub fee_msat: Msat,
}

/// Who we are and where we ask, while one input is decided.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub us: Pubkey,
    pub network: Network,
    /// Where requests are published, and answers wanted.
    pub own_relays: &'a [String],
    /// The Blossom server that inputs are uploaded to.
    pub blob_server: Option<&'a str>,
    pub config: &'a Config,
}

/// Limits and times, each with a default that a desk can run with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    pub max_open: usize,
    /// How long a request may take to reach a relay: later it is not published any more.
    pub publish_secs: u64,
    /// What the last try to publish it may take, and what its outcome may take to be known.
    pub publish_grace_secs: u64,
    /// How long after the request's expiry an answer may still come.
    pub answer_grace_secs: u64,
    /// How long a paid provider may take.
    pub paid_result_secs: u64,
    pub fetch_secs: u64,
    pub check_secs: u64,
    /// The largest blob that is fetched as a result.
    pub max_result_bytes: u64,
    /// Offers that are refused in writing, of one job.
    pub max_offers_refused: usize,
    /// Results of an open request that are looked at; beyond it only an offer with an invoice is.
    pub max_results_tried: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_open: 256,
            publish_secs: 120,
            publish_grace_secs: 60,
            answer_grace_secs: 30,
            paid_result_secs: 1_800,
            fetch_secs: 600,
            check_secs: 600,
            max_result_bytes: 64 * 1024 * 1024,
            max_offers_refused: 8,
            max_results_tried: 8,
        }
    }
}

/// A feedback or result whose id and signature hold. Only [`SeenAnswer::check`] makes one.
#[derive(Clone)]
pub struct SeenAnswer {
    pub(super) answer: Answer,
    pub(super) raw: Body,
}

#[derive(Clone)]
pub(super) enum Answer {
    Feedback(Feedback),
    Result(JobResult),
}

/// Why an answer is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    #[error(transparent)]
    Event(#[from] EventFault),
    #[error(transparent)]
    Parse(#[from] ParseError),
}

impl SeenAnswer {
    /// Verifies `json`; `salt` is for its body.
    pub fn check(json: &[u8], salt: [u8; 32]) -> Result<Self, AnswerFault> {
        let event = codec::parse(json)?;
        Self::new(&event, Body::new(salt, "application/json", json))
    }

    /// Verifies an event that was parsed before, and keeps it under `salt`.
    pub fn check_event(event: &Event, salt: [u8; 32]) -> Result<Self, AnswerFault> {
        codec::verify(event)?;
        let json = event.as_json().into_bytes();
        Self::new(event, Body::new(salt, "application/json", json))
    }

    fn new(event: &Event, raw: Body) -> Result<Self, AnswerFault> {
        let answer = match codec::tags::kind(event) {
            codec::KIND_FEEDBACK => Answer::Feedback(Feedback::parse(event)?),
            _ => Answer::Result(JobResult::parse(event)?),
        };
        Ok(Self { answer, raw })
    }

    pub const fn request_id(&self) -> RequestId {
        match &self.answer {
            Answer::Feedback(feedback) => feedback.terms.request_id,
            Answer::Result(result) => result.terms.request_id,
        }
    }
}

/// Names the request; never the content, which may be private.
impl fmt::Debug for SeenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match &self.answer {
            Answer::Feedback(feedback) => feedback.terms.status.as_str(),
            Answer::Result(_) => "result",
        };
        write!(f, "SeenAnswer({word} to {})", self.request_id().short())
    }
}
