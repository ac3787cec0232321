//! Fronts against servers that behave, lie, hang, flood and leave.

use super::*;
use std::{net::Ipv4Addr, time::Instant};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};
use wallet::chain::Login;

const HEADER: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3\
                      edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4adae5494dffff7f\
                      2002000000";

/// How a server misbehaves once it has been greeted.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    Lies,
    Hangs,
    Floods,
    Leaves,
    Babbles,
}

async fn bind() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// An HTTP server: answers with its moods in turn, the last one for ever.
async fn http_server(moods: &'static [Mood]) -> u16 {
    let (listener, port) = bind().await;
    tokio::spawn(async move {
        for at in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mood = moods[at.min(moods.len() - 1)];
            tokio::spawn(async move { one_http_answer(&mut stream, mood).await });
        }
    });
    port
}

async fn one_http_answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), mood: Mood) {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    assert!(!head.contains(PASS_HEADER), "the pass is between the node and the front");
    let close = "Connection: close\r\n";
    let text = match mood {
        Mood::Good => genesis(Network::Regtest).to_string(),
        Mood::Lies => genesis(Network::Mainnet).to_string(),
        Mood::Babbles => "<html>".repeat(100),
        Mood::Leaves => return,
        Mood::Hangs => std::future::pending().await,
        Mood::Floods => {
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await;
            while stream.write_all(&[b'x'; 1 << 16]).await.is_ok() {}
            return;
        }
    };
    let answer = format!("HTTP/1.1 200 OK\r\n{close}Content-Length: {}\r\n\r\n{text}", text.len());
    let _gone = stream.write_all(answer.as_bytes()).await;
    let _gone = stream.shutdown().await;
}

/// An Electrum server that greets as it should, and then is in its mood.
async fn electrum_server(moods: &'static [Mood]) -> u16 {
    let (listener, port) = bind().await;
    tokio::spawn(async move {
        for at in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            let mood = moods[at.min(moods.len() - 1)];
            tokio::spawn(electrum_session(stream, mood));
        }
    });
    port
}

async fn electrum_session(stream: impl AsyncRead + AsyncWrite + Unpin, mood: Mood) {
    let mut stream = BufReader::new(stream);
    let mut greeted = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let call: serde_json::Value = serde_json::from_str(&line).unwrap();
        let method = call["method"].as_str().unwrap();
        assert_eq!(greeted, method != "server.version", "the version comes first, and once");
        greeted = true;
        let result = match (method, mood) {
            ("server.version", Mood::Babbles) => serde_json::json!("no list"),
            ("server.version", _) => serde_json::json!(["Test 1", "1.4"]),
            ("blockchain.block.header", Mood::Lies) => {
                let first = genesis_block(ldk_node::bitcoin::Network::Bitcoin).header;
                ldk_node::bitcoin::consensus::encode::serialize_hex(&first).into()
            }
            ("blockchain.block.header", _) => HEADER.into(),
            (_, Mood::Hangs) => std::future::pending().await,
            (_, Mood::Leaves) => return,
            (_, Mood::Floods) => {
                while stream.write_all(&[b'x'; 1 << 16]).await.is_ok() {}
                return;
            }
            _ => "pong".into(),
        };
        let answer = serde_json::json!({ "jsonrpc": "2.0", "id": call["id"], "result": result });
        if stream.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn esplora(port: u16) -> Source {
    Source::Esplora { url: format!("http://127.0.0.1:{port}/api"), certificate_sha256: None }
}

fn electrum(port: u16) -> Source {
    Source::Electrum { url: format!("tcp://127.0.0.1:{port}"), certificate_sha256: None }
}

async fn open(source: Source) -> Result<Front, SourceError> {
    Front::open(&source, Network::Regtest).await
}

async fn get(front: &Front, head: &str) -> (u16, usize) {
    let mut stream = TcpStream::connect(front.address()).await.unwrap();
    let asked =
        format!("GET /block-height/0 HTTP/1.1\r\nHost: x\r\n{head}Connection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer.len())
}

#[tokio::test]
async fn a_server_of_another_network_is_refused() {
    for source in
        [esplora(http_server(&[Mood::Lies]).await), electrum(electrum_server(&[Mood::Lies]).await)]
    {
        let error = open(source).await.err().unwrap();
        assert!(matches!(error, SourceError::OtherNetwork { .. }), "{error}");
        assert!(error.to_string().contains("regtest"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_none_is_not_used() {
    let (_closed, free) = bind().await;
    drop(_closed);
    for source in [
        esplora(free),
        esplora(http_server(&[Mood::Leaves]).await),
        esplora(http_server(&[Mood::Babbles]).await),
        esplora(http_server(&[Mood::Floods]).await),
        electrum(free),
        electrum(electrum_server(&[Mood::Babbles]).await),
    ] {
        let error = open(source).await.err().unwrap();
        assert!(matches!(error, SourceError::NotReachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn only_the_node_is_served_and_trouble_ends_with_the_next_good_answer() {
    let port = http_server(&[Mood::Good, Mood::Leaves, Mood::Floods, Mood::Good]).await;
    let front = open(esplora(port)).await.unwrap();
    assert_eq!(get(&front, "").await.0, 401);
    assert_eq!(get(&front, "x-front-pass: wrong\r\n").await.0, 401);
    let pass = format!("{PASS_HEADER}: {}\r\n", front.pass);
    assert_eq!(get(&front, &pass).await.0, 502);
    assert!(front.trouble().is_some());
    let (status, bytes) = get(&front, &pass).await;
    assert_eq!(status, 502);
    assert!(bytes < 1_000 && front.trouble().unwrap().contains("16 MiB"), "{:?}", front.trouble());
    assert_eq!(get(&front, &pass).await.0, 200);
    assert_eq!(front.trouble(), None);
}

#[tokio::test]
async fn a_cookie_is_read_anew_for_each_call() {
    let (listener, port) = bind().await;
    let dir = tempfile::tempdir().unwrap();
    let cookie = dir.path().join(".cookie");
    std::fs::write(&cookie, "__cookie__:first\n").unwrap();
    let login = Login::CookieFile(cookie.display().to_string());
    let source = Source::Bitcoind { host: "127.0.0.1".into(), port, login };
    let serving = tokio::spawn(async move {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4_096];
            let count = stream.read(&mut asked).await.unwrap();
            seen.push(String::from_utf8_lossy(&asked[..count]).into_owned());
            let text = format!(r#"{{"result":"{}"}}"#, genesis(Network::Regtest));
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        seen
    });
    let front = open(source).await.unwrap();
    std::fs::write(&cookie, "__cookie__:other\n").unwrap();
    use base64::{Engine, prelude::BASE64_STANDARD};
    let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
    let node = format!("Authorization: {}\r\n", basic(&format!("{PASS_USER}:{}", front.pass)));
    assert_eq!(get(&front, &node).await.0, 200);
    let seen = serving.await.unwrap();
    assert!(seen[0].contains(&basic("__cookie__:first")), "{}", seen[0]);
    assert!(seen[1].contains(&basic("__cookie__:other")), "{}", seen[1]);
    assert!(!seen[1].contains(&front.pass));
}

/// One line to the front, and what comes back until the connection ends or a line does.
async fn line(front: &Front) -> Option<String> {
    let mut stream = BufReader::new(TcpStream::connect(front.address()).await.unwrap());
    stream.write_all(b"{\"id\":7,\"method\":\"server.ping\"}\n").await.unwrap();
    let mut answer = String::new();
    let read = stream.read_line(&mut answer).await;
    (read.is_ok() && answer.ends_with('\n')).then_some(answer)
}

#[tokio::test]
async fn an_electrum_session_is_greeted_for_the_node() {
    let moods = &[Mood::Good, Mood::Leaves, Mood::Floods, Mood::Lies, Mood::Good];
    let front = open(electrum(electrum_server(moods).await)).await.unwrap();
    assert_eq!(line(&front).await, None, "it left");
    assert_eq!(line(&front).await, None, "it flooded");
    assert!(front.trouble().unwrap().contains("16 MiB"), "{:?}", front.trouble());
    assert_eq!(line(&front).await, None, "it is of another network now");
    assert!(front.trouble().unwrap().contains("another network"), "{:?}", front.trouble());
    assert!(line(&front).await.unwrap().contains("pong"));
    assert_eq!(front.trouble(), None);
}

#[tokio::test]
async fn who_hangs_is_left_and_found_again() {
    let moods = &[Mood::Good, Mood::Hangs, Mood::Good];
    let (http, lines) =
        tokio::join!(async { open(esplora(http_server(moods).await)).await.unwrap() }, async {
            open(electrum(electrum_server(moods).await)).await.unwrap()
        },);
    let started = Instant::now();
    let pass = format!("{PASS_HEADER}: {}\r\n", http.pass);
    let (hung, none) = tokio::join!(get(&http, &pass), line(&lines));
    assert_eq!((hung.0, none), (502, None));
    assert!(started.elapsed() < Duration::from_secs(40));
    for front in [&http, &lines] {
        assert!(front.trouble().unwrap().contains("did not answer"), "{:?}", front.trouble());
    }
    assert_eq!(get(&http, &pass).await.0, 200);
    assert!(line(&lines).await.is_some());
}

#[tokio::test]
async fn an_encrypted_server_shows_its_certificate() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let certificate = made.cert.der().clone();
    use sha2::Digest;
    let fingerprint = sha2::Sha256::digest(&certificate).to_lower_hex_string();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    for electrum in [false, true] {
        let (listener, port) = bind().await;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                tokio::spawn(async move {
                    match electrum {
                        true => electrum_session(stream, Mood::Good).await,
                        false => one_http_answer(&mut stream, Mood::Good).await,
                    }
                });
            }
        });
        let source = |pin: Option<&str>| {
            let certificate_sha256 = pin.map(str::to_owned);
            match electrum {
                true => {
                    Source::Electrum { url: format!("ssl://localhost:{port}"), certificate_sha256 }
                }
                false => {
                    Source::Esplora { url: format!("https://localhost:{port}"), certificate_sha256 }
                }
            }
        };
        assert!(open(source(None)).await.is_err(), "no authority signed it");
        let other = "0".repeat(64);
        let error = open(source(Some(&other))).await.err().unwrap().to_string();
        assert!(error.contains(&fingerprint), "who sees it can compare and name it: {error}");
        let front = open(source(Some(&fingerprint))).await.unwrap();
        match electrum {
            true => assert!(line(&front).await.unwrap().contains("pong")),
            false => {
                let pass = format!("{PASS_HEADER}: {}\r\n", front.pass);
                assert_eq!(get(&front, &pass).await.0, 200);
            }
        }
    }
}
