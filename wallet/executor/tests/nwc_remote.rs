//! The client's side of NIP-47 over the practice relay, against services that behave and that do not.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use domain::Msat;
use nostr::{
    event::{Event, EventBuilder, FinalizeEvent, Kind, Tag},
    filter::Filter,
    key::Keys,
};
use pilothouse_practice::relay::{Relay, RelayConfig};
use pilothouse_wallet::nwc::{
    line::{Line, Reach},
    remote::{CallError, Remote},
    seal::{self, Cipher},
    uri::ConnectionUri,
    words::{
        Answer, BalanceResult, Call, Code, Flow, Method, Notification, Refusal, Standing, Told,
        Transaction,
    },
};
use relay::RelayFact;
use std::{path::Path, time::Duration};
use tokio::{net::TcpListener, sync::mpsc};

const WITHIN: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(2);

fn keys(n: u8) -> Keys {
    Keys::parse(&hex::encode([n; 32])).unwrap()
}

async fn relay(dir: &Path) -> Relay {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Relay::start(listener, &dir.join("relay.events"), RelayConfig::default()).unwrap()
}

fn uri(relay: &str) -> ConnectionUri {
    ConnectionUri {
        service: keys(2).public_key(),
        relays: vec![relay.to_owned()],
        secret: keys(1).secret_key().clone(),
        lud16: None,
    }
}

/// A wallet service in the hands of the test.
struct Service {
    line: Line,
    facts: mpsc::Receiver<RelayFact>,
    cipher: Cipher,
}

impl Service {
    async fn start(relay: &str, cipher: Cipher) -> Self {
        let (line, facts) = Line::open(&[relay.to_owned()], Reach::Loopback).unwrap();
        let wanted = Filter::new().kind(Kind::WalletConnectRequest).pubkey(keys(2).public_key());
        line.subscribe("service", vec![wanted]).unwrap();
        let mut service = Self { line, facts, cipher };
        service.put(&service.info()).await;
        while !matches!(service.facts.recv().await.unwrap(), RelayFact::Eose { .. }) {}
        service
    }

    fn info(&self) -> Event {
        let now = host::clock::now();
        if self.cipher == Cipher::Nip44 {
            return seal::info(&keys(2), Method::ALL, now).unwrap();
        }
        EventBuilder::new(Kind::WalletConnectInfo, "get_balance get_info notifications")
            .finalize(&keys(2))
            .unwrap()
    }

    async fn put(&self, event: &Event) {
        assert!(self.line.publish(event).await.is_published());
    }

    async fn request(&mut self) -> (Event, Call) {
        loop {
            let fact = tokio::time::timeout(WITHIN, self.facts.recv()).await.unwrap().unwrap();
            if let RelayFact::Event { event, .. } = fact {
                assert_eq!(Cipher::of_request(&event), Ok(self.cipher));
                let app = keys(1).public_key();
                let text = seal::open(self.cipher, &keys(2), &app, &event.content).unwrap();
                return ((*event).clone(), Call::read(&text).unwrap());
            }
        }
    }

    fn answer(&self, by: &Keys, to: &Event, text: &str) -> Event {
        let app = keys(1).public_key();
        let now = host::clock::now();
        seal::response(by, &app, self.cipher, to.id, None, text, now).unwrap()
    }
}

fn balance(msat: u64) -> String {
    let balance = BalanceResult { balance: Msat::new(msat).unwrap() };
    Answer::ok(Method::GetBalance, &balance).to_json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asks_with_the_encryption_that_the_wallet_has() {
    for cipher in [Cipher::Nip44, Cipher::Nip04] {
        let dir = tempfile::tempdir().unwrap();
        let relay = relay(dir.path()).await;
        let mut service = Service::start(&relay.url(), cipher).await;
        let (remote, _told) = Remote::open(&uri(&relay.url()), Reach::Loopback).unwrap();
        let asking = remote.ask::<BalanceResult>(&Call::GetBalance, WITHIN);
        let answering = async {
            let (event, call) = service.request().await;
            assert_eq!(call, Call::GetBalance);
            service.put(&service.answer(&keys(2), &event, &balance(1_234_567))).await;
        };
        let (got, ()) = tokio::join!(asking, answering);
        assert_eq!(got.unwrap().balance.get(), 1_234_567);
        assert_eq!(remote.known().unwrap().cipher, cipher);
        let refusing = async {
            let (event, _) = service.request().await;
            let why = Refusal::new(Code::Restricted, "not for you");
            let text = Answer::refused("get_info", why).to_json();
            service.put(&service.answer(&keys(2), &event, &text)).await;
        };
        let (got, ()) =
            tokio::join!(remote.ask::<serde_json::Value>(&Call::GetInfo, WITHIN), refusing);
        assert!(matches!(got, Err(CallError::Refused(why)) if why.code == Code::Restricted));
        remote.close().await;
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_wallets_own_answer_to_this_request_counts() {
    let dir = tempfile::tempdir().unwrap();
    let relay = relay(dir.path()).await;
    let mut service = Service::start(&relay.url(), Cipher::Nip44).await;
    let (remote, _told) = Remote::open(&uri(&relay.url()), Reach::Loopback).unwrap();
    let first = async {
        let (event, _) = service.request().await;
        service.put(&service.answer(&keys(2), &event, &balance(1))).await;
        event
    };
    let (got, earlier) =
        tokio::join!(remote.ask::<BalanceResult>(&Call::GetBalance, WITHIN), first);
    assert_eq!(got.unwrap().balance.get(), 1);
    let lying = async {
        let (event, _) = service.request().await;
        let garbage = EventBuilder::new(Kind::WalletConnectResponse, "garbage")
            .tag(Tag::public_key(keys(1).public_key()))
            .tag(Tag::event(event.id))
            .finalize(&keys(2))
            .unwrap();
        let nip04 = seal::response(
            &keys(2),
            &keys(1).public_key(),
            Cipher::Nip04,
            event.id,
            None,
            &balance(7),
            host::clock::now(),
        );
        let info = Answer::ok(Method::GetInfo, &serde_json::json!({ "methods": [] })).to_json();
        for lie in [
            service.answer(&keys(3), &event, &balance(2)),
            service.answer(&keys(2), &earlier, &balance(3)),
            service.answer(&keys(2), &garbage, &balance(4)),
            garbage,
            nip04.unwrap(),
            service.answer(&keys(2), &event, "{}"),
            service.answer(&keys(2), &event, &info),
        ] {
            service.put(&lie).await;
        }
        service.put(&service.answer(&keys(2), &event, &balance(5))).await;
        // Twice, and another one: the first has been taken.
        service.put(&service.answer(&keys(2), &event, &balance(6))).await;
    };
    let (got, ()) = tokio::join!(remote.ask::<BalanceResult>(&Call::GetBalance, WITHIN), lying);
    assert_eq!(got.unwrap().balance.get(), 5);
    remote.close().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_no_answer_and_no_relay_is_not_asked() {
    let dir = tempfile::tempdir().unwrap();
    let relay = relay(dir.path()).await;
    let mut service = Service::start(&relay.url(), Cipher::Nip44).await;
    let (remote, _told) = Remote::open(&uri(&relay.url()), Reach::Loopback).unwrap();
    let silent = remote.ask::<BalanceResult>(&Call::GetBalance, SHORT).await;
    assert_eq!(silent.unwrap_err(), CallError::NoAnswer);
    let (late, _) = service.request().await;
    service.put(&service.answer(&keys(2), &late, &balance(1))).await;
    relay.stop().await;
    let gone = remote.ask::<BalanceResult>(&Call::GetBalance, SHORT).await;
    assert!(matches!(gone, Err(CallError::NotAsked(_))), "{gone:?}");
    remote.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_that_said_nothing_of_itself_is_not_asked() {
    let dir = tempfile::tempdir().unwrap();
    let relay = relay(dir.path()).await;
    let (remote, _told) = Remote::open(&uri(&relay.url()), Reach::Loopback).unwrap();
    assert!(remote.trouble().is_some());
    let asked = remote.ask::<BalanceResult>(&Call::GetBalance, SHORT).await;
    assert!(matches!(asked, Err(CallError::NotAsked(_))), "{asked:?}");
    remote.close().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hears_what_its_wallet_tells_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let relay = relay(dir.path()).await;
    let service = Service::start(&relay.url(), Cipher::Nip44).await;
    let (remote, mut told) = Remote::open(&uri(&relay.url()), Reach::Loopback).unwrap();
    while remote.trouble().is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let say = |by: &Keys, amount: u64, cipher| {
        let transaction = Transaction {
            flow: Flow::Incoming,
            state: Some(Standing::Settled),
            invoice: None,
            description: None,
            preimage: None,
            payment_hash: None,
            amount: Msat::new(amount).unwrap(),
            fees_paid: Msat::ZERO,
            created_at: 1,
            expires_at: None,
            settled_at: Some(2),
        };
        let text = Notification { told: Told::PaymentReceived, transaction }.to_json();
        let app = keys(1).public_key();
        seal::notification(by, &app, cipher, &text, host::clock::now()).unwrap()
    };
    service.put(&say(&keys(3), 1, Cipher::Nip44)).await;
    service.put(&say(&keys(2), 2, Cipher::Nip04)).await;
    service.put(&say(&keys(2), 3, Cipher::Nip44)).await;
    let heard = tokio::time::timeout(WITHIN, told.recv()).await.unwrap().unwrap();
    assert_eq!(heard.transaction.amount.get(), 3);
    assert!(told.try_recv().is_err());
    remote.close().await;
    relay.stop().await;
}
