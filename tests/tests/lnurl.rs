//! A lightning address is paid over practice Lightning, once, whoever is killed in between; a server
//! that lies is not paid.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use domain::Network;
use scenarios::desk::{Desk, text};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use wallet::payable::Payable;

const METADATA: &str = r#"[["text/plain","Tea for two"],["text/identifier","bob@127.0.0.1"]]"#;
const REFUSED: i32 = 3;
const FAILED: i32 = 1;
const NETWORK: Network = Network::Practice;

/// How the server treats who asks for an invoice.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Honest,
    OneMsatMore,
    OtherWords,
    SaysNo,
}

const MOODS: [Mood; 4] = [Mood::Honest, Mood::OneMsatMore, Mood::OtherWords, Mood::SaysNo];

/// An LNURL server on loopback; the counterparty of the practice network makes its invoices.
struct Server {
    host: String,
    /// The home whose practice network it belongs to.
    home: PathBuf,
    mood: AtomicUsize,
    invoices: AtomicUsize,
}

impl Server {
    fn start(home: PathBuf) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (mood, invoices) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let server = Arc::new(Self { host, home, mood, invoices });
        let serving = Arc::clone(&server);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serving.answer(stream);
            }
        });
        server
    }

    fn address(&self) -> String {
        format!("bob@{}", self.host)
    }

    fn is(&self, mood: Mood) {
        let at = MOODS.iter().position(|known| *known == mood).unwrap();
        self.mood.store(at, Ordering::SeqCst);
    }

    fn invoices(&self) -> usize {
        self.invoices.load(Ordering::SeqCst)
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let mut rest = String::new();
        while reader.read_line(&mut rest).unwrap() > 2 {}
        let body = self.body(line.split(' ').nth(1).unwrap()).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }

    fn body(&self, path: &str) -> Value {
        if path == "/.well-known/lnurlp/bob" {
            return json!({
                "tag": "payRequest", "callback": format!("http://{}/pay?user=bob", self.host),
                "minSendable": 1_000, "maxSendable": 500_000, "metadata": METADATA,
                "commentAllowed": 20,
            });
        }
        let mood = MOODS[self.mood.load(Ordering::SeqCst)];
        if mood == Mood::SaysNo {
            return json!({ "status": "ERROR", "reason": "Bob is away." });
        }
        let amount = path.split_once("amount=").unwrap().1.split('&').next().unwrap();
        let amount = amount.parse::<u64>().unwrap() + u64::from(mood == Mood::OneMsatMore);
        let words = if mood == Mood::OtherWords { "Coffee" } else { METADATA };
        self.invoices.fetch_add(1, Ordering::SeqCst);
        let made = Desk::new(&self.home)
            .cli(["practice", "invoice", &amount.to_string(), "--memo", words, "--by-hash"])
            .unwrap();
        let thanks = json!({ "tag": "message", "message": "Thank you" });
        json!({ "pr": made["bolt11"], "routes": [], "successAction": thanks })
    }
}

/// A refusal's exit code and name.
fn refused(desk: &Desk, args: &[&str]) -> (i32, String) {
    let finished = desk.run(args.iter().copied()).unwrap();
    let error = finished.json().unwrap();
    let code = error["error"]["code"].as_str();
    let code = code.unwrap_or_else(|| panic!("{args:?} was not refused: {error}"));
    (finished.status.code().unwrap(), code.to_owned())
}

fn pay<'a>(request: &'a str, key: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let start = ["wallet", "pay", request, "--local-server", "--key", key];
    start.iter().chain(more).copied().collect()
}

fn hash_of(preimage: &Value) -> String {
    hex::encode(Sha256::digest(hex::decode(preimage.as_str().unwrap()).unwrap()))
}

#[test]
fn a_lightning_address_is_paid_once_and_a_liar_never() {
    let dir = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(dir.path().join("payer"));
    desk.start(&[]).unwrap();
    desk.ready(false).unwrap();
    let server = Server::start(desk.home.clone());
    let bob = server.address();
    let before = desk.balance_msat().unwrap();

    // The server is on this machine: only the operator's own word lets the desk ask it.
    let unasked = refused(&desk, &["wallet", "quote", &bob, "--amount-msat", "21000"]);
    assert_eq!(unasked, (REFUSED, "lnurl_blocked".to_owned()));
    let no_amount = refused(&desk, &["wallet", "quote", &bob, "--local-server"]);
    assert_eq!(no_amount, (REFUSED, "amount_missing".to_owned()));
    let quote = desk
        .cli([
            "wallet",
            "quote",
            &bob,
            "--local-server",
            "--amount-msat",
            "21000",
            "--comment",
            "Hi & bye",
        ])
        .unwrap();
    assert_eq!((&quote["kind"], &quote["payee"]), (&json!("lightning_address"), &json!(bob)));
    assert_eq!((&quote["amount_msat"], &quote["memo"]), (&json!(21_000), &json!("Tea for two")));
    assert_eq!(quote["lnurl"]["metadata"], METADATA);
    assert_eq!(server.invoices(), 1);

    let args = pay(&bob, "op/tip", &["--amount-msat", "21000"]);
    let paid = desk.cli(args.clone()).unwrap();
    assert_eq!((&paid["state"], &paid["payee"]), (&json!("settled"), &json!(bob)), "{paid}");
    assert_eq!((&paid["amount_msat"], &paid["memo"]), (&json!(21_000), &json!("Tea for two")));
    assert_eq!(hash_of(&paid["preimage"]), paid["payment_hash"]);
    assert_eq!(paid["success_action"]["text"], "Thank you");
    assert_eq!(server.invoices(), 2);

    // Again by the same key: the same payment, and no second invoice.
    let again = desk.cli(args).unwrap();
    assert_eq!(again["payment_hash"], paid["payment_hash"]);
    assert_eq!(server.invoices(), 2);
    let other = refused(&desk, &pay(&bob, "op/tip", &["--amount-msat", "22000"]));
    assert_eq!(other, (REFUSED, "key_reused".to_owned()));
    let stranger = bob.replace("bob", "eve");
    let other = refused(&desk, &pay(&stranger, "op/tip", &["--amount-msat", "21000"]));
    assert_eq!(other, (REFUSED, "key_reused".to_owned()));

    // The desk is killed as soon as the payment is begun; by its key it is the same one.
    let lnurl = format!("lnurlp://{}/.well-known/lnurlp/bob", server.host);
    let lnurl = Payable::read(&lnurl, NETWORK).unwrap().text.to_uppercase();
    let args = pay(&lnurl, "op/kill", &["--amount-msat", "5000"]);
    let begun = desk.run(args.iter().copied().chain(["--timeout", "0"])).unwrap();
    assert!(begun.status.code().is_some(), "{begun:?}");
    desk.kill();
    desk.start(&[]).unwrap();
    desk.ready(false).unwrap();
    let paid = desk.cli(args).unwrap();
    assert_eq!(paid["state"], "settled", "{paid}");
    assert_eq!(server.invoices(), 3);

    for (mood, expected) in [
        (Mood::OneMsatMore, (REFUSED, "amount_differs")),
        (Mood::OtherWords, (REFUSED, "description_differs")),
        (Mood::SaysNo, (REFUSED, "lnurl_refused")),
    ] {
        server.is(mood);
        let (exit, code) = refused(&desk, &pay(&bob, "op/liar", &["--amount-msat", "7000"]));
        assert_eq!((exit, code.as_str()), expected);
    }
    server.is(Mood::Honest);
    let asked = server.invoices();
    let too_much = refused(&desk, &pay(&bob, "op/much", &["--amount-msat", "500001"]));
    assert_eq!(too_much, (REFUSED, "amount_out_of_range".to_owned()));
    assert_eq!(server.invoices(), asked);

    let spent: u64 = desk.cli(["wallet", "history"]).unwrap()["payments"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|payment| payment["state"] == "settled" && payment["direction"] == "out")
        .map(|payment| {
            payment["amount_msat"].as_u64().unwrap() + payment["fee_msat"].as_u64().unwrap_or(0)
        })
        .sum();
    assert_eq!(spent, 26_000);
    assert_eq!(desk.balance_msat().unwrap(), before - spent);
    other_forms(&desk);
    desk.stop().unwrap();
}

/// Links and what is not payable, through the same door.
fn other_forms(desk: &Desk) {
    let made = desk.cli(["practice", "invoice", "4000", "--memo", "Link"]).unwrap();
    let bolt11 = text(&made["bolt11"]).unwrap();
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let link = format!("BITCOIN:{address}?amount=0.00000004&label=Shop&lightning={bolt11}");
    let quote = desk.cli(["wallet", "quote", &link]).unwrap();
    assert_eq!((&quote["kind"], &quote["claims"]), (&json!("bolt11"), &json!("Shop")));
    let paid = desk.cli(["wallet", "pay", &link]).unwrap();
    assert_eq!((&paid["state"], &paid["payment_hash"]), (&json!("settled"), &made["payment_hash"]));
    let upper = format!("lightning:{}", bolt11.to_uppercase());
    let again = refused(desk, &["wallet", "pay", &upper]);
    assert_eq!(again, (REFUSED, "already_paid".to_owned()));
    let all = desk.balance_msat().unwrap();
    let more = desk.cli(["practice", "invoice", &(all + 1_000).to_string()]).unwrap();
    let (exit, code) = refused(desk, &["wallet", "pay", more["bolt11"].as_str().unwrap()]);
    assert_eq!((exit, code.as_str()), (REFUSED, "insufficient_balance"));

    let wrong = format!("bitcoin:{address}?amount=0.00000005&lightning={bolt11}");
    let node = format!("02{}", "ab".repeat(32));
    for (request, expected) in [
        (wrong.as_str(), "contradiction"),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "wrong_network"),
        ("cashuAeyJ0b2tlbiI6W119", "not_payable"),
        (&node, "keysend_off"),
        ("hello", "bad_request"),
    ] {
        let (exit, code) = refused(desk, &["wallet", "pay", request]);
        assert!(exit == REFUSED || exit == FAILED, "{exit}");
        assert_eq!(code, expected, "{request}");
    }
}
