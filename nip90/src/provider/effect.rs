//! What the provider asks of the world, and what a crash may do with each.

use domain::{
    BodyRef, IdempotencyKey, Msat, PaymentHash, Pubkey, Receipt, RepeatClass, RequestId, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, BuildError, FeedbackTerms, JobRequest, Payload, ResultTerms, Status, Template},
    types::{PaymentPolicy, ResultRef},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum ProviderEffect {
    /// Publish the same event, as often as it takes: its `created_at` is fixed here.
    Publish(Publish),
    MakeInvoice(MakeInvoice),
    PayRefund(PayRefund),
    Execute(Execute),
    StopExecution {
        request_id: RequestId,
        attempt: u8,
    },
    /// Publish our announcement.
    Announce {
        template: Template,
    },
    /// Publish the deletion of our announcement.
    Withdraw {
        template: Template,
    },
    SignReceipt {
        request_id: RequestId,
        receipt: Receipt,
    },
}

impl ProviderEffect {
    pub const fn repeat_class(&self) -> RepeatClass {
        match self {
            Self::MakeInvoice(_) | Self::PayRefund(_) => RepeatClass::LookUpFirst,
            Self::Execute(_) => RepeatClass::Never,
            _ => RepeatClass::Repeat,
        }
    }

    /// Which adapter takes it: `relay`, `wallet`, `payments`, `work` or `sign`.
    pub const fn adapter(&self) -> &'static str {
        match self {
            Self::Publish(_) | Self::Announce { .. } | Self::Withdraw { .. } => "relay",
            Self::MakeInvoice(_) => "wallet",
            Self::PayRefund(_) => "payments",
            Self::Execute(_) | Self::StopExecution { .. } => "work",
            Self::SignReceipt { .. } => "sign",
        }
    }
}

/// Ask the wallet for the job's one invoice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MakeInvoice {
    pub request_id: RequestId,
    /// `job/<request id>`: the same key gives the same invoice.
    pub key: IdempotencyKey,
    pub amount_msat: Msat,
    /// Names the request, so that the invoice is bound to it.
    pub memo: String,
    pub expiry_secs: u32,
}

/// Pay owed money back to exactly this invoice, under this key, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayRefund {
    pub request_id: RequestId,
    /// See [`refund_key`].
    pub key: IdempotencyKey,
    pub bolt11: String,
    pub payment_hash: PaymentHash,
    pub amount_msat: Msat,
    pub max_fee_msat: Msat,
}

/// `refund/<request id>/<attempt>`: a key stands for one invoice, so each attempt has its own.
pub fn refund_key(request_id: RequestId, attempt: u32) -> IdempotencyKey {
    IdempotencyKey::of("refund", format_args!("{request_id}/{attempt}"))
}

/// The job and the attempt that a key of [`refund_key`] names.
pub fn refund_of_key(key: &IdempotencyKey) -> Option<(RequestId, u32)> {
    let (id, attempt) = key.as_str().strip_prefix("refund/")?.split_once('/')?;
    Some((id.parse().ok()?, attempt.parse().ok()?))
}

/// Run the job once. After a crash the adapter reports the outcome as unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execute {
    pub request_id: RequestId,
    pub attempt: u8,
    pub kind: u16,
    /// The request event; what to do is read out of it.
    pub request: BodyRef,
    pub stop_at: Timestamp,
}

/// Which of a job's events is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    PaymentRequired,
    Processing,
    /// The one terminal event: the result, or an `error` feedback.
    Answer,
}

/// What an event of the job says; bodies by reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
pub enum Message {
    PaymentRequired { amount_msat: Msat, bolt11: String },
    Processing,
    Error { text: String },
    Result { result: ResultRef, amount_msat: Option<Msat>, bolt11: Option<String> },
}

/// Publish one event of a job to our relays and to `extra_relays`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Publish {
    pub request_id: RequestId,
    pub slot: Slot,
    pub created_at_secs: u64,
    /// Whom it answers.
    pub customer: Pubkey,
    /// Where the request was seen.
    pub hint: String,
    pub extra_relays: Vec<String>,
    /// The request event, where it was kept: a result needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<BodyRef>,
    pub message: Message,
    /// No try begins at this time or later, also not after a restart: from then on the job may
    /// have failed, and a result that is published all the same would be work given away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

impl Publish {
    /// The bodies to load before [`Publish::template`]: the request for a result, and its content.
    pub fn needs(&self) -> (Option<&BodyRef>, Option<&BodyRef>) {
        match &self.message {
            Message::Result { result: ResultRef::Event { body, .. }, .. } => {
                (self.request.as_ref(), Some(body))
            }
            Message::Result { result: ResultRef::Blob(_), .. } => (self.request.as_ref(), None),
            _ => (None, None),
        }
    }

    /// The event to sign, out of the bodies that [`Publish::needs`] named. The same effect and
    /// bodies give the same event.
    pub fn template(
        &self,
        request: Option<&[u8]>,
        content: Option<&[u8]>,
    ) -> Result<Template, BuildError> {
        let feedback = |status, text: &str, amount_msat, bolt11| FeedbackTerms {
            request_id: self.request_id,
            relay: Some(self.hint.clone()),
            customer: Some(self.customer),
            status,
            text: text.to_owned(),
            amount_msat,
            bolt11,
            content: String::new(),
        };
        let terms = match &self.message {
            Message::PaymentRequired { amount_msat, bolt11 } => feedback(
                Status::PaymentRequired,
                &format!("pay {} msat; work starts when it is settled", amount_msat.get()),
                Some(*amount_msat),
                Some(bolt11.clone()),
            ),
            Message::Processing => feedback(Status::Processing, "", None, None),
            Message::Error { text } => feedback(Status::Error, text, None, None),
            Message::Result { result, amount_msat, bolt11 } => {
                return self.result(result, *amount_msat, bolt11.clone(), request, content);
            }
        };
        terms.template(self.created_at_secs)
    }

    fn result(
        &self,
        result: &ResultRef,
        amount_msat: Option<Msat>,
        bolt11: Option<String>,
        request: Option<&[u8]>,
        content: Option<&[u8]>,
    ) -> Result<Template, BuildError> {
        let json = request.ok_or_else(|| BuildError::Request("it is gone".to_owned()))?;
        let broken = |fault: &dyn std::fmt::Display| BuildError::Request(fault.to_string());
        let event = codec::parse_kept(json).map_err(|fault| broken(&fault))?;
        let parsed = JobRequest::parse(&event).map_err(|fault| broken(&fault))?;
        let payload = match result {
            ResultRef::Blob(blob) => Payload::Blob(blob.clone()),
            ResultRef::Event { body, .. } => Payload::Event {
                content: String::from_utf8(content.ok_or(BuildError::NotText)?.to_vec())
                    .map_err(|_| BuildError::NotText)?,
                media_type: Some(body.media_type.to_string()),
            },
        };
        let terms = ResultTerms {
            request_kind: parsed.terms.kind,
            request_id: self.request_id,
            relay: Some(self.hint.clone()),
            customer: Some(self.customer),
            request_json: Some(event.as_json()),
            inputs: codec::tags::all(&event, "i").map(<[String]>::to_vec).collect(),
            amount_msat,
            bolt11,
            payload,
            sha256: Some(result.sha256()),
        };
        terms.template(self.created_at_secs)
    }
}

/// When the invoice travels, by policy.
pub(crate) const fn pays_first(policy: PaymentPolicy) -> bool {
    matches!(policy, PaymentPolicy::Before)
}
