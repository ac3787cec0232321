//! Channels and the chain on real nodes: what moves adds up to the satoshi, and nothing happens
//! twice, whatever restart comes in between.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use common::{contract::call, practice};
use domain::{IdempotencyKey, Msat, Network};
use ldk_node::{
    bip39::Mnemonic,
    bitcoin::{Address, Network as BitcoinNetwork, Script},
};
use pilothouse_practice::Practice;
use pilothouse_wallet::{
    backend::{Backend, SendAnswer},
    chain_file,
    ldk::{LdkBackend, Options},
};
use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};
use wallet::{
    Fact, Found, InvoiceOrder, Order, Sought, Which,
    bolt11::Bolt11,
    chain::ChainFile,
    channels::{Channel, ChannelState, Channels, CloseChannel, FORCE_CONFIRM, OpenChannel},
    wire::{Direction, Rail},
};

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const SOON: Duration = Duration::from_secs(90);
const CHANNEL: Msat = Msat::from_sat(1_000_000);
const ANCHORS: Msat = Msat::from_sat(660);
const OPENED: Msat = Msat::from_sat(1_000_000 - 660);
const RESERVE: Msat = Msat::from_sat(25_000);
/// More than any one transaction costs here.
const LITTLE: u32 = 5_000;

struct Rig {
    practice: Practice,
    dir: PathBuf,
    backend: Option<Arc<LdkBackend>>,
    peer: String,
}

impl Rig {
    async fn start(dir: &tempfile::TempDir) -> Self {
        let practice = practice::start(dir.path()).await;
        let file = ChainFile::new(Network::Regtest, practice::bitcoind(&practice));
        let home = host::Home::open(dir.path().join("wallet")).unwrap();
        chain_file::write(home.root(), &file).unwrap();
        let (peer, _) = practice::counterparty(&practice);
        let mut rig = Self { practice, dir: home.root().to_owned(), backend: None, peer };
        rig.open().await;
        rig
    }

    async fn open(&mut self) {
        let options = Options {
            network: Network::Regtest,
            dir: self.dir.join("node"),
            chain_dir: self.dir.clone(),
            runtime: tokio::runtime::Handle::current(),
        };
        let words: Mnemonic = WORDS.parse().unwrap();
        let opened = tokio::task::spawn_blocking(move || LdkBackend::open(&options, &words));
        self.backend = Some(Arc::new(opened.await.unwrap().unwrap()));
        self.until("synced", |b| b.node().status().latest_onchain_wallet_sync_timestamp.is_some())
            .await;
    }

    async fn restart(&mut self) {
        let backend = self.backend.take().unwrap();
        call(&backend, Backend::stop).await;
        drop(backend);
        self.open().await;
    }

    async fn end(self) {
        call(&self.backend(), Backend::stop).await;
        drop(self.backend);
        self.practice.stop().await;
    }

    fn backend(&self) -> Arc<LdkBackend> {
        Arc::clone(self.backend.as_ref().unwrap())
    }

    async fn until(&self, what: &str, so: impl Fn(&LdkBackend) -> bool) {
        let (backend, started) = (self.backend(), Instant::now());
        while !so(&backend) {
            assert!(started.elapsed() < SOON, "not in time: {what}");
            let _busy = call(&backend, Backend::sync).await;
            call(&backend, Backend::keep_connected).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn mine(&self, count: u32, to: &Address) {
        let chain = self.practice.chain().unwrap();
        let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.mine(count, &to.script_pubkey(), host::clock::now().as_secs()).unwrap();
    }

    async fn bury(&self, blocks: u32) {
        self.mine(blocks, &elsewhere());
        let chain = self.practice.chain().unwrap();
        let height = chain.lock().unwrap_or_else(PoisonError::into_inner).height();
        self.until("the new blocks", |b| b.node().status().current_best_block.height >= height)
            .await;
    }

    fn waiting(&self) -> bool {
        let chain = self.practice.chain().unwrap();
        let chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.has_waiting_transactions()
    }

    async fn until_waiting(&self) {
        let started = Instant::now();
        while !self.waiting() {
            assert!(started.elapsed() < SOON, "no transaction came");
            call(&self.backend(), Backend::keep_connected).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn address(&self, key: &str) -> Address {
        let order = InvoiceOrder {
            key: IdempotencyKey::new(key).unwrap(),
            rail: Rail::Onchain,
            amount_msat: None,
            memo: String::new(),
            expiry_secs: 600,
        };
        let none = domain::PaymentHash([0; 32]);
        let made = call(&self.backend(), move |b| b.make_invoice(&order, none)).await.unwrap();
        made.text.parse::<Address<_>>().unwrap().assume_checked()
    }

    /// Fifty bitcoin that can be spent.
    async fn fund(&self) {
        let ours = self.address("fund").await;
        self.mine(1, &ours);
        self.bury(100).await;
        self.until("funded", |b| b.node().list_balances().spendable_onchain_balance_sats > 0).await;
    }

    async fn channels(&self) -> Channels {
        call(&self.backend(), Backend::channels).await.unwrap()
    }

    async fn only(&self) -> Channel {
        let mut channels = self.channels().await.channels;
        assert_eq!(channels.len(), 1);
        channels.remove(0)
    }

    fn opening(&self, key: &str) -> OpenChannel {
        let key = IdempotencyKey::new(key).unwrap();
        OpenChannel { key, peer: self.peer.clone(), amount_msat: CHANNEL }
    }

    /// A usable channel, opened under this key.
    async fn channel(&self, key: &str) -> Channel {
        let open = self.opening(key);
        call(&self.backend(), move |b| b.open_channel(&open)).await.unwrap();
        self.until_waiting().await;
        self.bury(6).await;
        self.until("usable", |b| b.node().list_channels().iter().any(|c| c.is_usable)).await;
        self.only().await
    }

    /// The next fact that is not about a channel.
    async fn fact(&self) -> Fact {
        common::contract::next(&self.backend()).await
    }
}

fn elsewhere() -> Address {
    Address::p2wsh(Script::new(), BitcoinNetwork::Regtest)
}

fn order(key: &str, address: &Address, amount: Msat, max_fee: Msat) -> Order {
    Order {
        key: IdempotencyKey::new(key).unwrap(),
        rail: Rail::Onchain,
        request: address.to_string(),
        payment_hash: None,
        amount_msat: amount,
        max_fee_msat: max_fee,
    }
}

fn sought(order: &Order) -> Sought {
    Sought {
        key: order.key.clone(),
        direction: Direction::Out,
        rail: Rail::Onchain,
        request: Some(order.request.clone()),
        payment_hash: None,
        reference: None,
        amount_msat: order.amount_msat,
        since: host::clock::now(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_channel_is_opened_once_and_closes_with_all_that_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(&dir).await;
    let poor = rig.opening("poor");
    let error = call(&rig.backend(), move |b| b.open_channel(&poor)).await.unwrap_err();
    assert_eq!(error.code, "insufficient_balance");
    rig.fund().await;
    let before = rig.channels().await.onchain;
    let open = rig.opening("one");
    let quote = call(&rig.backend(), move |b| b.quote_channel(&open)).await.unwrap();
    assert_eq!((quote.refused.clone(), quote.reserve_msat), (None, RESERVE));
    assert!(!quote.fee_msat.is_zero() && quote.fee_msat < Msat::from_sat(LITTLE));

    let open = rig.opening("one");
    let opened = call(&rig.backend(), move |b| b.open_channel(&open)).await.unwrap();
    let id = opened.channel.clone().expect("the peer agrees at once");
    rig.restart().await;
    let open = rig.opening("one");
    let again = call(&rig.backend(), move |b| b.open_channel(&open)).await.unwrap();
    assert_eq!(again, opened, "the same key is the same channel");
    let mut other = rig.opening("one");
    other.amount_msat = Msat::from_sat(30_000);
    let error = call(&rig.backend(), move |b| b.open_channel(&other)).await.unwrap_err();
    assert_eq!(error.code, "key_reused");
    assert!(matches!(rig.only().await.state, ChannelState::Opening { .. }));
    rig.until_waiting().await;
    rig.bury(6).await;
    rig.until("usable", |b| b.node().list_channels().iter().any(|c| c.is_usable)).await;
    let channel = rig.only().await;
    assert_eq!((channel.id.as_str(), channel.state), (id.as_str(), ChannelState::Ready));
    // The opener sets two anchors aside (BOLT 3).
    assert_eq!((channel.ours_msat, channel.theirs_msat), (OPENED, ANCHORS));
    assert!(channel.short_id.is_some() && channel.we_opened && !channel.announced);

    let paid = Msat::new(25_003).unwrap();
    let invoice = rig.practice.counterparty().unwrap().invoice(paid.get(), "x").await.unwrap();
    let read = Bolt11::read(&invoice.bolt11, Network::Regtest).unwrap();
    let pay = Order {
        key: IdempotencyKey::new("pay").unwrap(),
        rail: Rail::Bolt11,
        request: invoice.bolt11,
        payment_hash: Some(read.payment_hash),
        amount_msat: paid,
        max_fee_msat: Msat::from_sat(10),
    };
    let answer = call(&rig.backend(), move |b| b.send(&pay)).await;
    assert!(matches!(answer, SendAnswer::Taken { .. }), "{answer:?}");
    // Before it comes what was paid in on the chain.
    assert!(matches!(rig.fact().await, Fact::Received { rail: Rail::Onchain, .. }));
    assert!(matches!(rig.fact().await, Fact::Paid { .. }));
    let ours = OPENED.checked_sub(paid).unwrap();
    let settled = |b: &LdkBackend| b.in_channels() == Some(ours);
    rig.until("to the msat", settled).await;

    let close = CloseChannel { channel: id.clone(), force: None };
    call(&rig.backend(), move |b| b.close_channel(&close)).await.unwrap();
    rig.until_waiting().await;
    rig.bury(7).await;
    rig.until("swept", |b| {
        let balances = b.node().list_balances();
        balances.lightning_balances.is_empty()
    })
    .await;
    let after = rig.channels().await;
    assert!(after.channels.is_empty(), "{after:?}");
    let lost = before.total_msat.checked_sub(after.onchain.total_msat).unwrap();
    let fees = lost.checked_sub(paid).expect("what was paid is gone");
    assert!(fees < Msat::from_sat(2 * LITTLE), "two transactions: {fees}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_close_by_force_says_when_the_money_comes_and_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(&dir).await;
    rig.fund().await;
    let before = rig.channels().await.onchain;
    let channel = rig.channel("one").await;
    let close =
        |force: &str| CloseChannel { channel: channel.id.clone(), force: Some(force.to_owned()) };
    let slip = close("yes");
    let error = call(&rig.backend(), move |b| b.close_channel(&slip)).await.unwrap_err();
    assert_eq!(error.code, "not_confirmed");
    let sure = close(FORCE_CONFIRM);
    call(&rig.backend(), move |b| b.close_channel(&sure)).await.unwrap();
    rig.until_waiting().await;
    rig.bury(1).await;
    let closing = rig.channels().await.closing;
    assert_eq!(closing.len(), 1, "{closing:?}");
    let at = closing[0].spendable_at_height.expect("the height is known");
    let delay = u32::from(channel.force_close_blocks.unwrap());
    assert!(at >= rig.channels().await.height + delay - 1, "{at}");
    rig.bury(delay).await;
    rig.until_waiting().await;
    rig.bury(8).await;
    rig.until("swept", |b| b.node().list_balances().lightning_balances.is_empty()).await;
    let after = rig.channels().await;
    let lost = before.total_msat.checked_sub(after.onchain.total_msat).unwrap();
    assert!(lost < Msat::from_sat(4 * LITTLE), "{lost}: {after:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_on_the_chain_comes_and_goes_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(&dir).await;
    let ours = rig.address("fund").await;
    rig.fund().await;
    assert_eq!(rig.address("fund").await, ours, "the same key is the same address");
    assert_ne!(rig.address("other").await, ours);
    let Fact::Received { which: Which::Reference(outpoint), rail: Rail::Onchain, to, .. } =
        rig.fact().await
    else {
        panic!("what is deep in the chain is told")
    };
    assert_eq!(to, Some(ours.to_string()));
    assert!(outpoint.contains(':'));

    let to = elsewhere();
    let amount = Msat::from_sat(70_000);
    let before = rig.channels().await.onchain.total_msat;
    let dear = order("dear", &to, amount, Msat::from_sat(1));
    let answer = call(&rig.backend(), move |b| b.send(&dear)).await;
    assert!(matches!(&answer, SendAnswer::Refused(why) if why.contains("fee")), "{answer:?}");
    assert!(!rig.waiting(), "nothing was sent");

    let max_fee = Msat::from_sat(LITTLE);
    let pay = order("pay", &to, amount, max_fee);
    let (asked, again) = (pay.clone(), pay.clone());
    let answer = call(&rig.backend(), move |b| b.send(&asked)).await;
    let SendAnswer::Taken { reference: Some(txid) } = answer else { panic!("{answer:?}") };
    let answer = call(&rig.backend(), move |b| b.send(&again)).await;
    assert!(matches!(answer, SendAnswer::Unclear(_) | SendAnswer::NotNow(_)), "{answer:?}");
    for restart in [false, true] {
        if restart {
            rig.restart().await;
        }
        let sought = sought(&pay);
        let found = call(&rig.backend(), move |b| b.look_up(&sought)).await.unwrap();
        assert_eq!(found, Found::InFlight);
    }
    rig.until_waiting().await;
    rig.bury(6).await;
    let fact = rig.fact().await;
    let Fact::LookedUp { found: Found::Settled { reference: Some(of), fee_msat, .. }, .. } = fact
    else {
        panic!("{fact:?}")
    };
    assert_eq!(of, txid);
    assert!(fee_msat <= max_fee && !fee_msat.is_zero());
    let sought = sought(&pay);
    let found = call(&rig.backend(), move |b| b.look_up(&sought)).await.unwrap();
    let Found::Settled { amount_msat, fee_msat: fee, reference, .. } = found else {
        panic!("{found:?}")
    };
    assert_eq!((amount_msat, fee, reference), (amount, fee_msat, Some(txid)));
    let after = rig.channels().await.onchain.total_msat;
    assert_eq!(before.checked_sub(after), amount.checked_add(fee_msat), "to the satoshi");

    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4".parse::<Address<_>>().unwrap();
    let wrong = order("wrong", &mainnet.assume_checked(), amount, max_fee);
    let answer = call(&rig.backend(), move |b| b.send(&wrong)).await;
    assert!(matches!(answer, SendAnswer::Refused(_)), "{answer:?}");
    rig.end().await;
}
