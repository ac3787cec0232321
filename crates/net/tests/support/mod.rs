//! A tiny HTTP server for tests, which answers whatever a test says, byte for byte.
#![allow(dead_code, reason = "each test file uses a part")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use domain::{Sha256Hash, Timestamp};
use net::{Egress, EgressConfig, Resolver};
use nostr::event::{EventBuilder, FinalizeEvent};
use nostr::key::Keys;
use relay::{BoxFuture, Clock, SignFault, Signer};
use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }
}

/// What is written, in pieces; `None` waits for ever.
pub type Script = Arc<dyn Fn(&Seen) -> Vec<Option<Vec<u8>>> + Send + Sync>;

pub struct TestServer {
    pub url: String,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestServer {
    pub async fn start(
        answer: impl Fn(&Seen) -> Vec<Option<Vec<u8>>> + Send + Sync + 'static,
    ) -> Self {
        Self::start_tls(None, answer).await
    }

    pub async fn start_tls(
        tls: Option<tokio_rustls::TlsAcceptor>,
        answer: impl Fn(&Seen) -> Vec<Option<Vec<u8>>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = match tls {
            None => format!("http://{address}"),
            Some(_) => format!("https://localhost:{}", address.port()),
        };
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (script, log): (Script, _) = (Arc::new(answer), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log, tls) = (script.clone(), log.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, script, log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, script, log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url, seen, task }
    }

    /// Answers everything with one text.
    pub async fn fixed(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_| vec![Some(answer.clone())]).await
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    script: Script,
    log: Arc<Mutex<Vec<Seen>>>,
) {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let mut body = bytes.split_off(head_end);
    let mut seen = Seen { head: String::from_utf8(bytes).unwrap(), body: Vec::new() };
    let length = seen.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    while body.len() < length && stream.read_buf(&mut body).await.unwrap_or(0) > 0 {}
    seen.body = body;
    log.lock().unwrap().push(seen.clone());
    for piece in script(&seen) {
        match piece {
            Some(piece) => {
                if stream.write_all(&piece).await.is_err() {
                    return;
                }
            }
            None => std::future::pending().await,
        }
    }
    let _ = stream.shutdown().await;
}

pub fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

pub fn status(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Names lead to loopback; quick time-outs.
pub fn egress(trusted: &[&TestServer]) -> Egress {
    egress_with(EgressConfig { resolver: Arc::new(Home), ..quick() }, trusted)
}

pub fn quick() -> EgressConfig {
    EgressConfig {
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_millis(400),
        ..EgressConfig::default()
    }
}

pub fn egress_with(config: EgressConfig, trusted: &[&TestServer]) -> Egress {
    let egress = Egress::new(config);
    for server in trusted {
        egress.trust(&server.url).unwrap();
    }
    egress
}

pub struct Home;

impl Resolver for Home {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

pub fn clock() -> Clock {
    Arc::new(|| Timestamp::from_secs(1_800_000_000))
}

pub fn signer() -> impl Signer {
    |draft: EventBuilder| {
        let keys = Keys::parse(&"33".repeat(32)).unwrap();
        draft.finalize(&keys).map_err(|error| SignFault(error.to_string()))
    }
}

pub fn hash(bytes: &[u8]) -> Sha256Hash {
    Sha256Hash::of(bytes)
}
