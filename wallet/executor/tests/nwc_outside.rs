//! Parties nobody here wrote, of `@getalby/sdk`: an app that pays through our service in front of a
//! real node, and a wallet service that our client asks.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![expect(clippy::disallowed_methods, reason = "the test starts other people's programs")]

mod common;
mod nwc_support;

use common::{contract::call, practice};
use domain::{Msat, Network, PaymentHash, Preimage};
use ldk_node::bip39::Mnemonic;
use nostr::key::Keys;
use nwc_support::{Served, relay};
use pilothouse_wallet::{
    backend::{Backend, SendAnswer},
    ldk::{LdkBackend, Options},
    nwc::{client::NwcBackend, line::Reach, uri::ConnectionUri},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};
use wallet::{
    Fact, Order,
    wire::{NodeState, Rail},
};

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const WITHIN: Duration = Duration::from_secs(120);

/// A script of `tests/outside` with its packages, told things and telling them line by line.
struct Script {
    child: Child,
    stdin: Option<ChildStdin>,
    said: mpsc::Receiver<String>,
}

impl Script {
    fn start(dir: &Path, name: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside");
        std::fs::create_dir_all(dir).unwrap();
        for file in ["package.json", name] {
            std::fs::copy(from.join(file), dir.join(file)).unwrap();
        }
        let install = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"];
        let installed = Command::new("npm").args(install).current_dir(dir).status();
        assert!(installed.expect("npm is installed").success(), "npm install");
        let mut child = Command::new("node")
            .arg(name)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is installed");
        let stdin = child.stdin.take();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, said) = mpsc::sync_channel(64);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, said }
    }

    fn tell(&mut self, what: &Value) {
        writeln!(self.stdin.as_mut().unwrap(), "{what}").unwrap();
    }

    fn hear(&self) -> Value {
        loop {
            let line = self.said.recv_timeout(WITHIN).expect("the script says something");
            // Its library speaks there too.
            if let Ok(said @ Value::Object(_)) = serde_json::from_str(&line) {
                return said;
            }
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn ready<B: Backend>(backend: &Arc<B>) {
    for _ in 0..600 {
        if call(backend, Backend::observe).await.state == NodeState::Ready {
            return;
        }
        call(backend, Backend::keep_connected).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not ready: {:?}", call(backend, Backend::observe).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_app_of_other_people_pays_and_is_paid() {
    let dir = tempfile::tempdir().unwrap();
    let practice = practice::start(dir.path()).await;
    let own = dir.path().join("wallet");
    practice::write_chain_file(&practice, &own);
    let options = Options {
        network: Network::Practice,
        dir: own.join("node"),
        chain_dir: own.clone(),
        runtime: tokio::runtime::Handle::current(),
    };
    let words: Mnemonic = WORDS.parse().unwrap();
    let node = tokio::task::spawn_blocking(move || LdkBackend::open(&options, &words));
    let node = Arc::new(node.await.unwrap().unwrap());
    let relays = [practice.rendezvous().relay_url.clone()];
    let served = Served::start(&own, Arc::clone(&node), &relays).await;
    practice::join(&practice, node.node_id(), node.listening_address().unwrap()).await;
    ready(&node).await;
    served.funded().await;
    let terms = json!({
        "budget": { "amount_msat": 100_000, "renews": "daily" }, "on_limit": "refuse",
    });
    let (_, uri) = served.connect(terms).await;

    let counterparty = Arc::clone(practice.counterparty().unwrap());
    let invoice = counterparty.invoice(25_001, "outside").await.unwrap().bolt11;
    let too_much = counterparty.invoice(100_001, "outside").await.unwrap().bolt11;
    let mut app = {
        let dir = dir.path().join("app");
        tokio::task::spawn_blocking(move || Script::start(&dir, "app.mjs")).await.unwrap()
    };
    app.tell(&json!({ "uri": *uri.reveal(), "invoice": invoice, "too_much": too_much }));
    let (made, app) = tokio::task::spawn_blocking(move || (app.hear(), app)).await.unwrap();
    counterparty.pay(made["made"].as_str().unwrap()).await.unwrap();
    let (said, _app) = tokio::task::spawn_blocking(move || (app.hear(), app)).await.unwrap();

    assert_eq!(said["encryption"], "nip44_v2", "{said}");
    let offered = said["service"]["capabilities"].as_array().unwrap();
    assert!(offered.contains(&json!("pay_invoice")) && offered.contains(&json!("notifications")));
    assert_eq!(said["info"]["pubkey"], node.node_id());
    assert_eq!(said["info"]["network"], "regtest");
    assert_eq!(said["before"]["balance"], 100_000);
    let preimage: Preimage = said["paid"]["preimage"].as_str().unwrap().parse().unwrap();
    let hash: PaymentHash = said["sent"]["payment_hash"].as_str().unwrap().parse().unwrap();
    assert_eq!(preimage.payment_hash(), hash);
    let bolt11 = wallet::bolt11::Bolt11::read(&invoice, Network::Practice).unwrap();
    assert_eq!(bolt11.payment_hash, hash, "the very invoice was paid");
    assert_eq!(said["refused"], "QUOTA_EXCEEDED");
    assert_eq!(said["received"]["amount"], 12_000);
    assert_eq!(said["looked"]["state"], "settled");
    assert_eq!(said["looked"]["description"], "from outside");
    let amounts: Vec<_> =
        said["transactions"].as_array().unwrap().iter().map(|one| &one["amount"]).collect();
    assert_eq!(amounts, [12_000, 25_001]);
    let fee = said["paid"]["fees_paid"].as_u64().unwrap();
    assert_eq!(said["budget"]["used_budget"], 25_001 + fee);
    assert_eq!(said["budget"]["renewal_period"], "daily");

    served.end().await;
    call(&node, Backend::stop).await;
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
    practice.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wallet_service_of_other_people_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let relay = relay(dir.path()).await;
    let (wallet, app) = (Keys::generate(), Keys::generate());
    let mut service = {
        let dir = dir.path().join("service");
        tokio::task::spawn_blocking(move || Script::start(&dir, "service.mjs")).await.unwrap()
    };
    service.tell(&json!({
        "relay": relay.url(), "wallet_secret": wallet.secret_key().to_secret_hex(),
        "client_pubkey": app.public_key().to_hex(),
    }));
    let (_, _service) =
        tokio::task::spawn_blocking(move || (service.hear(), service)).await.unwrap();
    let uri = ConnectionUri {
        service: wallet.public_key(),
        relays: vec![relay.url()],
        secret: app.secret_key().clone(),
        lud16: None,
    };
    let runtime = tokio::runtime::Handle::current();
    let backend = NwcBackend::open(&uri, Network::Practice, Reach::Loopback, runtime).unwrap();
    let backend = Arc::new(backend);
    ready(&backend).await;
    let seen = call(&backend, Backend::observe).await;
    assert_eq!(seen.spendable_msat, Some(Msat::new(7_654_321).unwrap()));

    // It refuses, and knows nothing of it: failed for certain.
    let fake = common::fake::Fake::new();
    let invoice = fake.outside_invoice(Msat::from_sat(5));
    let hash = wallet::bolt11::Bolt11::read(&invoice, Network::Practice).unwrap().payment_hash;
    let order = Order {
        key: domain::IdempotencyKey::new("out").unwrap(),
        rail: Rail::Bolt11,
        request: invoice,
        payment_hash: Some(hash),
        amount_msat: Msat::from_sat(5),
        max_fee_msat: Msat::from_sat(1),
    };
    let answer = call(&backend, move |b| b.send(&order)).await;
    assert!(matches!(answer, SendAnswer::Taken { .. }), "{answer:?}");
    let fact = tokio::time::timeout(WITHIN, backend.next_fact()).await.unwrap();
    let Fact::PayFailed { which, reason, no_way: false, still_open: false } = fact else {
        panic!("refused for certain, and not {fact:?}")
    };
    assert_eq!((which, reason.as_str()), (hash.into(), "The wallet refused: no way"));
    call(&backend, Backend::stop).await;
    relay.stop().await;
}
