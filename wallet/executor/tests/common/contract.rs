//! The one contract of the port: the fake and the real node both pass it.

use domain::{IdempotencyKey, Msat, PaymentHash, Preimage};
use pilothouse_wallet::backend::{Backend, SendAnswer};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use wallet::{
    Fact, Found, InvoiceOrder, Order, Sought, Which,
    bolt11::Bolt11,
    wire::{Direction, Rail},
};

const WITHIN: Duration = Duration::from_secs(60);

/// A backend with a world around it that pays and is paid.
pub trait Rig {
    type Backend: Backend;

    fn backend(&self) -> Arc<Self::Backend>;

    /// An invoice of someone else.
    fn outside_invoice(&self, amount: Msat) -> impl Future<Output = String>;

    /// Someone else pays; whether it worked comes later.
    fn outside_pays(&self, bolt11: String) -> JoinHandle<Result<(), String>>;

    /// The same backend after a restart of its process.
    fn restart(&mut self) -> impl Future<Output = ()>;
}

/// Runs a blocking call where blocking is allowed.
pub async fn call<B: Backend, T: Send + 'static>(
    backend: &Arc<B>,
    work: impl FnOnce(&B) -> T + Send + 'static,
) -> T {
    let backend = Arc::clone(backend);
    tokio::task::spawn_blocking(move || work(&backend)).await.unwrap()
}

/// The next fact about payments, acknowledged.
pub async fn next<B: Backend>(backend: &Arc<B>) -> Fact {
    loop {
        let fact = tokio::time::timeout(WITHIN, backend.next_fact()).await.expect("a fact in time");
        let again = tokio::time::timeout(WITHIN, backend.next_fact()).await.expect("the same fact");
        assert_eq!(fact, again, "a fact comes again until it is acknowledged");
        call(backend, Backend::acknowledge).await.unwrap();
        if !matches!(
            fact,
            Fact::ChannelPending { .. } | Fact::ChannelReady { .. } | Fact::ChannelClosed { .. }
        ) {
            return fact;
        }
    }
}

/// An invoice to be asked for. Where the backend takes a payment hash, it is that of the preimage.
fn order(n: u8, amount: Msat) -> (Preimage, InvoiceOrder) {
    let order = InvoiceOrder {
        key: IdempotencyKey::new(format!("in/{n}")).unwrap(),
        rail: Rail::Bolt11,
        amount_msat: Some(amount),
        memo: "contract".into(),
        expiry_secs: 600,
    };
    (Preimage([n; 32]), order)
}

async fn invoice<B: Backend>(backend: &Arc<B>, n: u8, amount: Msat) -> (Preimage, String) {
    let (preimage, order) = order(n, amount);
    let hash = preimage.payment_hash();
    let made = call(backend, move |b| b.make_invoice(&order, hash)).await.unwrap();
    let read = read(&made.text);
    assert_eq!((Some(read.payment_hash), read.amount_msat), (made.payment_hash, amount));
    assert!(made.expires_at.is_some());
    (preimage, made.text)
}

fn to_pay(bolt11: &str) -> Order {
    let invoice = read(bolt11);
    Order {
        key: IdempotencyKey::of("out", invoice.payment_hash),
        rail: Rail::Bolt11,
        request: bolt11.to_owned(),
        payment_hash: Some(invoice.payment_hash),
        amount_msat: invoice.amount_msat,
        max_fee_msat: Msat::from_sat(10),
    }
}

async fn send<B: Backend>(backend: &Arc<B>, order: &Order) -> SendAnswer {
    let order = order.clone();
    call(backend, move |b| b.send(&order)).await
}

async fn look<B: Backend>(backend: &Arc<B>, direction: Direction, hash: PaymentHash) -> Found {
    let sought = Sought {
        key: IdempotencyKey::of("sought", hash),
        direction,
        rail: Rail::Bolt11,
        request: None,
        payment_hash: Some(hash),
        reference: None,
        amount_msat: Msat::ZERO,
        since: domain::Timestamp::default(),
    };
    call(backend, move |b| b.look_up(&sought)).await.unwrap()
}

fn read(bolt11: &str) -> Bolt11 {
    Bolt11::read(bolt11, domain::Network::Practice).unwrap()
}

/// Everything that the executor counts on.
pub async fn holds(mut rig: impl Rig) {
    unknown_hashes_are_nothing(&rig).await;
    let chosen_hash = rig.backend().capabilities().chosen_hash;
    let received = match chosen_hash {
        true => {
            money_in_is_turned_away(&rig).await;
            money_in_is_claimed_once(&rig).await
        }
        false => money_in_comes_once(&rig).await,
    };
    let paid = money_out_is_paid_once(&rig).await;
    what_cannot_be_paid_is_refused(&rig).await;
    rig.restart().await;
    records_survive_a_restart(&rig, received, paid).await;
}

async fn unknown_hashes_are_nothing(rig: &impl Rig) {
    let backend = rig.backend();
    let hash = PaymentHash([99; 32]);
    for direction in [Direction::In, Direction::Out] {
        assert_eq!(look(&backend, direction, hash).await, Found::Nothing);
    }
    call(&backend, move |b| b.turn_away(&hash)).await.unwrap();
}

async fn money_in_is_claimed_once(rig: &impl Rig) -> PaymentHash {
    let backend = rig.backend();
    let amount = Msat::new(25_001).unwrap();
    let (preimage, first) = invoice(&backend, 1, amount).await;
    let hash = preimage.payment_hash();
    let (_, again) = invoice(&backend, 1, amount).await;
    for bolt11 in [&first, &again] {
        let read = read(bolt11);
        assert_eq!(read.payment_hash, hash, "the same promise");
        assert_eq!(read.payee, backend.node_id());
    }
    let paying = rig.outside_pays(again);
    assert_eq!(next(&backend).await, Fact::Claimable { payment_hash: hash, amount_msat: amount });
    assert_eq!(look(&backend, Direction::In, hash).await, Found::InFlight);
    call(&backend, move |b| b.claim(amount, &preimage)).await.unwrap();
    is_received(next(&backend).await, hash, amount);
    paying.await.unwrap().unwrap();
    let found = look(&backend, Direction::In, hash).await;
    assert!(matches!(found, Found::Settled { amount_msat, .. } if amount_msat == amount));
    call(&backend, move |b| b.claim(amount, &preimage)).await.unwrap();
    call(&backend, move |b| b.turn_away(&hash)).await.unwrap();
    let found = look(&backend, Direction::In, hash).await;
    assert!(matches!(found, Found::Settled { .. }), "what is settled stays settled: {found:?}");
    hash
}

/// Of a hash that the backend chose: ours as it comes, without a claim.
async fn money_in_comes_once(rig: &impl Rig) -> PaymentHash {
    let backend = rig.backend();
    let amount = Msat::from_sat(26);
    let (_, bolt11) = invoice(&backend, 1, amount).await;
    let hash = read(&bolt11).payment_hash;
    let found = look(&backend, Direction::In, hash).await;
    assert!(matches!(found, Found::InFlight | Found::Nothing), "nobody paid yet: {found:?}");
    rig.outside_pays(bolt11).await.unwrap().unwrap();
    is_received(next(&backend).await, hash, amount);
    let found = look(&backend, Direction::In, hash).await;
    assert!(matches!(found, Found::Settled { amount_msat, .. } if amount_msat == amount));
    hash
}

fn is_received(fact: Fact, hash: PaymentHash, amount: Msat) {
    let Fact::Received { which, amount_msat, .. } = fact else {
        panic!("money that came is received, and not {fact:?}")
    };
    assert_eq!((which, amount_msat), (Which::Hash(hash), amount));
}

async fn money_in_is_turned_away(rig: &impl Rig) {
    let backend = rig.backend();
    let (preimage, bolt11) = invoice(&backend, 2, Msat::from_sat(30)).await;
    let hash = preimage.payment_hash();
    let paying = rig.outside_pays(bolt11);
    assert!(matches!(next(&backend).await, Fact::Claimable { .. }));
    call(&backend, move |b| b.turn_away(&hash)).await.unwrap();
    paying.await.unwrap().expect_err("what is turned away is not paid");
    let found = look(&backend, Direction::In, hash).await;
    assert!(!matches!(found, Found::Settled { .. }), "{found:?}");
}

async fn money_out_is_paid_once(rig: &impl Rig) -> PaymentHash {
    let backend = rig.backend();
    let amount = if backend.capabilities().chosen_hash { 41_003 } else { 41_000 };
    let amount = Msat::new(amount).unwrap();
    let order = to_pay(&rig.outside_invoice(amount).await);
    let hash = order.payment_hash.unwrap();
    assert!(matches!(send(&backend, &order).await, SendAnswer::Taken { .. }));
    let Fact::Paid { which, preimage: Some(preimage), fee_msat, .. } = next(&backend).await else {
        panic!("a payment that was taken and has a way is paid")
    };
    assert_eq!((which, preimage.payment_hash()), (Which::Hash(hash), hash));
    assert!(fee_msat <= order.max_fee_msat);
    let found = look(&backend, Direction::Out, hash).await;
    let Found::Settled { amount_msat, fee_msat: fee, preimage: proof, .. } = found else {
        panic!("what is paid is settled, and not {found:?}")
    };
    assert_eq!((amount_msat, fee, proof), (amount, fee_msat, Some(preimage)));
    let again = send(&backend, &order).await;
    assert!(matches!(again, SendAnswer::Unclear(_)), "never paid twice: {again:?}");
    hash
}

async fn what_cannot_be_paid_is_refused(rig: &impl Rig) {
    let backend = rig.backend();
    let order = to_pay(&rig.outside_invoice(Msat::from_sat(4_000_000_000)).await);
    for round in ["first", "next"] {
        let answer = send(&backend, &order).await;
        assert!(matches!(answer, SendAnswer::NotSent(_)), "the {round} try: {answer:?}");
        let found = look(&backend, Direction::Out, order.payment_hash.unwrap()).await;
        assert!(matches!(found, Found::Failed { .. } | Found::Nothing), "{found:?}");
    }
    let nonsense = send(&backend, &Order { request: "nonsense".into(), ..order }).await;
    assert!(matches!(nonsense, SendAnswer::Refused(_)));
}

async fn records_survive_a_restart(rig: &impl Rig, received: PaymentHash, paid: PaymentHash) {
    let backend = rig.backend();
    let found = look(&backend, Direction::Out, paid).await;
    assert!(matches!(found, Found::Settled { preimage: Some(_), .. }), "{found:?}");
    let found = look(&backend, Direction::In, received).await;
    assert!(matches!(found, Found::Settled { .. }), "{found:?}");
}
