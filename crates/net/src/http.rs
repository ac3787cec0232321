//! One HTTP request over one connection that the gate has admitted; everything bounded.

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, StatusCode,
    body::{Body, Incoming},
    client::conn::http1,
    header::{self, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::egress::{Egress, Gate, GateError};

/// Why something was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("not fetched: {0}")]
    Gate(#[from] GateError),
    #[error("{host} was not reached: {source}")]
    Connect { host: String, source: io::Error },
    #[error("{host} did not prove who it is (TLS): {source}")]
    Tls { host: String, source: io::Error },
    #[error("{host} does not answer as a web server should: {source}")]
    Http { host: String, source: hyper::Error },
    #[error("{host} sends more than {max_bytes} bytes; nothing of it is kept")]
    TooLarge { host: String, max_bytes: u64 },
    #[error("{host} was silent for too long")]
    TimedOut { host: String },
    #[error("{host} redirects {detail}")]
    BadRedirect { host: String, detail: &'static str },
    #[error("{host} sent its answer in a coding that was not asked for")]
    Encoded { host: String },
    #[error("the request cannot be written as HTTP: {0}")]
    BadRequest(#[from] hyper::http::Error),
}

/// A request to be made. Redirects are followed only for `GET` and `HEAD`.
pub(crate) struct Request {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    max_bytes: u64,
    bad_header: Option<hyper::http::Error>,
    /// Where a private address may lead to; anywhere that the gate admits where absent.
    home: Option<Url>,
}

impl Request {
    /// At most `max_bytes` of body are read.
    pub fn new(method: Method, url: &str, max_bytes: u64) -> Self {
        Self {
            method,
            url: url.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            max_bytes,
            bad_header: None,
            home: None,
        }
    }

    /// Only the host and port of `home` may be on a private network or on this machine, even where
    /// the operator trusts others: who named `home` does not thereby choose among those.
    pub fn inward_only_to(mut self, home: &Url) -> Self {
        self.home = Some(home.clone());
        self
    }

    fn check_inward(&self, gate: &Gate) -> Result<(), GateError> {
        self.home.as_ref().map_or(Ok(()), |home| gate.check_inward(home))
    }

    pub fn get(url: &str, max_bytes: u64) -> Self {
        Self::new(Method::GET, url, max_bytes)
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => drop(self.headers.insert(HeaderName::from_static(name), value)),
            Err(error) => self.bad_header = Some(error.into()),
        }
        self
    }

    pub fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Where it came from, after redirects.
    pub url: Url,
}

impl Response {
    /// A header's text, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What is done with each piece of a body as it comes.
pub(crate) type OnChunk<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

impl Egress {
    const MOST_REDIRECTS: usize = 3;

    /// `GET` of at most `max_bytes`, with the media type that is wanted.
    pub async fn get(
        &self,
        url: &str,
        accept: &str,
        max_bytes: u64,
    ) -> Result<Response, FetchError> {
        self.fetch(Request::get(url, max_bytes).header("accept", accept)).await
    }

    /// `POST` of JSON, for an answer of at most `max_bytes` of it. It is never sent twice, and a
    /// redirect of it is refused.
    pub async fn post_json(
        &self,
        url: &str,
        body: Bytes,
        max_bytes: u64,
    ) -> Result<Response, FetchError> {
        let request = Request::new(Method::POST, url, max_bytes)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(body);
        self.fetch(request).await
    }

    pub(crate) async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        self.fetch_with(request, &mut |_| {}).await
    }

    /// Makes the request, follows redirects through the gate, and shows each piece of the last
    /// answer's body to `on_chunk` (only of a successful one).
    pub(crate) async fn fetch_with(
        &self,
        request: Request,
        on_chunk: OnChunk<'_>,
    ) -> Result<Response, FetchError> {
        if let Some(error) = request.bad_header {
            return Err(error.into());
        }
        let mut gate = self.admit(&request.url).await?;
        if !matches!(gate.url.scheme(), "http" | "https") {
            return Err(GateError::Scheme { scheme: gate.url.scheme().to_owned() }.into());
        }
        request.check_inward(&gate)?;
        for _ in 0..=Self::MOST_REDIRECTS {
            let host = host_of(&gate.url);
            let connection = self.connect(&gate).await?;
            let hop = Hop { egress: self, request: &request, gate: &gate, host: &host };
            let (parts, body) = hop.send(connection).await?;
            let may_follow = matches!(request.method, Method::GET | Method::HEAD);
            if parts.status.is_redirection() && parts.status != StatusCode::NOT_MODIFIED {
                if !may_follow {
                    return Err(hop.bad_redirect("an upload"));
                }
                gate = hop.follow(&parts.headers).await?;
                continue;
            }
            let body = hop.read(&parts, body, on_chunk).await?;
            let (status, headers) = (parts.status, parts.headers);
            return Ok(Response { status, headers, body, url: gate.url });
        }
        Err(FetchError::BadRedirect { host: host_of(&gate.url), detail: "too often" })
    }

    async fn connect(&self, gate: &Gate) -> Result<Connection, FetchError> {
        let host = host_of(&gate.url);
        let stream = self
            .dial(gate)
            .await
            .map_err(|source| FetchError::Connect { host: host.clone(), source })?;
        if gate.url.scheme() == "http" {
            return Connection::open(stream, host).await;
        }
        let name =
            rustls::pki_types::ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|_| GateError::BadUrl { url: host.clone() })?;
        let connector = TlsConnector::from(Arc::clone(&self.config.tls));
        match timeout(self.config.connect_timeout, connector.connect(name, stream)).await {
            Err(_) => Err(FetchError::TimedOut { host }),
            Ok(Err(source)) => Err(FetchError::Tls { host, source }),
            Ok(Ok(stream)) => Connection::open(stream, host).await,
        }
    }
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// An HTTP/1.1 connection and the task that drives it, ended together.
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
}

struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    async fn open<S>(stream: S, host: String) -> Result<Self, FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(64 * 1024)
            .max_headers(100)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| FetchError::Http { host, source })?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
        Ok(Self { sender, driver: Driver(driver) })
    }
}

/// A body with the connection it comes over.
struct Answer {
    body: Incoming,
    _driver: Driver,
}

/// One request to one admitted address.
struct Hop<'a> {
    egress: &'a Egress,
    request: &'a Request,
    gate: &'a Gate,
    host: &'a str,
}

impl Hop<'_> {
    fn timed_out(&self) -> FetchError {
        FetchError::TimedOut { host: self.host.to_owned() }
    }

    fn bad_redirect(&self, detail: &'static str) -> FetchError {
        FetchError::BadRedirect { host: self.host.to_owned(), detail }
    }

    fn http(&self, source: hyper::Error) -> FetchError {
        FetchError::Http { host: self.host.to_owned(), source }
    }

    async fn send(
        &self,
        mut connection: Connection,
    ) -> Result<(hyper::http::response::Parts, Answer), FetchError> {
        let url = &self.gate.url;
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = hyper::Request::builder()
            .method(self.request.method.clone())
            .uri(target)
            .header(header::HOST, &url[url::Position::BeforeHost..url::Position::AfterPort])
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::CONNECTION, "close")
            .body(Full::new(self.request.body.clone()))?;
        for (name, value) in &self.request.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let upload_secs = self.request.body.len() as u64 / (64 * 1024);
        let patience = self.egress.config.stall_timeout + Duration::from_secs(upload_secs);
        let response = timeout(patience, connection.sender.send_request(request))
            .await
            .map_err(|_| self.timed_out())?
            .map_err(|source| self.http(source))?;
        let (parts, body) = response.into_parts();
        Ok((parts, Answer { body, _driver: connection.driver }))
    }

    /// The gate decides about where a redirect leads as it did about the first address.
    async fn follow(&self, headers: &HeaderMap) -> Result<Gate, FetchError> {
        let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        let target = location
            .and_then(|location| self.gate.url.join(location).ok())
            .ok_or_else(|| self.bad_redirect("nowhere"))?;
        if self.gate.url.scheme() == "https" && target.scheme() != "https" {
            return Err(self.bad_redirect("from an encrypted address to another kind"));
        }
        if !matches!(target.scheme(), "http" | "https") {
            return Err(self.bad_redirect("away from the web"));
        }
        let gate = self.egress.admit(target.as_str()).await?;
        self.request.check_inward(&gate)?;
        Ok(gate)
    }

    /// Reads the body to its end, never beyond the limit, never longer than is reasonable.
    async fn read(
        &self,
        parts: &hyper::http::response::Parts,
        mut answer: Answer,
        on_chunk: OnChunk<'_>,
    ) -> Result<Bytes, FetchError> {
        let codings = parts.headers.get(header::CONTENT_ENCODING);
        if codings.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(FetchError::Encoded { host: self.host.to_owned() });
        }
        // What an error says is for people: a short piece of it is enough.
        const MOST_OF_AN_ERROR: u64 = 16 * 1024;
        let is_success = parts.status.is_success();
        let max_bytes = if is_success { self.request.max_bytes } else { MOST_OF_AN_ERROR };
        let too_large = || FetchError::TooLarge { host: self.host.to_owned(), max_bytes };
        if self.request.method == Method::HEAD {
            return Ok(Bytes::new());
        }
        if is_success && answer.body.size_hint().lower() > max_bytes {
            return Err(too_large());
        }
        let expected = answer.body.size_hint().exact().unwrap_or(0).min(max_bytes);
        let mut bytes =
            BytesMut::with_capacity(usize::try_from(expected.min(1 << 20)).unwrap_or(0));
        let stall = self.egress.config.stall_timeout;
        // Drip-feeding must not hold us for ever: so long for the whole, or a slow line's worth.
        let whole = stall * 3 + Duration::from_secs(max_bytes / (32 * 1024));
        let mut over = pin!(tokio::time::sleep(whole));
        loop {
            let frame = pin!(timeout(stall, answer.body.frame()));
            let frame = match select(frame, over.as_mut()).await {
                Either::Left((Ok(frame), _)) => frame,
                Either::Left((Err(_), _)) | Either::Right(_) => return Err(self.timed_out()),
            };
            let Some(frame) = frame else { return Ok(bytes.freeze()) };
            let frame = frame.map_err(|source| self.http(source))?;
            let Some(chunk) = frame.data_ref() else { continue };
            if (bytes.len() + chunk.len()) as u64 > max_bytes {
                return if is_success { Err(too_large()) } else { Ok(bytes.freeze()) };
            }
            if is_success {
                on_chunk(chunk);
            }
            bytes.extend_from_slice(chunk);
        }
    }
}
