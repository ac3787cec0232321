//! The Spark adapter passes the contract against the stand-in of its operators, and opens a real
//! wallet of the published package offline. Skipped, loudly, only where there is no Python.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![expect(clippy::disallowed_methods, reason = "tests start programs as a user does")]

mod common;

use common::contract::{self, Rig, call};
use domain::{IdempotencyKey, Msat, Network, Timestamp};
use host::{Core, CoreOptions};
use pilothouse_wallet::{
    attach::attach,
    backend::{Backend, BackendError, SendAnswer},
    house::{House, Tide},
    secret::InvoiceSecret,
    spark::{Claimed, OpenError, Options, Secrets, SparkBackend},
};
use safety::SpendLimits;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use store::{OpenOptions, Store};
use tokio::{
    runtime::Handle,
    task::{JoinHandle, JoinSet},
};
use wallet::{
    Fact, Found, Input, Order, Reply, Sought, Wallet, Which,
    bolt11::Bolt11,
    io::ADAPTER,
    wire::{AccountId, Direction, NodeState, Pay, Payment, PaymentState, Rail, Receive},
};
use zeroize::Zeroizing;

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spark").canonicalize().unwrap()
}

/// The environment's Python, made where it is not there yet; nothing where there is no Python.
fn python() -> Option<PathBuf> {
    if !Command::new("python3").arg("--version").output().is_ok_and(|done| done.status.success()) {
        eprintln!("SKIPPED: there is no python3, so nothing of Spark was tested");
        return None;
    }
    let env = source().join(".env");
    let lock = std::fs::File::create(source().join(".env.lock")).unwrap();
    lock.lock().unwrap();
    let done = Command::new(source().join("setup")).arg(&env).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(env.join("bin/python"))
}

fn secrets() -> Secrets {
    Secrets { words: Zeroizing::new(WORDS.into()), api_key: None }
}

async fn open(options: Options) -> Result<SparkBackend, OpenError> {
    tokio::task::spawn_blocking(move || SparkBackend::open(&options, secrets())).await.unwrap()
}

/// A wallet with 100,000 sats at the stand-in's operators.
struct SparkRig {
    dir: tempfile::TempDir,
    python: PathBuf,
    backend: Option<Arc<SparkBackend>>,
}

impl SparkRig {
    async fn start(python: PathBuf) -> Self {
        let mut rig = Self { dir: tempfile::tempdir().unwrap(), python, backend: None };
        rig.open().await;
        let backend = rig.backend();
        rig.world(&["fund", &backend.node_id(), "100000"]);
        let Fact::Received { which: Which::Reference(_), rail: Rail::Spark, .. } =
            contract::next(&backend).await
        else {
            panic!("money to the wallet's address is received")
        };
        rig
    }

    fn operators(&self) -> PathBuf {
        self.dir.path().join("operators.db")
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("process")
    }

    async fn open(&mut self) {
        let script = source().join("tests/stand_in/process.py");
        let args = [script, self.operators(), self.folder()].map(OsString::from).to_vec();
        let options = Options {
            network: Network::Regtest,
            folder: self.folder(),
            program: self.python.clone(),
            args,
            runtime: Handle::current(),
        };
        self.backend = Some(Arc::new(open(options).await.unwrap()));
        self.until(NodeState::Ready).await;
    }

    async fn until(&self, state: NodeState) {
        for _ in 0..400 {
            if self.backend().observe().state == state {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not {state:?}: {:?}", self.backend().observe());
    }

    /// One command to the operators.
    fn world(&self, args: &[&str]) -> String {
        world(&self.python, &self.operators(), args)
    }

    /// Ends the process as a crash does; it is started again by itself.
    fn kill(&self) {
        let rendezvous = std::fs::read(self.folder().join("spark.json")).unwrap();
        let rendezvous: serde_json::Value = serde_json::from_slice(&rendezvous).unwrap();
        let killed = Command::new("kill").args(["-9", &rendezvous["pid"].to_string()]).status();
        assert!(killed.unwrap().success());
    }

    async fn end(mut self) {
        let backend = self.backend.take().unwrap();
        call(&backend, Backend::stop).await;
    }

    async fn order(&self, sats: u32) -> Order {
        let request = self.outside_invoice(Msat::from_sat(sats)).await;
        let invoice = Bolt11::read(&request, Network::Practice).unwrap();
        Order {
            key: IdempotencyKey::of("out", invoice.payment_hash),
            rail: Rail::Bolt11,
            request,
            payment_hash: Some(invoice.payment_hash),
            amount_msat: Msat::from_sat(sats),
            max_fee_msat: Msat::from_sat(100),
        }
    }

    async fn found(&self, order: &Order) -> Result<Found, BackendError> {
        let sought = Sought {
            key: order.key.clone(),
            direction: Direction::Out,
            rail: order.rail,
            request: Some(order.request.clone()),
            payment_hash: order.payment_hash,
            reference: None,
            amount_msat: order.amount_msat,
            since: Timestamp::default(),
        };
        call(&self.backend(), move |backend| backend.look_up(&sought)).await
    }

    async fn until_settled(&self, order: &Order) {
        for _ in 0..400 {
            if let Ok(Found::Settled { preimage: Some(_), .. }) = self.found(order).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not settled: {:?}", self.found(order).await);
    }
}

fn world(python: &Path, operators: &Path, args: &[&str]) -> String {
    let script = source().join("tests/stand_in/world.py");
    let done = Command::new(python).arg(script).arg(operators).args(args).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

impl Rig for SparkRig {
    type Backend = SparkBackend;

    fn backend(&self) -> Arc<SparkBackend> {
        Arc::clone(self.backend.as_ref().unwrap())
    }

    async fn outside_invoice(&self, amount: Msat) -> String {
        self.world(&["invoice", &(amount.get() / 1_000).to_string()])
    }

    fn outside_pays(&self, bolt11: String) -> JoinHandle<Result<(), String>> {
        let (python, operators) = (self.python.clone(), self.operators());
        tokio::task::spawn_blocking(move || {
            world(&python, &operators, &["pay", &bolt11]);
            Ok(())
        })
    }

    async fn restart(&mut self) {
        let backend = self.backend.take().unwrap();
        call(&backend, Backend::stop).await;
        drop(backend);
        self.open().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spark_passes_the_contract_on_its_stand_in() {
    let Some(python) = python() else { return };
    contract::holds(SparkRig::start(python).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_while_it_sends_pays_once() {
    let Some(python) = python() else { return };
    let rig = SparkRig::start(python).await;
    let node_id = rig.backend().node_id();
    rig.world(&["mood", "hang"]);
    let order = rig.order(2_000).await;
    let sending = {
        let (backend, order) = (rig.backend(), order.clone());
        tokio::spawn(async move { call(&backend, move |backend| backend.send(&order)).await })
    };
    while rig.world(&["sent", &node_id]) != "1" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.kill();
    let answer = sending.await.unwrap();
    assert!(matches!(answer, SendAnswer::Unclear(_)), "{answer:?}");
    rig.until_settled(&order).await;
    let again = order.clone();
    let again = call(&rig.backend(), move |backend| backend.send(&again)).await;
    assert!(matches!(again, SendAnswer::Unclear(_)), "{again:?}");
    let Fact::Paid { which, .. } = contract::next(&rig.backend()).await else {
        panic!("what was paid is told")
    };
    assert_eq!(which, Which::Hash(order.payment_hash.unwrap()));
    assert_eq!(rig.world(&["sent", &node_id]), "1");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_send_is_no_answer_until_the_operators_were_heard() {
    let Some(python) = python() else { return };
    let rig = SparkRig::start(python).await;
    rig.world(&["mood", "dropped"]);
    let order = rig.order(3_000).await;
    rig.world(&["offline", "no"]);
    let asked = order.clone();
    let answer = call(&rig.backend(), move |backend| backend.send(&asked)).await;
    assert!(matches!(answer, SendAnswer::Unclear(_)), "{answer:?}");
    rig.world(&["offline", "yes"]);
    assert!(call(&rig.backend(), Backend::sync).await.is_err());
    assert!(matches!(rig.found(&order).await, Err(BackendError::NotNow(_))));
    let asked = order.clone();
    let answer = call(&rig.backend(), move |backend| backend.send(&asked)).await;
    assert!(matches!(answer, SendAnswer::Unclear(_)), "{answer:?}");
    rig.world(&["offline", "no"]);
    call(&rig.backend(), Backend::sync).await.unwrap();
    assert_eq!(rig.found(&order).await, Ok(Found::Nothing));
    let asked = order.clone();
    let answer = call(&rig.backend(), move |backend| backend.send(&asked)).await;
    assert!(matches!(answer, SendAnswer::Taken { reference: Some(_) }), "{answer:?}");
    rig.until_settled(&order).await;
    assert_eq!(rig.world(&["sent", &rig.backend().node_id()]), "1");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deposits_are_listed_and_claimed_within_a_fee() {
    let Some(python) = python() else { return };
    let rig = SparkRig::start(python).await;
    let txid = rig.world(&["deposit", &rig.backend().node_id(), "50000"]);
    let listed = call(&rig.backend(), SparkBackend::deposits).await.unwrap();
    let [deposit] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(
        (deposit.txid.as_str(), deposit.amount_msat),
        (txid.as_str(), Msat::from_sat(50_000))
    );
    for (sats, claimed) in [(149, None), (150, Some(Claimed::Settled))] {
        let (txid, fee) = (txid.clone(), Some(Msat::from_sat(sats)));
        let answer = call(&rig.backend(), move |b| b.claim_deposit(&txid, 0, fee)).await;
        assert_eq!(answer.ok(), claimed);
    }
    let Fact::Received { rail: Rail::Onchain, amount_msat, .. } =
        contract::next(&rig.backend()).await
    else {
        panic!("a claimed deposit is received")
    };
    assert_eq!(amount_msat, Msat::from_sat(49_850), "less the fee");
    rig.end().await;
}

/// The published package itself, through the installed environment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_package_opens_a_wallet_offline_and_claims_no_balance() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let env = python.parent().and_then(Path::parent).unwrap();
    std::os::unix::fs::symlink(env, dir.path().join("env")).unwrap();
    let options = |network| Options::installed(network, dir.path().to_owned(), Handle::current());
    assert!(matches!(open(options(Network::Practice)).await, Err(OpenError::Network(_))));
    assert!(
        matches!(open(options(Network::Mainnet)).await, Err(OpenError::Refused(error)) if error.code == "api_key_missing")
    );
    std::fs::remove_dir_all(dir.path().join("process")).unwrap();
    let backend = Arc::new(open(options(Network::Regtest)).await.unwrap());
    assert_eq!(backend.node_id().len(), 66);
    let seen = backend.observe();
    if seen.state != NodeState::Ready {
        assert_eq!(seen.spendable_msat, None, "nobody knows the balance");
    }
    assert!(call(&backend, |backend| !backend.databases().is_empty()).await);
    call(&backend, Backend::stop).await;
    let none = tempfile::tempdir().unwrap();
    let nowhere = Options::installed(Network::Regtest, none.path().to_owned(), Handle::current());
    let missing = open(nowhere).await;
    assert!(matches!(missing, Err(OpenError::NoEnvironment(_))));
}

/// The machine, its log and its pumps on a Spark wallet.
struct Executor {
    house: Arc<House<SparkBackend>>,
    _pumps: JoinSet<()>,
    _dir: tempfile::TempDir,
}

impl Executor {
    async fn start(backend: Arc<SparkBackend>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions { body_key: [5; 32] };
        let core = CoreOptions {
            store: Store::open(&dir.path().join("wallet.db"), options).unwrap(),
            snapshot_schema: "test",
            view: Box::new(|wallet: &Wallet, _, _| Tide { cursor: wallet.cursor() }),
            project: |_, _| Vec::new(),
            signer: None,
        };
        let core = Core::spawn(core, &[ADAPTER]).unwrap();
        let secret = InvoiceSecret::new(Zeroizing::new([9; 32]));
        let house = Arc::new(House::new(core, secret));
        let limits = SpendLimits::PRACTICE;
        let pumps = attach(&house, backend, Network::Regtest, limits).await.unwrap();
        Self { house, _pumps: pumps, _dir: dir }
    }

    async fn payment(&self, key: &str) -> Payment {
        let key = IdempotencyKey::new(key).unwrap();
        match self.house.ask(Input::Payment { key }).await.unwrap() {
            Reply::Payment(payment) => *payment,
            other => panic!("{other:?}"),
        }
    }

    async fn until(&self, key: &str, holds: impl Fn(&Payment) -> bool) -> Payment {
        for _ in 0..600 {
            let payment = self.payment(key).await;
            if holds(&payment) {
                return payment;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{:?}", self.payment(key).await);
    }

    async fn settled(&self, key: &str) -> Payment {
        self.until(key, |payment| payment.state == PaymentState::Settled).await
    }

    async fn pay(&self, key: &str, request: &str, sats: u32) {
        let pay = Pay {
            key: IdempotencyKey::new(key).unwrap(),
            account: AccountId::operator(),
            request: request.to_owned(),
            amount_msat: Msat::from_sat(sats),
            max_fee_msat: Msat::from_sat(1_000),
            lnurl: None,
        };
        self.house.ask(Input::Pay(pay)).await.unwrap();
    }

    async fn holds(&self, sats: u32) {
        let mut held = None;
        for _ in 0..600 {
            let Ok(Reply::Summary(summary)) = self.house.ask(Input::Summary).await else {
                panic!("no summary")
            };
            held = summary.balance;
            if held.is_some_and(|held| held.spendable_msat == Msat::from_sat(sats)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("holds {held:?} and not {sats} sats");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_executor_runs_on_spark() {
    let Some(python) = python() else { return };
    let rig = SparkRig::start(python).await;
    let executor = Executor::start(rig.backend()).await;
    executor.holds(100_000).await;
    let key = IdempotencyKey::new("in").unwrap();
    let receive = Receive::invoice(key, Msat::from_sat(5_000), "tea".into(), 600);
    executor.house.ask(Input::Receive(receive)).await.unwrap();
    let made = executor.until("in", |payment| payment.request.is_some()).await;
    rig.outside_pays(made.request.unwrap()).await.unwrap().unwrap();
    let got = executor.settled("in").await;
    assert_eq!(got.preimage.map(|preimage| preimage.payment_hash()), got.payment_hash);
    executor.holds(105_000).await;
    let invoice = rig.outside_invoice(Msat::from_sat(2_000)).await;
    executor.pay("out", &invoice, 2_000).await;
    let paid = executor.settled("out").await;
    assert_eq!(paid.fee_msat, Some(Msat::from_sat(11)));
    assert_eq!(paid.preimage.map(|preimage| preimage.payment_hash()), paid.payment_hash);
    executor.pay("chain", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", 5_000).await;
    let sent = executor.settled("chain").await;
    assert_eq!((sent.rail, sent.fee_msat), (Rail::Onchain, Some(Msat::from_sat(1_000))));
    executor.holds(105_000 - 2_011 - 6_000).await;
    rig.world(&["mood", "hang"]);
    let invoice = rig.outside_invoice(Msat::from_sat(3_000)).await;
    executor.pay("lost", &invoice, 3_000).await;
    let node_id = rig.backend().node_id();
    while rig.world(&["sent", &node_id]) != "3" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.kill();
    executor.settled("lost").await;
    assert_eq!(rig.world(&["sent", &node_id]), "3");
    executor.holds(105_000 - 2_011 - 6_000 - 3_016).await;
    drop(executor);
    rig.end().await;
}
