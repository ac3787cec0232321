//! The LNURL client against servers that are honest, broken and hostile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use bitcoin::{
    hashes::{Hash, sha256},
    secp256k1::{Secp256k1, SecretKey},
};
use domain::{Msat, Network, Timestamp};
use lightning_invoice::{
    Bolt11InvoiceDescription, Currency, InvoiceBuilder, PaymentSecret, Sha256,
};
use net::{
    Egress, EgressConfig,
    lnurl::{Fetched, LnurlFetchError},
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use support::*;
use wallet::payable::Payable;

const METADATA: &str = r#"[["text/plain","Tea"],["text/identifier","bob@127.0.0.1"]]"#;
const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fn invoice(currency: Currency, amount_msat: u64, metadata: &str, expiry_secs: u64) -> String {
    let hash = sha256::Hash::hash(metadata.as_bytes());
    let secret = SecretKey::from_slice(&[41; 32]).unwrap();
    InvoiceBuilder::new(currency)
        .invoice_description(Bolt11InvoiceDescription::Hash(Sha256(hash)))
        .payment_hash(sha256::Hash::hash(b"preimage"))
        .payment_secret(PaymentSecret([3; 32]))
        .duration_since_epoch(Duration::from_secs(NOW.as_secs()))
        .expiry_time(Duration::from_secs(expiry_secs))
        .min_final_cltv_expiry_delta(18)
        .amount_milli_satoshis(amount_msat)
        .build_signed(|digest| Secp256k1::new().sign_ecdsa_recoverable(digest, &secret))
        .unwrap()
        .to_string()
}

fn terms(base: &str) -> String {
    let metadata = serde_json::to_string(METADATA).unwrap();
    format!(
        r#"{{"tag":"payRequest","callback":"{base}/cb","minSendable":1000,"maxSendable":5000000,
            "metadata":{metadata},"commentAllowed":40}}"#
    )
}

/// A server that knows its own address only once it runs: the first answer is made of it.
async fn server(
    first: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    second: impl Fn(&Seen) -> Vec<Option<Vec<u8>>> + Send + Sync + 'static,
) -> TestServer {
    TestServer::start(move |seen| {
        if seen.line().starts_with("GET /.well-known/lnurlp/bob ") {
            let base = format!("http://{}", seen.header("host").unwrap());
            return vec![Some(first(&base))];
        }
        second(seen)
    })
    .await
}

/// Answers the callback with this text.
async fn answering(body: impl Into<String>) -> TestServer {
    let body = body.into();
    server(|base| ok(terms(base).as_bytes()), move |_| vec![Some(ok(body.as_bytes()))]).await
}

fn url_of(server: &TestServer) -> String {
    let address = format!("bob@{}", server.url.trim_start_matches("http://"));
    Payable::read(&address, Network::Practice).unwrap().url.unwrap()
}

/// The whole way, for 21 sat.
async fn pay(
    egress: &Egress,
    server: &TestServer,
    comment: Option<&str>,
) -> Result<Fetched, LnurlFetchError> {
    let url = url_of(server);
    let terms = egress.lnurl_terms(&url, Network::Practice).await?;
    let amount = Msat::from_sat(21);
    egress.lnurl_invoice(&url, &terms, amount, comment, Network::Practice, NOW).await
}

async fn code(server: &TestServer) -> String {
    pay(&egress(&[server]), server, None).await.unwrap_err().to_error().code.into_owned()
}

#[tokio::test]
async fn a_lightning_address_leads_to_an_invoice() {
    let text = invoice(Currency::Regtest, 21_000, METADATA, 3_600);
    let body = format!(
        r#"{{"pr":"{text}","routes":[],"successAction":{{"tag":"message","message":"Thanks"}}}}"#
    );
    let server = answering(body).await;
    let fetched = pay(&egress(&[&server]), &server, Some("For tea & more")).await.unwrap();
    assert_eq!(fetched.invoice.text, text);
    assert_eq!(fetched.invoice.amount_msat, Some(Msat::from_sat(21)));
    assert!(fetched.success.is_some());
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].line(), "GET /cb?amount=21000&comment=For+tea+%26+more HTTP/1.1");
    assert_eq!(seen[1].header("accept").as_deref(), Some("application/json"));
}

#[tokio::test]
async fn an_invoice_that_lies_is_refused() {
    for (text, expected) in [
        (invoice(Currency::Regtest, 21_001, METADATA, 3_600), "amount_differs"),
        (invoice(Currency::Regtest, 2_100_000_000, METADATA, 3_600), "amount_differs"),
        (invoice(Currency::Regtest, 21_000, "something else", 3_600), "description_differs"),
        (invoice(Currency::Bitcoin, 21_000, METADATA, 3_600), "wrong_network"),
        (invoice(Currency::Regtest, 21_000, METADATA, 0), "expired"),
        ("lnbcrt1hello".to_owned(), "bad_invoice"),
    ] {
        let server = answering(format!(r#"{{"pr":"{text}"}}"#)).await;
        assert_eq!(code(&server).await, expected, "{text}");
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    let page = "<!doctype html><html><body>Welcome</body></html>";
    for body in [page, "", "{}", "[1,2]", r#"{"pr":7}"#, r#"{"pr":null}"#, "null"] {
        assert_eq!(code(&answering(body).await).await, "bad_lnurl", "{body}");
        let first = server(move |_| ok(body.as_bytes()), |_| unreachable!()).await;
        assert_eq!(code(&first).await, "bad_lnurl", "{body}");
    }
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(code(&answering(deep).await).await, "bad_lnurl");
}

#[tokio::test]
async fn a_server_that_refuses_is_quoted() {
    let reason =
        format!(r#"{{"status":"ERROR","reason":"No \u202e route {}"}}"#, "x".repeat(5_000));
    let refused = answering(reason.clone()).await;
    let error = pay(&egress(&[&refused]), &refused, None).await.unwrap_err().to_error();
    assert_eq!(error.code, "lnurl_refused");
    assert!(error.message.contains("No  route x") && error.message.len() < 300, "{error}");
    // The same with the status of HTTP that goes with it.
    let gone = server(
        move |_| status("404 Not Found", "", &reason),
        |_| vec![Some(status("500 Oops", "", "<html>"))],
    )
    .await;
    assert_eq!(code(&gone).await, "lnurl_refused");
    let broken =
        server(|base| ok(terms(base).as_bytes()), |_| vec![Some(status("500 Oops", "", "<html>"))])
            .await;
    assert_eq!(code(&broken).await, "bad_lnurl");
}

#[tokio::test]
async fn amounts_that_cannot_be() {
    for (least, most) in [
        ("5000", "1000"),
        ("-1000", "5000"),
        ("1000", "-5000"),
        ("0", "5000"),
        ("1e3", "1e40"),
        ("18446744073709551616", "18446744073709551617"),
        ("1000.5", "5000"),
        ("\"1000\"", "5000"),
        ("null", "5000"),
    ] {
        let first = server(
            move |base| {
                let terms = terms(base)
                    .replace(r#""minSendable":1000"#, &format!(r#""minSendable":{least}"#))
                    .replace(r#""maxSendable":5000000"#, &format!(r#""maxSendable":{most}"#));
                ok(terms.as_bytes())
            },
            |_| unreachable!(),
        )
        .await;
        assert_eq!(code(&first).await, "bad_lnurl", "{least}..{most}");
        assert_eq!(first.seen().len(), 1, "no invoice is asked for");
    }
    let narrow =
        server(|base| ok(terms(base).replace("5000000", "20999").as_bytes()), |_| unreachable!())
            .await;
    assert_eq!(code(&narrow).await, "amount_out_of_range");
}

#[tokio::test]
async fn more_than_a_little_is_not_read() {
    let huge = answering(" ".repeat(3 * 1024 * 1024)).await;
    assert_eq!(code(&huge).await, "bad_lnurl");
    // Megabytes that are not announced.
    let endless = server(
        |base| ok(terms(base).as_bytes()),
        |_| {
            let mut pieces = vec![Some(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())];
            pieces.extend((0..64).map(|_| Some(vec![b' '; 64 * 1024])));
            pieces
        },
    )
    .await;
    let error = pay(&egress(&[&endless]), &endless, None).await.unwrap_err();
    assert!(matches!(error, LnurlFetchError::Fetch(net::FetchError::TooLarge { .. })), "{error}");
}

#[tokio::test]
async fn who_hangs_is_left() {
    let hanging = server(|base| ok(terms(base).as_bytes()), |_| vec![None]).await;
    let config = EgressConfig { resolver: Arc::new(Home), ..EgressConfig::default() };
    let egress = egress_with(config, &[&hanging]);
    let started = Instant::now();
    let error = pay(&egress, &hanging, None).await.unwrap_err();
    assert!(matches!(error, LnurlFetchError::TimedOut), "{error}");
    assert!(started.elapsed() < Duration::from_secs(14), "{:?}", started.elapsed());
    assert!(error.to_error().retryable);
}

#[tokio::test]
async fn who_drips_is_left() {
    let dripping = TestServer::start(|_| {
        let mut pieces = vec![Some(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n".to_vec())];
        pieces.extend((0..5).map(|_| Some(b" ".to_vec())));
        pieces.push(None);
        pieces
    })
    .await;
    assert_eq!(code(&dripping).await, "lnurl_timed_out");
}

#[tokio::test]
async fn no_redirect_and_no_callback_leads_inward() {
    // Another server of this machine, which the operator trusts as well.
    let inner = TestServer::fixed(ok(b"{}")).await;
    let inside = inner.url.clone();
    let redirects = TestServer::start(move |_| {
        vec![Some(status("302 Found", &format!("location: {inside}/secret\r\n"), ""))]
    })
    .await;
    let inside = inner.url.clone();
    let calls_back = server(move |_| ok(terms(&inside).as_bytes()), |_| unreachable!()).await;
    for hostile in [&redirects, &calls_back] {
        let egress = egress(&[hostile, &inner]);
        let error = pay(&egress, hostile, None).await.unwrap_err();
        assert_eq!(error.to_error().code, "lnurl_blocked", "{error}");
    }
    for target in [
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://localhost/",
        "https://rebound.example.com/", // whose name leads to this machine
        "https://hidden.onion/",
        "http://example.com/",
    ] {
        let redirects =
            TestServer::fixed(status("301 Moved", &format!("location: {target}\r\n"), "")).await;
        assert_eq!(code(&redirects).await, "lnurl_blocked", "{target}");
        let body = terms("BASE").replace("BASE/cb", target);
        let calls_back = server(move |_| ok(body.as_bytes()), |_| unreachable!()).await;
        let refused = code(&calls_back).await;
        assert!(["lnurl_blocked", "bad_lnurl_address"].contains(&refused.as_str()), "{refused}");
    }
    assert!(inner.seen().is_empty());
}

#[tokio::test]
async fn redirects_on_the_same_server_end() {
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let turning = TestServer::start(move |_| {
        *counted.lock().unwrap() += 1;
        vec![Some(status("302 Found", "location: /again\r\n", ""))]
    })
    .await;
    assert_eq!(code(&turning).await, "bad_lnurl");
    assert_eq!(*count.lock().unwrap(), 4, "the first and three redirects");
}

#[tokio::test]
async fn who_is_not_trusted_on_this_machine_is_not_asked() {
    let server = answering("{}").await;
    let error = pay(&egress(&[]), &server, None).await.unwrap_err().to_error();
    assert_eq!(error.code, "lnurl_blocked");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_wider_gate_leaves_the_narrow_one_as_it_is() {
    let text = invoice(Currency::Regtest, 21_000, METADATA, 3_600);
    let server = answering(format!(r#"{{"pr":"{text}"}}"#)).await;
    let narrow = egress(&[]);
    let wide = narrow.also_trusting(&url_of(&server)).unwrap();
    assert!(pay(&wide, &server, None).await.is_ok());
    let error = pay(&narrow, &server, None).await.unwrap_err().to_error();
    assert_eq!(error.code, "lnurl_blocked");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn who_is_not_there_can_be_asked_later() {
    let server = answering("{}").await;
    let (egress, url) = (egress(&[&server]), url_of(&server));
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = egress.lnurl_terms(&url, Network::Practice).await.unwrap_err().to_error();
    assert_eq!((error.code.as_ref(), error.retryable), ("lnurl_unreachable", true));
}
