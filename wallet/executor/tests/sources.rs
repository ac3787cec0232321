//! The node on each kind of chain source: it starts, receives, opens a channel, pays and restarts.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use common::{contract::call, practice};
use domain::Network;
use ldk_node::{
    Event,
    bip39::Mnemonic,
    bitcoin::{Address, Script},
};
use pilothouse_practice::{Practice, chain::Esplora};
use pilothouse_wallet::{
    backend::Backend,
    chain_file,
    ldk::{LdkBackend, OpenError, Options},
};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};
use wallet::{
    chain::{ChainFile, Lsps2, Source},
    wire::NodeState,
};

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const SOON: Duration = Duration::from_secs(90);
const CHANNEL_SAT: u64 = 1_000_000;

struct Rig {
    practice: Practice,
    dir: PathBuf,
}

impl Rig {
    /// The folder of an executor whose chain file is `file`.
    fn folder(&self, name: &str, file: &ChainFile) -> PathBuf {
        let home = host::Home::open(self.dir.join(name)).unwrap();
        chain_file::write(home.root(), file).unwrap();
        home.root().to_owned()
    }

    fn mine(&self, count: u32, to: &Address) {
        let chain = self.practice.chain().unwrap();
        let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.mine(count, &to.script_pubkey(), host::clock::now().as_secs()).unwrap();
    }

    fn waits(&self) -> bool {
        let chain = self.practice.chain().unwrap();
        let chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.has_waiting_transactions()
    }
}

async fn open(folder: &Path, network: Network) -> Result<Arc<LdkBackend>, OpenError> {
    let options = Options {
        network,
        dir: folder.join("node"),
        chain_dir: folder.to_owned(),
        runtime: tokio::runtime::Handle::current(),
    };
    let words: Mnemonic = WORDS.parse().unwrap();
    let opened = tokio::task::spawn_blocking(move || LdkBackend::open(&options, &words));
    opened.await.unwrap().map(Arc::new)
}

/// Looks, and catches up, until it is so.
async fn until(backend: &Arc<LdkBackend>, what: &str, so: impl Fn(&LdkBackend) -> bool) {
    let started = Instant::now();
    while !so(backend) {
        assert!(started.elapsed() < SOON, "not in time: {what}");
        let _busy = call(backend, Backend::sync).await;
        call(backend, Backend::keep_connected).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Everything that a wallet does with a chain.
async fn works(rig: &Rig, name: &str, network: Network, source: Source) {
    let file = practice::chain_file_for(&rig.practice, network, source);
    let folder = rig.folder(name, &file);
    let backend = open(&folder, network).await.unwrap();
    until(&backend, "synced", |b| {
        b.node().status().latest_lightning_wallet_sync_timestamp.is_some()
    })
    .await;
    let ours = backend.node().onchain_payment().new_address().unwrap();
    let theirs = Address::p2wsh(Script::new(), ldk_node::bitcoin::Network::Regtest);
    rig.mine(1, &ours);
    rig.mine(100, &theirs);
    until(&backend, "received on the chain", |b| {
        b.node().list_balances().spendable_onchain_balance_sats > CHANNEL_SAT
    })
    .await;

    let (_, id) = practice::counterparty(&rig.practice);
    let id = id.parse().unwrap();
    until(&backend, "connected", |b| b.node().list_peers().iter().any(|p| p.is_connected)).await;
    let nowhere = "127.0.0.1:1".parse().unwrap();
    call(&backend, move |b| b.node().open_channel(id, nowhere, CHANNEL_SAT, None, None))
        .await
        .unwrap();
    let started = Instant::now();
    while !rig.waits() {
        assert!(started.elapsed() < SOON, "the funding transaction did not reach the chain");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.mine(6, &theirs);
    until(&backend, "usable", |b| b.node().list_channels().iter().any(|c| c.is_usable)).await;
    assert_eq!(call(&backend, Backend::observe).await.state, NodeState::Ready);
    pays(rig, &backend).await;

    let before = backend.node().list_balances();
    call(&backend, Backend::stop).await;
    drop(backend);
    let backend = open(&folder, network).await.unwrap();
    until(&backend, "usable again", |b| b.node().list_channels().iter().any(|c| c.is_usable)).await;
    let after = backend.node().list_balances();
    assert_eq!(after.total_onchain_balance_sats, before.total_onchain_balance_sats);
    assert_eq!(after.total_lightning_balance_sats, before.total_lightning_balance_sats);
    pays(rig, &backend).await;
    call(&backend, Backend::stop).await;
}

async fn pays(rig: &Rig, backend: &Arc<LdkBackend>) {
    let invoice = rig.practice.counterparty().unwrap().invoice(25_001, "x").await.unwrap();
    let invoice = invoice.bolt11.parse().unwrap();
    call(backend, move |b| b.node().bolt11_payment().send(&invoice, None)).await.unwrap();
    let paid = async {
        loop {
            let event = backend.node().next_event_async().await;
            backend.node().event_handled().unwrap();
            match event {
                Event::PaymentSuccessful { .. } => return,
                Event::PaymentFailed { reason, .. } => panic!("not paid: {reason:?}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(SOON, paid).await.expect("paid in time");
}

async fn rig() -> (tempfile::TempDir, Rig) {
    let dir = tempfile::tempdir().unwrap();
    let practice = practice::start(dir.path()).await;
    let rig = Rig { practice, dir: dir.path().to_owned() };
    (dir, rig)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bitcoind_serves_a_regtest_wallet() {
    let (_dir, rig) = rig().await;
    works(&rig, "wallet", Network::Regtest, practice::bitcoind(&rig.practice)).await;
    rig.practice.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn esplora_serves_a_regtest_wallet() {
    let (_dir, rig) = rig().await;
    let (address, _serving) = Esplora::start(rig.practice.chain().unwrap()).await.unwrap();
    let source = Source::Esplora { url: format!("http://{address}"), certificate_sha256: None };
    works(&rig, "wallet", Network::Regtest, source).await;
    rig.practice.stop().await;
}

/// A real Electrum server (ElectrumX, PyPI `e-x`) on the practice chain.
struct ElectrumX {
    child: Child,
    port: u16,
}

impl Drop for ElectrumX {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl ElectrumX {
    #[expect(clippy::disallowed_methods, reason = "starts a server that the wallet talks to")]
    fn start(program: &str, practice: &Practice, dir: &Path) -> Self {
        let chain = practice.rendezvous().chain.as_ref().unwrap();
        let password = std::fs::read_to_string(&chain.rpc_password_path).unwrap();
        let daemon =
            format!("http://{}:{}@127.0.0.1:{}", chain.rpc_user, password.trim(), chain.rpc_port);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::create_dir_all(dir).unwrap();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let child = Command::new(program)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("COIN", "Bitcoin")
            .env("NET", "regtest")
            .env("DB_ENGINE", "leveldb")
            .env("DB_DIRECTORY", dir)
            .env("DAEMON_URL", daemon)
            .env("SERVICES", format!("tcp://127.0.0.1:{port}"))
            .env("PEER_DISCOVERY", "off")
            .env("COST_SOFT_LIMIT", "0")
            .env("COST_HARD_LIMIT", "0")
            .env("ALLOW_ROOT", "1")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let said = std::fs::read_to_string(dir.join("log")).unwrap();
            assert!(started.elapsed() < SOON, "the Electrum server did not start: {said}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Self { child, port }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "PILOTHOUSE_TEST_ELECTRUMX names `electrumx_server` of the PyPI package e-x 1.20.0"]
async fn electrum_serves_a_regtest_wallet() {
    let program = std::env::var("PILOTHOUSE_TEST_ELECTRUMX").unwrap();
    let (dir, rig) = rig().await;
    let server = ElectrumX::start(&program, &rig.practice, &dir.path().join("electrumx"));
    let url = format!("tcp://127.0.0.1:{}", server.port);
    let source = Source::Electrum { url, certificate_sha256: None };
    works(&rig, "wallet", Network::Regtest, source).await;
    rig.practice.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_of_another_network_changes_nothing() {
    let (_dir, rig) = rig().await;
    for network in [Network::Signet, Network::Mainnet] {
        let file = ChainFile::new(network, practice::bitcoind(&rig.practice));
        let folder = rig.folder(network.as_str(), &file);
        let error = open(&folder, network).await.err().unwrap();
        assert!(matches!(error, OpenError::Source(_)) && error.is_temporary(), "{error}");
        assert!(error.to_string().contains("first block"), "{error}");
        assert!(!folder.join("node").exists(), "nothing was written");
        let missing = rig.dir.join("nothing");
        let error = open(&missing, network).await.err().unwrap();
        assert!(error.is_temporary() && error.to_string().contains("chain set"), "{error}");
    }
    rig.practice.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wallet_without_a_channel_is_paid_by_a_channel_that_comes_with_the_payment() {
    let (_dir, rig) = rig().await;
    let (peer, _) = practice::counterparty(&rig.practice);
    let mut file = ChainFile::new(Network::Regtest, practice::bitcoind(&rig.practice));
    file.lsps2 = Some(Lsps2 { node: peer, token: None });
    let folder = rig.folder("wallet", &file);
    let backend = open(&folder, Network::Regtest).await.unwrap();
    until(&backend, "connected", |b| b.node().list_peers().iter().any(|p| p.is_connected)).await;
    let made = call(&backend, |b| {
        let text = "first".to_owned();
        let description = ldk_node::lightning_invoice::Description::new(text).unwrap();
        let description =
            ldk_node::lightning_invoice::Bolt11InvoiceDescription::Direct(description);
        b.node().bolt11_payment().receive_via_jit_channel(50_000_000, &description, 600, None)
    });
    let invoice = made.await.unwrap();
    drop(backend);
    assert!(!invoice.route_hints().is_empty());
    rig.practice.stop().await;
}
