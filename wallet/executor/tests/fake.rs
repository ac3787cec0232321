//! The fake passes the contract; the pumps and calls run on it, through crashes of their own.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use common::{
    contract,
    fake::{Fake, FakeRig, HOLDS, Mood},
};
use domain::{IdempotencyKey, Msat, Network};
use host::{Core, CoreOptions, ipc::Handler};
use pilothouse_wallet::{
    attach::attach,
    backup,
    custody::Guard,
    house::{House, Tide},
    secret::InvoiceSecret,
    server::Calls,
};
use safety::SpendLimits;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};
use store::{OpenOptions, Store};
use tokio::task::JoinSet;
use wallet::{
    Fact, Wallet,
    io::ADAPTER,
    wire::{Invoice, Notice, NoticeKind, Payment, PaymentState, SHOW_SEED_CONFIRM},
};
use zeroize::Zeroizing;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_passes_the_contract() {
    contract::holds(FakeRig(Fake::new())).await;
}

/// An executor without its process.
struct Executor {
    calls: Calls<Fake>,
    house: Arc<House<Fake>>,
    _pumps: JoinSet<()>,
}

impl Executor {
    async fn start(dir: &Path, fake: &Fake) -> Self {
        let log = dir.join("wallet.db");
        let core = Core::spawn(
            CoreOptions {
                store: Store::open(&log, OpenOptions { body_key: [5; 32] }).unwrap(),
                snapshot_schema: "test",
                view: Box::new(|wallet: &Wallet, _, _| Tide { cursor: wallet.cursor() }),
                project: |_, _| Vec::new(),
                signer: None,
            },
            &[ADAPTER],
        )
        .unwrap();
        let secret = InvoiceSecret::new(Zeroizing::new([9; 32]));
        let house = Arc::new(House::new(core, secret));
        let backend = Arc::new(fake.clone());
        let pumps =
            attach(&house, backend, Network::Practice, SpendLimits::PRACTICE).await.unwrap();
        let calls = Calls {
            house: Arc::clone(&house),
            network: Network::Practice,
            words: Box::new(|| Zeroizing::new("one two three".into())),
            keeper: None,
            backup: Some((
                backup::Sources { log, files: vec![dir.join("absent.json")] },
                dir.join("backups"),
            )),
            custody: Guard::none(),
        };
        Self { calls, house, _pumps: pumps }
    }

    async fn end(self) {
        let Self { house, calls, _pumps: mut pumps } = self;
        pumps.shutdown().await;
        house.core.shutdown().await;
        drop((house, calls));
    }

    /// The first channel, as a node would tell of it.
    fn funded(fake: &Fake) {
        fake.push(Fact::ChannelPending { channel: "c".into(), ours_msat: HOLDS });
        fake.push(Fact::ChannelReady { channel: "c".into(), ours_msat: HOLDS });
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, domain::ErrorBody> {
        self.calls.call(method, params).await
    }

    async fn payment(&self, key: &str) -> Payment {
        serde_json::from_value(self.ask("payment", json!({ "key": key })).await.unwrap()).unwrap()
    }

    async fn until(&self, key: &str, state: PaymentState) -> Payment {
        for _ in 0..400 {
            let payment = self.payment(key).await;
            if payment.state == state {
                return payment;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{key} did not become {state:?}: {:?}", self.payment(key).await);
    }

    async fn receive(&self, key: &str, msat: u64) -> Result<Invoice, domain::ErrorBody> {
        let asked = json!({ "key": key, "amount_msat": msat, "memo": "m", "expiry_secs": 600 });
        Ok(serde_json::from_value(self.ask("receive", asked).await?).unwrap())
    }

    async fn pay(&self, key: &str, bolt11: &str, msat: u64) -> Result<Value, domain::ErrorBody> {
        let fee = 1_000;
        let asked =
            json!({ "key": key, "request": bolt11, "amount_msat": msat, "max_fee_msat": fee });
        self.ask("pay", asked).await
    }

    async fn balance(&self) -> u64 {
        for _ in 0..400 {
            let info = self.ask("info", Value::Null).await.unwrap();
            if let Some(msat) = info["balance"]["spendable_msat"].as_u64()
                && msat > 0
            {
                return msat;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no balance")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_comes_and_goes_and_adds_up() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new();
    let executor = Executor::start(dir.path(), &fake).await;
    Executor::funded(&fake);
    assert_eq!(executor.balance().await, HOLDS.get());
    let invoice = executor.receive("in", 7_001).await.unwrap();
    assert_eq!(executor.receive("in", 7_001).await.unwrap(), invoice);
    assert_eq!(executor.receive("in", 7_002).await.unwrap_err().code, "key_reused");
    fake.pays(&invoice.text).await.unwrap().unwrap();
    let settled = executor.until("in", PaymentState::Settled).await;
    assert_eq!(settled.preimage.map(|proof| proof.payment_hash()), invoice.payment_hash);
    let outside = fake.outside_invoice(Msat::new(5_003).unwrap());
    executor.pay("out", &outside, 5_003).await.unwrap();
    let paid = executor.until("out", PaymentState::Settled).await;
    assert_eq!(paid.preimage.unwrap().payment_hash(), paid.payment_hash.unwrap());
    assert_eq!(executor.balance().await, HOLDS.get() + 7_001 - 5_003);
    assert_eq!(executor.pay("again", &outside, 5_003).await.unwrap_err().code, "already_paid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unclear_send_ends_by_look_up_and_never_leaves_twice() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new();
    let executor = Executor::start(dir.path(), &fake).await;
    Executor::funded(&fake);
    executor.balance().await;
    for (key, mood, ends) in [
        ("lost", Mood::SendsAndIsUnclear, PaymentState::Settled),
        ("asleep", Mood::NotNow, PaymentState::Settled),
        ("silent", Mood::IsUnclear, PaymentState::Unknown),
    ] {
        fake.world().moods.push_back(mood);
        let outside = fake.outside_invoice(Msat::from_sat(2));
        executor.pay(key, &outside, 2_000).await.unwrap();
        executor.until(key, ends).await;
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(executor.payment("silent").await.state, PaymentState::Unknown);
    assert!(fake.world().sends.values().all(|times| *times == 1));
    assert_eq!(fake.world().sends.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_found_no_way_is_tried_again_and_leaves_once() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new();
    let executor = Executor::start(dir.path(), &fake).await;
    Executor::funded(&fake);
    executor.balance().await;
    fake.world().moods.extend([Mood::NoWay, Mood::NoWayLater]);
    let outside = fake.outside_invoice(Msat::from_sat(2));
    executor.pay("twice", &outside, 2_000).await.unwrap();
    executor.until("twice", PaymentState::Settled).await;
    fake.world().moods.push_back(Mood::Rejected);
    let outside = fake.outside_invoice(Msat::from_sat(3));
    executor.pay("rejected", &outside, 3_000).await.unwrap();
    executor.until("rejected", PaymentState::Failed).await;
    assert!(fake.world().sends.values().all(|times| *times == 1));
    assert_eq!(fake.world().sends.len(), 1);
    assert_eq!(executor.balance().await, HOLDS.get() - 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_try_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new();
    let first = Executor::start(dir.path(), &fake).await;
    Executor::funded(&fake);
    first.balance().await;
    fake.world().moods.push_back(Mood::NoWayLater);
    let outside = fake.outside_invoice(Msat::from_sat(2));
    first.pay("out", &outside, 2_000).await.unwrap();
    for _ in 0..400 {
        if first.payment("out").await.detail.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    first.end().await;
    assert_eq!(fake.world().sends.len(), 0);
    let second = Executor::start(dir.path(), &fake).await;
    second.until("out", PaymentState::Settled).await;
    assert!(fake.world().sends.values().all(|times| *times == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_failure_says_nothing_of_what_is_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new();
    let executor = Executor::start(dir.path(), &fake).await;
    Executor::funded(&fake);
    executor.balance().await;
    fake.world().moods.extend([Mood::NoWay, Mood::Hangs]);
    let outside = fake.outside_invoice(Msat::from_sat(2));
    executor.pay("out", &outside, 2_000).await.unwrap();
    let pending = executor.until("out", PaymentState::Pending).await;
    let payment_hash = pending.payment_hash.unwrap();
    executor.end().await;
    let executor = Executor::start(dir.path(), &fake).await;
    for no_way in [true, false] {
        fake.push_failure(payment_hash, "once more", no_way);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(executor.payment("out").await.state, PaymentState::Pending);
}

/// The node may write its record of a payment only after it said that it failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_failure_of_a_payment_ends_it_though_its_record_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new();
    let executor = Executor::start(dir.path(), &fake).await;
    Executor::funded(&fake);
    executor.balance().await;
    fake.world().moods.push_back(Mood::Hangs);
    let outside = fake.outside_invoice(Msat::from_sat(2));
    executor.pay("out", &outside, 2_000).await.unwrap();
    let pending = executor.until("out", PaymentState::Pending).await;
    fake.push_failure(pending.payment_hash.unwrap(), "every way failed at once", true);
    executor.until("out", PaymentState::Failed).await;
    assert_eq!(executor.balance().await, HOLDS.get());
}

/// An executor that goes down ends its connections; what still asks learns that nothing is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_core_is_never_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new();
    let executor = Executor::start(dir.path(), &fake).await;
    Executor::funded(&fake);
    executor.balance().await;
    executor.house.core.shutdown().await;
    let outside = fake.outside_invoice(Msat::from_sat(2));
    let error = executor.pay("out", &outside, 2_000).await.unwrap_err();
    assert_eq!((error.code.as_ref(), error.retryable), ("stopped", true));
}

/// The process ends at each point of a payment's way; the next one finishes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_at_any_moment_ends_each_payment_once() {
    for moment_ms in [0, 1, 3, 8, 20, 60] {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::new();
        let first = Executor::start(dir.path(), &fake).await;
        Executor::funded(&fake);
        first.balance().await;
        let invoice = first.receive("in", 9_000).await.unwrap();
        let outside = fake.outside_invoice(Msat::from_sat(3));
        first.pay("out", &outside, 3_000).await.unwrap();
        let payer = fake.pays(&invoice.text);
        tokio::time::sleep(Duration::from_millis(moment_ms)).await;
        first.end().await;
        let second = Executor::start(dir.path(), &fake).await;
        second.until("out", PaymentState::Settled).await;
        second.until("in", PaymentState::Settled).await;
        payer.await.unwrap().unwrap();
        assert_eq!(second.receive("in", 9_000).await.unwrap().payment_hash, invoice.payment_hash);
        assert!(fake.world().sends.values().all(|times| *times == 1), "after {moment_ms} ms");
        assert_eq!(second.balance().await, HOLDS.get() + 9_000 - 3_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_waits_for_notices_and_resumes_by_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new();
    let executor = Arc::new(Executor::start(dir.path(), &fake).await);
    Executor::funded(&fake);
    executor.balance().await;
    let read = |after: u64, wait_ms: u32| {
        let executor = Arc::clone(&executor);
        async move {
            let asked = json!({ "after": after, "wait_ms": wait_ms });
            let answer = executor.ask("events", asked).await.unwrap();
            serde_json::from_value::<Vec<Notice>>(answer).unwrap()
        }
    };
    let mut cursor = read(0, 0).await.last().unwrap().cursor;
    while let Some(last) = read(cursor, 300).await.last() {
        cursor = last.cursor;
    }
    let waiting = tokio::spawn(read(cursor, 20_000));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    executor.receive("in", 5_000).await.unwrap();
    let woken = waiting.await.unwrap();
    let of_key = |notice: &Notice| matches!(&notice.what, NoticeKind::Payment(p) if p.key == IdempotencyKey::new("in").unwrap());
    assert!(woken.iter().any(of_key));
    let ahead = executor.ask("events", json!({ "after": 1_000_000, "wait_ms": 0 })).await;
    assert_eq!(ahead.unwrap_err().code, "unknown_cursor");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_calls_are_refused_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new();
    let executor = Executor::start(dir.path(), &fake).await;
    Executor::funded(&fake);
    executor.balance().await;
    for (method, params, code) in [
        ("nonsense", json!({}), "unknown_method"),
        ("receive", json!({}), "invalid_params"),
        (
            "receive",
            json!({ "key": "a b", "amount_msat": 1, "memo": "", "expiry_secs": 1 }),
            "invalid_params",
        ),
        (
            "receive",
            json!({ "key": "a", "amount_msat": -1, "memo": "", "expiry_secs": 1 }),
            "invalid_params",
        ),
        (
            "receive",
            json!({ "key": "a", "amount_msat": 1.5, "memo": "", "expiry_secs": 1 }),
            "invalid_params",
        ),
        (
            "receive",
            json!({ "key": "a", "amount_msat": 0, "memo": "", "expiry_secs": 1 }),
            "unsupported_amount",
        ),
        (
            "receive",
            json!({ "key": "a", "amount_msat": 1, "memo": "", "expiry_secs": 0 }),
            "bad_expiry",
        ),
        (
            "receive",
            json!({ "key": "a", "amount_msat": 1, "memo": "m".repeat(640), "expiry_secs": 9 }),
            "memo_too_long",
        ),
        (
            "pay",
            json!({ "key": "a", "request": "lnbc1", "amount_msat": 1, "max_fee_msat": 1 }),
            "bad_invoice",
        ),
        ("quote", json!({ "request": "" }), "bad_request"),
        ("payment", json!({ "key": "absent" }), "no_such_payment"),
        ("show_seed", json!({ "confirm": "yes" }), "not_confirmed"),
    ] {
        let error = executor.ask(method, params.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{method} {params}");
    }
    let words = executor.ask("show_seed", json!({ "confirm": SHOW_SEED_CONFIRM })).await.unwrap();
    assert_eq!(words["words"], json!(["one", "two", "three"]));
    assert!(
        executor.ask("history", json!({ "before": null, "count": 5 })).await.unwrap() == json!([])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_holds_the_log_and_no_words() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new();
    let executor = Executor::start(dir.path(), &fake).await;
    Executor::funded(&fake);
    executor.balance().await;
    let report = executor.ask("backup", Value::Null).await.unwrap();
    assert_eq!(report["includes"], json!(["wallet.db"]));
    let folder = Path::new(report["path"].as_str().unwrap());
    let copy = Store::open(&folder.join("wallet.db"), OpenOptions { body_key: [5; 32] }).unwrap();
    assert!(copy.last_position() > 0);
    assert!(folder.join("README.txt").exists());
}
