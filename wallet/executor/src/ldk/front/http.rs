//! The front of a server that speaks HTTP: bitcoind's RPC, or Esplora.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use ldk_node::bitcoin::BlockHash;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt, net::TcpListener, sync::Semaphore, task::JoinSet, time::timeout};
use wallet::chain::{Login, Source};
use zeroize::Zeroizing;

use super::{
    PASS_HEADER, PASS_USER, Trouble, Watch,
    reach::{CONNECT_WITHIN, Reach},
};

const MAX_CONNECTIONS: usize = 64;
/// More than the hex of the largest block, which is the most that is asked for.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
const MAX_REQUEST_BYTES: usize = 8 * 1024 * 1024;
/// A whole answer; longer than the node waits, but for bitcoind's, which it waits for for minutes.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const MAX_COOKIE_BYTES: u64 = 4 * 1024;

/// What the front asks of a server that does not answer as it should.
#[derive(Debug, thiserror::Error)]
enum OutError {
    #[error("it did not answer within {} seconds", ANSWER_WITHIN.as_secs())]
    TooSlow,
    #[error("it answered with more than {} MiB", MAX_ANSWER_BYTES / 1024 / 1024)]
    TooLarge,
    #[error("{0}")]
    Broken(String),
    #[error("its cookie file cannot be read: {0}")]
    Cookie(std::io::Error),
    #[error("the request makes no sense")]
    Request,
}

/// The way out to one server.
pub struct Out {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Scheme, host and port.
    base: String,
    path: String,
    login: Option<Login>,
    trouble: Trouble,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Out {
    pub fn new(reach: &Reach, login: Option<Login>, trouble: Trouble) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config((*reach.tls).clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let scheme = if reach.server.tls { "https" } else { "http" };
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            base: format!("{scheme}://{}", reach.server.authority()),
            path: reach.server.path.clone(),
            login,
            trouble,
        }
    }

    /// The server's first block.
    pub async fn genesis(&self, source: &Source) -> Result<BlockHash, String> {
        let asked = match source {
            Source::Bitcoind { .. } => {
                let call = r#"{"jsonrpc":"1.0","id":"0","method":"getblockhash","params":[0]}"#;
                self.ask(Method::POST, "/", HeaderMap::new(), Bytes::from_static(call.as_bytes()))
            }
            _ => self.ask(Method::GET, "/block-height/0", HeaderMap::new(), Bytes::new()),
        };
        let answer = asked.await.map_err(|error| error.to_string())?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err("it does not take the login".into());
        }
        if !answer.status.is_success() {
            return Err(format!("it answered with {}", answer.status));
        }
        let text = match source {
            Source::Bitcoind { .. } => serde_json::from_slice::<Value>(&answer.body)
                .ok()
                .and_then(|answer| answer["result"].as_str().map(str::to_owned)),
            _ => std::str::from_utf8(&answer.body).ok().map(str::to_owned),
        };
        text.and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| "what answers there is not such a server".into())
    }

    /// Asks, and says where that failed.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, OutError> {
        let asked = timeout(ANSWER_WITHIN, self.ask_once(method, path, headers, body)).await;
        let asked = asked.unwrap_or(Err(OutError::TooSlow));
        match &asked {
            Err(error) => self.trouble.say(error),
            Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => {
                self.trouble.say(&"it does not take the login");
            }
            Ok(answer)
                if answer.status == StatusCode::TOO_MANY_REQUESTS
                    || answer.status == StatusCode::SERVICE_UNAVAILABLE =>
            {
                self.trouble.say(&format!("it answered with {}", answer.status));
            }
            Ok(_) => self.trouble.clear(),
        }
        asked
    }

    async fn ask_once(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, OutError> {
        let uri = format!("{}{}{path}", self.base, self.path);
        let uri: Uri = uri.parse().map_err(|_| OutError::Request)?;
        if let Some(login) = &self.login {
            headers.insert(header::AUTHORIZATION, authorization(login).await?);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let response = self.client.request(request).await.map_err(|error| broken(&error))?;
        let (parts, body) = response.into_parts();
        let body = match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(OutError::TooLarge),
            Err(error) => return Err(OutError::Broken(error.to_string())),
        };
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

/// The innermost reason says most: a refused connection, a certificate.
fn broken(error: &dyn std::error::Error) -> OutError {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    OutError::Broken(inner.to_string())
}

async fn authorization(login: &Login) -> Result<HeaderValue, OutError> {
    let pair = match login {
        Login::Password { user, password } => Zeroizing::new(format!("{user}:{password}")),
        Login::CookieFile(path) => {
            let mut text = Zeroizing::new(String::new());
            let file = tokio::fs::File::open(path).await.map_err(OutError::Cookie)?;
            file.take(MAX_COOKIE_BYTES)
                .read_to_string(&mut text)
                .await
                .map_err(OutError::Cookie)?;
            Zeroizing::new(text.trim().to_owned())
        }
    };
    basic(&pair)
}

fn basic(pair: &str) -> Result<HeaderValue, OutError> {
    let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair)));
    let mut value = HeaderValue::from_str(&text).map_err(|_| OutError::Request)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whom the front serves: the node that was told this pass, and no other program of this computer.
pub struct Pass {
    header: [u8; 32],
    login: [u8; 32],
}

impl Pass {
    pub fn new(pass: &str) -> Self {
        let login = format!("Basic {}", BASE64_STANDARD.encode(format!("{PASS_USER}:{pass}")));
        Self { header: digest(pass.as_bytes()), login: digest(login.as_bytes()) }
    }

    /// By digests, so that comparing takes no secret-dependent time.
    fn opens(&self, headers: &HeaderMap) -> bool {
        let shown = |name: header::HeaderName, wanted: &[u8; 32]| {
            headers.get(name).is_some_and(|value| digest(value.as_bytes()) == *wanted)
        };
        shown(header::HeaderName::from_static(PASS_HEADER), &self.header)
            || shown(header::AUTHORIZATION, &self.login)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What answers the node.
pub struct Door {
    pub out: Out,
    pub pass: Pass,
    pub watch: Watch,
    /// bitcoind's RPC, and not Esplora.
    pub is_rpc: bool,
}

pub async fn serve(listener: TcpListener, door: Arc<Door>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the chain's front was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let door = Arc::clone(&door);
        open.spawn(async move {
            let service = service_fn(move |request| {
                let door = Arc::clone(&door);
                async move { Ok::<_, Infallible>(door.answer(request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the chain's front ended");
            }
            drop(place);
        });
    }
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.pass.opens(request.headers()) {
            return plain(StatusCode::UNAUTHORIZED, "this front serves one node");
        }
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large");
        };
        let body = body.to_bytes();
        if let Some(hex) = self.broadcast_in(&parts.method, &path, &body)
            && let Err(why) = self.watch.leaving(&hex).await
        {
            tracing::warn!(why, "a transaction was held back");
            return plain(StatusCode::BAD_REQUEST, why);
        }
        let headers = kept(&parts.headers, [header::CONTENT_TYPE, header::ACCEPT]);
        match self.out.ask(parts.method, &path, headers, body).await {
            Ok(answer) => {
                let mut response = Response::new(Full::new(answer.body));
                *response.status_mut() = answer.status;
                *response.headers_mut() =
                    kept(&answer.headers, [header::CONTENT_TYPE, header::RETRY_AFTER]);
                response
            }
            // Not one of the codes for which the node tries again at once: it does in its next round.
            Err(error) => plain(StatusCode::BAD_GATEWAY, error.to_string()),
        }
    }
}

impl Door {
    /// The transaction that a request would send, in hex. What looks like a broadcast and is not
    /// understood is one that makes no sense, and is held back.
    fn broadcast_in(&self, method: &Method, path: &str, body: &[u8]) -> Option<String> {
        if *method != Method::POST {
            return None;
        }
        if !self.is_rpc {
            let hex = || String::from_utf8_lossy(body).into_owned();
            return path.contains("/tx").then(hex);
        }
        let calls: Value = serde_json::from_slice(body).ok()?;
        let method = calls["method"].as_str().unwrap_or("a batch");
        match method {
            "sendrawtransaction" => {
                Some(calls["params"][0].as_str().unwrap_or_default().to_owned())
            }
            // The node sends neither; nothing must leave by them unseen.
            "submitpackage" | "a batch" => Some(String::new()),
            _ => None,
        }
    }

    /// Sends a transaction.
    pub async fn send(&self, hex: String) -> Result<(), String> {
        self.watch.leaving(&hex).await?;
        let answer = if self.is_rpc {
            self.rpc("sendrawtransaction", json!([hex])).await?
        } else {
            self.out
                .ask(Method::POST, "/tx", HeaderMap::new(), Bytes::from(hex))
                .await
                .map_err(|error| error.to_string())?
        };
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&answer.body).chars().take(200).collect()),
        }
    }

    async fn rpc(&self, method: &str, params: Value) -> Result<Answer, String> {
        let call = json!({ "jsonrpc": "1.0", "id": "0", "method": method, "params": params });
        let asked = self.out.ask(Method::POST, "/", HeaderMap::new(), call.to_string().into());
        asked.await.map_err(|error| error.to_string())
    }

    /// The server's estimate, where it has one.
    pub async fn fee_sat_per_vb(&self, blocks: u32) -> Result<Option<f64>, String> {
        if self.is_rpc {
            let answer = self.rpc("estimatesmartfee", json!([blocks])).await?;
            let answer: Value = read(&answer)?;
            // In bitcoin for a thousand bytes.
            return Ok(answer["result"]["feerate"].as_f64().map(|rate| rate * 100_000.0));
        }
        let asked = self.out.ask(Method::GET, "/fee-estimates", HeaderMap::new(), Bytes::new());
        let answer: Value = read(&asked.await.map_err(|error| error.to_string())?)?;
        Ok(answer[blocks.to_string()].as_f64())
    }
}

fn read(answer: &Answer) -> Result<Value, String> {
    serde_json::from_slice(&answer.body).map_err(|_| "its answer makes no sense".to_owned())
}

fn kept<const N: usize>(headers: &HeaderMap, names: [header::HeaderName; N]) -> HeaderMap {
    names.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}
