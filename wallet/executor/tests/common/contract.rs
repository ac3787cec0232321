//! The one contract of the port: the fake and the real node both pass it.

use domain::{Msat, PaymentHash, Preimage};
use pilothouse_wallet::backend::{Backend, InvoiceRequest, SendAnswer};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use wallet::{Fact, Found, bolt11::Bolt11};

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

fn request(n: u8, amount: Msat) -> (Preimage, InvoiceRequest) {
    let preimage = Preimage([n; 32]);
    let request = InvoiceRequest {
        payment_hash: preimage.payment_hash(),
        amount_msat: amount,
        memo: "contract".into(),
        expiry_secs: 600,
    };
    (preimage, request)
}

fn read(bolt11: &str) -> Bolt11 {
    Bolt11::read(bolt11, domain::Network::Practice).unwrap()
}

/// Everything that the executor counts on.
pub async fn holds(mut rig: impl Rig) {
    unknown_hashes_are_nothing(&rig).await;
    money_in_is_claimed_once(&rig).await;
    money_in_is_turned_away(&rig).await;
    let paid = money_out_is_paid_once(&rig).await;
    what_cannot_be_paid_is_refused(&rig).await;
    rig.restart().await;
    records_survive_a_restart(&rig, paid).await;
}

async fn unknown_hashes_are_nothing(rig: &impl Rig) {
    let backend = rig.backend();
    let hash = PaymentHash([99; 32]);
    assert_eq!(call(&backend, move |b| b.look_up(&hash)).await, Found::Nothing);
    call(&backend, move |b| b.turn_away(&hash)).await.unwrap();
}

async fn money_in_is_claimed_once(rig: &impl Rig) {
    let backend = rig.backend();
    let amount = Msat::new(25_001).unwrap();
    let (preimage, asked) = request(1, amount);
    let hash = preimage.payment_hash();
    let first = {
        let asked = asked.clone();
        call(&backend, move |b| b.make_invoice(&asked))
    };
    let first = first.await.unwrap();
    let again = call(&backend, move |b| b.make_invoice(&asked)).await.unwrap();
    for bolt11 in [&first, &again] {
        let read = read(bolt11);
        assert_eq!((read.payment_hash, read.amount_msat), (hash, amount));
        assert_eq!(read.payee, backend.node_id());
    }
    let paying = rig.outside_pays(again);
    assert_eq!(next(&backend).await, Fact::Claimable { payment_hash: hash, amount_msat: amount });
    assert_eq!(call(&backend, move |b| b.look_up(&hash)).await, Found::InFlight);
    call(&backend, move |b| b.claim(amount, &preimage)).await.unwrap();
    let Fact::Received { payment_hash, amount_msat, .. } = next(&backend).await else {
        panic!("money that was claimed is received")
    };
    assert_eq!((payment_hash, amount_msat), (hash, amount));
    paying.await.unwrap().unwrap();
    let found = call(&backend, move |b| b.look_up(&hash)).await;
    assert!(matches!(found, Found::Settled { amount_msat, .. } if amount_msat == amount));
    call(&backend, move |b| b.claim(amount, &preimage)).await.unwrap();
    call(&backend, move |b| b.turn_away(&hash)).await.unwrap();
    let found = call(&backend, move |b| b.look_up(&hash)).await;
    assert!(matches!(found, Found::Settled { .. }), "what is settled stays settled: {found:?}");
}

async fn money_in_is_turned_away(rig: &impl Rig) {
    let backend = rig.backend();
    let (preimage, asked) = request(2, Msat::from_sat(30));
    let hash = preimage.payment_hash();
    let bolt11 = call(&backend, move |b| b.make_invoice(&asked)).await.unwrap();
    let paying = rig.outside_pays(bolt11);
    assert!(matches!(next(&backend).await, Fact::Claimable { .. }));
    call(&backend, move |b| b.turn_away(&hash)).await.unwrap();
    paying.await.unwrap().expect_err("what is turned away is not paid");
    let found = call(&backend, move |b| b.look_up(&hash)).await;
    assert!(!matches!(found, Found::Settled { .. }), "{found:?}");
}

async fn money_out_is_paid_once(rig: &impl Rig) -> PaymentHash {
    let backend = rig.backend();
    let amount = Msat::new(41_003).unwrap();
    let bolt11 = rig.outside_invoice(amount).await;
    let hash = read(&bolt11).payment_hash;
    let fee = Msat::from_sat(10);
    let text = bolt11.clone();
    assert_eq!(call(&backend, move |b| b.send(&text, fee)).await, SendAnswer::Taken);
    let Fact::Paid { payment_hash, preimage: Some(preimage), fee_msat } = next(&backend).await
    else {
        panic!("a payment that was taken and has a way is paid")
    };
    assert_eq!((payment_hash, preimage.payment_hash()), (hash, hash));
    assert!(fee_msat <= fee);
    let found = call(&backend, move |b| b.look_up(&hash)).await;
    assert_eq!(found, Found::Settled { amount_msat: amount, fee_msat, preimage: Some(preimage) });
    let again = call(&backend, move |b| b.send(&bolt11, fee)).await;
    assert!(matches!(again, SendAnswer::Unclear(_)), "never paid twice: {again:?}");
    hash
}

async fn what_cannot_be_paid_is_refused(rig: &impl Rig) {
    let backend = rig.backend();
    let bolt11 = rig.outside_invoice(Msat::from_sat(4_000_000_000)).await;
    let hash = read(&bolt11).payment_hash;
    for round in ["first", "next"] {
        let text = bolt11.clone();
        let answer = call(&backend, move |b| b.send(&text, Msat::from_sat(10))).await;
        assert!(matches!(answer, SendAnswer::NotSent(_)), "the {round} try: {answer:?}");
        let found = call(&backend, move |b| b.look_up(&hash)).await;
        assert!(matches!(found, Found::Failed { .. } | Found::Nothing), "{found:?}");
    }
    let nonsense = call(&backend, |b| b.send("nonsense", Msat::ZERO)).await;
    assert!(matches!(nonsense, SendAnswer::Refused(_)));
}

async fn records_survive_a_restart(rig: &impl Rig, paid: PaymentHash) {
    let backend = rig.backend();
    let found = call(&backend, move |b| b.look_up(&paid)).await;
    assert!(matches!(found, Found::Settled { preimage: Some(_), .. }), "{found:?}");
    let received = Preimage([1; 32]).payment_hash();
    let found = call(&backend, move |b| b.look_up(&received)).await;
    assert!(matches!(found, Found::Settled { .. }), "{found:?}");
}
