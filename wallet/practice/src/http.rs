//! What the three HTTP servers share: loopback listeners, the accept loop, bodies and answers.

use crate::stop::asked;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, future::Future, io, net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};

pub type Body = UnsyncBoxBody<Bytes, io::Error>;

const HEADERS_WITHIN: Duration = Duration::from_secs(60);
const BODY_WITHIN: Duration = Duration::from_secs(30);
const DRAIN_WITHIN: Duration = Duration::from_secs(2);
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Answers one request; every failure is an answer too.
pub trait Service: Send + Sync + 'static {
    fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Listens on this loopback port.
///
/// # Errors
/// If the port is taken or may not be used.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Serves until `stop` turns true, then lets running answers end within two seconds.
///
/// Each connection has `TCP_NODELAY` (a small answer must not wait for the ACK of the last one),
/// a bounded head, and a time by which its head must have come.
pub async fn serve<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    max_connections: usize,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(max_connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = asked(&mut stop) => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Over the limit the connection is closed at once rather than left waiting.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection went before it was served");
            continue;
        }
        let service = Arc::clone(&service);
        let mut stop = stop.clone();
        connections.spawn(async move {
            let answer = service_fn(move |request| {
                let service = Arc::clone(&service);
                async move { Ok::<_, Infallible>(service.call(request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_WITHIN)
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), answer)
                .with_upgrades();
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = asked(&mut stop) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP connection ended");
            }
            drop(place);
        });
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    let _rest_is_aborted = tokio::time::timeout(DRAIN_WITHIN, drained).await;
}

/// Why a request's body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not come within {} seconds", BODY_WITHIN.as_secs())]
    TooSlow,
    #[error("the body could not be read: {0}")]
    Broken(String),
}

/// Reads a whole body of at most `max_bytes`.
///
/// # Errors
/// If it is larger, slower than thirty seconds, or breaks off.
pub async fn read_body(body: Incoming, max_bytes: usize) -> Result<Bytes, BodyError> {
    // What is announced too large is refused before it comes.
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(BodyError::TooLarge(max_bytes));
    }
    let whole = tokio::time::timeout(BODY_WITHIN, Limited::new(body, max_bytes).collect())
        .await
        .map_err(|_| BodyError::TooSlow)?;
    match whole {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(max_bytes)),
        Err(error) => Err(BodyError::Broken(error.to_string())),
    }
}

/// A whole body, sent with its length in one write.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer with a content type and a whole body.
pub fn answer(
    status: StatusCode,
    content_type: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
