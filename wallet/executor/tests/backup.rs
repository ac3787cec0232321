//! A backup on the practice chain: kept, rehearsed, and brought back after everything is gone.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![expect(clippy::disallowed_methods, reason = "the test starts the program itself")]

mod common;

use common::{contract::call, practice};
use domain::{ErrorBody, Msat, Network};
use host::ipc::Client;
use ldk_node::{Event, bip39::Mnemonic, bitcoin::Address, lightning_invoice::*};
use pilothouse_practice::Practice;
use pilothouse_wallet::{
    backend::Backend,
    backup::{
        keeper::{Keeper, Live},
        restore::{BEFORE, Restore, parse_birthday, restore},
    },
    ldk::{LdkBackend, OpenError, Options},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use store::{OpenOptions, Store};
use vault::{PassphraseSource, Vault};
use wallet::{
    backup::{BackupSet, Birthday, Nag, Policy, RestoreReport, Verdict},
    chain::ChainFile,
    wire::{Invoice, Payment, PaymentState, SERVICE, SHOW_SEED_CONFIRM},
};
use zeroize::Zeroizing;

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const LOG: &str = "wallet.db";
const WITHIN: Duration = Duration::from_secs(60);
const CHANNEL_SAT: u64 = 1_000_000;

/// A wallet in this process: its log, its keeper and its node.
struct Wallet {
    home: PathBuf,
    keeper: Arc<Keeper>,
    backend: Arc<LdkBackend>,
    _log: Store,
}

fn options(home: &Path) -> Options {
    Options {
        network: Network::Practice,
        dir: home.join("node"),
        chain_dir: home.to_owned(),
        runtime: tokio::runtime::Handle::current(),
    }
}

impl Wallet {
    async fn open(home: &Path) -> Result<Self, OpenError> {
        let dir = home.join("vault");
        let vault = if Vault::exists(&dir) {
            Vault::open(&dir, Network::Practice, PassphraseSource::Generate).unwrap()
        } else {
            let made = Vault::restore(&dir, Network::Practice, WORDS, PassphraseSource::Generate);
            made.unwrap().vault
        };
        let body_key = *vault.body_key();
        let mut log = Store::open(&home.join(LOG), OpenOptions { body_key }).unwrap();
        let keeper = Keeper::open(home, LOG, Network::Practice, Arc::new(vault), &mut log).unwrap();
        let keeper = Arc::new(keeper);
        let (options, kept) = (options(home), Arc::clone(&keeper));
        let words: Mnemonic = WORDS.parse().unwrap();
        let backend = tokio::task::spawn_blocking(move || {
            LdkBackend::open_kept(&options, &words, Some(&kept))
        });
        let backend = Arc::new(backend.await.unwrap()?);
        Ok(Self { home: home.to_owned(), keeper, backend, _log: log })
    }

    async fn until(&self, what: &str, so: impl Fn(&LdkBackend) -> bool) {
        let started = Instant::now();
        while !so(&self.backend) {
            assert!(started.elapsed() < WITHIN, "not in time: {what}");
            let _busy = call(&self.backend, Backend::sync).await;
            call(&self.backend, Backend::keep_connected).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn usable(&self, count: usize) {
        self.until("usable channels", |b| {
            b.node().list_channels().iter().filter(|c| c.is_usable).count() == count
        })
        .await;
    }

    async fn live(&self) -> Live {
        call(&self.backend, Backend::live).await
    }

    /// Once nothing moves any more: the last step of a payment is said by nobody.
    async fn quiet(&self) -> Live {
        let (mut last, mut same) = (self.live().await, 0);
        while same < 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = self.live().await;
            let moved = now.in_channels_msat != last.in_channels_msat;
            same = if moved { 0 } else { same + 1 };
            last = now;
        }
        last
    }

    async fn set(&self, place: &Path, policy: Policy) -> Result<(), ErrorBody> {
        let keeper = Arc::clone(&self.keeper);
        let place = Some(place.display().to_string());
        let asked = BackupSet { place, policy, abandon: false };
        tokio::task::spawn_blocking(move || keeper.set(&asked, true)).await.unwrap()
    }

    /// Pays and is paid; every event is taken.
    async fn pays_both_ways(&self, practice: &Practice) {
        let counterparty = practice.counterparty().unwrap();
        let out = counterparty.invoice(25_001, "out").await.unwrap().bolt11.parse().unwrap();
        call(&self.backend, move |b| b.node().bolt11_payment().send(&out, None)).await.unwrap();
        let memo = Bolt11InvoiceDescription::Direct(Description::new("in".into()).unwrap());
        let invoice =
            call(&self.backend, move |b| b.node().bolt11_payment().receive(7_003, &memo, 600));
        let invoice = invoice.await.unwrap().to_string();
        let (mut paid, mut received) = (false, false);
        let events = async {
            while !(paid && received) {
                let event = self.backend.node().next_event_async().await;
                self.backend.node().event_handled().unwrap();
                paid |= matches!(event, Event::PaymentSuccessful { .. });
                received |= matches!(event, Event::PaymentReceived { .. });
            }
        };
        let (came, ()) = tokio::join!(counterparty.pay(&invoice), async {
            tokio::time::timeout(WITHIN, events).await.expect("both payments arrive");
        });
        came.unwrap();
    }

    async fn stop(self) {
        call(&self.backend, Backend::stop).await;
    }
}

fn mine(practice: &Practice, blocks: u32, to: &Address) {
    let chain = practice.chain().unwrap();
    let now = host::clock::now().as_secs();
    chain.lock().unwrap().mine(blocks, &to.script_pubkey(), now).unwrap();
}

async fn bring_back(
    home: &Path,
    from: Option<&Path>,
    birthday: Option<&Birthday>,
) -> Result<RestoreReport, ErrorBody> {
    fs::create_dir_all(home).unwrap();
    let birthday = birthday.map(|birthday| {
        parse_birthday(&format!("{}:{}", birthday.height, birthday.block_hash)).unwrap()
    });
    let (home, from) = (home.to_owned(), from.map(Path::to_owned));
    let runtime = tokio::runtime::Handle::current();
    let restored = tokio::task::spawn_blocking(move || {
        restore(Restore {
            home: &home,
            log: LOG,
            network: Network::Practice,
            from: from.as_deref(),
            words: Zeroizing::new(WORDS.to_owned()),
            birthday,
            passphrase: PassphraseSource::Generate,
            runtime,
        })
    });
    restored.await.unwrap()
}

fn not_shown_newest(report: &RestoreReport, because: &str) {
    let Verdict::NotShownNewest { why } = &report.verdict else { panic!("{report:?}") };
    assert!(why.iter().any(|why| why.contains(because)), "{why:?}");
    assert_eq!(report.channels.len(), 2, "what there was is named");
    assert!(report.lost.len() >= 2, "{:?}", report.lost);
}

/// Its newest segment.
fn segment(place: &Path) -> PathBuf {
    let folder = fs::read_dir(place).unwrap().next().unwrap().unwrap().path();
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.to_string_lossy().contains("segment-")).max().unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_channels_are_accounted_for_and_start_only_from_the_newest_state() {
    let dir = tempfile::tempdir().unwrap();
    let practice = practice::start(dir.path()).await;
    let at = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    };
    let home = at("wallet");
    practice::write_chain_file(&practice, &home);
    let wallet = Wallet::open(&home).await.unwrap();
    two_channels(&wallet, &practice).await;
    let (place, other) = (at("disk"), at("other disk"));
    let nags = |live: &Live| wallet.keeper.status(live).unwrap().nags;
    assert!(nags(&wallet.live().await).contains(&Nag::NoPlace));
    wallet.set(&place, Policy::Strict).await.unwrap();
    wallet.pays_both_ways(&practice).await;

    let live = wallet.quiet().await;
    let report = rehearse(&wallet).await;
    assert!(report.passed, "{:?}", report.differences);
    assert_eq!(report.channels.len(), 2);
    assert_eq!(Some(report.in_channels_msat), live.in_channels_msat);
    assert_eq!(report.onchain_msat, live.onchain_msat);
    assert!(report.onchain_msat > Msat::ZERO && report.payments >= 2);
    let birthday = report.birthday.clone().unwrap();
    let status = wallet.keeper.status(&live).unwrap();
    assert!(status.rehearsed.as_ref().is_some_and(|rehearsed| rehearsed.passed));
    assert!(!status.nags.contains(&Nag::NoPlace) && !status.nags.contains(&Nag::NeverRehearsed));
    let writes = &status.places[0];
    println!("the folder took {} moments in {} us each", writes.writes, writes.micros_each);

    // A place that was left, and one that the wallet may go on without, show nothing.
    wallet.set(&other, Policy::Lenient).await.unwrap();
    let restored = bring_back(&at("a"), Some(&place), None).await.unwrap();
    not_shown_newest(&restored, "left this folder");
    let restored = bring_back(&at("b"), Some(&other), None).await.unwrap();
    not_shown_newest(&restored, "allowed to go on");
    wallet.set(&place, Policy::Strict).await.unwrap();
    wallet.pays_both_ways(&practice).await;
    let live = wallet.quiet().await;
    wallet.stop().await;

    refuses_what_was_changed(&place, &at("c")).await;
    let copy = at("copy");
    copy_folder(&place, &copy);
    let restored = bring_back(&at("d"), Some(&copy), None).await.unwrap();
    not_shown_newest(&restored, "a copy of the folder");
    assert!(at("d").join(BEFORE).join(LOG).exists());

    let new_home = at("new");
    practice::write_chain_file(&practice, &new_home);
    let restored = bring_back(&new_home, Some(&place), None).await.unwrap();
    assert_eq!(restored.verdict, Verdict::Newest);
    assert_eq!(Some(restored.in_channels_msat), live.in_channels_msat);
    let again = bring_back(&new_home, Some(&place), None).await.unwrap_err();
    assert_eq!(again.code, "not_empty");
    let wallet = Wallet::open(&new_home).await.unwrap();
    wallet.usable(2).await;
    assert_eq!(wallet.quiet().await.in_channels_msat, live.in_channels_msat);
    assert_eq!(wallet.live().await.onchain_msat, live.onchain_msat);
    wallet.pays_both_ways(&practice).await;
    let old = Wallet::open(&home).await.err().expect("the old one does not start");
    assert!(!old.is_temporary() && old.to_string().contains("copy"), "{old}");
    wallet.stop().await;
    words_alone(&practice, &at("words"), &birthday, live.onchain_msat).await;
}

async fn two_channels(wallet: &Wallet, practice: &Practice) {
    wallet
        .until("synced", |b| b.node().status().latest_lightning_wallet_sync_timestamp.is_some())
        .await;
    let ours = wallet.backend.node().onchain_payment().new_address().unwrap();
    mine(practice, 1, &ours);
    practice.counterparty().unwrap().mine(100).await.unwrap();
    wallet
        .until("coins", |b| b.node().list_balances().spendable_onchain_balance_sats > CHANNEL_SAT)
        .await;
    let (id, address) = (wallet.backend.node_id(), wallet.backend.listening_address().unwrap());
    practice::join(practice, id, address).await;
    wallet.usable(1).await;
    let (_, id) = practice::counterparty(practice);
    let id = id.parse().unwrap();
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let push = Some(CHANNEL_SAT / 4 * 1_000);
    call(&wallet.backend, move |b| b.node().open_channel(id, nowhere, CHANNEL_SAT, push, None))
        .await
        .unwrap();
    let started = Instant::now();
    while !practice.chain().unwrap().lock().unwrap().has_waiting_transactions() {
        assert!(started.elapsed() < WITHIN, "the funding is not on its way");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    practice.counterparty().unwrap().mine(6).await.unwrap();
    wallet.usable(2).await;
}

async fn rehearse(wallet: &Wallet) -> wallet::backup::RehearsalReport {
    let (keeper, backend) = (Arc::clone(&wallet.keeper), Arc::clone(&wallet.backend));
    let runtime = tokio::runtime::Handle::current();
    let report = tokio::task::spawn_blocking(move || keeper.rehearse(&runtime, || backend.live()));
    report.await.unwrap().unwrap()
}

/// One bit, anywhere; a missing end of what was never written whole is nothing.
async fn refuses_what_was_changed(place: &Path, home: &Path) {
    let path = segment(place);
    let bytes = fs::read(&path).unwrap();
    for at in [10, 100, bytes.len() / 2, bytes.len() - 3] {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        fs::write(&path, &changed).unwrap();
        let refused = bring_back(home, Some(place), None).await.unwrap_err();
        assert_eq!(refused.code, "bad_backup");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(refused.message.contains(&name), "{refused}");
        assert!(fs::read_dir(home).unwrap().next().is_none(), "nothing is left behind");
    }
    let torn = [&bytes[..], &bytes[48..70]].concat();
    fs::write(&path, &torn[..bytes.len() + 7]).unwrap();
    let restored = bring_back(&home.join("torn"), Some(place), None).await.unwrap();
    assert_eq!(restored.verdict, Verdict::Newest);
    fs::write(&path, &bytes).unwrap();
}

/// They bring back what is on the chain, from the birthday on, and no channel.
async fn words_alone(practice: &Practice, home: &Path, birthday: &Birthday, onchain: Msat) {
    let restored = bring_back(home, None, Some(birthday)).await.unwrap();
    assert_eq!(restored.verdict, Verdict::WordsAlone);
    assert!(restored.lost.iter().any(|lost| lost.contains("Channels are not in the words")));
    // Nobody is called: an unknown channel would make the counterparty close it.
    let file = ChainFile::new(Network::Practice, practice::bitcoind(practice));
    pilothouse_wallet::chain_file::write(home, &file).unwrap();
    let wallet = Wallet::open(home).await.unwrap();
    assert_eq!(wallet.keeper.birthday().unwrap().unwrap().height, birthday.height);
    wallet
        .until("the money on the chain", |b| {
            b.node().list_balances().total_onchain_balance_sats * 1_000 == onchain.get()
        })
        .await;
    assert!(wallet.backend.node().list_channels().is_empty());
    assert!(wallet.home.join("node").exists());
    wallet.stop().await;
}

/// The program itself.
struct Program {
    child: Child,
    client: Client,
}

impl Program {
    async fn start(home: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_pilothouse-wallet"))
            .arg("--home")
            .arg(home)
            .arg("--exit-with-parent")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let start = Instant::now();
        let client = loop {
            match Client::connect(&home.join("wallet"), SERVICE).await {
                Ok(client) => break client,
                Err(error) => assert!(start.elapsed() < WITHIN, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        Self { child, client }
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

    async fn ready(&self) -> Value {
        self.info_when(|info| info["state"] == "ready" && info["balance"].is_object()).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn run_restore(home: &Path, from: &Path, words: &str) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pilothouse-wallet"))
        .arg("--home")
        .arg(home)
        .args(["restore", "--words-fd", "0", "--from"])
        .arg(from)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(words.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Chooses the place, shows that the words are written down, and rehearses. Gives the words.
async fn backed_up(program: &Program, home: &Path, place: &Path) -> Vec<String> {
    let missing = program.call("backup", Value::Null).await.unwrap_err();
    assert_eq!(missing.code, "no_backup_place");
    let inside = json!({ "place": home.join("wallet"), "policy": "strict" });
    assert_eq!(program.call("backup_set", inside).await.unwrap_err().code, "bad_place");
    let set = json!({ "place": place, "policy": "strict" });
    let status = program.call("backup_set", set).await.unwrap();
    assert_eq!(status["places"][0]["state"], "fresh", "{status}");
    let seed = program.call("show_seed", json!({ "confirm": SHOW_SEED_CONFIRM })).await.unwrap();
    let words: Vec<String> = serde_json::from_value(seed["words"].clone()).unwrap();
    let check = |word: &str| json!({ "words": [[1, words[0]], [5, words[4]], [12, word]] });
    let wrong = program.call("check_words", check("never")).await.unwrap_err();
    assert_eq!(wrong.code, "wrong_words");
    let status = program.call("check_words", check(&words[11])).await.unwrap();
    assert_eq!(status["words_written_down"], true);
    assert_eq!(program.call("rehearse", Value::Null).await.unwrap()["passed"], true);
    words
}

/// Killed while money moves both ways; its whole home is deleted; the folder brings it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wallet_that_is_gone_comes_back_to_the_msat() {
    const HALF_MSAT: u64 = 5_000_000_000;
    const PAYMENTS: u64 = 6;
    let dir = tempfile::tempdir().unwrap();
    let practice = practice::start(dir.path()).await;
    let counterparty = practice.counterparty().unwrap();
    let (home, place) = (dir.path().join("a"), dir.path().join("disk"));
    fs::create_dir(&place).unwrap();
    practice::write_chain_file(&practice, &home.join("wallet"));
    let mut program = Program::start(&home).await;
    let info = program.info_when(|info| info["listening_address"].is_string()).await;
    let text = |name: &str| info[name].as_str().unwrap().to_owned();
    practice::join(&practice, text("node_id"), text("listening_address")).await;
    program.ready().await;
    let words = backed_up(&program, &home, &place).await;

    let mut coming = Vec::new();
    for n in 0..PAYMENTS {
        let asked = json!({
            "key": format!("job/{n}"), "amount_msat": 9_009, "memo": "", "expiry_secs": 600,
        });
        let invoice: Invoice =
            serde_json::from_value(program.call("receive", asked).await.unwrap()).unwrap();
        let outside = counterparty.invoice(3_003, "").await.unwrap();
        let pay = json!({
            "key": format!("buy/{n}"), "request": outside.bolt11, "amount_msat": 3_003,
            "max_fee_msat": 10_000,
        });
        program.call("pay", pay).await.unwrap();
        let payer = Arc::clone(counterparty);
        coming.push(tokio::spawn(async move { payer.pay(&invoice.text).await.map(drop) }));
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    fs::remove_dir_all(&home).unwrap();

    let report = run_restore(&home, &place, &words.join(" "));
    assert_eq!(report["verdict"], "newest", "{report}");
    practice::write_chain_file(&practice, &home.join("wallet"));
    let program = Program::start(&home).await;
    program.ready().await;
    for paid in coming {
        paid.await.unwrap().unwrap();
    }
    let mut expected = HALF_MSAT;
    for n in 0..PAYMENTS {
        expected += over(&program, &format!("job/{n}")).await.map_or(0, |payment| {
            assert_eq!(payment.state, PaymentState::Settled, "{payment:?}");
            9_009
        });
        // What the log in the folder did not have yet was never sent.
        expected -=
            over(&program, &format!("buy/{n}")).await.map_or(0, |payment| match payment.state {
                PaymentState::Settled => 3_003 + payment.fee_msat.unwrap().get(),
                _ => 0,
            });
    }
    let info = program.ready().await;
    assert_eq!(info["balance"]["spendable_msat"], expected, "{info}");
    tokio::time::sleep(Duration::from_secs(7)).await;
    let info = program.ready().await;
    assert_eq!(info["detail"], Value::Null, "ledger and channels agree");
    let status = program.call("backup_status", Value::Null).await.unwrap();
    assert_eq!(status["places"][0]["state"], "fresh", "{status}");
    assert_eq!(program.call("rehearse", Value::Null).await.unwrap()["passed"], true);
    let outside = counterparty.invoice(1_001, "").await.unwrap();
    let pay = json!({
        "key": "after", "request": outside.bolt11, "amount_msat": 1_001, "max_fee_msat": 10_000,
    });
    program.call("pay", pay).await.unwrap();
    let after = over(&program, "after").await.unwrap();
    assert_eq!(after.state, PaymentState::Settled);
}

/// The payment once nothing more is expected of it; none where the log has none of this key.
async fn over(program: &Program, key: &str) -> Option<Payment> {
    let start = Instant::now();
    loop {
        match program.call("payment", json!({ "key": key })).await {
            Ok(payment) => {
                let payment: Payment = serde_json::from_value(payment).unwrap();
                if payment.state.is_over() {
                    return Some(payment);
                }
                assert!(start.elapsed() < WITHIN, "{payment:?}");
            }
            Err(error) if error.code == "no_such_payment" => return None,
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
