//! A whole executor on another wallet: its log, limits and look-ups over NIP-47.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;
mod nwc_support;

use common::fake::{Fake, HOLDS, Mood};
use domain::{Msat, Network, PaymentHash, Preimage};
use nwc_support::{Served, relay};
use pilothouse_practice::relay::Relay;
use pilothouse_wallet::{
    backend::Backend,
    nwc::{
        client::NwcBackend,
        keys::KeyMaker,
        open::{OpenError, Options},
    },
};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};
use wallet::{
    Fact, Which,
    bolt11::Bolt11,
    wire::{Payment, PaymentState},
};
use zeroize::Zeroizing;

/// A wallet that somebody already has: a fake with money, behind our service on a real relay.
struct Below {
    relay: Relay,
    fake: Fake,
    served: Served<Fake>,
    uri: Zeroizing<String>,
    dir: tempfile::TempDir,
}

async fn below() -> Below {
    let dir = tempfile::tempdir().unwrap();
    let relay = relay(dir.path()).await;
    let fake = Fake::new();
    let served = Served::start(dir.path(), Arc::new(fake.clone()), &[relay.url()]).await;
    fake.push(Fact::ChannelPending { channel: "c".into(), ours_msat: HOLDS });
    fake.push(Fact::ChannelReady { channel: "c".into(), ours_msat: HOLDS });
    served.funded().await;
    let (_, uri) = served.connect(json!({})).await;
    Below { relay, fake, served, uri: uri.reveal(), dir }
}

fn keys() -> KeyMaker {
    KeyMaker::new(Zeroizing::new([8; 32]))
}

fn open(dir: &Path, given: Option<&str>) -> Result<Arc<NwcBackend>, OpenError> {
    let options = Options {
        network: Network::Practice,
        dir: dir.to_owned(),
        given: given.map(|text| Zeroizing::new(text.to_owned())),
        runtime: tokio::runtime::Handle::current(),
    };
    NwcBackend::open_kept(&keys(), &options).map(Arc::new)
}

async fn until<B: Backend>(wallet: &Served<B>, key: &str, state: PaymentState) -> Payment {
    for _ in 0..1_200 {
        let payment: Payment = wallet.ask("payment", json!({ "key": key })).await.unwrap();
        if payment.state == state {
            return payment;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let payment: Payment = wallet.ask("payment", json!({ "key": key })).await.unwrap();
    panic!("{key} did not become {state:?}: {payment:?}");
}

fn hash_of(invoice: &str) -> PaymentHash {
    Bolt11::read(invoice, Network::Practice).unwrap().payment_hash
}

async fn pay<B: Backend>(wallet: &Served<B>, key: &str, invoice: &str, msat: u64) {
    let asked = json!({
        "key": key, "request": invoice, "amount_msat": msat, "max_fee_msat": 20_000,
    });
    wallet.ask::<Value>("pay", asked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pays_and_is_paid_by_the_log_of_its_own() {
    let below = below().await;
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(open(dir.path(), None), Err(OpenError::NotConnected)));
    assert!(matches!(open(dir.path(), Some("nonsense")), Err(OpenError::BadUri(_))));
    let backend = open(dir.path(), Some(&below.uri)).unwrap();
    let above = Served::silent(dir.path(), Arc::clone(&backend)).await;
    above.funded().await;

    let invoice = below.fake.outside_invoice(Msat::from_sat(21));
    pay(&above, "out", &invoice, 21_000).await;
    let paid = until(&above, "out", PaymentState::Settled).await;
    assert_eq!(paid.preimage.unwrap().payment_hash(), hash_of(&invoice));

    let asked = json!({ "key": "in", "amount_msat": 7_000, "memo": "tea", "expiry_secs": 600 });
    let made: Value = above.ask("receive", asked).await.unwrap();
    let text = made["text"].as_str().unwrap().to_owned();
    below.fake.pays(&text).await.unwrap().unwrap();
    let got = until(&above, "in", PaymentState::Settled).await;
    assert_eq!((got.amount_msat.get(), got.payment_hash), (7_000, Some(hash_of(&text))));

    let elsewhere = below.served.connect(json!({})).await.1.reveal();
    assert!(matches!(open(dir.path(), Some(&elsewhere)), Err(OpenError::OtherWallet)));
    let kept = std::fs::read_to_string(dir.path().join("connection")).unwrap();
    assert!(!kept.contains("secret"), "the string lies sealed");
    above.end().await;
    common::contract::call(&backend, Backend::stop).await;
    below.served.end().await;
    below.relay.stop().await;
}

/// The answer is lost and the process ends: what became of it is looked up, and nothing sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_not_answered_is_looked_up_after_a_restart() {
    let Below { relay, fake, mut served, uri, dir: below_dir } = below().await;
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path(), Some(&uri)).unwrap();
    let above = Served::silent(dir.path(), Arc::clone(&backend)).await;
    above.funded().await;
    fake.world().moods.push_back(Mood::Hangs);
    let invoice = fake.outside_invoice(Msat::from_sat(5));
    pay(&above, "out", &invoice, 5_000).await;
    until(&above, "out", PaymentState::Pending).await;
    let pending = |payments: &[Payment]| {
        payments.iter().any(|payment| payment.state == PaymentState::Pending)
    };
    let history = json!({ "before": null, "count": 10 });
    while !pending(&served.ask::<Vec<Payment>>("history", history.clone()).await.unwrap()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    served.stop_serving().await;
    above.end().await;
    common::contract::call(&backend, Backend::stop).await;
    drop(backend);

    let mut bytes = [200; 32];
    bytes[..8].copy_from_slice(&1_u64.to_be_bytes());
    let preimage = Preimage(bytes);
    fake.push(Fact::Paid {
        which: Which::Hash(hash_of(&invoice)),
        payment_hash: Some(hash_of(&invoice)),
        preimage: Some(preimage),
        fee_msat: Msat::ZERO,
    });
    served.end().await;
    let mut served = Served::silent(below_dir.path(), Arc::new(fake.clone())).await;
    served.serve();
    let backend = open(dir.path(), None).unwrap();
    let above = Served::silent(dir.path(), Arc::clone(&backend)).await;
    let paid = until(&above, "out", PaymentState::Settled).await;
    assert_eq!(paid.preimage, Some(preimage));
    assert!(fake.world().sends.is_empty(), "it hung once and was never sent again");
    above.end().await;
    common::contract::call(&backend, Backend::stop).await;
    served.end().await;
    relay.stop().await;
}
