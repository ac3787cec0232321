//! Publishing: every relay's answer, and every way of not answering.

mod support;

use nostr::event::{EventBuilder, FinalizeEvent};
use relay::{
    NostrClient, Outgoing, PublishOptions, PublishReport, Refusal, RelaySpec, RelayState,
    SignFault, Signer, Targets,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use support::*;
use tokio::time::Instant;

fn within(millis: u64) -> PublishOptions {
    PublishOptions { timeout: Duration::from_millis(millis), ..PublishOptions::default() }
}

async fn publish(client: &Client, content: &str, millis: u64) -> PublishReport {
    let outgoing = Outgoing::from(&signed(content));
    client.pool.publish(outgoing, Targets::All, within(millis)).await
}

fn only_refusal(report: PublishReport) -> Refusal {
    assert!(report.accepted.is_empty() && report.pending.is_empty(), "{report:?}");
    match report.rejected.as_slice() {
        [rejected] => rejected.reason.clone(),
        _ => panic!("{report:?}"),
    }
}

#[tokio::test]
async fn each_relay_is_reported() {
    let (good, bad, silent) = (
        TestRelay::start().await,
        TestRelay::start_with(|k| k.on_event = OnEvent::Refuse("blocked: no".into())).await,
        TestRelay::start_with(|k| k.on_event = OnEvent::Silent).await,
    );
    let client = Client::of(&[&good, &bad, &silent]);
    let dead = dead_url().await;
    client.pool.add_relay(&RelaySpec::addressed_only(&dead)).unwrap();
    let mut urls: Vec<String> = [&good, &bad, &silent].map(|relay| relay.url.clone()).into();
    urls.extend([dead.clone(), "wss://never.added".to_owned(), format!("{}/", good.url)]);
    let event = signed("hello");
    let outgoing = Outgoing::from_json(&event.as_json()).unwrap();
    let report = client.pool.publish(outgoing, Targets::Only(urls), within(700)).await;

    assert_eq!(report.event_id, event.id);
    assert_eq!(report.accepted.len(), 1);
    assert_eq!(*report.accepted[0].url, good.url);
    let reason = |url: &str| {
        let found = report.rejected.iter().find(|rejected| &*rejected.url == url);
        found.unwrap_or_else(|| panic!("{url} in {report:?}")).reason.clone()
    };
    assert_eq!(reason(&bad.url), Refusal::Refused { message: "blocked: no".into() });
    assert_eq!(reason(&silent.url), Refusal::TimedOut { detail: None });
    assert_eq!(reason("wss://never.added"), Refusal::NotAdded);
    let Refusal::NotConnected { detail: Some(detail) } = reason(&dead) else { panic!() };
    assert!(detail.contains("could not connect"), "{detail}");
    assert_eq!(report.rejected.len(), 4);
    assert!(report.is_published() && report.is_retryable());
    assert_eq!(good.received("EVENT").len(), 1);
}

#[tokio::test]
async fn enough_relays_are_enough() {
    let good = TestRelay::start().await;
    let silent = TestRelay::start_with(|k| k.on_event = OnEvent::Silent).await;
    let client = Client::of(&[&good, &silent]);
    let options = PublishOptions { timeout: Duration::from_secs(30), enough: 1 };
    let began = Instant::now();
    let outgoing = Outgoing::from(&signed("hello"));
    let report = client.pool.publish(outgoing, Targets::All, options).await;
    assert!(report.is_published());
    assert_eq!(*report.pending, [silent.url.as_str().into()]);
    assert!(began.elapsed() < Duration::from_secs(10));
    silent.wait_received("EVENT", 1).await;
}

#[tokio::test]
async fn a_notice_without_ok_does_not_hang() {
    let words = "message too large (300355 > 262144)";
    let relay = TestRelay::start_with(|k| k.on_event = OnEvent::NoticeOnly(words.into())).await;
    let client = Client::of(&[&relay]);
    let began = Instant::now();
    let refusal = only_refusal(publish(&client, "large", 30_000).await);
    assert_eq!(refusal, Refusal::NoticeOnly { notice: words.into() });
    assert!(!refusal.is_retryable());
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_disconnect_in_the_middle_is_survived() {
    let relay = TestRelay::start_with(|k| k.on_event = OnEvent::DropConnection).await;
    let client = Client::of(&[&relay]);
    let (report, ()) = tokio::join!(publish(&client, "again", 20_000), async {
        relay.wait_received("EVENT", 2).await;
        relay.set(|knobs| knobs.on_event = OnEvent::Accept);
    });
    assert!(report.is_published(), "{report:?}");
    assert!(relay.connections() >= 2);
}

#[tokio::test]
async fn an_event_that_ends_every_connection_is_given_up() {
    let relay = TestRelay::start_with(|k| k.on_event = OnEvent::DropConnection).await;
    let client = Client::of(&[&relay]);
    let refusal = only_refusal(publish(&client, "poison", 60_000).await);
    assert!(matches!(refusal, Refusal::Disconnected { .. }), "{refusal:?}");
    assert_eq!(relay.received("EVENT").len(), 4);
}

#[tokio::test]
async fn a_connection_that_comes_in_time_is_used() {
    let (listener, url) = silent_listener().await;
    let client = Client::new(config(&[]));
    client.pool.add_relay(&RelaySpec::full(&url)).unwrap();
    let (report, _relay) = tokio::join!(publish(&client, "late", 20_000), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        TestRelay::serve(listener, None, |_| {})
    });
    assert!(report.is_published(), "{report:?}");
}

#[tokio::test]
async fn a_rate_limit_is_waited_out() {
    let relay = TestRelay::start_with(|k| k.on_event = OnEvent::RateLimit(2)).await;
    let client = Client::of(&[&relay]);
    let report = publish(&client, "patience", 20_000).await;
    assert!(report.is_published(), "{report:?}");
    assert_eq!(relay.received("EVENT").len(), 3);
}

fn signer(signed: Arc<AtomicU32>) -> Arc<dyn Signer> {
    Arc::new(move |draft: EventBuilder| {
        signed.fetch_add(1, SeqCst);
        draft.finalize(&keys()).map_err(|error| SignFault(error.to_string()))
    })
}

#[tokio::test]
async fn authenticates_and_goes_on() {
    let relay = TestRelay::start_with(|k| k.require_auth = true).await;
    let count = Arc::new(AtomicU32::new(0));
    let mut config = config(&[&relay]);
    config.auth_signer = Some(signer(count.clone()));
    let mut client = Client::new(config);
    client.subscribe_kind("jobs", 5050);
    let report = publish(&client, "who", 20_000).await;
    assert!(report.is_published(), "{report:?}");
    assert_eq!(client.wait_event().await.1.content, "who");
    assert_eq!(count.load(SeqCst), 1);

    relay.drop_connections();
    relay.wait_received("AUTH", 2).await;
    let report = publish(&client, "again", 20_000).await;
    assert!(report.is_published(), "{report:?}");
}

#[tokio::test]
async fn says_why_it_could_not_authenticate() {
    let relay = TestRelay::start_with(|k| k.require_auth = true).await;
    let client = Client::of(&[&relay]);
    let refusal = only_refusal(publish(&client, "nobody", 20_000).await);
    let Refusal::AuthRequired { detail } = refusal else { panic!("{refusal:?}") };
    assert!(detail.contains("no identity"), "{detail}");

    relay.set(|knobs| knobs.refuse_auth = true);
    let mut refused = config(&[&relay]);
    refused.auth_signer = Some(signer(Arc::default()));
    let refusal = only_refusal(publish(&Client::new(refused), "stranger", 20_000).await);
    let Refusal::AuthRequired { detail } = refusal else { panic!("{refusal:?}") };
    assert!(detail.contains("not on the list"), "{detail}");

    let mut locked = config(&[&relay]);
    let fault = |_| Err(SignFault("the vault is locked".into()));
    locked.auth_signer = Some(Arc::new(fault));
    let refusal = only_refusal(publish(&Client::new(locked), "locked", 20_000).await);
    let Refusal::AuthRequired { detail } = refusal else { panic!("{refusal:?}") };
    assert!(detail.contains("the vault is locked"), "{detail}");
}

#[tokio::test]
async fn removing_and_shutting_down_answer_what_is_open() {
    let silent = TestRelay::start_with(|k| k.on_event = OnEvent::Silent).await;
    let mut client = Client::of(&[&silent]);
    let (report, ()) = tokio::join!(publish(&client, "gone", 60_000), async {
        silent.wait_received("EVENT", 1).await;
        client.pool.remove_relay(&silent.url).unwrap();
    });
    assert_eq!(only_refusal(report), Refusal::Removed);
    client.wait_state(RelayState::Disconnected).await;
    assert!(client.pool.remove_relay(&silent.url).is_err());

    client.pool.add_relay(&RelaySpec::full(&silent.url)).unwrap();
    let (report, ()) = tokio::join!(publish(&client, "down", 60_000), async {
        silent.wait_received("EVENT", 2).await;
        client.pool.shutdown().await;
    });
    assert_eq!(only_refusal(report), Refusal::Removed);
    assert!(client.pool.add_relay(&RelaySpec::full(&silent.url)).is_err());
}

#[tokio::test]
async fn what_does_not_verify_is_not_published() {
    let json = signed("mine").as_json();
    assert!(Outgoing::from_json(&json.replace("mine", "yours")).is_err());
    assert!(Outgoing::from_json("{}").is_err());
    assert!(Outgoing::from_json(&format!(" {json}\n")).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_is_quick_and_many_in_flight_all_arrive() {
    const JOBS: usize = 2_000;
    const IN_FLIGHT: usize = 64;
    let relay = TestRelay::start().await;
    let client = Client::of(&[&relay]);
    let events: Vec<Outgoing> =
        (0..JOBS).map(|n| Outgoing::from(&signed(&n.to_string()))).collect();

    // One at a time: far below the 40 ms of a delayed TCP acknowledgement.
    let mut times = Vec::new();
    for event in &events[..60] {
        let began = Instant::now();
        let report = client.pool.publish(event.clone(), Targets::All, within(20_000)).await;
        assert!(report.is_published(), "{report:?}");
        times.push(began.elapsed());
    }
    times.sort();
    println!("one at a time: median {:?}, worst {:?}", times[30], times[59]);
    assert!(times[30] < Duration::from_millis(30), "median {:?}", times[30]);

    let began = Instant::now();
    let next = Arc::new(AtomicU32::new(60));
    let events = Arc::new(events);
    let workers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (pool, events, next) = (client.pool.clone(), events.clone(), next.clone());
            tokio::spawn(async move {
                while let Some(event) = events.get(next.fetch_add(1, SeqCst) as usize) {
                    let report = pool.publish(event.clone(), Targets::All, within(60_000)).await;
                    assert!(report.is_published(), "{report:?}");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let rate = (JOBS - 60) as f64 / began.elapsed().as_secs_f64();
    println!("{IN_FLIGHT} in flight: {rate:.0} acknowledged events a second");
    assert_eq!(relay.inner.stored.lock().unwrap().len(), JOBS);
}
