//! The practice network as desks use it: two plain nodes join, pay each other, and all restart.

mod common;

use common::{Desk, SOON};
use host::ipc::Client;
use ldk_node::lightning_invoice::Bolt11Invoice;
use pilothouse_practice::{Options, Practice, PracticeError, Rendezvous};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    path::Path,
    time::{Duration, Instant},
};

fn options(dir: &Path) -> Options {
    Options { dir: dir.join("practice"), ..Options::default() }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hash_of(invoice: &Bolt11Invoice) -> String {
    hex::encode(AsRef::<[u8]>::as_ref(invoice.payment_hash()))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_desks_join_pay_each_other_and_everything_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let practice = Practice::start(options(dir.path())).await.unwrap();
    let network = Rendezvous::read(practice.address()).unwrap();
    let practice_ready = started.elapsed();
    let (a, b) = tokio::join!(
        Desk::new(&network, dir.path().join("a"), 1),
        Desk::new(&network, dir.path().join("b"), 2),
    );
    let desks_started = started.elapsed();
    let (joined_a, joined_b) = tokio::join!(a.join(&network, "alice"), b.join(&network, "bob"));
    a.wait_until_usable().await;
    b.wait_until_usable().await;
    let usable = started.elapsed();
    println!(
        "practice ready {practice_ready:?}, two nodes started {desks_started:?}, both usable {usable:?}"
    );
    assert!(usable < Duration::from_secs(15), "start to usable took {usable:?}");
    assert_eq!((&joined_a["state"], &joined_b["name"]), (&json!("usable"), &json!("bob")));
    assert_eq!(a.join(&network, "alice").await["funding_txid"], joined_a["funding_txid"]);
    assert_eq!(a.node.list_channels().len(), 1, "joining again opens nothing");
    let (had_a, had_b) = (a.lightning_sat(), b.lightning_sat());
    assert!(had_a > 4_000_000 && had_b > 4_000_000, "funds are on both sides");

    let invoice = b.invoice(2_000_000).await;
    let at = Instant::now();
    let (preimage, fee) = a.pay(invoice.clone()).await;
    println!("first payment over the counterparty took {:?}, fee {fee} msat", at.elapsed());
    assert_eq!(sha256(&preimage), hash_of(&invoice));
    assert_eq!(fee, 1_000, "the counterparty asks its base fee");
    assert_eq!(b.received().await, 2_000_000);
    let invoice = a.invoice(500_000).await;
    assert_eq!(b.pay(invoice).await.1, 1_000);
    assert_eq!(a.received().await, 500_000);

    let control = Client::connect_to(&network.control).await.unwrap();
    let invoice = a.invoice(3_000_000).await;
    let bolt11 = json!({ "bolt11": invoice.to_string() });
    let paid = control.call("pay", bolt11.clone()).await.unwrap();
    assert_eq!((&paid["amount_msat"], &paid["fee_msat"]), (&json!(3_000_000), &json!(0)));
    let preimage = hex::decode(paid["preimage"].as_str().unwrap()).unwrap();
    assert_eq!(sha256(&preimage), hash_of(&invoice));
    assert_eq!(a.received().await, 3_000_000);
    assert_eq!(control.call("pay", bolt11).await.unwrap(), paid, "it is not paid twice");
    let asked = json!({ "amount_msat": 1_000_000, "memo": "buy" });
    let made = control.call("invoice", asked).await.unwrap();
    let invoice: Bolt11Invoice = made["bolt11"].as_str().unwrap().parse().unwrap();
    assert_eq!(b.pay(invoice).await.1, 0, "a direct payment costs nothing");
    assert_eq!(a.lightning_sat(), had_a - 2_001 + 500 + 3_000);
    assert_eq!(b.lightning_sat(), had_b + 2_000 - 501 - 1_000);

    let height = control.call("status", json!({})).await.unwrap()["height"].as_u64().unwrap();
    let mined = control.call("mine", json!({ "blocks": 3 })).await.unwrap();
    assert_eq!(mined["height"], height + 3);
    drop(control);

    practice.stop().await;
    assert!(!dir.path().join("practice/practice.json").exists());
    let at = Instant::now();
    let practice = Practice::start(options(dir.path())).await.unwrap();
    let again = practice.rendezvous().clone();
    assert_eq!(again.counterparty.as_ref().unwrap().address, network.counterparty.unwrap().address);
    assert_eq!(again.chain.as_ref().unwrap().rpc_port, network.chain.unwrap().rpc_port);
    a.wait_until_usable().await;
    let b = b.restart(&again).await;
    b.wait_until_usable().await;
    println!("restart of practice and one desk, usable again after {:?}", at.elapsed());
    let invoice = b.invoice(700_000).await;
    a.pay(invoice).await;
    let control = Client::connect_to(&again.control).await.unwrap();
    let status = control.call("status", json!({})).await.unwrap();
    assert_eq!(status["height"], height + 3);
    assert_eq!(status["channels"].as_array().unwrap().len(), 2);
    control.call("shutdown", json!({})).await.unwrap();
    tokio::time::timeout(SOON, practice.asked_to_stop()).await.unwrap();
    a.stop().await;
    b.stop().await;
    practice.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_calls_are_refused_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let practice = Practice::start(options(dir.path())).await.unwrap();
    let second = Practice::start(options(dir.path())).await;
    assert!(matches!(second, Err(PracticeError::Home(_))), "one process per folder");
    let network = practice.rendezvous();
    let control = Client::connect_to(&network.control).await.unwrap();
    let node_id = network.counterparty.as_ref().unwrap().node_id.clone();
    let mainnet = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
    for (method, params, code) in [
        ("join", json!({"node_id": "02", "address": "127.0.0.1:1"}), "invalid_params"),
        ("join", json!({"node_id": node_id, "address": "192.0.2.1:9735"}), "invalid_params"),
        ("join", json!({}), "invalid_params"),
        ("pay", json!({"bolt11": "lnbcrt1"}), "invalid_params"),
        ("pay", json!({"bolt11": mainnet}), "other_network"),
        ("pay", json!({"bolt11": mainnet, "force": true}), "invalid_params"),
        ("invoice", json!({"amount_msat": 0}), "invalid_params"),
        ("invoice", json!({"amount_msat": -1}), "invalid_params"),
        ("mine", json!({"blocks": 100_000}), "invalid_params"),
        ("fund", json!({}), "unknown_method"),
    ] {
        let error = control.call(method, params.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{method} {params}: {error}");
    }
    let status = control.call("status", json!({})).await.unwrap();
    assert_eq!(status["channels"], json!([]));
    assert!(!status.to_string().contains("password\":"), "no secret is told");
    practice.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_lightning_relay_and_blobs_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { without_lightning: true, ..options(dir.path()) };
    let practice = Practice::start(options).await.unwrap();
    let control = Client::connect_to(&practice.rendezvous().control).await.unwrap();
    let status = control.call("status", json!({})).await.unwrap();
    assert!(status["relay_url"].as_str().unwrap().starts_with("ws://127.0.0.1:"));
    assert!(status["chain"].is_null() && status["channels"].is_null());
    let error = control.call("mine", json!({"blocks": 1})).await.unwrap_err();
    assert_eq!(error.code, "no_lightning");
    practice.stop().await;
}
