//! The HTTP side of the chain's JSON-RPC: basic authentication, a call or a batch per POST.

use super::{Calls, Chain, MAX_REQUEST_BYTES, RpcError, RpcRequest, parse_requests};
use crate::http::{self, Body, BodyError, Service};
use base64::{Engine, prelude::BASE64_STANDARD};
use host::home::write_private;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

const USER: &str = "practice";

/// What opens the RPC: a fixed user and a random password, kept in a 0600 file.
#[derive(Clone)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl Credentials {
    /// The password kept in `path`, made there at the first start.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn load_or_make(path: &Path) -> io::Result<Self> {
        let password = match std::fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
            Ok(_) => Self::make(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path)?,
            Err(error) => return Err(error),
        };
        Ok(Self { user: USER.into(), password })
    }

    fn make(path: &Path) -> io::Result<String> {
        let password = hex::encode(host::entropy::random_32().map_err(io::Error::other)?);
        write_private(path, password.as_bytes())?;
        Ok(password)
    }
}

/// Answers RPC calls over HTTP.
pub struct RpcServer {
    chain: Arc<Mutex<Chain>>,
    /// Digest of the one right header, so that comparing takes no secret-dependent time.
    authorization: [u8; 32],
}

impl RpcServer {
    pub fn new(chain: Arc<Mutex<Chain>>, credentials: &Credentials) -> Self {
        let pair = format!("{}:{}", credentials.user, credentials.password);
        let authorization = digest(BASE64_STANDARD.encode(pair).as_bytes());
        Self { chain, authorization }
    }

    fn may_call(&self, request: &Request<Incoming>) -> bool {
        let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
        given
            .and_then(|given| given.split_first_chunk::<6>())
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic "))
            .is_some_and(|(_, given)| digest(given.trim_ascii()) == self.authorization)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl Service for RpcServer {
    async fn call(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if !self.may_call(&request) {
            let mut refused = http::answer(StatusCode::UNAUTHORIZED, "text/plain", "");
            refused
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"jsonrpc\""));
            return refused;
        }
        if request.method() != Method::POST {
            let text = "JSONRPC server handles only POST requests";
            return http::answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", text);
        }
        let body = match http::read_body(request.into_body(), MAX_REQUEST_BYTES).await {
            Ok(body) => body,
            Err(error) => {
                let status = match error {
                    BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
                    BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
                    BodyError::Broken(_) => StatusCode::BAD_REQUEST,
                };
                return http::answer(status, "text/plain", error.to_string());
            }
        };
        // Scripts and the disk take milliseconds: not on the threads that serve sockets.
        let answered = tokio::task::spawn_blocking(move || {
            let calls = match parse_requests(&body) {
                Ok(calls) => calls,
                Err(error) => {
                    return reply(status_of(&Err(error.clone())), &told(Value::Null, Err(error)));
                }
            };
            let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
            let now_secs = host::clock::now().as_secs();
            match calls {
                Calls::One(request) => {
                    let result = chain.call(&request, now_secs);
                    reply(status_of(&result), &told(request.id, result))
                }
                // As with bitcoind, a batch is answered, whatever became of its calls.
                Calls::Batch(calls) => {
                    let mut answer = |call: Result<RpcRequest, RpcError>| match call {
                        Ok(request) => {
                            let result = chain.call(&request, now_secs);
                            told(request.id, result)
                        }
                        Err(error) => told(Value::Null, Err(error)),
                    };
                    reply(StatusCode::OK, &calls.into_iter().map(&mut answer).collect())
                }
            }
        })
        .await;
        answered.unwrap_or_else(|error| {
            tracing::error!(%error, "an RPC call ended early");
            let text = "the call ended early";
            http::answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", text)
        })
    }
}

fn status_of(result: &Result<Value, RpcError>) -> StatusCode {
    match result {
        Ok(_) => StatusCode::OK,
        Err(error) => match error.code {
            RpcError::INVALID_REQUEST => StatusCode::BAD_REQUEST,
            RpcError::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

fn told(id: Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({ "result": result, "error": null, "id": id }),
        Err(error) => {
            let told = json!({ "code": error.code, "message": error.message });
            json!({ "result": null, "error": told, "id": id })
        }
    }
}

fn reply(status: StatusCode, json: &Value) -> Response<Body> {
    http::answer(status, "application/json", json.to_string())
}
