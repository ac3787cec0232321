//! Job results, kind of the request + 1000 (NIP-90): inline, or a blob by hash and size.

use domain::{EventId, Msat, Pubkey, RequestId, Sha256Hash};
use nostr::event::Event;
use serde::{Deserialize, Serialize};

use super::{
    BuildError, MAX_EVENT_BYTES, MAX_INLINE_JSON_BYTES, ParseError, Template,
    feedback::{push_amount, push_request},
    is_request, is_result,
    request::byte_count,
    tags,
};
use crate::types::Blob;

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum Payload {
    /// In the event's content.
    Event { content: String, media_type: Option<String> },
    /// Elsewhere; the content is the JSON `{"url","sha256","size","type"}`.
    Blob(Blob),
}

/// What a result says, apart from who says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultTerms {
    /// The request's kind; the result's is 1000 above.
    pub request_kind: u16,
    pub request_id: RequestId,
    /// Where the request was seen.
    pub relay: Option<String>,
    pub customer: Option<Pubkey>,
    /// The request event as JSON.
    pub request_json: Option<String>,
    /// The request's `i` tags, as they came, without their name.
    pub inputs: Vec<Vec<String>>,
    pub amount_msat: Option<Msat>,
    pub bolt11: Option<String>,
    pub payload: Payload,
    /// What the `x` tag says; building writes it where it is given.
    pub sha256: Option<Sha256Hash>,
}

/// A result as it stands in a verified event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobResult {
    pub id: EventId,
    pub author: Pubkey,
    pub created_at_secs: u64,
    pub terms: ResultTerms,
}

#[derive(Serialize)]
struct BlobContent<'a> {
    url: &'a str,
    sha256: Sha256Hash,
    size: u64,
    #[serde(rename = "type")]
    media_type: &'a str,
}

/// Whether a result can be carried by its event, whatever the request was.
pub fn fits_inline(content: &str) -> bool {
    // Quoted and escaped it may be six times as long.
    content.len() <= MAX_INLINE_JSON_BYTES
        && serde_json::to_string(content).is_ok_and(|json| json.len() <= MAX_INLINE_JSON_BYTES)
}

impl ResultTerms {
    /// The result as an event to sign.
    ///
    /// The `request` tag repeats a whole event, and the `i` tags its inputs: where the result would
    /// grow past [`MAX_EVENT_BYTES`] by them, they are left out, since `e` names the same event.
    pub fn template(&self, created_at_secs: u64) -> Result<Template, BuildError> {
        if !is_request(self.request_kind) {
            return Err(BuildError::NotARequest(self.request_kind));
        }
        let mut template = Template::new(self.request_kind + 1_000, created_at_secs);
        push_request(&mut template, self.request_id, self.relay.as_deref());
        for input in &self.inputs {
            let mut tag = vec!["i".to_owned()];
            tag.extend(input.iter().cloned());
            template.tags.push(tag);
        }
        if let Some(customer) = self.customer {
            template.tag(["p", &customer.to_string()]);
        }
        push_amount(&mut template, self.amount_msat, self.bolt11.as_deref())?;
        self.push_payload(&mut template)?;
        if template.signed_bytes() > MAX_EVENT_BYTES {
            template.tags.retain(|tag| tag.first().is_none_or(|name| name != "i"));
        }
        if let Some(json) = &self.request_json {
            template.tags.insert(0, vec!["request".to_owned(), json.clone()]);
            if template.signed_bytes() > MAX_EVENT_BYTES {
                template.tags.remove(0);
            }
        }
        template.fits()
    }

    fn push_payload(&self, template: &mut Template) -> Result<(), BuildError> {
        match &self.payload {
            Payload::Event { content, media_type } => {
                if let Some(sha256) = self.sha256 {
                    template.tag(["x", &sha256.to_string()]);
                    template.tag(["size", &content.len().to_string()]);
                }
                if let Some(media_type) = media_type {
                    template.tag(["m", media_type]);
                }
                template.content = content.clone();
            }
            Payload::Blob(blob) => {
                if self.sha256.is_some_and(|sha256| sha256 != blob.sha256) {
                    return Err(BuildError::BadValue("x"));
                }
                template.tag(["url", &blob.url]);
                template.tag(["x", &blob.sha256.to_string()]);
                template.tag(["size", &blob.size_bytes.to_string()]);
                template.tag(["m", &blob.media_type]);
                let content = BlobContent {
                    url: &blob.url,
                    sha256: blob.sha256,
                    size: blob.size_bytes,
                    media_type: &blob.media_type,
                };
                template.content =
                    serde_json::to_string(&content).map_err(|_| BuildError::BadValue("content"))?;
            }
        }
        Ok(())
    }
}

impl JobResult {
    /// Reads a result out of an event that was verified before.
    pub fn parse(event: &Event) -> Result<Self, ParseError> {
        let kind = tags::kind(event);
        if !is_result(kind) {
            return Err(ParseError::WrongKind(kind, "a job result"));
        }
        let (amount_msat, bolt11) = tags::amount(event)?;
        let (request_id, relay) = tags::request(event)?;
        let sha256 = tags::first(event, "x").map(|x| tags::sha256("x", x)).transpose()?;
        Ok(Self {
            id: tags::id(event),
            author: tags::author(event),
            created_at_secs: tags::created_at(event),
            terms: ResultTerms {
                request_kind: kind - 1_000,
                request_id,
                relay,
                customer: tags::people(event).next(),
                request_json: tags::first(event, "request").map(str::to_owned),
                inputs: tags::all(event, "i").map(<[String]>::to_vec).collect(),
                amount_msat,
                bolt11,
                payload: payload(event, sha256)?,
                sha256,
            },
        })
    }
}

fn payload(event: &Event, sha256: Option<Sha256Hash>) -> Result<Payload, ParseError> {
    let media_type = tags::first(event, "m").map(str::to_owned);
    let size = tags::first(event, "size").map(|size| byte_count("size", size)).transpose()?;
    let Some(url) = tags::first(event, "url") else {
        return Ok(Payload::Event { content: event.content.clone(), media_type });
    };
    Ok(Payload::Blob(Blob {
        url: url.to_owned(),
        sha256: sha256.ok_or(ParseError::Missing("x"))?,
        size_bytes: size.ok_or(ParseError::Missing("size"))?,
        media_type: media_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
    }))
}
