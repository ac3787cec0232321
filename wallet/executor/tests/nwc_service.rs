//! Apps pay through this wallet over the practice relay: within their budgets, once, and answered
//! also after a crash.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;
mod nwc_support;

use common::fake::{Fake, HOLDS, Mood};
use domain::{Msat, PaymentHash, Preimage};
use nwc_support::{Raw, Served, WITHIN, app, relay};
use pilothouse_practice::relay::Relay;
use pilothouse_wallet::nwc::{
    line::Reach,
    remote::{CallError, Remote},
    seal::Cipher,
    uri::ConnectionUri,
    words::{
        BalanceResult, BudgetResult, Call, Code, Flow, InfoResult, Listing, Lookup, Order, Paid,
        Standing, Told, Transaction, Transactions, Wish,
    },
};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::task::JoinSet;
use wallet::{
    Fact, Which,
    bolt11::Bolt11,
    wire::{ConnectionList, ConnectionView, Payment},
};

const SHORT: Duration = Duration::from_secs(2);

/// A fake with money behind a service on a real relay.
struct Rig {
    dir: tempfile::TempDir,
    relay: Relay,
    fake: Fake,
    served: Served<Fake>,
}

impl Rig {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let relay = relay(dir.path()).await;
        let fake = Fake::new();
        let served = serve(dir.path(), &fake, &relay).await;
        fake.push(Fact::ChannelPending { channel: "c".into(), ours_msat: HOLDS });
        fake.push(Fact::ChannelReady { channel: "c".into(), ours_msat: HOLDS });
        served.funded().await;
        Self { dir, relay, fake, served }
    }

    /// An invoice of somebody outside.
    fn order(&self, msat: u64) -> Order {
        let invoice = self.fake.outside_invoice(Msat::new(msat).unwrap());
        Order { id: None, invoice, amount: None }
    }

    async fn payments(&self) -> Vec<Payment> {
        self.served.ask("history", json!({ "before": null, "count": 500 })).await.unwrap()
    }
}

async fn serve(dir: &Path, fake: &Fake, relay: &Relay) -> Served<Fake> {
    Served::start(dir, Arc::new(fake.clone()), &[relay.url()]).await
}

fn hash_of(order: &Order) -> PaymentHash {
    Bolt11::read(&order.invoice, domain::Network::Practice).unwrap().payment_hash
}

fn budget(msat: u64) -> Value {
    json!({ "budget": { "amount_msat": msat, "renews": "never" }, "on_limit": "refuse" })
}

async fn pay(app: &Remote, order: Order) -> Result<Paid, CallError> {
    app.ask(&Call::PayInvoice(order), WITHIN).await
}

fn code<T: std::fmt::Debug>(answer: Result<T, CallError>) -> Code {
    match answer.unwrap_err() {
        CallError::Refused(why) => why.code,
        other => panic!("not a refusal: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_app_pays_is_paid_and_sees_its_own() {
    let rig = Rig::start().await;
    let (view, uri) = rig.served.connect(budget(100_000)).await;
    let (remote, mut told) = Remote::open(&uri, Reach::Loopback).unwrap();
    let info: InfoResult = remote.ask(&Call::GetInfo, WITHIN).await.unwrap();
    assert_eq!(info.network.as_deref(), Some("regtest"));
    assert!(info.methods.contains(&"pay_invoice".to_owned()));
    let balance: BalanceResult = remote.ask(&Call::GetBalance, WITHIN).await.unwrap();
    assert_eq!(balance.balance.get(), 100_000, "what its budget leaves");

    let order = rig.order(21_000);
    let paid = pay(&remote, order.clone()).await.unwrap();
    assert_eq!(paid.preimage.payment_hash(), hash_of(&order));
    let sent = told.recv().await.unwrap();
    assert_eq!(
        (sent.told, sent.transaction.payment_hash),
        (Told::PaymentSent, Some(hash_of(&order)))
    );
    let balance: BalanceResult = remote.ask(&Call::GetBalance, WITHIN).await.unwrap();
    assert_eq!(balance.balance.get(), 79_000);
    let left: BudgetResult = remote.ask(&Call::GetBudget, WITHIN).await.unwrap();
    assert_eq!(
        (left.used_budget.unwrap().get(), left.total_budget.unwrap().get()),
        (21_000, 100_000)
    );

    let wish =
        Wish { amount: Msat::from_sat(7), description: Some("for tea".into()), ..Wish::default() };
    let made: Transaction = remote.ask(&Call::MakeInvoice(wish), WITHIN).await.unwrap();
    assert_eq!((made.flow, made.state), (Flow::Incoming, Some(Standing::Pending)));
    let invoice = made.invoice.unwrap();
    let of_others: Value = rig
        .served
        .ask("receive", json!({ "key": "mine", "amount_msat": 5_000, "expiry_secs": 60 }))
        .await
        .unwrap();
    rig.fake.pays(&invoice).await.unwrap().unwrap();
    let got = told.recv().await.unwrap();
    assert_eq!((got.told, got.transaction.amount.get()), (Told::PaymentReceived, 7_000));
    let lookup = Lookup { payment_hash: None, invoice: Some(invoice) };
    let looked: Transaction = remote.ask(&Call::LookupInvoice(lookup), WITHIN).await.unwrap();
    assert!(looked.is_settled() && looked.preimage.is_some());
    assert_eq!(looked.description.as_deref(), Some("for tea"));
    let other =
        Lookup { payment_hash: None, invoice: of_others["text"].as_str().map(str::to_owned) };
    let other = remote.ask::<Transaction>(&Call::LookupInvoice(other), WITHIN).await;
    assert_eq!(code(other), Code::NotFound, "another account's is not shown");

    let list = |listing: Listing| async {
        let listed = remote.ask::<Transactions>(&Call::ListTransactions(listing), WITHIN).await;
        listed.unwrap().transactions.iter().map(|one| one.amount.get()).collect::<Vec<_>>()
    };
    assert_eq!(list(Listing::default()).await, [7_000, 21_000]);
    let page = Listing { limit: Some(1), offset: Some(1), ..Listing::default() };
    assert_eq!(list(page).await, [21_000]);
    let incoming = Listing { flow: Some(Flow::Incoming), ..Listing::default() };
    assert_eq!(list(incoming).await, [7_000]);

    let listed: ConnectionList = rig.served.ask("connections", Value::Null).await.unwrap();
    assert_eq!(listed.connections.len(), 1);
    assert!(listed.connections[0].used_at.is_some() && listed.trouble.is_none());
    let json = serde_json::to_string(&listed).unwrap();
    assert!(!json.contains(&uri.secret.to_secret_hex()), "the secret is kept nowhere");
    assert_eq!(listed.connections[0].account.account.id, view.account.account.id);
    remote.close().await;
    rig.served.end().await;
    rig.relay.stop().await;
}

/// The limit holds to the payment, however many come at once, and nothing else goes wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_at_once_the_budget_lets_thirty_seven_go() {
    let rig = Rig::start().await;
    // Each holds its amount and the highest fee that it may cost: 1,000 and 20 sat.
    let (_, uri) = rig.served.connect(budget(37 * 1_020_000)).await;
    let remote = app(&uri).await;
    let mut asking = JoinSet::new();
    for _ in 0..100 {
        let (remote, order) = (remote.clone(), rig.order(1_000_000));
        asking.spawn(async move {
            let hash = hash_of(&order);
            (hash, pay(&remote, order).await)
        });
    }
    let (mut paid, mut over) = (0, 0);
    for (hash, answer) in asking.join_all().await {
        match answer {
            Ok(answer) => {
                assert_eq!(answer.preimage.payment_hash(), hash);
                paid += 1;
            }
            Err(CallError::Refused(why)) if why.code == Code::QuotaExceeded => over += 1,
            Err(other) => panic!("neither paid nor over its budget: {other}"),
        }
    }
    assert_eq!((paid, over), (37, 63));
    assert_eq!(rig.fake.world().sends.len(), 37);
    assert!(rig.fake.world().sends.values().all(|times| *times == 1));
    remote.close().await;
    rig.served.end().await;
    rig.relay.stop().await;
}

/// Above its budget an app waits for the operator, and is answered once they decide.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_at_once_sixty_three_wait_for_the_operator() {
    let rig = Rig::start().await;
    let mut terms = budget(37 * 1_020_000);
    terms["on_limit"] = json!("ask");
    let (_, uri) = rig.served.connect(terms).await;
    let remote = app(&uri).await;
    let mut asking = JoinSet::new();
    for _ in 0..100 {
        let (remote, order) = (remote.clone(), rig.order(1_000_000));
        asking.spawn(async move { pay(&remote, order).await });
    }
    for _ in 0..37 {
        asking.join_next().await.unwrap().unwrap().unwrap();
    }
    let mut waiting = Vec::new();
    for _ in 0..400 {
        let payments = rig.payments().await;
        waiting = payments
            .into_iter()
            .filter(|one| one.state == wallet::wire::PaymentState::AwaitingApproval)
            .collect();
        if waiting.len() == 63 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(waiting.len(), 63);
    assert!(asking.try_join_next().is_none(), "nobody is answered before the operator decides");
    let key = |n: usize| json!({ "key": waiting[n].key });
    rig.served.ask::<Payment>("approve", key(0)).await.unwrap();
    asking.join_next().await.unwrap().unwrap().unwrap();
    rig.served.ask::<Payment>("deny", key(1)).await.unwrap();
    assert_eq!(code(asking.join_next().await.unwrap().unwrap()), Code::PaymentFailed);
    assert_eq!(rig.fake.world().sends.len(), 38);
    asking.shutdown().await;
    remote.close().await;
    rig.served.end().await;
    rig.relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_request_is_one_payment_and_the_same_answer_also_after_a_restart() {
    let Rig { dir, relay, fake, served } = Rig::start().await;
    let second_dir = tempfile::tempdir().unwrap();
    let second = nwc_support::relay(second_dir.path()).await;
    served
        .ask::<ConnectionList>(
            "connection_relays",
            json!({ "relays": [relay.url(), second.url()] }),
        )
        .await
        .unwrap();
    let (_, uri) = served.connect(budget(100_000_000)).await;
    let mut raw = Raw::open(&uri).await;
    let invoice = fake.outside_invoice(Msat::from_sat(5));
    let order = Order { id: None, invoice, amount: None };
    let event = raw.request(&Call::PayInvoice(order));
    raw.put(&event).await;
    // The same through each relay by itself, and once more.
    for url in [relay.url(), second.url(), second.url()] {
        let alone = ConnectionUri { relays: vec![url], ..uri.clone() };
        Raw::open(&alone).await.put(&event).await;
    }
    let (to, _, first) = raw.answer(WITHIN).await.unwrap();
    assert_eq!(to, event.id.to_hex());
    assert!(first.outcome.is_ok(), "{first:?}");
    served.end().await;

    let served = serve_again(dir.path(), &fake).await;
    tokio::time::sleep(SHORT).await;
    raw.put(&event).await;
    let mut heard = 0;
    while let Some((to, _, again)) = raw.answer(SHORT).await {
        assert_eq!((to, &again), (event.id.to_hex(), &first));
        heard += 1;
    }
    assert!(heard > 0, "the replayed request is answered as it was");
    assert_eq!(fake.world().sends.values().copied().collect::<Vec<_>>(), [1]);
    served.end().await;
    relay.stop().await;
    second.stop().await;
}

async fn serve_again(dir: &Path, fake: &Fake) -> Served<Fake> {
    let mut served = Served::silent(dir, Arc::new(fake.clone())).await;
    served.serve();
    served
}

/// A refusal is not turned into a payment by sending the request again when there is money.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refused_request_stays_refused_when_it_is_replayed() {
    let rig = Rig::start().await;
    let (view, uri) = rig.served.connect(json!({ "isolated": true })).await;
    let mut raw = Raw::open(&uri).await;
    let event = raw.request(&Call::PayInvoice(rig.order(5_000)));
    raw.put(&event).await;
    let (_, _, refused) = raw.answer(WITHIN).await.unwrap();
    assert_eq!(refused.clone().outcome.unwrap_err().code, Code::InsufficientBalance);
    let id = view.account.account.id;
    let given = json!({ "key": "gift", "from": "operator", "to": id, "amount_msat": 50_000 });
    rig.served.ask::<Value>("move", given).await.unwrap();
    // New terms make the subscription a new one, so that the relay's copy comes through again.
    let (_, _) = rig.served.connect(json!({})).await;
    raw.put(&event).await;
    if let Some((_, _, again)) = raw.answer(SHORT).await {
        assert_eq!(again, refused);
    }
    assert!(rig.fake.world().sends.is_empty());
    let remote = app(&uri).await;
    let own: BalanceResult = remote.ask(&Call::GetBalance, WITHIN).await.unwrap();
    assert_eq!(own.balance.get(), 50_000, "its own money and nobody else's");
    pay(&remote, rig.order(5_000)).await.unwrap();
    remote.close().await;
    rig.served.end().await;
    rig.relay.stop().await;
}

/// The service dies between a payment and its answer, or before the payment is over at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_that_a_crash_held_up_is_sent_after_it() {
    let mut rig = Rig::start().await;
    let (_, uri) = rig.served.connect(budget(100_000_000)).await;
    let mut raw = Raw::open(&uri).await;
    rig.fake.world().moods.push_back(Mood::Hangs);
    let order = rig.order(5_000);
    let event = raw.request(&Call::PayInvoice(order.clone()));
    raw.put(&event).await;
    while rig.payments().await.iter().all(|one| one.state != wallet::wire::PaymentState::Pending) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.served.stop_serving().await;
    let mut bytes = [200; 32];
    bytes[..8].copy_from_slice(&1_u64.to_be_bytes());
    let preimage = Preimage(bytes);
    assert_eq!(preimage.payment_hash(), hash_of(&order));
    rig.fake.push(Fact::Paid {
        which: Which::Hash(hash_of(&order)),
        payment_hash: Some(hash_of(&order)),
        preimage: Some(preimage),
        fee_msat: Msat::ZERO,
    });
    while rig.payments().await.iter().all(|one| one.state != wallet::wire::PaymentState::Settled) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(raw.answer(Duration::from_millis(300)).await.is_none(), "nobody answers meanwhile");
    let Rig { dir, relay, fake, served } = rig;
    served.end().await;
    let served = serve_again(dir.path(), &fake).await;
    let (to, _, answer) = raw.answer(WITHIN).await.unwrap();
    assert_eq!(to, event.id.to_hex());
    assert_eq!(answer.result::<Paid>().unwrap().unwrap().preimage, preimage);
    assert!(rig_sends(&fake).is_empty(), "the hanging one was never counted as sent twice");
    served.end().await;
    relay.stop().await;
}

fn rig_sends(fake: &Fake) -> Vec<u32> {
    fake.world().sends.values().copied().filter(|times| *times > 1).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_invoices_are_answered_one_by_one_by_name() {
    let rig = Rig::start().await;
    let (_, uri) = rig.served.connect(budget(100_000_000)).await;
    let mut raw = Raw::open(&uri).await;
    let named = Order { id: Some("tea".into()), ..rig.order(5_000) };
    let unnamed = rig.order(6_000);
    let bad = Order { id: Some("bad".into()), invoice: "lnbcrt1nonsense".into(), amount: None };
    let hash = hash_of(&unnamed).to_string();
    let event =
        raw.text(&Call::MultiPayInvoice(vec![named, unnamed, bad]).to_json(), Cipher::Nip04);
    raw.put(&event).await;
    let mut answers = std::collections::BTreeMap::new();
    while answers.len() < 3 {
        let (to, name, answer) = raw.answer(WITHIN).await.unwrap();
        assert_eq!((to, answer.method.as_str()), (event.id.to_hex(), "multi_pay_invoice"));
        answers.insert(name.unwrap(), answer.outcome.is_ok());
    }
    let expected = [("bad".to_owned(), false), (hash, true), ("tea".to_owned(), true)];
    assert_eq!(answers, expected.into());
    rig.served.end().await;
    rig.relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_connection_may_not_is_refused_by_name() {
    let rig = Rig::start().await;
    let terms = json!({ "methods": ["get_info", "pay_invoice"], "per_payment_msat": 10_000,
                        "on_limit": "refuse" });
    let (view, uri) = rig.served.connect(terms).await;
    let remote = app(&uri).await;
    let mut raw = Raw::open(&uri).await;
    // Our own client does not even ask for what is not offered; this one does.
    for (call, expected) in [
        (Call::GetBalance, Code::Restricted),
        (Call::PayKeysend, Code::NotImplemented),
        (Call::SignMessage("x".into()), Code::NotImplemented),
    ] {
        raw.put(&raw.request(&call)).await;
        let (_, _, answer) = raw.answer(WITHIN).await.unwrap();
        assert_eq!(answer.outcome.unwrap_err().code, expected, "{call:?}");
    }
    assert_eq!(code(pay(&remote, rig.order(10_001)).await), Code::QuotaExceeded);
    let order = rig.order(9_000);
    pay(&remote, order.clone()).await.unwrap();
    assert_eq!(code(pay(&remote, order).await), Code::PaymentFailed, "paid already");
    let nonsense = Order { id: None, invoice: "nonsense".into(), amount: None };
    assert_eq!(code(pay(&remote, nonsense).await), Code::Other);
    let id = json!({ "id": view.account.account.id });
    let closed: ConnectionView = rig.served.ask("connection_close", id).await.unwrap();
    assert!(closed.account.closed);
    assert_eq!(code(pay(&remote, rig.order(1_000)).await), Code::Unauthorized);
    assert_eq!(rig.fake.world().sends.len(), 1);
    let unknown = rig.served.ask::<Value>("connection_close", json!({ "id": "nobody" })).await;
    assert_eq!(unknown.unwrap_err().code, "no_such_connection");
    remote.close().await;
    rig.served.end().await;
    rig.relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_relay_no_connection_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path(), Arc::new(Fake::new()), &[]).await;
    let refused = served.ask::<Value>("connection_create", json!({ "name": "app" })).await;
    assert_eq!(refused.unwrap_err().code, "no_relay");
    for bad in [json!(["https://x.example"]), json!([1]), json!("wss://x.example")] {
        let asked = json!({ "relays": bad });
        assert!(served.ask::<Value>("connection_relays", asked).await.is_err(), "{bad}");
    }
    let listed: ConnectionList = served.ask("connections", Value::Null).await.unwrap();
    assert!(listed.connections.is_empty() && listed.trouble.is_some());
    served.end().await;
}
