//! A Blossom client: blobs by their SHA-256 (BUD-01), uploads (BUD-02), authorization (BUD-11).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use domain::Sha256Hash;
use hyper::{Method, StatusCode};
use nostr::event::{EventBuilder, Kind, Tag};
use relay::{Clock, SignFault, Signer};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::time::Duration;
use url::Url;

use crate::{
    egress::{Egress, GateError},
    http::{FetchError, Request, Response},
};

/// Why a blob was not fetched or stored.
#[derive(Debug, thiserror::Error)]
pub enum BlossomError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{server} does not have the blob {sha256}")]
    NotFound { server: String, sha256: Sha256Hash },
    #[error("{server} wants to be paid before it stores or serves the blob: {reason}")]
    PaymentRequired { server: String, reason: String },
    #[error("{server} refused ({status}): {reason}")]
    Refused { server: String, status: u16, reason: String },
    #[error("{server} sent other bytes than those of {expected}; nothing of it is kept")]
    WrongBytes { server: String, expected: Sha256Hash },
    #[error("{server} confirmed the upload of something else than was sent")]
    WrongDescriptor { server: String },
    #[error(transparent)]
    Sign(#[from] SignFault),
}

impl BlossomError {
    /// Whether the same request may do better later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Fetch(error) => matches!(
                error,
                FetchError::Connect { .. }
                    | FetchError::TimedOut { .. }
                    | FetchError::Http { .. }
                    | FetchError::Gate(GateError::Unresolved { .. })
            ),
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Sign(_) => true,
            Self::NotFound { .. }
            | Self::PaymentRequired { .. }
            | Self::WrongBytes { .. }
            | Self::WrongDescriptor { .. } => false,
        }
    }
}

/// What a server says about a blob that it stored (BUD-02).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BlobDescriptor {
    /// Where the blob can be fetched.
    pub url: String,
    pub sha256: Sha256Hash,
    /// In bytes.
    pub size: u64,
    #[serde(rename = "type", default)]
    pub media_type: Option<String>,
}

/// What a server says about a blob that it has (BUD-01 `HEAD`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// In bytes, where the server says so. Not verified.
    pub size: Option<u64>,
    pub media_type: Option<String>,
}

/// The client. Every socket goes through the gate.
#[derive(Clone)]
pub struct Blossom {
    egress: Egress,
    clock: Clock,
}

/// `server` is any URL on the server; blobs live at its root (BUD-01).
pub fn blob_url(server: &str, sha256: &Sha256Hash) -> Result<Url, GateError> {
    at_root(server, &sha256.to_string())
}

/// The hash that a blob's URL names: the last 64 hex digits that stand alone in its path (BUD-03).
pub fn blob_hash_of(url: &str) -> Option<Sha256Hash> {
    let url = Url::parse(url).ok()?;
    url.path().rsplit('/').find_map(|segment| {
        let name = segment.split_once('.').map_or(segment, |(name, _)| name);
        let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        name.parse().ok().filter(|_| is_lower)
    })
}

fn at_root(server: &str, path: &str) -> Result<Url, GateError> {
    let bad = || GateError::BadUrl { url: server.chars().take(200).collect() };
    let mut url = Url::parse(server).map_err(|_| bad())?;
    if url.cannot_be_a_base() {
        return Err(bad());
    }
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

impl Blossom {
    /// How long an authorization holds (BUD-11): long enough for a large upload.
    const AUTH_SECS: u64 = 600;
    /// Against servers whose clock is a little behind ours ("created_at must be in the past").
    const AUTH_BACKDATE_SECS: u64 = 5;

    pub fn new(egress: Egress, clock: Clock) -> Self {
        Self { egress, clock }
    }

    /// The bytes of `sha256` at `url`, which may be a blob's own URL or come from [`blob_url`].
    /// The hash is checked while they come; other bytes are never returned.
    pub async fn get(
        &self,
        url: &str,
        sha256: &Sha256Hash,
        max_bytes: u64,
    ) -> Result<Bytes, BlossomError> {
        let mut hasher = Sha256::new();
        let request = Request::get(url, max_bytes).header("accept", "*/*");
        let response = self.egress.fetch_with(request, &mut |chunk| hasher.update(chunk)).await?;
        if response.status != StatusCode::OK {
            return Err(refusal(&response, sha256));
        }
        let server = server_of(&response);
        if Sha256Hash(hasher.finalize().into()) != *sha256 {
            return Err(BlossomError::WrongBytes { server, expected: *sha256 });
        }
        Ok(response.body)
    }

    /// [`Blossom::get`] from a server by hash alone.
    pub async fn get_from(
        &self,
        server: &str,
        sha256: &Sha256Hash,
        max_bytes: u64,
    ) -> Result<Bytes, BlossomError> {
        let url = blob_url(server, sha256).map_err(FetchError::from)?;
        self.get(url.as_str(), sha256, max_bytes).await
    }

    /// What the server says about a blob; `None` where it does not have it.
    pub async fn head(
        &self,
        server: &str,
        sha256: &Sha256Hash,
    ) -> Result<Option<BlobInfo>, BlossomError> {
        let url = blob_url(server, sha256).map_err(FetchError::from)?;
        let response = self.egress.fetch(Request::new(Method::HEAD, url.as_str(), 0)).await?;
        match response.status {
            StatusCode::OK => Ok(Some(BlobInfo {
                size: response.header("content-length").and_then(|size| size.parse().ok()),
                media_type: response.header("content-type").map(str::to_owned),
            })),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            _ => Err(refusal(&response, sha256)),
        }
    }

    /// Stores `bytes` on a server. Idempotent: the same bytes are the same blob.
    pub async fn put(
        &self,
        server: &str,
        bytes: Bytes,
        media_type: &str,
        signer: &dyn Signer,
    ) -> Result<BlobDescriptor, BlossomError> {
        const MOST_BYTES: u64 = 64 * 1024;
        let sha256 = Sha256Hash::of(&bytes);
        let size = bytes.len() as u64;
        let url = at_root(server, "upload").map_err(FetchError::from)?;
        // The gate first: nothing is signed for an address that will not be asked.
        self.egress.admit(url.as_str()).await.map_err(FetchError::from)?;
        let token = self.authorize(&sha256, signer).await?;
        let request = Request::new(Method::PUT, url.as_str(), MOST_BYTES)
            .header("authorization", &token)
            .header("content-type", media_type)
            .header("x-sha-256", &sha256.to_string())
            .body(bytes);
        let response = self.egress.fetch(request).await?;
        if !matches!(response.status, StatusCode::OK | StatusCode::CREATED) {
            return Err(refusal(&response, &sha256));
        }
        let server = server_of(&response);
        match serde_json::from_slice::<BlobDescriptor>(&response.body) {
            Ok(blob) if blob.sha256 == sha256 && blob.size == size => Ok(blob),
            _ => Err(BlossomError::WrongDescriptor { server }),
        }
    }

    /// The `Authorization` header of an upload: a signed kind 24242 event that names the blob.
    async fn authorize(
        &self,
        sha256: &Sha256Hash,
        signer: &dyn Signer,
    ) -> Result<String, BlossomError> {
        let now = (self.clock)().as_secs();
        let expiration = (now + Self::AUTH_SECS).to_string();
        let draft = EventBuilder::new(Kind::BlossomAuth, "Upload Blob")
            .tag(Tag::custom("t", ["upload"]))
            .tag(Tag::custom("x", [sha256.to_string()]))
            .tag(Tag::custom("expiration", [expiration]))
            .custom_created_at(now.saturating_sub(Self::AUTH_BACKDATE_SECS).into());
        let event = tokio::time::timeout(Duration::from_secs(30), signer.sign(draft))
            .await
            .map_err(|_| SignFault("the signer did not answer in time".to_owned()))??;
        if event.kind != Kind::BlossomAuth {
            return Err(SignFault("the signer signed something else".to_owned()).into());
        }
        Ok(format!("Nostr {}", token_of(event.as_json())))
    }
}

/// The token as BUD-11 wants it now (base64url, no padding). Older servers expect plain base64
/// with padding: spaces after the JSON make its length a multiple of three, so that there is no
/// padding, and none of its characters encodes to one in which the two alphabets differ.
fn token_of(mut json: String) -> String {
    while !json.len().is_multiple_of(3) {
        json.push(' ');
    }
    URL_SAFE_NO_PAD.encode(json)
}

fn server_of(response: &Response) -> String {
    response.url.host_str().unwrap_or_default().to_owned()
}

fn refusal(response: &Response, sha256: &Sha256Hash) -> BlossomError {
    let server = server_of(response);
    let reason = reason_of(response);
    match response.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            BlossomError::NotFound { server, sha256: *sha256 }
        }
        StatusCode::PAYMENT_REQUIRED => BlossomError::PaymentRequired { server, reason },
        status => BlossomError::Refused { server, status: status.as_u16(), reason },
    }
}

/// The server's words: `X-Reason` (BUD-01), else `{"message"}` as older servers answer.
fn reason_of(response: &Response) -> String {
    #[derive(Deserialize)]
    struct Older {
        message: String,
    }
    let older = || serde_json::from_slice(&response.body).map(|older: Older| older.message).ok();
    let words = response.header("x-reason").map(str::to_owned).or_else(older);
    let words = words.unwrap_or_else(|| "no reason given".to_owned());
    words.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
