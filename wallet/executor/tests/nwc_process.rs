//! The real process serves apps and is killed at its own steps: one payment, and its answer.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![expect(clippy::disallowed_methods, reason = "the test starts the program itself")]

mod common;
mod nwc_support;

use common::practice;
use domain::ErrorBody;
use host::ipc::Client;
use nwc_support::{Raw, WITHIN};
use pilothouse_practice::Practice;
use pilothouse_wallet::nwc::{
    places::Places,
    uri::ConnectionUri,
    words::{Call, Order, Paid},
};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use wallet::wire::SERVICE;

const LONG: Duration = Duration::from_secs(60);
/// A payment is over and answered sooner than this.
const OVER_WITHIN: Duration = Duration::from_secs(8);

/// The process and the way to it; it ends with this value.
struct Wallet {
    child: Child,
    client: Client,
}

impl Wallet {
    fn command(home: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse-wallet"));
        command.arg("--home").arg(home).stdin(Stdio::piped()).stderr(Stdio::null());
        command
    }

    /// None where it ended before it could be asked.
    async fn start(mut command: Command, home: &Path) -> (Child, Option<Client>) {
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if let Ok(client) = Client::connect(&home.join("wallet"), SERVICE).await {
                return (child, Some(client));
            }
            assert!(begun.elapsed() < LONG, "no socket");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (child, None)
    }

    async fn open(home: &Path) -> Self {
        let (child, client) = Self::start(Self::command(home), home).await;
        Self { child, client: client.expect("it serves") }
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, ErrorBody> {
        tokio::time::timeout(LONG, self.client.call(method, params)).await.expect("an answer")
    }

    async fn info_when(&self, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let info = self.call("info", Value::Null).await.unwrap();
            if is(&info) {
                return info;
            }
            assert!(begun.elapsed() < LONG, "{info}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ready(&self) -> u64 {
        let ready = |info: &Value| info["state"] == "ready" && info["balance"].is_object();
        self.info_when(ready).await["balance"]["spendable_msat"].as_u64().unwrap()
    }
}

impl Drop for Wallet {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// On the practice network, with its channel and one connection.
async fn joined(practice: &Practice, home: &Path) -> ConnectionUri {
    practice::write_chain_file(practice, &home.join("wallet"));
    let relays = [practice.rendezvous().relay_url.clone()];
    Places::new(home.join("wallet")).set_relays(&relays).unwrap();
    let wallet = Wallet::open(home).await;
    let info = wallet.info_when(|info| info["listening_address"].is_string()).await;
    let text = |name: &str| info[name].as_str().unwrap().to_owned();
    practice::join(practice, text("node_id"), text("listening_address")).await;
    wallet.ready().await;
    let made = wallet.call("connection_create", json!({ "name": "app" })).await.unwrap();
    ConnectionUri::parse(made["uri"].as_str().unwrap()).unwrap()
}

/// Each app's payment is paid once and answered, whatever step the process died at.
async fn killed_at(steps: impl IntoIterator<Item = u32>) -> u32 {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a");
    let practice = practice::start(dir.path()).await;
    let uri = joined(&practice, &home).await;
    let counterparty = practice.counterparty().unwrap();
    let mut expected = Wallet::open(&home).await.ready().await;
    let mut raw = Raw::open(&uri).await;
    let mut last = 0;
    for step in steps {
        let invoice = counterparty.invoice(3_003, "").await.unwrap().bolt11;
        let bolt11 = wallet::bolt11::Bolt11::read(&invoice, domain::Network::Practice).unwrap();
        let event = raw.request(&Call::PayInvoice(Order { id: None, invoice, amount: None }));
        let mut command = Wallet::command(&home);
        command.env("PILOTHOUSE_CRASH_AT", step.to_string());
        let (mut child, client) = Wallet::start(command, &home).await;
        let begun = Instant::now();
        // Nobody hears it before the process serves; sent until it was heard, or the process died.
        let died = loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(!status.success());
                break true;
            }
            if begun.elapsed() > OVER_WITHIN {
                break false;
            }
            raw.put(&event).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        drop(client);
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died is heard and left aside: what counts is what it says now.
        while raw.answer(Duration::from_millis(200)).await.is_some() {}
        let wallet = Wallet::open(&home).await;
        wallet.ready().await;
        let key = json!({ "key": format!("nwc/{}", event.id.to_hex()) });
        let is_known = wallet.call("payment", key.clone()).await.is_ok();
        let was_told = is_known && !died;
        if !is_known || was_told {
            raw.put(&event).await;
        }
        let answer = match raw.answer(OVER_WITHIN).await {
            Some((to, _, answer)) => {
                assert_eq!(to, event.id.to_hex());
                answer
            }
            // It was out before the process died, and the cursor with it: asked again, told again.
            None => {
                raw.put(&event).await;
                raw.answer(WITHIN).await.expect("the same request is answered again").2
            }
        };
        let paid: Paid = answer.result().unwrap().unwrap();
        assert_eq!(paid.preimage.payment_hash(), bolt11.payment_hash, "step {step}");
        while raw.answer(Duration::from_millis(300)).await.is_some() {}
        expected -= 3_003;
        assert_eq!(wallet.ready().await, expected, "after step {step}");
        if !died {
            return last;
        }
        last = step;
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_each_of_its_steps_it_pays_once_and_answers() {
    let last = killed_at(1..=40).await;
    assert!(last >= 5, "it took only {last} steps");
}
