//! A backend in memory, with a world that pays it and is paid.

use bitcoin::{
    hashes::{Hash, sha256},
    secp256k1::{Secp256k1, SecretKey},
};
use domain::{Msat, PaymentHash, Preimage};
use ldk_node::{
    bitcoin,
    lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder},
    lightning_types::payment::PaymentSecret,
};
use pilothouse_wallet::backend::{Backend, BackendError, Capabilities, SendAnswer};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use wallet::{
    Fact, Found, InvoiceOrder, Made, Order, Sought,
    event::Observed,
    wire::{NodeState, Rail},
};

use super::contract::Rig;

const NODE: [u8; 32] = [11; 32];
const OUTSIDE: [u8; 32] = [12; 32];
pub const HOLDS: Msat = Msat::from_sat(1_000_000);

/// What survives a restart.
#[derive(Default)]
pub struct World {
    records: HashMap<PaymentHash, Found>,
    amounts: HashMap<PaymentHash, Msat>,
    locked: HashMap<PaymentHash, oneshot::Sender<Result<(), String>>>,
    outside: HashMap<PaymentHash, Preimage>,
    facts: VecDeque<Fact>,
    /// Payments that really left, by hash.
    pub sends: HashMap<PaymentHash, u32>,
    pub balance: i64,
    /// What sends answer instead of sending, once each.
    pub moods: VecDeque<Mood>,
    made: u64,
}

/// How the fake misbehaves.
#[derive(Clone, Copy, Debug)]
pub enum Mood {
    /// Sends, and loses its answer.
    SendsAndIsUnclear,
    /// Does not send, and loses its answer.
    IsUnclear,
    NotNow,
    /// Finds no way at once.
    NoWay,
    /// Takes it, and finds no way after that.
    NoWayLater,
    /// Takes it, and the payee refuses it.
    Rejected,
    /// Takes it, and it stays on its way.
    Hangs,
}

#[derive(Clone)]
pub struct Fake {
    world: Arc<Mutex<World>>,
    wake: Arc<Notify>,
}

impl Fake {
    pub fn new() -> Self {
        let world = World { balance: HOLDS.get() as i64, ..World::default() };
        Self { world: Arc::new(Mutex::new(world)), wake: Arc::default() }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn push(&self, fact: Fact) {
        self.world().facts.push_back(fact);
        self.wake.notify_waiters();
    }

    pub fn push_failure(&self, payment_hash: PaymentHash, reason: &str, no_way: bool) {
        let reason = reason.into();
        let which = payment_hash.into();
        self.push(Fact::PayFailed { which, reason, no_way, still_open: false });
    }

    /// Someone else pays one of our invoices.
    pub fn pays(&self, bolt11: &str) -> oneshot::Receiver<Result<(), String>> {
        let invoice: Bolt11Invoice = bolt11.parse().unwrap();
        let (answer, answered) = oneshot::channel();
        let hash = hash_of(&invoice);
        let amount = Msat::new(invoice.amount_milli_satoshis().unwrap()).unwrap();
        self.world().locked.insert(hash, answer);
        self.push(Fact::Claimable { payment_hash: hash, amount_msat: amount });
        answered
    }

    pub fn outside_invoice(&self, amount: Msat) -> String {
        let preimage = {
            let mut world = self.world();
            world.made += 1;
            let mut bytes = [200; 32];
            bytes[..8].copy_from_slice(&world.made.to_be_bytes());
            let preimage = Preimage(bytes);
            world.outside.insert(preimage.payment_hash(), preimage);
            preimage
        };
        sign(OUTSIDE, preimage.payment_hash(), amount, 3_600)
    }

    fn do_send(&self, hash: PaymentHash, amount: Msat) {
        let mut world = self.world();
        *world.sends.entry(hash).or_default() += 1;
        world.balance -= amount.get() as i64;
        let preimage = world.outside.get(&hash).copied();
        let (amount_msat, fee_msat) = (amount, Msat::ZERO);
        world.records.insert(hash, settled(amount_msat, fee_msat, preimage));
        let which = hash.into();
        world.facts.push_back(Fact::Paid { which, payment_hash: None, preimage, fee_msat });
        drop(world);
        self.wake.notify_waiters();
    }
}

fn settled(amount_msat: Msat, fee_msat: Msat, preimage: Option<Preimage>) -> Found {
    Found::Settled { amount_msat, fee_msat, preimage, payment_hash: None, reference: None }
}

fn hash_of(invoice: &Bolt11Invoice) -> PaymentHash {
    PaymentHash(invoice.payment_hash().to_byte_array())
}

fn sign(key: [u8; 32], hash: PaymentHash, amount: Msat, expiry_secs: u32) -> String {
    let secp = Secp256k1::new();
    let key = SecretKey::from_slice(&key).unwrap();
    InvoiceBuilder::new(Currency::Regtest)
        .description("fake".into())
        .payment_hash(sha256::Hash::from_byte_array(hash.0))
        .payment_secret(PaymentSecret([3; 32]))
        .duration_since_epoch(Duration::from_secs(host::clock::now().as_secs()))
        .expiry_time(Duration::from_secs(expiry_secs.into()))
        .min_final_cltv_expiry_delta(18)
        .amount_milli_satoshis(amount.get())
        .build_signed(|digest| secp.sign_ecdsa_recoverable(digest, &key))
        .unwrap()
        .to_string()
}

impl Backend for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn node_id(&self) -> String {
        SecretKey::from_slice(&NODE).unwrap().public_key(&Secp256k1::new()).to_string()
    }

    fn capabilities(&self) -> Capabilities {
        const RAILS: &[Rail] = &[Rail::Bolt11];
        Capabilities { chosen_hash: true, receives: RAILS, pays: RAILS }
    }

    fn observe(&self) -> Observed {
        Observed {
            state: NodeState::Ready,
            detail: None,
            inbound_msat: Msat::from_sat(5_000),
            onchain_msat: Msat::ZERO,
            spendable_msat: None,
            unknown: false,
        }
    }

    fn in_channels(&self) -> Option<Msat> {
        Msat::new(u64::try_from(self.world().balance).unwrap()).ok()
    }

    fn sync(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn make_invoice(&self, order: &InvoiceOrder, hash: PaymentHash) -> Result<Made, BackendError> {
        let amount = order.amount_msat.unwrap();
        let mut world = self.world();
        world.records.insert(hash, Found::InFlight);
        world.amounts.insert(hash, amount);
        Ok(Made {
            text: sign(NODE, hash, amount, order.expiry_secs),
            payment_hash: Some(hash),
            expires_at: Some(host::clock::now().plus_secs(order.expiry_secs.into())),
        })
    }

    fn send(&self, order: &Order) -> SendAnswer {
        let Ok(invoice) = order.request.parse::<Bolt11Invoice>() else {
            return SendAnswer::Refused("no invoice".into());
        };
        let hash = hash_of(&invoice);
        let amount = Msat::new(invoice.amount_milli_satoshis().unwrap()).unwrap();
        let mood = {
            let mut world = self.world();
            if matches!(world.records.get(&hash), Some(Found::Settled { .. } | Found::InFlight)) {
                return SendAnswer::Unclear("already there".into());
            }
            if amount.get() as i64 > world.balance {
                return SendAnswer::NotSent("too much".into());
            }
            world.records.remove(&hash);
            world.moods.pop_front()
        };
        match mood {
            None => {
                self.do_send(hash, amount);
                SendAnswer::Taken { reference: None }
            }
            Some(Mood::SendsAndIsUnclear) => {
                self.do_send(hash, amount);
                SendAnswer::Unclear("the answer was lost".into())
            }
            Some(Mood::IsUnclear) => SendAnswer::Unclear("the answer was lost".into()),
            Some(Mood::NotNow) => SendAnswer::NotNow("asleep".into()),
            Some(Mood::NoWay) => {
                let failed = Found::Failed { reason: "no way".into() };
                self.world().records.insert(hash, failed);
                SendAnswer::NotSent("no way".into())
            }
            Some(mood @ (Mood::NoWayLater | Mood::Rejected)) => {
                let failed = Found::Failed { reason: "it failed".into() };
                self.world().records.insert(hash, failed);
                let no_way = matches!(mood, Mood::NoWayLater);
                self.push_failure(hash, "failed", no_way);
                SendAnswer::Taken { reference: None }
            }
            Some(Mood::Hangs) => {
                self.world().records.insert(hash, Found::InFlight);
                SendAnswer::Taken { reference: None }
            }
        }
    }

    fn look_up(&self, sought: &Sought) -> Result<Found, BackendError> {
        let known = sought.payment_hash.and_then(|hash| self.world().records.get(&hash).cloned());
        Ok(known.unwrap_or(Found::Nothing))
    }

    fn claim(&self, amount: Msat, preimage: &Preimage) -> Result<(), BackendError> {
        let hash = preimage.payment_hash();
        let mut world = self.world();
        let Some(answer) = world.locked.remove(&hash) else { return Ok(()) };
        let (amount_msat, fee_msat) = (amount, Msat::ZERO);
        world.records.insert(hash, settled(amount_msat, fee_msat, None));
        world.balance += amount.get() as i64;
        let (which, rail) = (hash.into(), Rail::Bolt11);
        world.facts.push_back(Fact::Received {
            which,
            rail,
            to: None,
            amount_msat,
            preimage: None,
        });
        drop(world);
        let _payer_left = answer.send(Ok(()));
        self.wake.notify_waiters();
        Ok(())
    }

    fn turn_away(&self, payment_hash: &PaymentHash) -> Result<(), BackendError> {
        let mut world = self.world();
        if let Some(answer) = world.locked.remove(payment_hash) {
            let reason = "sent back".into();
            world.records.insert(*payment_hash, Found::Failed { reason });
            let _payer_left = answer.send(Err("turned away".into()));
        }
        Ok(())
    }

    async fn next_fact(&self) -> Fact {
        loop {
            let woken = self.wake.notified();
            if let Some(fact) = self.world().facts.front().cloned() {
                return fact;
            }
            woken.await;
        }
    }

    fn acknowledge(&self) -> Result<(), BackendError> {
        self.world().facts.pop_front();
        Ok(())
    }

    fn stop(&self) {}
}

/// The fake with its world, for the contract.
pub struct FakeRig(pub Fake);

impl Rig for FakeRig {
    type Backend = Fake;

    fn backend(&self) -> Arc<Fake> {
        Arc::new(self.0.clone())
    }

    async fn outside_invoice(&self, amount: Msat) -> String {
        self.0.outside_invoice(amount)
    }

    fn outside_pays(&self, bolt11: String) -> JoinHandle<Result<(), String>> {
        let answered = self.0.pays(&bolt11);
        tokio::spawn(async move { answered.await.unwrap() })
    }

    async fn restart(&mut self) {}
}
