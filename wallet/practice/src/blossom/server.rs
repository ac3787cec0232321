//! The endpoints of BUD-01 and BUD-02.

use super::{
    BlossomConfig,
    auth::{AuthRefusal, Verb, authorize},
    range::{self, Wanted},
    store::{BlobStore, Deleted, Note, StoreError, Upload, is_hash},
};
use crate::http::{self, Body, Service};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use std::{
    io::{self, SeekFrom},
    sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

const PIECE_BYTES: usize = 64 * 1024;
const NEXT_PIECE_WITHIN: Duration = Duration::from_secs(30);
const OCTETS: &str = "application/octet-stream";
const REASON: HeaderName = HeaderName::from_static("x-reason");

/// File endings of the types that blobs here have.
const ENDINGS: [(&str, &str); 10] = [
    ("application/gzip", "gz"),
    ("application/json", "json"),
    ("application/pdf", "pdf"),
    ("application/x-tar", "tar"),
    ("application/zip", "zip"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
];

/// A refusal: its status, and what its `X-Reason` tells.
struct Refused(StatusCode, String);

type Answer = Result<Response<Body>, Refused>;

impl From<AuthRefusal> for Refused {
    fn from(refusal: AuthRefusal) -> Self {
        Self(StatusCode::UNAUTHORIZED, refusal.to_string())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            StoreError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            StoreError::Io { ref source, .. } => {
                tracing::error!(%source, "the blob folder failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        // Paths of this machine are for its log, not for clients.
        let told = match error {
            StoreError::Io { source, .. } => {
                format!("the blob could not be stored: {}", source.kind())
            }
            other => other.to_string(),
        };
        Self(status, told)
    }
}

fn refuse<T>(status: StatusCode, text: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(status, text.into()))
}

pub struct Server {
    store: BlobStore,
    config: BlossomConfig,
    url: String,
}

impl Service for Server {
    async fn call(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let answered = self.route(request).await;
        let mut response = answered.unwrap_or_else(|Refused(status, text)| {
            let mut response = http::answer(status, "text/plain", text.clone());
            if let Ok(reason) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(REASON, reason);
            }
            response
        });
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
        response
    }
}

impl Server {
    pub fn new(store: BlobStore, config: BlossomConfig, url: String) -> Self {
        Self { store, config, url }
    }

    async fn route(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let method = request.method().clone();
        if method == Method::OPTIONS {
            return Ok(preflight());
        }
        match (path.as_str(), method) {
            ("upload", Method::PUT) => self.upload(request).await,
            ("upload", _) => refuse(StatusCode::METHOD_NOT_ALLOWED, "uploads are PUT"),
            (path, method) => match path.strip_prefix("list/") {
                Some(pubkey) if method == Method::GET => self.list(pubkey),
                Some(_) => refuse(StatusCode::METHOD_NOT_ALLOWED, "lists are GET"),
                None => {
                    let hash = path.split('.').next().unwrap_or_default().to_ascii_lowercase();
                    if !is_hash(&hash) {
                        return refuse(StatusCode::NOT_FOUND, "this is not the path of a blob");
                    }
                    match method {
                        Method::GET | Method::HEAD => self.download(&hash, &request).await,
                        Method::DELETE => self.delete(&hash, request.headers()),
                        _ => refuse(StatusCode::METHOD_NOT_ALLOWED, "blobs take GET, HEAD, DELETE"),
                    }
                }
            },
        }
    }

    fn describe(&self, hash: &str, note: &Note) -> Value {
        let ending = ENDINGS.iter().find(|(known, _)| *known == note.content_type);
        let ending = ending.map_or("bin", |(_, ending)| ending);
        json!({
            "url": format!("{}/{hash}.{ending}", self.url),
            "sha256": hash,
            "size": note.size,
            "type": note.content_type,
            "uploaded": note.uploaded,
        })
    }

    fn list(&self, pubkey: &str) -> Answer {
        if !self.config.lists {
            return refuse(StatusCode::NOT_FOUND, "this server does not list blobs");
        }
        let pubkey = pubkey.to_ascii_lowercase();
        if !is_hash(&pubkey) {
            return refuse(StatusCode::BAD_REQUEST, "a public key has 64 hex digits");
        }
        let own = self.store.owned_by(&pubkey);
        let described: Value = own.iter().map(|(hash, note)| self.describe(hash, note)).collect();
        Ok(http::answer(StatusCode::OK, "application/json", described.to_string()))
    }

    async fn upload(&self, request: Request<Incoming>) -> Answer {
        let now = host::clock::now().as_secs();
        let headers = request.headers();
        let authorized = authorize(authorization(headers), Verb::Upload, now)?;
        let announced =
            text(headers, header::CONTENT_LENGTH).and_then(|len| len.parse::<u64>().ok());
        if announced.is_some_and(|len| len > self.config.max_blob_bytes) {
            let max_bytes = self.config.max_blob_bytes;
            return Err(StoreError::TooLarge { max_bytes }.into());
        }
        let content_type = text(headers, header::CONTENT_TYPE).unwrap_or(OCTETS).to_owned();
        let mut upload = self.store.begin().await?;
        receive(request.into_body(), &mut upload).await?;
        let received = upload.finish().await?;
        let hash = received.hash.clone();
        if !authorized.names(&hash) {
            let text = format!("the blob's hash is {hash}, which the authorization does not name");
            return refuse(StatusCode::FORBIDDEN, text);
        }
        let (note, new) = self.store.keep(received, &authorized.pubkey, &content_type, now).await?;
        let status = if new { StatusCode::CREATED } else { StatusCode::OK };
        let described = self.describe(&hash, &note).to_string();
        Ok(http::answer(status, "application/json", described))
    }

    fn delete(&self, hash: &str, headers: &HeaderMap) -> Answer {
        let now = host::clock::now().as_secs();
        let authorized = authorize(authorization(headers), Verb::Delete, now)?;
        if !authorized.names(hash) {
            return refuse(StatusCode::FORBIDDEN, "the authorization names another blob");
        }
        match self.store.delete(hash, &authorized.pubkey)? {
            Deleted::Gone => Ok(http::answer(StatusCode::OK, "text/plain", "deleted")),
            Deleted::StillOwned => {
                Ok(http::answer(StatusCode::OK, "text/plain", "deleted for you; others keep it"))
            }
            Deleted::NotYours => refuse(StatusCode::FORBIDDEN, "the blob is another's"),
            Deleted::Unknown => refuse(StatusCode::NOT_FOUND, "there is no such blob"),
        }
    }

    async fn download(&self, hash: &str, request: &Request<Incoming>) -> Answer {
        let missing = || refuse(StatusCode::NOT_FOUND, "there is no such blob");
        let Some(note) = self.store.note(hash) else { return missing() };
        let mut headers = HeaderMap::new();
        let content_type =
            HeaderValue::from_str(&note.content_type).unwrap_or(HeaderValue::from_static(OCTETS));
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Bytes of strangers: nothing in them may run in a browser.
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
        let (status, first, len) =
            match range::parse(text(request.headers(), header::RANGE), note.size) {
                Wanted::Whole => (StatusCode::OK, 0, note.size),
                Wanted::Part { first, last } => {
                    let part = format!("bytes {first}-{last}/{}", note.size);
                    headers.insert(header::CONTENT_RANGE, ascii(&part));
                    (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
                }
                Wanted::Unsatisfiable => {
                    let text = format!("the blob has {} bytes", note.size);
                    return refuse(StatusCode::RANGE_NOT_SATISFIABLE, text);
                }
            };
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
        let body = if request.method() == Method::HEAD {
            http::full("")
        } else {
            match self.open(hash, first, len).await {
                Ok(body) => body,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return missing(),
                Err(source) => {
                    let path = self.store.path(hash);
                    return Err(StoreError::Io { path, source }.into());
                }
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// A part of a blob, read piece by piece.
    async fn open(&self, hash: &str, first: u64, len: u64) -> io::Result<Body> {
        let mut file = tokio::fs::File::open(self.store.path(hash)).await?;
        file.seek(SeekFrom::Start(first)).await?;
        let pieces = futures_util::stream::unfold((file, len), |(mut file, left)| async move {
            if left == 0 {
                return None;
            }
            let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES))];
            match file.read(&mut piece).await {
                Ok(0) => {
                    let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                    Some((Err(error), (file, 0)))
                }
                Ok(read) => {
                    piece.truncate(read);
                    let frame = Frame::data(Bytes::from(piece));
                    Some((Ok(frame), (file, left - read as u64)))
                }
                Err(error) => Some((Err(error), (file, 0))),
            }
        });
        Ok(StreamBody::new(pieces).boxed_unsync())
    }
}

async fn receive(mut body: Incoming, upload: &mut Upload) -> Result<(), Refused> {
    loop {
        let next = tokio::time::timeout(NEXT_PIECE_WITHIN, body.frame()).await;
        match next {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(frame))) => {
                if let Ok(piece) = frame.into_data() {
                    upload.write(&piece).await?;
                }
            }
            Ok(Some(Err(error))) => {
                return refuse(StatusCode::BAD_REQUEST, format!("the upload broke off: {error}"));
            }
            Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the upload stalled"),
        }
    }
}

fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("BUG: digits and punctuation are a header value")
}

/// CORS, as BUD-01 asks for it.
fn preflight() -> Response<Body> {
    let mut response = http::answer(StatusCode::NO_CONTENT, "text/plain", "");
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, HEAD, PUT, DELETE");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let allowed = HeaderValue::from_static("Authorization, *");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}
