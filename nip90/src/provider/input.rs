//! What the provider is told: commands of the operator and facts that adapters saw.

use domain::{Body, EventId, Msat, PaymentHash, Preimage, Pubkey, Receipt, RequestId, Timestamp};
use nostr::event::Event;
use std::fmt;

use super::effect::Slot;
use crate::{
    codec::{self, Deletion, EventFault, JobRequest, ParseError},
    types::{Blob, Blocker, DemandAnswer, DemandRisk, OfferDraft},
};

/// One input of the provider.
#[derive(Clone, Debug)]
pub enum ProviderInput {
    /// The program started: whatever was, we are offline now.
    Started,
    GoOnline,
    GoOffline,
    OfferSet(OfferDraft),
    OfferRemove {
        kind: u16,
    },
    DemandPolicySet {
        risk: DemandRisk,
        answer: DemandAnswer,
    },
    JobAccept {
        request_id: RequestId,
    },
    JobRefuse {
        request_id: RequestId,
    },
    JobCancel {
        request_id: RequestId,
    },
    /// The operator gives owed money back to an invoice that the buyer handed over.
    Refund(RefundOrder),
    /// The operator says that the money went back another way.
    HandBack {
        request_id: RequestId,
        note: String,
    },

    /// How many relays are connected.
    Relays {
        connected: u32,
    },
    /// What stands in the way, apart from relays and offers: the whole list.
    Blockers(Vec<Blocker>),
    RequestSeen(Box<SeenRequest>),
    DeletionSeen(Deletion),
    InvoiceMade {
        request_id: RequestId,
        bolt11: String,
    },
    InvoiceFailed {
        request_id: RequestId,
        reason: String,
    },
    /// The wallet gave the invoice up, unpaid.
    InvoiceExpired {
        request_id: RequestId,
    },
    Paid(PaidFact),
    RefundSettled(RefundFact),
    /// The wallet is sure that nothing of the refund moved.
    RefundFailed {
        request_id: RequestId,
        attempt: u32,
        reason: String,
    },
    /// The wallet can't say yet what became of the refund.
    RefundUnknown {
        request_id: RequestId,
        attempt: u32,
    },
    Executed {
        request_id: RequestId,
        attempt: u8,
        outcome: ExecutionOutcome,
    },
    Published {
        request_id: RequestId,
        slot: Slot,
        event_id: EventId,
        accepted: Vec<String>,
    },
    /// It can't be published and won't be tried again.
    PublishFailed {
        request_id: RequestId,
        slot: Slot,
        reason: String,
        /// A relay may have it all the same. False where it never left, or every relay refused it.
        may_be_out: bool,
    },
    ReceiptSigned {
        request_id: RequestId,
        receipt: Receipt,
    },
    Tick,
}

/// Money that settled in our wallet.
#[derive(Clone, Copy, Debug)]
pub struct PaidFact {
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub preimage: Preimage,
    pub at: Timestamp,
}

/// A refund as the operator orders it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundOrder {
    pub request_id: RequestId,
    /// Made by the buyer.
    pub bolt11: String,
    /// Less than what is owed, where the operator chose so; absent means all of it.
    pub amount_msat: Option<Msat>,
    pub max_fee_msat: Msat,
}

/// A refund that our wallet has settled.
#[derive(Clone, Copy, Debug)]
pub struct RefundFact {
    pub request_id: RequestId,
    pub attempt: u32,
    pub payment_hash: PaymentHash,
    pub preimage: Preimage,
    pub amount_msat: Msat,
    pub fee_msat: Msat,
}

/// What became of an execution.
#[derive(Clone, Debug)]
pub enum ExecutionOutcome {
    /// Small: the content, UTF-8 text, as a body.
    Inline(Body),
    /// Large: already uploaded.
    Blob(Blob),
    Failed {
        reason: String,
    },
    /// A crash hid it.
    Unknown,
}

/// A request event whose id and signature hold. Only [`SeenRequest::check`] makes one, so nothing
/// unverified reaches the machine.
#[derive(Clone)]
pub struct SeenRequest {
    pub(super) id: RequestId,
    pub(super) author: Pubkey,
    pub(super) created_at_secs: u64,
    pub(super) kind: u16,
    pub(super) named: Vec<Pubkey>,
    pub(super) request: Result<JobRequest, ParseError>,
    pub(super) raw: Body,
    pub(super) relay: String,
    pub(super) objection: Option<String>,
}

/// Names the request; never its content, which may be private.
impl fmt::Debug for SeenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeenRequest({}, kind {})", self.id.short(), self.kind)
    }
}

impl SeenRequest {
    /// Verifies `json`, seen on `relay`; `salt` is for its body.
    pub fn check(json: &[u8], salt: [u8; 32], relay: &str) -> Result<Self, EventFault> {
        let event = codec::parse(json)?;
        Ok(Self::new(&event, Body::new(salt, "application/json", json), relay))
    }

    /// Verifies an event that was parsed before, and keeps it under `salt`.
    pub fn check_event(event: &Event, salt: [u8; 32], relay: &str) -> Result<Self, EventFault> {
        codec::verify(event)?;
        let json = event.as_json().into_bytes();
        Ok(Self::new(event, Body::new(salt, "application/json", json), relay))
    }

    fn new(event: &Event, raw: Body, relay: &str) -> Self {
        Self {
            id: codec::tags::id(event).into(),
            author: codec::tags::author(event),
            created_at_secs: codec::tags::created_at(event),
            kind: codec::tags::kind(event),
            named: codec::tags::people(event).take(codec::MAX_NAMED).collect(),
            request: match raw.bytes.len() {
                0..=codec::MAX_EVENT_BYTES => JobRequest::parse(event),
                _ => Err(ParseError::TooLarge),
            },
            raw,
            relay: crate::types::one_line(relay, codec::relays::MAX_RELAY_URL_BYTES),
            objection: None,
        }
    }

    pub const fn id(&self) -> RequestId {
        self.id
    }

    /// What the request asks, where it can be read.
    pub fn request(&self) -> Option<&JobRequest> {
        self.request.as_ref().ok()
    }

    /// The backend cannot do this request, whatever is paid: it is refused with this reason before
    /// any invoice.
    #[must_use]
    pub fn with_objection(mut self, reason: Option<String>) -> Self {
        self.objection = reason.map(|reason| crate::types::one_line(&reason, 300));
        self
    }
}
