//! The Blossom client against servers that are honest, broken and hostile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use net::{BlobInfo, Blossom, BlossomError, EgressConfig, FetchError, GateError};
use nostr::event::Event;
use relay::SignFault;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use support::*;

const MAX: u64 = 1024 * 1024;

fn client(servers: &[&TestServer]) -> Blossom {
    Blossom::new(egress(servers), clock())
}

/// A server as BUD-01 and BUD-02 want it.
async fn honest() -> TestServer {
    let blobs: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
    TestServer::start(move |seen| {
        let mut blobs = blobs.lock().unwrap();
        let line = seen.line().to_owned();
        let path = line.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
        if line.starts_with("PUT /upload ") {
            let sha256 = hash(&seen.body).to_string();
            let known = blobs.insert(sha256.clone(), seen.body.clone()).is_some();
            let body = format!(
                r#"{{"url":"http://x/{sha256}.bin","sha256":"{sha256}","size":{},"type":"text/plain","uploaded":1,"more":[]}}"#,
                seen.body.len()
            );
            return vec![Some(status(if known { "200 OK" } else { "201 Created" }, "", &body))];
        }
        let Some(blob) = blobs.get(&path) else {
            return vec![Some(status("404 Not Found", "X-Reason: no such blob\r\n", ""))];
        };
        match line.starts_with("HEAD") {
            true => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-type: text/plain\r\n\r\n",
                    blob.len()
                );
                vec![Some(head.into_bytes())]
            }
            false => vec![Some(ok(blob))],
        }
    })
    .await
}

#[tokio::test]
async fn stores_finds_and_fetches() {
    let server = honest().await;
    let blossom = client(&[&server]);
    let bytes = b"the quick brown fox".repeat(5000);
    let sha256 = hash(&bytes);
    assert_eq!(blossom.head(&server.url, &sha256).await.unwrap(), None);
    let missing = blossom.get_from(&server.url, &sha256, MAX).await.unwrap_err();
    assert!(matches!(missing, BlossomError::NotFound { .. }) && !missing.is_retryable());

    for _ in 0..2 {
        let blob =
            blossom.put(&server.url, bytes.clone().into(), "text/plain", &signer()).await.unwrap();
        assert_eq!((blob.sha256, blob.size), (sha256, bytes.len() as u64));
    }
    let info = blossom.head(&server.url, &sha256).await.unwrap().unwrap();
    let media_type = Some("text/plain".to_owned());
    assert_eq!(info, BlobInfo { size: Some(bytes.len() as u64), media_type });
    assert_eq!(blossom.get_from(&server.url, &sha256, MAX).await.unwrap(), bytes);
}

#[tokio::test]
async fn the_authorization_is_what_bud11_asks_for() {
    let server = honest().await;
    let blossom = client(&[&server]);
    blossom.put(&server.url, b"x"[..].into(), "text/plain", &signer()).await.unwrap();
    let seen = server.seen().pop().unwrap();
    assert_eq!(seen.line(), "PUT /upload HTTP/1.1");
    assert_eq!(seen.header("content-type").unwrap(), "text/plain");
    assert_eq!(seen.header("content-length").unwrap(), "1");
    assert_eq!(seen.header("x-sha-256").unwrap(), hash(b"x").to_string());
    assert_eq!(seen.header("host").unwrap(), server.url.trim_start_matches("http://"));
    let header = seen.header("authorization").unwrap();
    let json = STANDARD.decode(header.strip_prefix("Nostr ").unwrap()).unwrap();
    let event = Event::from_json(json).unwrap();
    event.verify().unwrap();
    assert_eq!(event.kind.as_u16(), 24242);
    assert!(!event.content.is_empty());
    assert!(event.created_at.as_secs() < 1_800_000_000);
    let tags: Vec<String> = event.tags.iter().map(|tag| tag.as_slice().join(" ")).collect();
    let x = format!("x {}", hash(b"x"));
    assert_eq!(tags, ["t upload".to_owned(), x, "expiration 1800000600".to_owned()]);
}

#[tokio::test]
async fn nothing_is_signed_or_sent_where_the_gate_is_closed() {
    let server = honest().await;
    let blossom = client(&[]);
    let never = |_| -> Result<Event, SignFault> { panic!("nothing is to be signed") };
    let refused = blossom.put(&server.url, b"x"[..].into(), "text/plain", &never).await;
    assert!(matches!(refused, Err(BlossomError::Fetch(FetchError::Gate(_)))), "{refused:?}");
    let refused = blossom.get_from(&server.url, &hash(b"x"), MAX).await;
    assert!(matches!(refused, Err(BlossomError::Fetch(FetchError::Gate(_)))), "{refused:?}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn other_bytes_are_never_returned() {
    let wanted = hash(b"wanted");
    for body in [&b"other"[..], b"", b"wanted "] {
        let server = TestServer::fixed(ok(body)).await;
        let error = client(&[&server]).get_from(&server.url, &wanted, MAX).await.unwrap_err();
        assert!(matches!(error, BlossomError::WrongBytes { .. }), "{error}");
    }
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nwant".to_vec();
    let server = TestServer::fixed(cut).await;
    let error = client(&[&server]).get_from(&server.url, &wanted, MAX).await.unwrap_err();
    assert!(matches!(error, BlossomError::Fetch(FetchError::Http { .. })), "{error}");
    let partial = b"HTTP/1.1 206 Partial Content\r\ncontent-length: 6\r\n\r\nwanted".to_vec();
    let server = TestServer::fixed(partial).await;
    let error = client(&[&server]).get_from(&server.url, &wanted, MAX).await.unwrap_err();
    assert!(matches!(error, BlossomError::Refused { status: 206, .. }), "{error}");
    let coded = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\n\r\nwanted";
    let server = TestServer::fixed(*coded).await;
    let error = client(&[&server]).get_from(&server.url, &wanted, MAX).await.unwrap_err();
    assert!(matches!(error, BlossomError::Fetch(FetchError::Encoded { .. })), "{error}");
}

#[tokio::test]
async fn sizes_and_times_are_bounded() {
    let wanted = hash(b"wanted");
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    let chunk = {
        let mut chunk = b"10000\r\n".to_vec();
        chunk.extend(vec![b'x'; 0x10000]);
        chunk.extend(b"\r\n");
        chunk
    };
    let chunked = move || {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        std::iter::once(Some(head))
            .chain(std::iter::repeat_n(Some(chunk.clone()), 10))
            .collect::<Vec<_>>()
    };
    let (known, unknown) =
        (TestServer::fixed(announced).await, TestServer::start(move |_| chunked()).await);
    for server in [&known, &unknown] {
        let error = client(&[server]).get_from(&server.url, &wanted, 100_000).await.unwrap_err();
        let too_large =
            matches!(error, BlossomError::Fetch(FetchError::TooLarge { max_bytes: 100_000, .. }));
        assert!(too_large, "{error}");
    }
    let mute = TestServer::start(|_| vec![None]).await;
    let stalled = TestServer::start(|_| {
        vec![Some(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nwan".to_vec()), None]
    })
    .await;
    for server in [&mute, &stalled] {
        let error = client(&[server]).get_from(&server.url, &wanted, MAX).await.unwrap_err();
        assert!(matches!(error, BlossomError::Fetch(FetchError::TimedOut { .. })), "{error}");
        assert!(error.is_retryable());
    }
    let mut headers = b"HTTP/1.1 200 OK\r\n".to_vec();
    headers.extend(b"x-filler: 0123456789012345678901234567890123456789\r\n".repeat(5000));
    let server = TestServer::fixed(headers).await;
    let error = client(&[&server]).get_from(&server.url, &wanted, MAX).await.unwrap_err();
    assert!(matches!(error, BlossomError::Fetch(FetchError::Http { .. })), "{error}");
    let server = TestServer::fixed(*b"\x16\x03\x01 not http").await;
    let error = client(&[&server]).get_from(&server.url, &wanted, MAX).await.unwrap_err();
    assert!(matches!(error, BlossomError::Fetch(FetchError::Http { .. })), "{error}");
}

#[tokio::test]
async fn refusals_carry_the_servers_words() {
    let sha256 = hash(b"x");
    let cases = [
        (status("413 Too Large", "X-Reason: at most\x0910 MB\r\n", ""), 413, "at most 10 MB"),
        (
            status("401 Unauthorized", "", r#"{"message":"Missing Auth event"}"#),
            401,
            "Missing Auth event",
        ),
        (status("500 Oops", "", "<html>"), 500, "no reason given"),
    ];
    for (answer, code, words) in cases {
        let server = TestServer::fixed(answer).await;
        let blossom = client(&[&server]);
        for error in [
            blossom.put(&server.url, b"x"[..].into(), "text/plain", &signer()).await.unwrap_err(),
            blossom.get_from(&server.url, &sha256, MAX).await.unwrap_err(),
        ] {
            let BlossomError::Refused { status, reason, .. } = &error else { panic!("{error}") };
            assert_eq!((*status, reason.as_str()), (code, words));
            assert_eq!(error.is_retryable(), code == 500);
        }
    }
    let server = TestServer::fixed(status("402 Payment Required", "", "")).await;
    let error = client(&[&server]).head(&server.url, &sha256).await.unwrap_err();
    assert!(matches!(error, BlossomError::PaymentRequired { .. }), "{error}");
    for body in ["{}", "", r#"{"url":"u","sha256":"00","size":1}"#] {
        let server = TestServer::fixed(ok(body.as_bytes())).await;
        let blossom = client(&[&server]);
        let error = blossom.put(&server.url, b"x"[..].into(), "a/b", &signer()).await.unwrap_err();
        assert!(matches!(error, BlossomError::WrongDescriptor { .. }), "{error}");
    }
    let server = honest().await;
    let blossom = client(&[&server]);
    let error = blossom.put(&server.url, b"x"[..].into(), "a\nb", &signer()).await.unwrap_err();
    assert!(matches!(error, BlossomError::Fetch(FetchError::BadRequest(_))), "{error}");
}

fn redirect_to(target: String) -> Vec<u8> {
    status("307 Temporary Redirect", &format!("location: {target}\r\n"), "")
}

#[tokio::test]
async fn redirects_go_through_the_gate_again() {
    let blob = b"wanted";
    let sha256 = hash(blob);
    let target = TestServer::fixed(ok(blob)).await;
    let place = format!("{}/{sha256}", target.url);
    let source = TestServer::start(move |_| vec![Some(redirect_to(place.clone()))]).await;
    let fetched = client(&[&source, &target]).get_from(&source.url, &sha256, MAX).await.unwrap();
    assert_eq!(fetched, &blob[..]);

    // The target is at home, and nobody named it.
    let error = client(&[&source]).get_from(&source.url, &sha256, MAX).await.unwrap_err();
    let gate = matches!(error, BlossomError::Fetch(FetchError::Gate(GateError::Cleartext { .. })));
    assert!(gate, "{error}");
    assert_eq!(target.seen().len(), 1);

    for place in [
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "ftp://a.com/",
        "file:///etc/passwd",
        "//user:x@127.0.0.1/",
        "http://[",
        "",
    ] {
        let server = TestServer::start(move |_| vec![Some(redirect_to(place.to_owned()))]).await;
        let error = client(&[&server]).get_from(&server.url, &sha256, MAX).await.unwrap_err();
        assert!(
            matches!(
                error,
                BlossomError::Fetch(FetchError::Gate(_) | FetchError::BadRedirect { .. })
            ),
            "{place}: {error}"
        );
    }

    let round = TestServer::start(|_| vec![Some(redirect_to("/again".to_owned()))]).await;
    let blossom = client(&[&round]);
    let error = blossom.get_from(&round.url, &sha256, MAX).await.unwrap_err();
    assert!(matches!(error, BlossomError::Fetch(FetchError::BadRedirect { .. })), "{error}");
    assert_eq!(round.seen().len(), 4);
    let error = blossom.put(&round.url, b"x"[..].into(), "a/b", &signer()).await.unwrap_err();
    assert!(matches!(error, BlossomError::Fetch(FetchError::BadRedirect { .. })), "{error}");
    assert_eq!(round.seen().len(), 5);
}

#[tokio::test]
async fn tls_is_checked() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let server = TestServer::start_tls(Some(acceptor), |_| vec![Some(ok(b"wanted"))]).await;
    let wanted = hash(b"wanted");

    let stranger = client(&[&server]);
    let error = stranger.get_from(&server.url, &wanted, MAX).await.unwrap_err();
    assert!(matches!(error, BlossomError::Fetch(FetchError::Tls { .. })), "{error}");

    let tls = relay::tls::client_config_trusting([certificate]).unwrap();
    let config = EgressConfig { tls, resolver: Arc::new(Home), ..quick() };
    let blossom = Blossom::new(egress_with(config, &[&server]), clock());
    assert_eq!(blossom.get_from(&server.url, &wanted, MAX).await.unwrap(), &b"wanted"[..]);

    let by_address = server.url.replace("localhost", "127.0.0.1");
    let egress = egress(&[]);
    egress.trust(&by_address).unwrap();
    let error = Blossom::new(egress, clock()).get_from(&by_address, &wanted, MAX).await;
    assert!(matches!(error, Err(BlossomError::Fetch(FetchError::Tls { .. }))), "{error:?}");
}
