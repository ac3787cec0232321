//! The gate as the relay client's door.

mod support;

use futures_util::{SinkExt, StreamExt};
use net::Egress;
use relay::{Door, NostrClient, Pool, PoolConfig, RelayFact, RelayLimits, RelaySpec, RelayState};
use std::{sync::Arc, time::Duration};
use support::*;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use url::Url;

async fn first_state(egress: &Egress, url: &str, wanted: RelayState) -> Option<String> {
    let mut config = PoolConfig::new(Arc::new(egress.clone()), clock());
    config.relays.push(RelaySpec::full(url));
    let (sender, mut facts) = mpsc::channel(64);
    let pool = Pool::new(config, sender).expect("the address is well formed");
    let search = async {
        loop {
            match facts.recv().await.expect("the pool lives") {
                RelayFact::State { state, detail, .. } if state == wanted => return detail,
                _ => {}
            }
        }
    };
    let detail = timeout(Duration::from_secs(10), search).await.expect("in time");
    pool.shutdown().await;
    detail
}

#[tokio::test]
async fn relays_are_dialled_only_where_the_gate_leads() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let relay = tokio::spawn(async move {
        let mut accepted = 0;
        while let Ok((stream, _)) = listener.accept().await {
            accepted += 1;
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { continue };
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() {
                    let _ = socket.flush().await;
                    return accepted;
                }
            }
        }
        accepted
    });
    let egress = egress(&[]);
    let detail = first_state(&egress, &url, RelayState::Disconnected).await.expect("a reason");
    assert!(detail.contains("without encryption"), "{detail}");
    let private = first_state(&egress, "wss://10.0.0.1", RelayState::Disconnected).await;
    assert!(private.expect("a reason").contains("not on the public internet"));

    egress.trust(&url).expect("well formed");
    first_state(&egress, &url, RelayState::Connected).await;
    assert_eq!(relay.await.expect("the relay ends"), 1);
}

#[tokio::test]
async fn a_relays_limits_are_read_over_http() {
    let document = r#"{"name":"r","limitation":{"max_message_length":16384}}"#;
    let server = TestServer::start(move |seen| {
        let asked = seen.header("accept").is_some_and(|a| a == "application/nostr+json");
        vec![Some(if asked { ok(document.as_bytes()) } else { status("400 Bad", "", "") })]
    })
    .await;
    let egress = egress(&[&server]);
    let url = Url::parse(&server.url.replace("http:", "ws:")).expect("an address");
    let limits = egress.relay_limits(&url).await.expect("limits");
    assert_eq!(limits, RelayLimits { max_message_bytes: Some(16384), ..RelayLimits::default() });
    for answer in [ok(b"<html>"), status("404 Not Found", "", document), ok(&[b' '; 100_000])] {
        let server = TestServer::fixed(answer).await;
        egress.trust(&server.url).expect("an address");
        let url = Url::parse(&server.url.replace("http:", "ws:")).expect("an address");
        assert_eq!(egress.relay_limits(&url).await, None);
    }
}
