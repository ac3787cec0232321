//! The real process on the practice network: two desks' wallets, paid, killed, started again.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![expect(clippy::disallowed_methods, reason = "the test starts the program itself")]

mod common;

use common::practice;
use domain::ErrorBody;
use host::ipc::Client;
use ldk_node::bitcoin::{Address, Network as BitcoinNetwork, Script};
use pilothouse_practice::Practice;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};
use wallet::wire::{Invoice, Payment, PaymentState, Rail, SERVICE};

const HALF_MSAT: u64 = 5_000_000_000;
const WITHIN: Duration = Duration::from_secs(60);
/// A payment in and one out are over sooner than this.
const OVER_WITHIN: Duration = Duration::from_secs(20);

/// One executor, its home and the way to it.
struct Wallet {
    home: PathBuf,
    child: Child,
    client: Client,
}

fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse-wallet"));
    command.arg("--home").arg(home).stdin(Stdio::piped());
    command
}

impl Wallet {
    async fn start(home: &Path) -> Self {
        let mut command = program(home);
        let child = command.arg("--exit-with-parent").spawn().unwrap();
        let start = Instant::now();
        let client = loop {
            match Client::connect(&home.join("wallet"), SERVICE).await {
                Ok(client) => break client,
                Err(error) => assert!(start.elapsed() < WITHIN, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        Self { home: home.to_owned(), child, client }
    }

    /// Starts it so that it kills itself at this step of its log; it may do so at any moment.
    async fn start_to_die(home: &Path, step: u32) -> (Child, Option<Client>) {
        let mut command = program(home);
        let mut child = command.env("PILOTHOUSE_CRASH_AT", step.to_string()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if let Ok(client) = Client::connect(&home.join("wallet"), SERVICE).await {
                return (child, Some(client));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (child, None)
    }

    /// On the practice network, with its channel.
    async fn joined(practice: &Practice, home: &Path) -> Self {
        practice::write_chain_file(practice, &home.join("wallet"));
        let wallet = Self::start(home).await;
        let info = wallet.info_when(|info| info["listening_address"].is_string()).await;
        let text = |name: &str| info[name].as_str().unwrap().to_owned();
        practice::join(practice, text("node_id"), text("listening_address")).await;
        wallet.ready().await;
        wallet
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, ErrorBody> {
        tokio::time::timeout(WITHIN, self.client.call(method, params)).await.expect("an answer")
    }

    async fn info_when(&self, is: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let info = self.call("info", Value::Null).await.unwrap();
            if is(&info) {
                return info;
            }
            assert!(start.elapsed() < WITHIN, "{info}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ready(&self) {
        self.info_when(|info| info["state"] == "ready" && info["balance"].is_object()).await;
    }

    async fn balance(&self) -> u64 {
        let info = self.call("info", Value::Null).await.unwrap();
        info["balance"]["spendable_msat"].as_u64().unwrap()
    }

    async fn receive(&self, key: &str, msat: u64) -> Result<Invoice, ErrorBody> {
        let asked = json!({ "key": key, "amount_msat": msat, "memo": "job", "expiry_secs": 600 });
        Ok(serde_json::from_value(self.call("receive", asked).await?).unwrap())
    }

    async fn pay(&self, key: &str, bolt11: &str, msat: u64) -> Result<Value, ErrorBody> {
        let asked =
            json!({ "key": key, "request": bolt11, "amount_msat": msat, "max_fee_msat": 10_000 });
        self.call("pay", asked).await
    }

    async fn until(&self, key: &str, state: PaymentState) -> Payment {
        let start = Instant::now();
        loop {
            if let Ok(answer) = self.call("payment", json!({ "key": key })).await {
                let payment: Payment = serde_json::from_value(answer).unwrap();
                if payment.state == state {
                    return payment;
                }
                assert!(start.elapsed() < WITHIN, "{key}: {payment:?}");
            }
            assert!(start.elapsed() < WITHIN, "{key}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn ended(&mut self) -> ExitStatus {
        wait(&mut self.child).await
    }
}

impl Drop for Wallet {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < WITHIN, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn proves(payment: &Payment) {
    let preimage = payment.preimage.expect("a settled payment has its preimage");
    assert_eq!(Some(preimage.payment_hash()), payment.payment_hash);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_wallets_pay_each_other_and_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let practice = practice::start(dir.path()).await;
    let (home_a, home_b) = (dir.path().join("a"), dir.path().join("b"));
    let (mut a, b) =
        tokio::join!(Wallet::joined(&practice, &home_a), Wallet::joined(&practice, &home_b));
    assert_eq!((a.balance().await, b.balance().await), (HALF_MSAT, HALF_MSAT));

    let invoice = b.receive("job/1", 50_001).await.unwrap();
    assert_eq!(b.receive("job/1", 50_001).await.unwrap(), invoice);
    a.pay("buy/1", &invoice.text, 50_001).await.unwrap();
    let paid = a.until("buy/1", PaymentState::Settled).await;
    let got = b.until("job/1", PaymentState::Settled).await;
    proves(&paid);
    proves(&got);
    let fee = paid.fee_msat.unwrap().get();
    assert!(fee > 0, "the counterparty forwards for a fee");
    assert_eq!(a.balance().await, HALF_MSAT - 50_001 - fee);
    assert_eq!(b.balance().await, HALF_MSAT + 50_001);

    a.kill();
    let a = Wallet::start(&home_a).await;
    a.ready().await;
    assert_eq!(a.balance().await, HALF_MSAT - 50_001 - fee);
    let same: Payment =
        serde_json::from_value(a.pay("buy/1", &invoice.text, 50_001).await.unwrap()).unwrap();
    assert_eq!((same.state, same.preimage), (PaymentState::Settled, paid.preimage));
    let twice = a.pay("buy/2", &invoice.text, 50_001).await.unwrap_err();
    assert_eq!(twice.code, "already_paid");

    let back = a.receive("job/2", 7_007).await.unwrap();
    b.pay("buy/3", &back.text, 7_007).await.unwrap();
    let fee_back = b.until("buy/3", PaymentState::Settled).await.fee_msat.unwrap().get();
    a.until("job/2", PaymentState::Settled).await;
    assert_eq!(a.balance().await, HALF_MSAT - 50_001 - fee + 7_007);
    assert_eq!(b.balance().await, HALF_MSAT + 50_001 - 7_007 - fee_back);

    tokio::time::sleep(Duration::from_secs(7)).await;
    for wallet in [&a, &b] {
        let info = wallet.call("info", Value::Null).await.unwrap();
        assert_eq!(info["detail"], Value::Null, "ledger and channels agree");
    }
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    a.call("backup_set", json!({ "place": disk })).await.unwrap();
    let report = a.call("backup", Value::Null).await.unwrap();
    assert_eq!(report["includes"], json!(["wallet.db", "node.db"]));
    drop((a, b));
    practice.stop().await;
}

/// Its node fails the try for certain each time; the payer is killed between two of them as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_who_is_away_for_a_moment_is_paid_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let practice = practice::start(dir.path()).await;
    let (home_a, home_b) = (dir.path().join("a"), dir.path().join("b"));
    let (mut a, mut b) =
        tokio::join!(Wallet::joined(&practice, &home_a), Wallet::joined(&practice, &home_b));
    let invoice = b.receive("job", 50_001).await.unwrap();
    b.kill();
    a.pay("buy", &invoice.text, 50_001).await.unwrap();
    let start = Instant::now();
    while a.until("buy", PaymentState::Requested).await.detail.is_none() {
        assert!(start.elapsed() < WITHIN, "no next try is planned");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    a.kill();
    let (a, b) = tokio::join!(Wallet::start(&home_a), Wallet::start(&home_b));
    let paid = a.until("buy", PaymentState::Settled).await;
    proves(&paid);
    proves(&b.until("job", PaymentState::Settled).await);
    let fee = paid.fee_msat.unwrap().get();
    assert_eq!(a.balance().await, HALF_MSAT - 50_001 - fee);
    assert_eq!(b.balance().await, HALF_MSAT + 50_001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_process_owns_a_wallet_and_ends_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a");
    let mut wallet = Wallet::start(&home).await;
    let info = wallet.call("info", Value::Null).await.unwrap();
    assert_eq!(info["node_id"], "", "without a chain file there is no node");
    wallet.info_when(|info| info["state"] == "degraded" && info["detail"].is_string()).await;

    let second = program(&home).output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("Another wallet process"), "{said}");

    let mut mainnet = program(&dir.path().join("m"));
    mainnet.args(["--network", "mainnet", "--exit-with-parent"]).stdin(Stdio::null());
    let mainnet = mainnet.output().unwrap();
    let said = String::from_utf8_lossy(&mainnet.stderr).into_owned();
    assert!(mainnet.status.success() || said.contains("passphrase"), "{said}");

    wallet.call("shutdown", Value::Null).await.unwrap();
    assert!(wallet.ended().await.success());
    assert!(Client::connect(&home.join("wallet"), SERVICE).await.is_err());

    let mut orphan = Wallet::start(&home).await;
    drop(orphan.child.stdin.take());
    assert!(orphan.ended().await.success(), "it ends with its parent");
    assert!(orphan.home.join("wallet/wallet.db").exists());

    let mut terminated = Wallet::start(&home).await;
    let pid = rustix::process::Pid::from_child(&terminated.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(terminated.ended().await.success());
}

/// Ended by itself at the n-th step of its log, in and out, the wallet finishes both after a start.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_its_own_steps_it_ends_each_payment_once() {
    assert_eq!(killed_at([7, 10, 13, 16, 19]).await, 19);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes minutes: every step"]
async fn killed_at_each_of_its_steps_it_ends_each_payment_once() {
    let last = killed_at(1..=60).await;
    assert!(last >= 19, "it took only {last} steps");
}

/// Killed from outside while a payment goes out and one comes in, whatever it does just then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes minutes: many moments"]
async fn killed_at_any_moment_it_ends_each_payment_once() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a");
    let practice = practice::start(dir.path()).await;
    let counterparty = practice.counterparty().unwrap();
    let mut wallet = Wallet::joined(&practice, &home).await;
    let mut expected = HALF_MSAT;
    for round in 0..40_u64 {
        let (job, buy) = (format!("job/{round}"), format!("buy/{round}"));
        let outside = counterparty.invoice(3_003, "").await.unwrap();
        let invoice = wallet.receive(&job, 9_009).await.unwrap();
        wallet.pay(&buy, &outside.bolt11, 3_003).await.unwrap();
        let paying = {
            let (counterparty, bolt11) = (std::sync::Arc::clone(counterparty), invoice.text);
            tokio::spawn(async move { counterparty.pay(&bolt11).await })
        };
        tokio::time::sleep(Duration::from_millis(round * 37 % 240)).await;
        wallet.kill();
        wallet = Wallet::start(&home).await;
        wallet.ready().await;
        paying.await.unwrap().unwrap();
        proves(&wallet.until(&job, PaymentState::Settled).await);
        proves(&wallet.until(&buy, PaymentState::Settled).await);
        expected = expected + 9_009 - 3_003;
        assert_eq!(wallet.balance().await, expected, "after round {round}");
    }
}

/// Goes on until all is over before the step; returns the last one that was reached.
async fn killed_at(steps: impl IntoIterator<Item = u32>) -> u32 {
    let mut last = 0;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a");
    let practice = practice::start(dir.path()).await;
    let counterparty = practice.counterparty().unwrap();
    let mut wallet = Wallet::joined(&practice, &home).await;
    let mut expected = HALF_MSAT;
    for step in steps {
        wallet.call("shutdown", Value::Null).await.unwrap();
        wallet.ended().await;
        let outside = counterparty.invoice(3_003, "").await.unwrap();
        let pay = json!({
            "key": format!("buy/{step}"), "request": outside.bolt11,
            "amount_msat": 3_003, "max_fee_msat": 10_000,
        });
        let receive = json!({
            "key": format!("job/{step}"), "amount_msat": 9_009, "memo": "", "expiry_secs": 600,
        });
        // It dies somewhere in here; what it answered before counts.
        let (mut child, client) = Wallet::start_to_die(&home, step).await;
        let mut given = None;
        if let Some(client) = client {
            let asked = async {
                while client.call("info", Value::Null).await?["state"] != "ready" {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                client.call("pay", pay.clone()).await?;
                let invoice = client.call("receive", receive.clone()).await?;
                given = Some(serde_json::from_value::<Invoice>(invoice).unwrap());
                Ok::<_, ErrorBody>(())
            };
            let _cut_off = tokio::time::timeout(WITHIN, asked).await.expect("an answer or an end");
        }
        let paying = given.clone().map(|invoice| {
            let counterparty = std::sync::Arc::clone(counterparty);
            tokio::spawn(async move { counterparty.pay(&invoice.text).await })
        });
        let Ok(died) = tokio::time::timeout(OVER_WITHIN, wait(&mut child)).await else {
            child.kill().unwrap();
            child.wait().unwrap();
            break;
        };
        assert!(!died.success(), "it died at step {step}");
        last = step;

        wallet = Wallet::start(&home).await;
        wallet.ready().await;
        wallet.call("pay", pay).await.unwrap();
        let invoice: Invoice =
            serde_json::from_value(wallet.call("receive", receive).await.unwrap()).unwrap();
        assert!(given.is_none_or(|given| given == invoice), "what was given out stays");
        if let Some(paying) = paying {
            let _paid_again_below = paying.await.unwrap();
        }
        counterparty.pay(&invoice.text).await.unwrap();
        proves(&wallet.until(&format!("job/{step}"), PaymentState::Settled).await);
        proves(&wallet.until(&format!("buy/{step}"), PaymentState::Settled).await);
        expected = expected + 9_009 - 3_003;
        assert_eq!(wallet.balance().await, expected, "after step {step}");
    }
    last
}

/// What pays `script` in blocks and in the mempool, by amount in satoshi.
fn paid_to(practice: &Practice, to: &Address) -> Vec<u64> {
    let chain = practice.chain().unwrap();
    let chain = chain.lock().unwrap();
    chain.paid_to(&to.script_pubkey())
}

fn mine(practice: &Practice, count: u32, to: &Address) {
    let chain = practice.chain().unwrap();
    let mut chain = chain.lock().unwrap();
    chain.mine(count, &to.script_pubkey(), host::clock::now().as_secs()).unwrap();
}

/// Someone else, another one for each number.
fn payee(number: u32) -> Address {
    let number = u8::try_from(number).unwrap();
    Address::p2wsh(Script::from_bytes(&[number]), BitcoinNetwork::Regtest)
}

/// Killed at steps of its log while it pays on the chain, it pays each payment once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_the_chain_each_payment_leaves_once_through_kills() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a");
    let practice = practice::start(dir.path()).await;
    let mut wallet = Wallet::joined(&practice, &home).await;
    let channels = wallet.call("channels", Value::Null).await.unwrap();
    assert_eq!(channels["channels"][0]["ours_msat"], HALF_MSAT);
    let elsewhere = Address::p2wsh(Script::new(), BitcoinNetwork::Regtest);
    let wish = json!({ "key": "in", "rail": "onchain", "expiry_secs": 600 });
    let made = wallet.call("receive", wish.clone()).await.unwrap();
    wallet.kill();
    wallet = Wallet::start(&home).await;
    assert_eq!(wallet.call("receive", wish).await.unwrap(), made);
    let ours: Address<_> = made["text"].as_str().unwrap().parse().unwrap();
    mine(&practice, 1, &ours.assume_checked());
    mine(&practice, 100, &elsewhere);
    let start = Instant::now();
    let got = loop {
        let history = wallet.call("history", json!({ "count": 10 })).await.unwrap();
        let all: Vec<Payment> = serde_json::from_value(history).unwrap();
        if let Some(got) = all.into_iter().find(|payment| payment.reference.is_some()) {
            break got;
        }
        assert!(start.elapsed() < WITHIN, "what was paid in is not told");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((got.rail, got.state), (Rail::Onchain, PaymentState::Settled));
    assert_eq!(got.amount_msat.get(), 5_000_000_000_000);

    let steps: Vec<u32> = (5..=12).collect();
    for step in &steps {
        wallet.call("shutdown", Value::Null).await.unwrap();
        wallet.ended().await;
        let pay = json!({
            "key": format!("out/{step}"), "request": payee(*step).to_string(),
            "amount_msat": 70_000_000, "max_fee_msat": 5_000_000,
        });
        let (mut child, client) = Wallet::start_to_die(&home, *step).await;
        if let Some(client) = client {
            let start = Instant::now();
            while child.try_wait().unwrap().is_none() && start.elapsed() < OVER_WITHIN {
                let _cut = client.call("pay", pay.clone()).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let _gone = child.kill();
        child.wait().unwrap();
        wallet = Wallet::start(&home).await;
        wallet.ready().await;
        let _the_same = wallet.call("pay", pay).await.unwrap();
        wallet.until(&format!("out/{step}"), PaymentState::Pending).await;
    }
    for step in &steps {
        let start = Instant::now();
        while paid_to(&practice, &payee(*step)).is_empty() {
            assert!(start.elapsed() < WITHIN, "the payment of step {step} did not leave");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    mine(&practice, 6, &elsewhere);
    for step in &steps {
        let paid = wallet.until(&format!("out/{step}"), PaymentState::Settled).await;
        assert!(paid.reference.is_some() && !paid.fee_msat.unwrap().is_zero());
        assert_eq!(paid_to(&practice, &payee(*step)), [70_000], "once");
    }
    drop(wallet);
    practice.stop().await;
}
