//! Mints that lie, hang, flood and sign nothing: nothing is lost, and nothing is credited.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use cdk::{
    lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret},
    nuts::{CurrencyUnit, Id, KeySet, Keys, SecretKey},
    secp256k1::{
        self, Secp256k1,
        hashes::{Hash, sha256},
    },
};
use common::{
    cashu::{self, Purse},
    contract::call,
};
use domain::Network;
use domain::{Msat, Preimage};
use pilothouse_wallet::backend::{Backend, BackendError, SendAnswer};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wallet::{
    Found,
    bolt11::Bolt11,
    wire::{Direction, NodeState},
};

/// What is wrong with a mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vice {
    /// Its invoice asks for another amount.
    WrongAmount,
    WrongNetwork,
    Garbage,
    Hangs,
    Floods,
    Redirects,
    /// Says that it was paid, and gives no ecash.
    SignsNothing,
    /// Gives signatures that its own proof contradicts.
    SignsWrongly,
    /// Says that the ecash was given out already.
    SaysIssued,
    NotFound,
}

const NODE: [u8; 32] = [31; 32];

fn bolt11(currency: Currency, msat: u64) -> String {
    let key = secp256k1::SecretKey::from_slice(&NODE).unwrap();
    InvoiceBuilder::new(currency)
        .description("evil".into())
        .payment_hash(sha256::Hash::from_byte_array(Preimage([5; 32]).payment_hash().0))
        .payment_secret(PaymentSecret([6; 32]))
        .current_timestamp()
        .min_final_cltv_expiry_delta(18)
        .amount_milli_satoshis(msat)
        .build_signed(|digest| Secp256k1::new().sign_ecdsa_recoverable(digest, &key))
        .unwrap()
        .to_string()
}

fn keyset() -> KeySet {
    let key = |n: u32| (cdk::Amount::from(1u64 << n), SecretKey::generate().public_key());
    let keys = Keys::new((0..20).map(key).collect::<BTreeMap<_, _>>());
    let id = Id::v1_from_keys(&keys);
    let text = json!({ "id": id, "unit": CurrencyUnit::Sat, "keys": keys, "active": true });
    serde_json::from_value(text).unwrap()
}

struct Evil {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Evil {
    async fn start(vice: Vice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, keys) = (Arc::clone(&asked), keyset());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, vice, keys.clone(), Arc::clone(&seen)));
            }
        });
        Self { url, asked }
    }

    fn was_asked(&self, line: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|asked| asked.starts_with(line))
    }
}

async fn answer(mut stream: TcpStream, vice: Vice, keys: KeySet, asked: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let line = loop {
        let mut piece = [0; 8 * 1024];
        let Ok(read @ 1..) = stream.read(&mut piece).await else { return };
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            break head.lines().next().unwrap().to_owned();
        }
    };
    asked.lock().unwrap().push(line.clone());
    let body = String::from_utf8_lossy(&request).split_once("\r\n\r\n").unwrap().1.to_owned();
    let (status, head, answer) = reply(&line, vice, &keys, &body);
    if vice == Vice::Hangs && line.contains("/quote/") {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let length = answer.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{head}content-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let _gone = stream.write_all(head.as_bytes()).await;
    let _gone = stream.write_all(answer.as_bytes()).await;
    let _gone = stream.shutdown().await;
}

fn reply(
    line: &str,
    vice: Vice,
    keys: &KeySet,
    body: &str,
) -> (&'static str, &'static str, String) {
    let path = line.split(' ').nth(1).unwrap();
    let is_quote = path.starts_with("/v1/mint/quote/bolt11");
    match vice {
        Vice::Garbage if is_quote => return ("200 OK", "", "{\"quote\":[[[".into()),
        Vice::Floods if is_quote => return ("200 OK", "", "x".repeat(4 << 20)),
        Vice::Redirects if is_quote => {
            let away = "location: http://127.0.0.1:9/v1/mint/quote/bolt11\r\n";
            return ("302 Found", away, String::new());
        }
        Vice::NotFound if is_quote => return ("404 Not Found", "", "<html>\u{7}</html>".into()),
        _ => {}
    }
    let fine = |value: serde_json::Value| ("200 OK", "", value.to_string());
    match path {
        "/v1/info" => fine(json!({
            "name": "evil", "version": "evil/1",
            "nuts": {
                "4": { "methods": [{ "method": "bolt11", "unit": "sat", "options": { "description": true } }], "disabled": false },
                "5": { "methods": [{ "method": "bolt11", "unit": "sat" }], "disabled": false },
            },
        })),
        "/v1/keysets" => fine(json!({ "keysets": [
            { "id": keys.id, "unit": "sat", "active": true, "input_fee_ppk": 0 },
        ] })),
        path if path.starts_with("/v1/keys") => fine(json!({ "keysets": [keys] })),
        "/v1/restore" => fine(json!({ "outputs": [], "signatures": [] })),
        "/v1/mint/bolt11" => fine(json!({ "signatures": signatures(vice, body) })),
        _ if is_quote => {
            let (currency, msat) = match vice {
                Vice::WrongAmount => (Currency::Regtest, 20_000),
                Vice::WrongNetwork => (Currency::Bitcoin, 21_000),
                _ => (Currency::Regtest, 21_000),
            };
            let is_asked = line.starts_with("GET");
            let state = match vice {
                Vice::SaysIssued if is_asked => "ISSUED",
                _ if is_asked => "PAID",
                _ => "UNPAID",
            };
            fine(json!({
                "quote": "q1", "request": bolt11(currency, msat), "amount": 21, "unit": "sat",
                "state": state, "expiry": 4_000_000_000_u32,
            }))
        }
        _ => ("404 Not Found", "", "{}".into()),
    }
}

fn signatures(vice: Vice, body: &str) -> Vec<serde_json::Value> {
    if vice != Vice::SignsWrongly {
        return Vec::new();
    }
    let request: serde_json::Value = serde_json::from_str(body).unwrap();
    let outputs = request["outputs"].as_array().unwrap();
    let wrong = |output: &serde_json::Value| {
        let key = SecretKey::generate();
        json!({
            "amount": output["amount"], "id": output["id"], "C_": key.public_key(),
            "dleq": { "e": SecretKey::generate(), "s": SecretKey::generate() },
        })
    };
    outputs.iter().map(wrong).collect()
}

/// No invoice of such a mint reaches anyone.
async fn gives_no_invoice(vice: Vice) -> String {
    let evil = Evil::start(vice).await;
    let purse = Purse::new(&evil.url);
    let backend = purse.open().await;
    let begun = Instant::now();
    let error = cashu::invoice(&backend, Msat::from_sat(21)).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20), "{vice:?} took {:?}", begun.elapsed());
    assert!(evil.was_asked("POST /v1/mint/quote/bolt11"), "{vice:?}");
    let seen = call(&backend, Backend::observe).await;
    assert_eq!(seen.spendable_msat, Some(Msat::ZERO), "{vice:?}");
    let text = error.to_string();
    assert!(text.len() < 600 && !text.contains('\u{7}'), "{vice:?}: {text}");
    call(&backend, Backend::stop).await;
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invoice_that_is_not_what_was_asked_for_is_given_to_nobody() {
    assert!(gives_no_invoice(Vice::WrongAmount).await.contains("20000 msat"));
    assert!(gives_no_invoice(Vice::WrongNetwork).await.contains("is for"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mint_that_makes_no_sense_or_floods_is_an_error_and_no_more() {
    assert!(gives_no_invoice(Vice::Garbage).await.contains("makes no sense"));
    assert!(gives_no_invoice(Vice::Floods).await.contains("more than"));
    assert!(gives_no_invoice(Vice::Redirects).await.contains("redirects"));
    gives_no_invoice(Vice::NotFound).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mint_that_hangs_is_waited_for_so_long_and_no_longer() {
    gives_no_invoice(Vice::Hangs).await;
}

/// It says that the invoice was paid: what counts is ecash.
async fn credits_nothing(vice: Vice) {
    let evil = Evil::start(vice).await;
    let purse = Purse::new(&evil.url);
    let backend = purse.open().await;
    let text = cashu::invoice(&backend, Msat::from_sat(21)).await.unwrap();
    let hash = Bolt11::read(&text, Network::Practice).unwrap().payment_hash;
    let sought = cashu::sought(Direction::In, hash);
    for _ in 0..5 {
        let sought = sought.clone();
        let found = call(&backend, move |b| b.look_up(&sought)).await;
        assert!(!matches!(found, Ok(Found::Settled { .. })), "{vice:?}: {found:?}");
    }
    if vice != Vice::SaysIssued {
        assert!(evil.was_asked("POST /v1/mint/bolt11"), "{vice:?}");
    }
    let fact = tokio::time::timeout(Duration::from_secs(1), backend.next_fact()).await;
    assert!(fact.is_err(), "{vice:?}: {fact:?}");
    let seen = call(&backend, Backend::observe).await;
    assert_eq!((seen.state, seen.spendable_msat), (NodeState::Ready, Some(Msat::ZERO)));
    call(&backend, Backend::stop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mint_that_signs_nothing_has_given_nothing() {
    credits_nothing(Vice::SignsNothing).await;
    credits_nothing(Vice::SignsWrongly).await;
    credits_nothing(Vice::SaysIssued).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_paid_from_where_nothing_is_held() {
    let evil = Evil::start(Vice::SignsNothing).await;
    let purse = Purse::new(&evil.url);
    let backend = purse.open().await;
    let order = cashu::order(&bolt11(Currency::Regtest, 21_000));
    let again = order.clone();
    let answer = call(&backend, move |b| b.send(&again)).await;
    assert!(matches!(&answer, SendAnswer::NotSent(why) if why.contains("enough")), "{answer:?}");
    let other = domain::Msat::from_sat(22);
    let order = wallet::Order { amount_msat: other, ..order };
    let answer = call(&backend, move |b| b.send(&order)).await;
    assert!(matches!(answer, SendAnswer::Refused(_)), "{answer:?}");
    assert!(!evil.was_asked("POST /v1/melt"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mint_that_is_not_there_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let purse = Purse::new(&format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let backend = purse.open().await;
    assert!(matches!(call(&backend, Backend::sync).await, Err(BackendError::NotNow(_))));
    let seen = call(&backend, Backend::observe).await;
    assert_eq!((seen.state, seen.unknown), (NodeState::Degraded, true), "{seen:?}");
    let refused = cashu::invoice(&backend, Msat::from_sat(21)).await.unwrap_err();
    assert!(matches!(refused, BackendError::NotNow(_)), "{refused:?}");
    let fraction = cashu::invoice(&backend, Msat::new(1_001).unwrap()).await.unwrap_err();
    assert!(matches!(fraction, BackendError::Refused(_)), "{fraction:?}");
}
