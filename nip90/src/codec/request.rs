//! Job requests, kinds 5000 to 5999 (NIP-90), with NIP-40 expiry and NIP-92 hashes of blob inputs.

use domain::{Msat, Pubkey, RequestId, Sha256Hash};
use nostr::event::Event;
use serde::{Deserialize, Serialize};

use super::{
    BuildError, MAX_INPUTS, MAX_NAMED, MAX_PARAMS, ParseError, Template, is_request, tags,
};
use crate::types::Blob;

/// How an input's data is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputType {
    Url,
    Event,
    Job,
    Text,
    /// Not of NIP-90, as the registry's own `prompt`; kinds may say that they read it as text.
    Other,
}

impl InputType {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Event => "event",
            Self::Job => "job",
            Self::Text | Self::Other => "text",
        }
    }

    fn read(text: &str) -> Self {
        match text {
            "url" => Self::Url,
            "event" => Self::Event,
            "job" => Self::Job,
            "text" => Self::Text,
            _ => Self::Other,
        }
    }
}

/// One `i` tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub data: String,
    pub input_type: InputType,
    /// Where an `event` or `job` input is to be found.
    pub relay: Option<String>,
    /// How the input is to be used.
    pub marker: Option<String>,
    /// What a `url` input must be, where an `imeta` tag says it.
    pub blob: Option<Blob>,
}

impl Input {
    pub fn text(data: impl Into<String>) -> Self {
        Self {
            data: data.into(),
            input_type: InputType::Text,
            relay: None,
            marker: None,
            blob: None,
        }
    }

    pub fn url(data: impl Into<String>) -> Self {
        Self { input_type: InputType::Url, ..Self::text(data) }
    }

    pub fn blob(blob: Blob) -> Self {
        Self { input_type: InputType::Url, blob: Some(blob.clone()), ..Self::text(blob.url) }
    }
}

/// What a request asks, apart from who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTerms {
    /// 5000..=5999.
    pub kind: u16,
    /// In the order asked.
    pub inputs: Vec<Input>,
    /// Name and values; a name may come more than once.
    pub params: Vec<(String, Vec<String>)>,
    /// Media type that the buyer wants.
    pub output: Option<String>,
    /// The most the buyer pays.
    pub bid_msat: Option<Msat>,
    /// Where the buyer wants the answers.
    pub relays: Vec<String>,
    /// Whom the buyer asks; empty asks everybody.
    pub providers: Vec<Pubkey>,
    pub topics: Vec<String>,
    pub client: Option<String>,
    /// NIP-40.
    pub expires_at_secs: Option<u64>,
    /// Makes equal requests different.
    pub unique: Option<String>,
    /// Inputs and parameters are encrypted in `content`.
    pub encrypted: bool,
    pub content: String,
}

/// A request as it stands in a verified event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    pub id: RequestId,
    pub author: Pubkey,
    pub created_at_secs: u64,
    pub terms: RequestTerms,
}

impl RequestTerms {
    /// The first value of the parameter `name`; `top_k` and `top-k` are the same name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.param_values(name)?.first().map(String::as_str)
    }

    /// All values of the parameter `name`.
    pub fn param_values(&self, name: &str) -> Option<&[String]> {
        let same = |one: &str| {
            one.len() == name.len()
                && one.bytes().zip(name.bytes()).all(|(a, b)| {
                    let plain = |c: u8| if c == b'-' { b'_' } else { c };
                    plain(a) == plain(b)
                })
        };
        self.params.iter().find(|(key, _)| same(key)).map(|(_, values)| values.as_slice())
    }

    /// Bytes that the request itself brings as input; blobs by their stated size.
    pub fn input_bytes(&self) -> u64 {
        let inputs = self.inputs.iter().map(|input| match &input.blob {
            Some(blob) => blob.size_bytes,
            None => input.data.len() as u64,
        });
        inputs.fold(self.content.len() as u64, u64::saturating_add)
    }

    /// The request as an event to sign.
    pub fn template(&self, created_at_secs: u64) -> Result<Template, BuildError> {
        if !is_request(self.kind) {
            return Err(BuildError::NotARequest(self.kind));
        }
        let mut template = Template::new(self.kind, created_at_secs);
        for input in &self.inputs {
            template.tags.push(input_tag(input)?);
        }
        for blob in self.inputs.iter().filter_map(|input| input.blob.as_ref()) {
            let fields = [
                ("url", blob.url.clone()),
                ("x", blob.sha256.to_string()),
                ("size", blob.size_bytes.to_string()),
                ("m", blob.media_type.clone()),
            ];
            let mut tag = vec!["imeta".to_owned()];
            tag.extend(fields.iter().map(|(name, value)| format!("{name} {value}")));
            template.tags.push(tag);
        }
        for (name, values) in &self.params {
            let mut tag = vec!["param".to_owned(), name.clone()];
            tag.extend(values.iter().cloned());
            template.tags.push(tag);
        }
        if let Some(output) = &self.output {
            template.tag(["output", output]);
        }
        if let Some(bid) = self.bid_msat {
            template.tag(["bid", &bid.get().to_string()]);
        }
        if !self.relays.is_empty() {
            let mut tag = vec!["relays".to_owned()];
            tag.extend(self.relays.iter().cloned());
            template.tags.push(tag);
        }
        for provider in &self.providers {
            template.tag(["p", &provider.to_string()]);
        }
        for topic in &self.topics {
            template.tag(["t", topic]);
        }
        if let Some(expires_at) = self.expires_at_secs {
            template.tag(["expiration", &expires_at.to_string()]);
        }
        if let Some(client) = &self.client {
            template.tag(["client", client]);
        }
        if let Some(unique) = &self.unique {
            template.tag(["u", unique]);
        }
        if self.encrypted {
            template.tag(["encrypted"]);
        }
        template.content = self.content.clone();
        template.fits()
    }
}

fn input_tag(input: &Input) -> Result<Vec<String>, BuildError> {
    if input.input_type == InputType::Other {
        return Err(BuildError::BadValue("i"));
    }
    let mut tag = vec!["i".to_owned(), input.data.clone(), input.input_type.as_str().to_owned()];
    if input.relay.is_some() || input.marker.is_some() {
        tag.push(input.relay.clone().unwrap_or_default());
    }
    tag.extend(input.marker.clone());
    Ok(tag)
}

impl JobRequest {
    /// Reads a request out of an event that was verified before.
    pub fn parse(event: &Event) -> Result<Self, ParseError> {
        let kind = tags::kind(event);
        if !is_request(kind) {
            return Err(ParseError::WrongKind(kind, "a job request"));
        }
        let terms = RequestTerms {
            kind,
            inputs: inputs(event)?,
            params: params(event)?,
            output: tags::first(event, "output").map(str::to_owned),
            bid_msat: tags::first(event, "bid").map(|bid| tags::msat("bid", bid)).transpose()?,
            relays: tags::all(event, "relays").flatten().take(MAX_NAMED).cloned().collect(),
            providers: tags::people(event).take(MAX_NAMED).collect(),
            topics: tags::all(event, "t")
                .filter_map(|v| v.first())
                .take(MAX_NAMED)
                .cloned()
                .collect(),
            client: tags::first(event, "client").map(str::to_owned),
            expires_at_secs: tags::expiration(event)?,
            unique: tags::first(event, "u").map(str::to_owned),
            encrypted: tags::all(event, "encrypted").next().is_some(),
            content: event.content.clone(),
        };
        Ok(Self {
            id: tags::id(event).into(),
            author: tags::author(event),
            created_at_secs: tags::created_at(event),
            terms,
        })
    }
}

fn inputs(event: &Event) -> Result<Vec<Input>, ParseError> {
    let blobs = blobs(event)?;
    let mut inputs = Vec::new();
    for values in tags::all(event, "i") {
        if inputs.len() == MAX_INPUTS {
            return Err(ParseError::TooMany { tag: "i", limit: MAX_INPUTS });
        }
        let data = values.first().ok_or(ParseError::Missing("i"))?;
        // Without a type, NIP-90 gives no reading; most peers mean text.
        let input_type = values.get(1).map_or(InputType::Text, |text| InputType::read(text));
        let blob = blobs.iter().find(|blob| input_type == InputType::Url && blob.url == *data);
        inputs.push(Input {
            data: data.clone(),
            input_type,
            relay: tags::filled(values, 2),
            marker: tags::filled(values, 3),
            blob: blob.cloned(),
        });
    }
    Ok(inputs)
}

/// `imeta` tags that name url, hash and size; incomplete ones are another client's, not ours.
fn blobs(event: &Event) -> Result<Vec<Blob>, ParseError> {
    let mut blobs = Vec::new();
    for values in tags::all(event, "imeta").take(MAX_INPUTS) {
        let field = |name: &str| {
            values.iter().find_map(|value| value.strip_prefix(name)?.strip_prefix(' '))
        };
        if let (Some(url), Some(x), Some(size)) = (field("url"), field("x"), field("size")) {
            blobs.push(Blob {
                url: url.to_owned(),
                sha256: tags::sha256("imeta", x)?,
                size_bytes: byte_count("imeta", size)?,
                media_type: field("m").unwrap_or("application/octet-stream").to_owned(),
            });
        }
    }
    Ok(blobs)
}

pub(super) fn byte_count(tag: &'static str, text: &str) -> Result<u64, ParseError> {
    tags::integer(text)
        .filter(|size| *size <= domain::money::MAX_MSAT)
        .ok_or(ParseError::Bad { tag, must: "a size in bytes" })
}

fn params(event: &Event) -> Result<Vec<(String, Vec<String>)>, ParseError> {
    let mut params = Vec::new();
    for values in tags::all(event, "param") {
        if params.len() == MAX_PARAMS {
            return Err(ParseError::TooMany { tag: "param", limit: MAX_PARAMS });
        }
        let (name, values) = values.split_first().ok_or(ParseError::Missing("param"))?;
        params.push((name.clone(), values.to_vec()));
    }
    Ok(params)
}

/// The Blossom address of a blob on `server` (BUD-01).
pub fn blob_url(server: &str, sha256: Sha256Hash) -> String {
    format!("{}/{sha256}", server.trim_end_matches('/'))
}
