//! An embedded Nostr relay: NIP-01, 09, 11, 40, 42 and 70 on one loopback port.

mod config;
mod connection;
mod event;
mod hub;
mod index;
mod message;
mod outbox;
mod subscriptions;

#[cfg(test)]
mod tests;

pub use config::{Authentication, RelayConfig};

use crate::{
    frames::FrameError,
    http::{self, Body, Service},
    stop::asked,
};
use hub::{Hub, Writer};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderMap, HeaderValue},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error("the practice relay's file failed: {0}")]
    File(#[from] FrameError),
    #[error("the practice relay cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// A running relay. Dropping it without [`Relay::stop`] leaves its tasks to the runtime's end.
pub struct Relay {
    hub: Arc<Hub>,
    port: u16,
    writer: Writer,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Relay {
    /// Loads the events of `file` and serves on `listener`.
    ///
    /// # Errors
    /// If the file is not the relay's or the listener has no address.
    pub fn start(
        listener: TcpListener,
        file: &Path,
        config: RelayConfig,
    ) -> Result<Self, RelayError> {
        let port = listener.local_addr()?.port();
        let max_connections = config.max_connections;
        let (hub, writer) = Hub::open(file, config)?;
        let (stop, stopping) = watch::channel(false);
        let door = Arc::new(Door {
            hub: Arc::clone(&hub),
            port,
            next: AtomicU64::new(1),
            places: Arc::new(Semaphore::new(max_connections)),
            stopping: stopping.clone(),
        });
        let serving = tokio::spawn(http::serve(listener, door, max_connections, stopping));
        Ok(Self { hub, port, writer, stop, serving })
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    pub fn stored_events(&self) -> usize {
        self.hub.stored_events()
    }

    /// Ends every connection and returns when all events are written.
    pub async fn stop(self) {
        let Self { hub, writer, stop, serving, .. } = self;
        stop.send_replace(true);
        let _ended = serving.await;
        drop(hub);
        let _joined = tokio::task::spawn_blocking(move || writer.join()).await;
    }
}

/// Answers HTTP requests: NIP-11, or an upgrade to a websocket.
struct Door {
    hub: Arc<Hub>,
    port: u16,
    next: AtomicU64,
    /// Places for websockets, which outlive the HTTP connections that they were.
    places: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Service for Door {
    async fn call(self: Arc<Self>, mut request: Request<Incoming>) -> Response<Body> {
        let mut response = if wants(request.headers(), header::UPGRADE, "websocket") {
            self.upgrade(&mut request)
        } else if request.method() != Method::GET {
            http::answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET is answered here")
        } else if wants(request.headers(), header::ACCEPT, "application/nostr+json") {
            let document = self.hub.config.document().to_string();
            http::answer(StatusCode::OK, "application/nostr+json", document)
        } else {
            let text = "PRACTICE: a Nostr relay. Connect with a websocket.\n";
            http::answer(StatusCode::OK, "text/plain", text)
        };
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
    }
}

impl Door {
    /// RFC 6455, section 4.2.
    fn upgrade(self: &Arc<Self>, request: &mut Request<Incoming>) -> Response<Body> {
        let headers = request.headers();
        let bad = |text: &'static str| http::answer(StatusCode::BAD_REQUEST, "text/plain", text);
        if request.method() != Method::GET || !wants(headers, header::CONNECTION, "upgrade") {
            return bad("a websocket begins with GET and Connection: Upgrade");
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            let mut response = http::answer(
                StatusCode::UPGRADE_REQUIRED,
                "text/plain",
                "websocket version 13 only",
            );
            let version = HeaderValue::from_static("13");
            response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, version);
            return response;
        }
        let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
            return bad("Sec-WebSocket-Key is missing");
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let text = "too many clients are connected";
            return http::answer(StatusCode::SERVICE_UNAVAILABLE, "text/plain", text);
        };
        let accept = derive_accept_key(key.as_bytes());
        let upgrade = hyper::upgrade::on(request);
        tokio::spawn(Arc::clone(self).converse(upgrade, place));
        let mut response = Response::new(http::full(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }

    async fn converse(self: Arc<Self>, upgrade: OnUpgrade, place: OwnedSemaphorePermit) {
        let Ok(upgraded) = upgrade.await else { return };
        let max = self.hub.config.max_frame_bytes;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(max))
            .max_frame_size(Some(max))
            .read_buffer_size(32 * 1024)
            .max_write_buffer_size(64 * 1024 * 1024);
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(limits)).await;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut stopping = self.stopping.clone();
        let hub = Arc::clone(&self.hub);
        let port = self.port;
        drop(self);
        tokio::select! {
            () = connection::converse(socket, id, Arc::clone(&hub), port) => {}
            () = asked(&mut stopping) => hub.disconnect(id),
        }
        drop(place);
    }
}

fn wants(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split([',', ';']).any(|part| part.trim().eq_ignore_ascii_case(token)))
}
