//! Relays that lie, flood, stall and break off: nothing that does not hold is ever handed on.

mod support;

use relay::{EventFault, NostrClient, RelayFact, RelaySpec, RelayState};
use std::{sync::Arc, time::Duration};
use support::*;
use tokio::{io::AsyncWriteExt, net::TcpListener};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn forged_events_are_counted_and_never_handed_on() {
    let (honest, liar) = (TestRelay::start().await, TestRelay::start().await);
    let mut client = Client::of(&[&honest, &liar]);
    client.subscribe_kind("jobs", 5050);
    let real = signed("pay 1 sat");
    let (name_honest, name) = (honest.subscription().await, liar.subscription().await);
    honest.send(event_frame(&name_honest, &real.as_json()));
    assert_eq!(client.wait_event().await.1, real);

    let json = real.as_json();
    let other = signed("other");
    let forgeries = [
        // The id was seen and verified before; the contents are not what it names.
        json.replace("pay 1 sat", "pay 9 sat"),
        json.replace(&real.sig.to_hex(), &other.sig.to_hex()),
        json.replace(&real.sig.to_hex(), &"0".repeat(128)),
        json.replace(&real.pubkey.to_hex(), &"f".repeat(64)),
        json.replace(&real.id.to_hex(), &other.id.to_hex()),
        json.replace(&real.id.to_hex(), &real.id.to_hex().to_uppercase()),
        json.replace(r#""sig""#, r#""no""#),
        "{}".to_owned(),
        "7".to_owned(),
    ];
    for forgery in &forgeries {
        liar.send(event_frame(&name, forgery));
        honest.send(event_frame(&name_honest, forgery));
    }
    let fault = client
        .wait(|fact| match fact {
            RelayFact::BadEvents { latest, .. } => Some(latest),
            RelayFact::Event { event, .. } => panic!("handed on {event:?}"),
            _ => None,
        })
        .await;
    assert_eq!(fault, EventFault::WrongId);
    let after = signed("after");
    liar.send(event_frame(&name, &after.as_json()));
    assert_eq!(client.wait_event().await.1, after);
    assert!(client.events_for(Duration::from_millis(300)).await.is_empty());
    for health in client.pool.health() {
        assert_eq!(health.bad, forgeries.len() as u64, "{health:?}");
    }
}

#[tokio::test]
async fn nonsense_is_survived() {
    let relay = TestRelay::start().await;
    let mut client = Client::of(&[&relay]);
    client.subscribe_kind("jobs", 5050);
    let name = relay.subscription().await;
    let nonsense = ["", "{", "[]", "null", "[\"EVENT\"]", "[\"OK\",1,2]", "[\"EOSE\",{}]", "\u{0}"];
    for text in nonsense {
        relay.send(text);
    }
    relay.send(format!("[\"EVENT\",\"{name}\",{}{}]", "[".repeat(9_999), "]".repeat(9_999)));
    relay.send_message(Message::binary(vec![0xff; 1000]));
    relay.send(event_frame("no such subscription", &signed("stray").as_json()));
    relay.send(event_frame("99", &signed("stray").as_json()));
    relay.send(r#"["EOSE","99"]"#);
    relay.send(format!(r#"["OK","{}",true,"never sent"]"#, "ab".repeat(32)));
    let event = signed("good");
    relay.send(event_frame(&name, &event.as_json()));
    assert_eq!(client.wait_event().await.1, event);
    assert_eq!(client.pool.health()[0].bad, nonsense.len() as u64 + 2);
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn unasked_events_are_refused() {
    let relay = TestRelay::start().await;
    let mut client = Client::of(&[&relay]);
    client.subscribe_kind("results", 6050);
    let name = relay.subscription().await;
    relay.send(event_frame(&name, &signed("a request").as_json()));
    let fault = client
        .wait(|fact| match fact {
            RelayFact::BadEvents { latest, total, .. } => Some((latest, total)),
            _ => None,
        })
        .await;
    assert_eq!(fault, (EventFault::NotAskedFor, 1));
}

#[tokio::test]
async fn a_huge_frame_ends_the_connection_not_the_client() {
    let relay = TestRelay::start().await;
    let mut client = Client::of(&[&relay]);
    client.subscribe_kind("jobs", 5050);
    relay.subscription().await;
    relay.send(format!("[\"NOTICE\",\"{}\"]", "x".repeat(2 * 1024 * 1024)));
    let detail = client.wait_state(RelayState::Disconnected).await.unwrap();
    assert!(detail.contains("larger than we read"), "{detail}");
    client.wait_state(RelayState::Connected).await;
    relay.wait_received("REQ", 2).await;
}

#[tokio::test]
async fn a_flood_of_lies_is_ended() {
    let relay = TestRelay::start().await;
    let mut client = Client::of(&[&relay]);
    client.subscribe_kind("jobs", 5050);
    let name = relay.subscription().await;
    let lie = signed("x").as_json().replace("\"x\"", "\"y\"");
    for _ in 0..2_000 {
        relay.send(event_frame(&name, &lie));
    }
    let detail = client.wait_state(RelayState::Disconnected).await.unwrap();
    assert!(detail.contains("does not hold"), "{detail}");
}

#[tokio::test]
async fn what_is_not_a_relay_is_named() {
    let mut client = Client::new(config(&[]));
    client.pool.add_relay(&RelaySpec::full(dead_url().await)).unwrap();
    let detail = client.wait_state(RelayState::Disconnected).await.unwrap();
    assert!(detail.contains("could not connect"), "{detail}");

    let mut client = Client::new(config(&[]));
    client.pool.add_relay(&RelaySpec::full("wss://relay.example")).unwrap();
    assert_eq!(client.wait_state(RelayState::Disconnected).await.unwrap(), "only this machine");

    let (listener, url) = silent_listener().await;
    let mut hasty = config(&[]);
    hasty.timing.connect = Duration::from_millis(100);
    let mut client = Client::new(hasty);
    client.pool.add_relay(&RelaySpec::full(&url)).unwrap();
    let detail = client.wait_state(RelayState::Disconnected).await.unwrap();
    assert!(detail.contains("no answer"), "{detail}");
    drop(listener);

    for (answer, expected) in [
        (&b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"[..], "403"),
        (b"\x16\x03\x01nonsense\r\n\r\n", ""),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", ""),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let answer = answer.to_vec();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let mut client = Client::new(config(&[]));
        client.pool.add_relay(&RelaySpec::full(&url)).unwrap();
        let detail = client.wait_state(RelayState::Disconnected).await.unwrap();
        assert!(!detail.is_empty() && detail.contains(expected), "{detail}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn repeated_challenges_do_not_make_us_sign_for_ever() {
    let challenges = (0..50).map(|n| Message::text(format!(r#"["AUTH","c{n}"]"#))).collect();
    let relay = TestRelay::start_with(|k| k.greeting = challenges).await;
    let signed = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = signed.clone();
    let mut config = config(&[&relay]);
    config.auth_signer = Some(Arc::new(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Err(relay::SignFault("no".into()))
    }));
    let mut client = Client::new(config);
    client.subscribe_kind("jobs", 5050);
    client.wait_eose().await;
    assert!(signed.load(std::sync::atomic::Ordering::SeqCst) <= 4);
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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let relay = TestRelay::serve(listener, Some(acceptor), |_| {});

    let mut client = Client::of(&[&relay]);
    let detail = client.wait_state(RelayState::Disconnected).await.unwrap();
    assert!(detail.to_lowercase().contains("certificate"), "{detail}");
    assert_eq!(relay.connections(), 0);

    let mut trusting = config(&[&relay]);
    trusting.tls = relay::tls::client_config_trusting([certificate]).unwrap();
    let mut client = Client::new(trusting);
    client.wait_state(RelayState::Connected).await;
    client.subscribe_kind("jobs", 5050);
    client.wait_eose().await;
}
