//! Provider announcements, kind 31990 (NIP-89): what is sold, at which price, until when.

use domain::{Msat, Pubkey};
use nostr::event::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{BuildError, KIND_ANNOUNCEMENT, MAX_NAMED, ParseError, Template, is_request, tags};
use crate::types::PaymentPolicy;

/// The longest name or description that is read.
const MAX_TEXT_CHARS: usize = 500;

/// One kind that a provider sells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferLine {
    pub kind: u16,
    /// Absent where the announcement names none.
    pub price_msat: Option<Msat>,
    pub payment: Option<PaymentPolicy>,
    pub max_input_bytes: Option<u64>,
}

/// A provider's announcement: ours before signing, or another's out of a verified event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The `d` tag: one announcement replaces another of the same author and `d`.
    pub d: String,
    pub name: String,
    pub about: String,
    pub offers: Vec<OfferLine>,
    pub encryption: bool,
    pub expires_at_secs: Option<u64>,
}

impl Announcement {
    /// The announcement as an event to sign: one `k` tag per kind; the content also names both
    /// spellings that peers use for encryption support.
    pub fn template(&self, created_at_secs: u64) -> Result<Template, BuildError> {
        let mut template = Template::new(KIND_ANNOUNCEMENT, created_at_secs);
        template.tag(["d", &self.d]);
        for offer in &self.offers {
            template.tag(["k", &offer.kind.to_string()]);
        }
        if let Some(expires_at) = self.expires_at_secs {
            template.tag(["expiration", &expires_at.to_string()]);
        }
        let offers: serde_json::Map<String, Value> =
            self.offers.iter().map(|offer| (offer.kind.to_string(), offer_json(offer))).collect();
        template.content = json!({
            "name": self.name,
            "about": self.about,
            "unit": "msat",
            "offers": offers,
            "cancel": "until paid; paid jobs are delivered",
            "encryptionSupported": self.encryption,
            "supportsEncryption": self.encryption,
        })
        .to_string();
        template.fits()
    }

    /// Reads an announcement out of a verified event. Content that is no JSON object of ours
    /// still gives the kinds: peers put all sorts of things there.
    pub fn parse(event: &Event) -> Result<(Pubkey, Self), ParseError> {
        let kind = tags::kind(event);
        if kind != KIND_ANNOUNCEMENT {
            return Err(ParseError::WrongKind(kind, "an announcement"));
        }
        let content: Value = serde_json::from_str(&event.content).unwrap_or(Value::Null);
        let text = |key: &str| {
            let text = content.get(key).and_then(Value::as_str).unwrap_or_default();
            text.chars().take(MAX_TEXT_CHARS).collect::<String>()
        };
        let truth = |key: &str| {
            content.get(key).is_some_and(|value| match value {
                Value::Bool(truth) => *truth,
                Value::String(word) => word.eq_ignore_ascii_case("true"),
                _ => false,
            })
        };
        let kinds = tags::all(event, "k")
            .filter_map(|values| u16::try_from(tags::integer(values.first()?)?).ok())
            .filter(|kind| is_request(*kind))
            .take(MAX_NAMED);
        let announcement = Self {
            d: tags::first(event, "d").ok_or(ParseError::Missing("d"))?.to_owned(),
            name: text("name"),
            about: text("about"),
            offers: kinds.map(|kind| offer(kind, &content)).collect(),
            encryption: truth("encryptionSupported") || truth("supportsEncryption"),
            expires_at_secs: tags::expiration(event)?,
        };
        Ok((tags::author(event), announcement))
    }
}

fn offer_json(offer: &OfferLine) -> Value {
    let mut fields = serde_json::Map::new();
    if let Some(price) = offer.price_msat {
        fields.insert("price_msat".into(), price.get().into());
    }
    if let Some(payment) = offer.payment {
        fields.insert("payment".into(), payment.as_str().into());
    }
    if let Some(limit) = offer.max_input_bytes {
        fields.insert("max_input_bytes".into(), limit.into());
    }
    Value::Object(fields)
}

fn offer(kind: u16, content: &Value) -> OfferLine {
    let fields = content.get("offers").and_then(|offers| offers.get(kind.to_string()));
    let field = |name: &str| fields.and_then(|fields| fields.get(name));
    let payment = match field("payment").and_then(Value::as_str) {
        Some("before") => Some(PaymentPolicy::Before),
        Some("after") => Some(PaymentPolicy::After),
        _ => None,
    };
    OfferLine {
        kind,
        price_msat: field("price_msat").and_then(Value::as_u64).and_then(|n| Msat::new(n).ok()),
        payment,
        max_input_bytes: field("max_input_bytes").and_then(Value::as_u64),
    }
}
