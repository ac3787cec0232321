//! Payments per second of two wallets beside two bare ldk-nodes that do the same work in the same
//! run; prints one JSON object. `cargo bench --bench payments [-- --payments N --in-flight N]`.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement ends where something is not as it should be"
)]

use domain::Network;
use host::{Core, CoreOptions, ipc, ipc::Client};
use ldk_node::{
    Builder, Event, Node, NodeError,
    bip39::Mnemonic,
    bitcoin::{Address, Script, secp256k1::PublicKey},
    config::{AnchorChannelsConfig, Config},
    lightning::ln::{channelmanager::PaymentId, msgs::SocketAddress},
    lightning_invoice::{Bolt11InvoiceDescription, Description},
};
use pilothouse_practice::{Options as PracticeOptions, Practice};
use pilothouse_wallet::{
    attach::attach,
    backend::Backend,
    backup, chain_file,
    house::{House, Tide},
    ldk::{LdkBackend, Options},
    secret::InvoiceSecret,
    server::Calls,
};
use safety::SpendLimits;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use store::{OpenOptions, Store};
use tokio::{runtime::Handle, sync::oneshot, task::JoinSet};
use wallet::{
    Wallet,
    chain::{ChainFile, Login, Source},
    io::ADAPTER,
    wire::{EventsQuery, Notice, NoticeKind, PaymentState, SERVICE},
};
use zeroize::Zeroizing;

const WORDS: [&str; 4] = [
    "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
    "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
];
const SOON: Duration = Duration::from_secs(120);
const CHANNEL_SAT: u64 = 10_000_000;
/// A channel holds 50 payments at once.
const CHANNELS: usize = 2;
/// Above the dust limit, so that each payment is an output of its own.
const AMOUNT_MSAT: u64 = 1_000_001;

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>;

/// One side that pays and one that is paid.
trait Pair: Send + Sync + 'static {
    /// Asks for an invoice there, pays it here, and waits until the payer knows that it is paid.
    fn pay(&self, number: usize) -> impl Future<Output = ()> + Send;
}

fn bitcoind(practice: &Practice) -> Source {
    let chain = practice.rendezvous().chain.as_ref().unwrap();
    let password = std::fs::read_to_string(&chain.rpc_password_path).unwrap();
    let login =
        Login::Password { user: chain.rpc_user.clone(), password: password.trim().to_owned() };
    Source::Bitcoind { host: chain.rpc_host.clone(), port: chain.rpc_port, login }
}

struct Chain<'a>(&'a Practice);

impl Chain<'_> {
    fn mine(&self, count: u32, to: &Address) {
        let chain = self.0.chain().unwrap();
        let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.mine(count, &to.script_pubkey(), host::clock::now().as_secs()).unwrap();
    }

    /// Gives the node coins, and opens channels to the peer with half of each on its side.
    async fn join(&self, node: &Node, peer: PublicKey, address: SocketAddress) {
        let theirs = Address::p2wsh(Script::new(), ldk_node::bitcoin::Network::Regtest);
        let coins = |node: &Node| node.list_balances().spendable_onchain_balance_sats;
        until("first sync", || node.status().latest_onchain_wallet_sync_timestamp.is_some()).await;
        self.mine(1, &node.onchain_payment().new_address().unwrap());
        self.mine(100, &theirs);
        until("coins", || coins(node) > CHANNEL_SAT).await;
        for open in 1..=CHANNELS {
            let half = Some(CHANNEL_SAT * 1_000 / 2);
            node.open_channel(peer, address.clone(), CHANNEL_SAT, half, None).unwrap();
            let waits = || {
                let chain = self.0.chain().unwrap();
                chain.lock().unwrap_or_else(PoisonError::into_inner).has_waiting_transactions()
            };
            until("funding transaction", waits).await;
            self.mine(6, &theirs);
            let usable = || node.list_channels().iter().filter(|c| c.is_usable).count() == open;
            until("usable channel", usable).await;
            until("change", || coins(node) > CHANNEL_SAT || open == CHANNELS).await;
        }
    }
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < SOON, "there was no {what} in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A wallet as its process runs it, with its socket.
struct Executor {
    backend: Arc<LdkBackend>,
    client: Client,
    _server: ipc::Server,
    _pumps: JoinSet<()>,
}

impl Executor {
    async fn start(dir: &Path, file: &ChainFile, words: &str) -> Self {
        let home = host::Home::open(dir).unwrap();
        chain_file::write(home.root(), file).unwrap();
        let options = Options {
            network: Network::Practice,
            dir: home.join("node"),
            chain_dir: home.root().to_owned(),
            runtime: Handle::current(),
        };
        let words: Mnemonic = words.parse().unwrap();
        let opened = tokio::task::spawn_blocking(move || LdkBackend::open(&options, &words));
        let backend = Arc::new(opened.await.unwrap().unwrap());
        let log = home.join("wallet.db");
        let core = CoreOptions {
            store: Store::open(&log, OpenOptions { body_key: [5; 32] }).unwrap(),
            snapshot_schema: "bench",
            view: Box::new(|wallet: &Wallet, _, _| Tide { cursor: wallet.cursor() }),
            project: |_, _| Vec::new(),
            signer: None,
        };
        let core = Core::spawn(core, &[ADAPTER]).unwrap();
        let secret = InvoiceSecret::new(Zeroizing::new([9; 32]));
        let house = Arc::new(House::new(core, secret));
        let limits = SpendLimits::PRACTICE;
        let pumps = attach(&house, Arc::clone(&backend), Network::Practice, limits).await.unwrap();
        let calls = Calls {
            house,
            network: Network::Practice,
            words: Box::new(|| Zeroizing::new(String::new())),
            custody: pilothouse_wallet::custody::Guard::none(),
            keeper: None,
            backup: Some((backup::Sources { log, files: Vec::new() }, home.join("backups"))),
        };
        let server = ipc::serve(home.root(), SERVICE, Arc::new(calls)).unwrap();
        let client = Client::connect(home.root(), SERVICE).await.unwrap();
        Self { backend, client, _server: server, _pumps: pumps }
    }

    async fn ready(&self) {
        let started = Instant::now();
        while self.client.call("info", Value::Null).await.unwrap()["state"] != "ready" {
            assert!(started.elapsed() < SOON, "not ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

struct Wallets {
    payer: Executor,
    payee: Executor,
    waiting: Waiting,
}

/// Tells who waits for a payment, as a desk learns of it.
async fn follow(dir: &Path, waiting: Waiting) {
    let client = Client::connect(dir, SERVICE).await.unwrap();
    let mut after = 0;
    loop {
        let query = EventsQuery { after, wait_ms: 5_000 };
        let Ok(notices) = client.request::<_, Vec<Notice>>("events", &query).await else { return };
        for notice in notices {
            after = after.max(notice.cursor);
            if let NoticeKind::Payment(payment) = notice.what
                && payment.state.is_over()
            {
                assert_eq!(payment.state, PaymentState::Settled, "{payment:?}");
                let waits = waiting.lock().unwrap().remove(payment.key.as_str());
                waits.map(|waits| waits.send(()));
            }
        }
    }
}

impl Pair for Wallets {
    async fn pay(&self, number: usize) {
        let key = format!("pay/{number}");
        let asked = json!({
            "key": format!("job/{number}"), "amount_msat": AMOUNT_MSAT, "memo": "job",
            "expiry_secs": 3_600,
        });
        let invoice: Value = self.payee.client.call("receive", asked).await.unwrap();
        let (done, paid) = oneshot::channel();
        self.waiting.lock().unwrap().insert(key.clone(), done);
        let pay = json!({
            "key": key, "request": invoice["text"], "amount_msat": AMOUNT_MSAT,
            "max_fee_msat": 10_000,
        });
        self.payer.client.call("pay", pay).await.unwrap();
        paid.await.unwrap();
    }
}

/// Two plain nodes over their own SQLite store.
struct Bare {
    payer: Arc<Node>,
    payee: Arc<Node>,
    waiting: Waiting,
}

fn bare(dir: &Path, source: &Source, words: &str) -> (Arc<Node>, SocketAddress) {
    let Source::Bitcoind { host, port, login } = source else { panic!("the practice chain") };
    let Login::Password { user, password } = login else { panic!("a password") };
    let inside = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let listening = SocketAddress::from(SocketAddr::from((Ipv4Addr::LOCALHOST, inside)));
    let config = Config {
        network: ldk_node::bitcoin::Network::Regtest,
        storage_dir_path: dir.to_string_lossy().into_owned(),
        anchor_channels_config: Some(AnchorChannelsConfig::default()),
        ..Config::default()
    };
    let words: Mnemonic = words.parse().unwrap();
    let mut builder = Builder::from_config(config);
    builder
        .set_runtime(Handle::current())
        .set_entropy_bip39_mnemonic(words, None)
        .set_chain_source_bitcoind_rpc(host.clone(), *port, user.clone(), password.clone())
        .set_listening_addresses(vec![listening.clone()])
        .unwrap();
    let node = Arc::new(builder.build().unwrap());
    node.start().unwrap();
    (node, listening)
}

fn hear(node: &Arc<Node>, waiting: Waiting) {
    let node = Arc::clone(node);
    tokio::spawn(async move {
        loop {
            match node.next_event_async().await {
                Event::PaymentSuccessful { payment_hash, .. } => {
                    let waits = waiting.lock().unwrap().remove(&payment_hash.to_string());
                    waits.map(|waits| waits.send(()));
                }
                Event::PaymentFailed { reason, .. } => panic!("not paid: {reason:?}"),
                _ => {}
            }
            node.event_handled().unwrap();
        }
    });
}

impl Pair for Bare {
    async fn pay(&self, _number: usize) {
        let (payer, payee) = (Arc::clone(&self.payer), Arc::clone(&self.payee));
        let waiting = Arc::clone(&self.waiting);
        let (done, paid) = oneshot::channel();
        let sent = tokio::task::spawn_blocking(move || {
            let description =
                Bolt11InvoiceDescription::Direct(Description::new("job".into()).unwrap());
            let invoice = payee.bolt11_payment().receive(AMOUNT_MSAT, &description, 3_600).unwrap();
            let hash: &[u8; 32] = invoice.payment_hash().as_ref();
            let name = ldk_node::lightning_types::payment::PaymentHash(*hash).to_string();
            waiting.lock().unwrap().insert(name, done);
            // A channel that is full for a moment is no failure for a wallet either.
            while let Err(error) = payer.bolt11_payment().send(&invoice, None) {
                assert_eq!(error, NodeError::PaymentSendingFailed);
                payer.remove_payment(&PaymentId(*hash)).unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        sent.await.unwrap();
        paid.await.unwrap();
    }
}

async fn measure(pair: Arc<impl Pair>, payments: usize, in_flight: usize) -> Value {
    let next = Arc::new(AtomicUsize::new(0));
    let took = Arc::new(Mutex::new(Vec::with_capacity(payments)));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..in_flight {
        let (pair, next, took) = (Arc::clone(&pair), Arc::clone(&next), Arc::clone(&took));
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= payments {
                    return;
                }
                let begun = Instant::now();
                pair.pay(number).await;
                took.lock().unwrap().push(begun.elapsed());
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    let secs = started.elapsed().as_secs_f64();
    let mut took = took.lock().unwrap().clone();
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    json!({
        "payments": payments, "in_flight": in_flight, "secs": secs,
        "payments_per_sec": payments as f64 / secs, "p50_ms": at(0.5), "p99_ms": at(0.99),
    })
}

async fn of_wallets(
    dir: &Path,
    chain: &Chain<'_>,
    source: &Source,
    payments: usize,
    at_once: usize,
) -> Value {
    let file = ChainFile::new(Network::Practice, source.clone());
    let payee = Executor::start(&dir.join("payee"), &file, WORDS[0]).await;
    let address = payee.backend.listening_address().unwrap();
    let peers = vec![format!("{}@{address}", payee.backend.node_id())];
    let payer_dir = dir.join("payer");
    let payer = Executor::start(&payer_dir, &ChainFile { peers, ..file }, WORDS[1]).await;
    let id = payee.backend.node_id().parse().unwrap();
    chain.join(payer.backend.node(), id, address.parse().unwrap()).await;
    payer.ready().await;
    payee.ready().await;
    let waiting = Waiting::default();
    let heard = Arc::clone(&waiting);
    let following = tokio::spawn(async move { follow(&payer_dir, heard).await });
    let wallets = Arc::new(Wallets { payer, payee, waiting });
    let measured = measure(Arc::clone(&wallets), payments, at_once).await;
    following.abort();
    for executor in [&wallets.payer, &wallets.payee] {
        let backend = Arc::clone(&executor.backend);
        tokio::task::spawn_blocking(move || backend.stop()).await.unwrap();
    }
    measured
}

async fn of_nodes(
    dir: &Path,
    chain: &Chain<'_>,
    source: &Source,
    payments: usize,
    at_once: usize,
) -> Value {
    let (payee, address) = bare(&dir.join("bare-payee"), source, WORDS[2]);
    let (payer, _) = bare(&dir.join("bare-payer"), source, WORDS[3]);
    let waiting = Waiting::default();
    chain.join(&payer, payee.node_id(), address).await;
    hear(&payer, Arc::clone(&waiting));
    hear(&payee, Waiting::default());
    let pair = Arc::new(Bare { payer, payee, waiting });
    let measured = measure(Arc::clone(&pair), payments, at_once).await;
    pair.payer.stop().unwrap();
    pair.payee.stop().unwrap();
    measured
}

fn number(name: &str, default: usize) -> usize {
    let mut args = std::env::args().skip_while(|arg| arg != name).skip(1);
    args.next().map_or(default, |text| text.parse().unwrap())
}

#[tokio::main]
async fn main() {
    let (payments, at_once) = (number("--payments", 1_000), number("--in-flight", 64));
    let dir = tempfile::tempdir().unwrap();
    let options =
        PracticeOptions { dir: dir.path().join("practice"), ..PracticeOptions::default() };
    let practice = Practice::start(options).await.unwrap();
    let chain = Chain(&practice);
    let source = bitcoind(&practice);
    let wallets = of_wallets(dir.path(), &chain, &source, payments, at_once).await;
    let nodes = of_nodes(dir.path(), &chain, &source, payments, at_once).await;
    let ratio = wallets["secs"].as_f64().unwrap() / nodes["secs"].as_f64().unwrap();
    let figures =
        json!({ "wallets": wallets, "bare_ldk_nodes": nodes, "times_the_bare_time": ratio });
    println!("{figures:#}");
    drop(dir);
    // Threads of the nodes may still hold on; nothing of them is kept.
    std::process::exit(0);
}
