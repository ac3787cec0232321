//! Subscribing: order, copies, reconnects and a consumer that is slow.

mod support;

use nostr::event::Kind;
use nostr::filter::Filter;
use relay::{NostrClient, RelayFact, RelayState, Timing};
use std::time::Duration;
use support::*;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn stored_then_live_each_once_over_several_relays() {
    let (a, b) = (TestRelay::start().await, TestRelay::start().await);
    let (old, new) = (signed("old"), signed("new"));
    a.store(&old);
    b.store(&old);
    let mut client = Client::of(&[&a, &b]);
    client.subscribe_kind("jobs", 5050);
    let mut eoses = 0;
    let mut seen = Vec::new();
    while eoses < 2 {
        client
            .wait(|fact| match fact {
                RelayFact::Event { event, subscription, .. } => {
                    assert_eq!(&*subscription, "jobs");
                    seen.push(event.content.clone());
                    Some(())
                }
                RelayFact::Eose { subscription, .. } => {
                    assert_eq!(&*subscription, "jobs");
                    eoses += 1;
                    Some(())
                }
                _ => None,
            })
            .await;
    }
    assert_eq!(seen, ["old"]);
    for relay in [&a, &b] {
        let name = relay.subscription().await;
        relay.send(event_frame(&name, &new.as_json()));
    }
    let events = client.events_for(Duration::from_millis(300)).await;
    assert_eq!(events, [new]);
    let duplicates: u64 = client.pool.health().iter().map(|health| health.duplicates).sum();
    assert_eq!(duplicates, 2);
}

#[tokio::test]
async fn each_subscription_gets_its_own_copy() {
    let relay = TestRelay::start().await;
    relay.store(&signed("x"));
    let mut client = Client::of(&[&relay]);
    client.subscribe_kind("first", 5050);
    assert_eq!(client.wait_event().await.0, "first");
    client.subscribe_kind("second", 5050);
    assert_eq!(client.wait_event().await.0, "second");
    client.subscribe_kind("second", 5051);
    relay.wait_received("CLOSE", 1).await;
    client.pool.unsubscribe("first");
    relay.wait_received("CLOSE", 2).await;
    let name = relay.received("REQ")[0][1].as_str().unwrap().to_owned();
    relay.send(event_frame(&name, &signed("late").as_json()));
    assert!(client.events_for(Duration::from_millis(200)).await.is_empty());
}

#[tokio::test]
async fn a_reconnect_catches_up_without_repeating() {
    let relay = TestRelay::start().await;
    relay.store(&signed("before"));
    let mut client = Client::of(&[&relay]);
    let filter = Filter::new().kind(Kind::from(5050)).limit(10);
    client.pool.subscribe("jobs", vec![filter]).unwrap();
    assert_eq!(client.wait_event().await.1.content, "before");
    client.wait_eose().await;

    relay.drop_connections();
    relay.store(&signed("while away"));
    assert!(client.wait_state(RelayState::Disconnected).await.is_some());
    assert_eq!(client.wait_event().await.1.content, "while away");
    let requests = relay.wait_received("REQ", 2).await;
    assert_eq!(requests[0][2].get("since"), None);
    assert_eq!(requests[0][2]["limit"], 10);
    let since = requests[1][2]["since"].as_u64().unwrap();
    let lag = now().as_secs() - since;
    assert!((300..330).contains(&lag), "overlap of {lag} s");
    assert_eq!(requests[1][2].get("limit"), None);
    assert!(client.events_for(Duration::from_millis(200)).await.is_empty());
    assert_eq!(client.pool.health()[0].connects, 2);
}

#[tokio::test]
async fn what_was_not_in_step_is_asked_for_in_full_again() {
    let relay = TestRelay::start_with(|k| k.require_auth = true).await;
    let mut client = Client::of(&[&relay]);
    client.subscribe_kind("jobs", 5050);
    relay.wait_received("REQ", 1).await;
    relay.drop_connections();
    let requests = relay.wait_received("REQ", 2).await;
    assert_eq!(requests[1][2].get("since"), None);
    client.wait_state(RelayState::Connected).await;
}

#[tokio::test]
async fn a_refused_subscription_is_reported() {
    let relay = TestRelay::start().await;
    let mut client = Client::of(&[&relay]);
    client.subscribe_kind("jobs", 5050);
    let name = relay.subscription().await;
    relay.send(format!(r#"["CLOSED","{name}","error: too many\u001b filters"]"#));
    let reason = client
        .wait(|fact| match fact {
            RelayFact::Closed { subscription, reason, .. } if &*subscription == "jobs" => {
                Some(reason)
            }
            _ => None,
        })
        .await;
    assert_eq!(reason, "error: too many  filters");
    relay.send(r#"["NOTICE","hello"]"#);
    client
        .wait(|fact| {
            matches!(fact, RelayFact::Notice { text, .. } if text == "hello").then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_slow_consumer_slows_the_relay_and_loses_nothing() {
    const EVENTS: usize = 3_000;
    let relay = TestRelay::start().await;
    for n in 0..EVENTS {
        relay.store(&signed(&n.to_string()));
    }
    let mut config = config(&[&relay]);
    config.limits.queue_events = 16;
    config.limits.queue_bytes = 64 * 1024;
    let (sender, facts) = tokio::sync::mpsc::channel(1);
    let mut client = Client { pool: relay::Pool::new(config, sender).unwrap(), facts };
    client.subscribe_kind("jobs", 5050);
    relay.wait_received("REQ", 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let read = client.pool.health()[0].received;
    assert!(read < 100, "{read} events were read although nobody took them");
    for n in 0..EVENTS {
        assert_eq!(client.wait_event().await.1.content, n.to_string());
    }
    client.wait_eose().await;
}

#[tokio::test]
async fn silence_is_noticed_and_a_quiet_relay_is_kept() {
    let quick = Timing {
        ping_after: Duration::from_millis(50),
        dead_after: Duration::from_millis(400),
        ..timing()
    };
    let deaf = TestRelay::start_with(|k| k.deaf = true).await;
    let mut config_deaf = config(&[&deaf]);
    config_deaf.timing = quick;
    let mut client = Client::new(config_deaf);
    let detail = client.wait_state(RelayState::Disconnected).await.unwrap();
    assert!(detail.contains("nothing was heard"), "{detail}");

    let quiet = TestRelay::start().await;
    let mut config_quiet = config(&[&quiet]);
    config_quiet.timing = quick;
    let mut client = Client::new(config_quiet);
    client.wait_state(RelayState::Connected).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(quiet.connections(), 1);
    assert_eq!(client.pool.health()[0].state, RelayState::Connected);
    quiet.send_message(Message::Ping("are you there".into()));
    client.subscribe_kind("jobs", 5050);
    client.wait_eose().await;
}
