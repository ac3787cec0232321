//! A mint's HTTP over the egress gate: to this mint only, bounded in size and time.

use async_trait::async_trait;
use bytes::Bytes;
use cdk::nuts::AuthToken;
use cdk::wallet::HttpTransport;
use cdk_common::{HttpError, RawResponse, ws_client};
use net::{Egress, FetchError, Response};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, time::Duration};
use url::Url;

/// Keys of a keyset are some 10 KiB; a mint with hundreds of keysets still fits.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// How one mint is asked.
#[derive(Clone)]
pub struct GateTransport {
    egress: Egress,
    mint: Url,
    within: Duration,
}

impl fmt::Debug for GateTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateTransport").field("mint", &self.mint.as_str()).finish_non_exhaustive()
    }
}

impl GateTransport {
    /// Every question has its answer `within` this time, or none.
    pub fn new(egress: Egress, mint: Url, within: Duration) -> Self {
        Self { egress, mint, within }
    }

    async fn ask(&self, url: Url, auth: Option<AuthToken>, body: Option<Bytes>) -> Asked {
        if auth.is_some() {
            return Err(HttpError::Build("mints with a login are not supported".into()));
        }
        if url.origin() != self.mint.origin() {
            return Err(HttpError::Build("this is another place than the mint".into()));
        }
        let asking = async {
            match body {
                Some(body) => self.egress.post_json(url.as_str(), body, MAX_ANSWER_BYTES).await,
                None => self.egress.get(url.as_str(), "application/json", MAX_ANSWER_BYTES).await,
            }
        };
        let answer = tokio::time::timeout(self.within, asking)
            .await
            .map_err(|_| HttpError::Timeout)?
            .map_err(unheard)?;
        if answer.url.origin() != self.mint.origin() {
            return Err(HttpError::Other("the mint redirects to another place".into()));
        }
        if !answer.status.is_success() {
            let message = String::from_utf8_lossy(&answer.body).into_owned();
            return Err(HttpError::Status { status: answer.status.as_u16(), message });
        }
        Ok(answer)
    }
}

type Asked = Result<Response, HttpError>;

fn unheard(error: FetchError) -> HttpError {
    match error {
        FetchError::TimedOut { .. } => HttpError::Timeout,
        FetchError::TooLarge { .. } | FetchError::Encoded { .. } => {
            HttpError::Serialization(error.to_string())
        }
        FetchError::Gate(_) | FetchError::BadRequest(_) => HttpError::Build(error.to_string()),
        other => HttpError::Connection(other.to_string()),
    }
}

fn read<R: DeserializeOwned>(answer: &Response) -> Result<R, HttpError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        HttpError::Serialization(format!("the mint's answer makes no sense: {error}"))
    })
}

fn unused<T>(what: &str) -> Result<T, HttpError> {
    Err(HttpError::Build(format!("{what} is not used with mints")))
}

#[async_trait]
impl HttpTransport for GateTransport {
    /// Mints are polled: nothing else may open a connection.
    async fn ws_connect(
        &self,
        _url: &str,
        _headers: &[(&str, &str)],
    ) -> Result<(ws_client::WsSender, ws_client::WsReceiver), ws_client::WsError> {
        Err(ws_client::WsError::NotSupported("mints are polled".into()))
    }

    fn with_proxy(&mut self, _: Url, _: Option<&str>, _: bool) -> Result<(), HttpError> {
        unused("a proxy")
    }

    async fn http_get<R>(&self, url: Url, auth: Option<AuthToken>) -> Result<R, HttpError>
    where
        R: DeserializeOwned,
    {
        read(&self.ask(url, auth, None).await?)
    }

    async fn http_get_raw(&self, _: Url, _: Option<AuthToken>) -> Result<RawResponse, HttpError> {
        unused("a login")
    }

    async fn http_post<P, R>(
        &self,
        url: Url,
        auth: Option<AuthToken>,
        payload: &P,
    ) -> Result<R, HttpError>
    where
        P: Serialize + Send + Sync,
        R: DeserializeOwned,
    {
        let body = serde_json::to_vec(payload)
            .map_err(|error| HttpError::Build(format!("not written as JSON: {error}")))?;
        read(&self.ask(url, auth, Some(body.into())).await?)
    }

    async fn http_post_form_raw<P>(
        &self,
        _: Url,
        _: Option<AuthToken>,
        _: &P,
    ) -> Result<RawResponse, HttpError>
    where
        P: Serialize + Send + Sync,
    {
        unused("a login")
    }
}
