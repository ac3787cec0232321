//! Many payments at once between two wallets, asked for twice each, while either is killed: every
//! one is paid once, and the balances add up to the msat.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![expect(clippy::disallowed_methods, reason = "the test starts and kills the program under test")]

mod common;

use common::practice;
use domain::{ErrorBody, Msat, Network};
use host::ipc::Client;
use ldk_node::bitcoin::{Address, Network as BitcoinNetwork, Script};
use pilothouse_practice::Practice;
use pilothouse_wallet::chain_file;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use wallet::{
    chain::ChainFile,
    wire::{Invoice, Payment, PaymentState, SERVICE},
};

const SOON: Duration = Duration::from_secs(120);
const CHANNEL: Msat = Msat::from_sat(5_000_000);
const AMOUNT_MSAT: u64 = 1_000_001;

/// A wallet's process, which may be another one after each kill.
struct Wallet {
    home: PathBuf,
    child: Mutex<Child>,
}

impl Wallet {
    fn spawn(home: &Path) -> Child {
        Command::new(env!("CARGO_BIN_EXE_pilothouse-wallet"))
            .args(["--exit-with-parent", "--home"])
            .arg(home)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn start(home: PathBuf) -> Arc<Self> {
        let child = Mutex::new(Self::spawn(&home));
        Arc::new(Self { home, child })
    }

    fn kill_and_start(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        *child = Self::spawn(&self.home);
    }

    /// Asks until there is an answer that holds: a process that was killed gives none.
    async fn call(&self, method: &str, params: Value) -> Result<Value, ErrorBody> {
        let started = Instant::now();
        loop {
            let asked = async {
                let client = Client::connect(&self.home.join("wallet"), SERVICE).await?;
                client.call(method, params.clone()).await
            };
            let error = match tokio::time::timeout(SOON, asked).await.expect("an answer") {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // The token is a new one in the moment between two processes.
            let cut_off = ["connection_lost", "not_reachable", "stopped", "wrong_token"]
                .contains(&&*error.code);
            if !(cut_off || error.retryable) {
                return Err(error);
            }
            assert!(started.elapsed() < SOON, "{method}: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn info_when(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let info = self.call("info", Value::Null).await.unwrap();
            if is(&info) {
                return info;
            }
            assert!(started.elapsed() < SOON, "{what}: {info}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn until_over(&self, key: &str) -> Payment {
        let started = Instant::now();
        loop {
            let answer = self.call("payment", json!({ "key": key })).await.unwrap();
            let payment: Payment = serde_json::from_value(answer).unwrap();
            if payment.state.is_over() {
                return payment;
            }
            assert!(started.elapsed() < SOON, "{payment:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Wallet {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _has_ended = child.kill();
        let _was_waited_for = child.wait();
    }
}

fn mine(practice: &Practice, count: u32, to: &Address) {
    let chain = practice.chain().unwrap();
    let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
    chain.mine(count, &to.script_pubkey(), host::clock::now().as_secs()).unwrap();
}

/// Two wallets with two channels from the first to the second.
async fn two(practice: &Practice, dir: &Path) -> (Arc<Wallet>, Arc<Wallet>) {
    let source = practice::bitcoind(practice);
    for name in ["payer", "payee"] {
        let home = host::Home::open(dir.join(name)).unwrap().sub("wallet").unwrap();
        chain_file::write(home.root(), &ChainFile::new(Network::Practice, source.clone())).unwrap();
    }
    let (payer, payee) = (Wallet::start(dir.join("payer")), Wallet::start(dir.join("payee")));
    let peer = payee.info_when("a node", |info| info["listening_address"].is_string()).await;
    let peer = format!(
        "{}@{}",
        peer["node_id"].as_str().unwrap(),
        peer["listening_address"].as_str().unwrap()
    );
    let asked = json!({ "key": "coins", "rail": "onchain", "expiry_secs": 600 });
    let coins: Invoice =
        serde_json::from_value(payer.call("receive", asked).await.unwrap()).unwrap();
    let elsewhere = Address::p2wsh(Script::new(), BitcoinNetwork::Regtest);
    mine(practice, 1, &coins.text.parse::<Address<_>>().unwrap().assume_checked());
    mine(practice, 100, &elsewhere);
    payer
        .info_when("coins", |info| {
            info["balance"]["onchain_msat"].as_u64().is_some_and(|msat| msat > CHANNEL.get() * 2)
        })
        .await;
    for open in 1..=2_u64 {
        let asked = json!({ "key": format!("c{open}"), "peer": peer, "amount_msat": CHANNEL });
        let started = Instant::now();
        while let Err(error) = payer.call("open_channel", asked.clone()).await {
            assert_eq!(error.code, "insufficient_balance", "the coins are not seen yet");
            assert!(started.elapsed() < SOON, "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let waits = || {
            let chain = practice.chain().unwrap();
            chain.lock().unwrap_or_else(PoisonError::into_inner).has_waiting_transactions()
        };
        while !waits() {
            assert!(started.elapsed() < SOON, "the funding transaction did not come");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        mine(practice, 6, &elsewhere);
        let least = CHANNEL.get() * open - 2_000_000 * open;
        payer
            .info_when("a channel", |info| {
                info["state"] == "ready"
                    && info["balance"]["spendable_msat"].as_u64().is_some_and(|msat| msat > least)
            })
            .await;
    }
    (payer, payee)
}

async fn pay(payer: &Wallet, payee: &Wallet, number: usize) {
    let (job, buy) = (format!("job/{number}"), format!("buy/{number}"));
    let asked = json!({
        "key": job, "amount_msat": AMOUNT_MSAT, "memo": "job", "expiry_secs": 3_600,
    });
    let first: Invoice =
        serde_json::from_value(payee.call("receive", asked.clone()).await.unwrap()).unwrap();
    let again: Invoice =
        serde_json::from_value(payee.call("receive", asked).await.unwrap()).unwrap();
    assert_eq!(first, again);
    let pay = json!({
        "key": buy, "request": first.text, "amount_msat": AMOUNT_MSAT, "max_fee_msat": 0,
    });
    for _ in 0..2 {
        payer.call("pay", pay.clone()).await.unwrap();
    }
    let mut twice = pay;
    twice["key"] = json!(format!("twice/{number}"));
    assert_eq!(payer.call("pay", twice).await.unwrap_err().code, "already_paid");
    let paid = payer.until_over(&buy).await;
    assert_eq!((paid.state, paid.fee_msat), (PaymentState::Settled, Some(Msat::ZERO)), "{paid:?}");
    assert_eq!(paid.preimage.map(|proof| proof.payment_hash()), first.payment_hash);
    let got = payee.until_over(&job).await;
    assert_eq!((got.state, got.preimage), (PaymentState::Settled, paid.preimage));
}

async fn many(payments: usize, at_once: usize, kills: u64) {
    let dir = tempfile::tempdir().unwrap();
    let practice = practice::start(dir.path()).await;
    let (payer, payee) = two(&practice, dir.path()).await;
    let ready = |info: &Value| info["state"] == "ready" && info["balance"].is_object();
    let before = payer.info_when("ready", ready).await;
    let before = before["balance"]["spendable_msat"].as_u64().unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let (payer, payee, next) = (Arc::clone(&payer), Arc::clone(&payee), Arc::clone(&next));
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= payments {
                    return;
                }
                pay(&payer, &payee, number).await;
            }
        });
    }
    let mut random = 88_172_645_463_325_252_u64;
    for _ in 0..kills {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        tokio::time::sleep(Duration::from_millis(500 + random % 4_000)).await;
        let victim = if random.is_multiple_of(2) { &payer } else { &payee };
        let victim = Arc::clone(victim);
        tokio::task::spawn_blocking(move || victim.kill_and_start()).await.unwrap();
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    println!("{payments} payments, {at_once} at once, {kills} kills: {:?}", started.elapsed());
    let moved = payments as u64 * AMOUNT_MSAT;
    let balance = |info: &Value| info["balance"]["spendable_msat"].as_u64();
    for (wallet, expected) in [(&payer, before - moved), (&payee, moved)] {
        wallet.info_when("an exact balance", |info| balance(info) == Some(expected)).await;
        tokio::time::sleep(Duration::from_secs(7)).await;
        let info = wallet.info_when("ready", ready).await;
        assert_eq!(info["detail"], Value::Null, "ledger and channels agree");
        assert_eq!(balance(&info), Some(expected));
    }
    drop((payer, payee));
    practice.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn payments_at_once_with_kills_add_up() {
    many(96, 64, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes minutes: a thousand payments"]
async fn a_thousand_payments_with_kills_add_up() {
    many(1_000, 64, 30).await;
}
