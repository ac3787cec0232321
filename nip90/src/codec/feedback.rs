//! Job feedback, kind 7000 (NIP-90): five statuses, free text, amount and invoice.

use domain::{EventId, Msat, Pubkey, RequestId};
use nostr::event::Event;
use serde::{Deserialize, Serialize};

use super::{BuildError, KIND_FEEDBACK, ParseError, Template, tags};

/// The five words of NIP-90.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    PaymentRequired,
    Processing,
    Error,
    Success,
    Partial,
}

impl Status {
    pub const ALL: [Self; 5] =
        [Self::PaymentRequired, Self::Processing, Self::Error, Self::Success, Self::Partial];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentRequired => "payment-required",
            Self::Processing => "processing",
            Self::Error => "error",
            Self::Success => "success",
            Self::Partial => "partial",
        }
    }
}

/// What a feedback says, apart from who says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackTerms {
    pub request_id: RequestId,
    /// Where the request was seen.
    pub relay: Option<String>,
    pub customer: Option<Pubkey>,
    pub status: Status,
    /// For people, the third field of the status tag.
    pub text: String,
    pub amount_msat: Option<Msat>,
    pub bolt11: Option<String>,
    pub content: String,
}

/// A feedback as it stands in a verified event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    pub id: EventId,
    pub author: Pubkey,
    pub created_at_secs: u64,
    pub terms: FeedbackTerms,
}

impl FeedbackTerms {
    /// The feedback as an event to sign.
    pub fn template(&self, created_at_secs: u64) -> Result<Template, BuildError> {
        let mut template = Template::new(KIND_FEEDBACK, created_at_secs);
        match self.text.as_str() {
            "" => template.tag(["status", self.status.as_str()]),
            text => template.tag(["status", self.status.as_str(), text]),
        }
        push_amount(&mut template, self.amount_msat, self.bolt11.as_deref())?;
        push_request(&mut template, self.request_id, self.relay.as_deref());
        if let Some(customer) = self.customer {
            template.tag(["p", &customer.to_string()]);
        }
        template.content = self.content.clone();
        template.fits()
    }
}

impl Feedback {
    /// Reads a feedback out of an event that was verified before.
    pub fn parse(event: &Event) -> Result<Self, ParseError> {
        let kind = tags::kind(event);
        if kind != KIND_FEEDBACK {
            return Err(ParseError::WrongKind(kind, "a job feedback"));
        }
        let values = tags::all(event, "status").next().ok_or(ParseError::Missing("status"))?;
        let status = values
            .first()
            .and_then(|word| Status::ALL.into_iter().find(|status| status.as_str() == word))
            .ok_or(ParseError::Bad { tag: "status", must: "one of the five words of NIP-90" })?;
        let (amount_msat, bolt11) = tags::amount(event)?;
        let (request_id, relay) = tags::request(event)?;
        Ok(Self {
            id: tags::id(event),
            author: tags::author(event),
            created_at_secs: tags::created_at(event),
            terms: FeedbackTerms {
                request_id,
                relay,
                customer: tags::people(event).next(),
                status,
                text: values.get(1).cloned().unwrap_or_default(),
                amount_msat,
                bolt11,
                content: event.content.clone(),
            },
        })
    }
}

pub(super) fn push_request(template: &mut Template, id: RequestId, relay: Option<&str>) {
    match relay {
        Some(relay) => template.tag(["e", &id.to_string(), relay]),
        None => template.tag(["e", &id.to_string()]),
    }
}

pub(super) fn push_amount(
    template: &mut Template,
    amount: Option<Msat>,
    bolt11: Option<&str>,
) -> Result<(), BuildError> {
    match (amount, bolt11) {
        (Some(amount), Some(bolt11)) => {
            template.tag(["amount", &amount.get().to_string(), bolt11]);
        }
        (Some(amount), None) => template.tag(["amount", &amount.get().to_string()]),
        (None, Some(_)) => return Err(BuildError::BadValue("amount")),
        (None, None) => {}
    }
    Ok(())
}
