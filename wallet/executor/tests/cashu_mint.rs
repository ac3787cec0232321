//! Ecash at a real mint: the program in `wallet/mint`, which `cargo xtask interop` builds.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use common::{
    cashu::{self, Purse},
    contract::{self, Rig, call, next},
    mint::{Lost, Mint},
};
use domain::{Msat, PaymentHash};
use pilothouse_wallet::{
    backend::{Backend, SendAnswer},
    cashu::CashuBackend,
};
use std::sync::Arc;
use tokio::task::JoinHandle;
use wallet::{Fact, Found, Order, Which, wire::Direction};

struct CashuRig {
    mint: Arc<Mint>,
    purse: Purse,
    backend: Option<Arc<CashuBackend>>,
}

impl CashuRig {
    async fn new() -> Self {
        let mint = Arc::new(Mint::start().await);
        let purse = Purse::new(mint.url());
        let backend = Some(purse.open().await);
        Self { mint, purse, backend }
    }

    async fn fund(&self, sats: u32) {
        let backend = self.backend();
        let bolt11 = cashu::invoice(&backend, Msat::from_sat(sats)).await.unwrap();
        self.mint.pays(&bolt11).await;
        assert!(matches!(next(&backend).await, Fact::Received { .. }));
    }

    async fn order(&self, msat: u64) -> Order {
        cashu::order(&self.mint.outside_invoice(msat).await)
    }

    async fn spendable(&self) -> u64 {
        call(&self.backend(), Backend::observe).await.spendable_msat.unwrap().get()
    }
}

impl Rig for CashuRig {
    type Backend = CashuBackend;

    fn backend(&self) -> Arc<CashuBackend> {
        Arc::clone(self.backend.as_ref().unwrap())
    }

    async fn outside_invoice(&self, amount: Msat) -> String {
        self.mint.outside_invoice(amount.get()).await
    }

    fn outside_pays(&self, bolt11: String) -> JoinHandle<Result<(), String>> {
        let mint = Arc::clone(&self.mint);
        tokio::spawn(async move {
            mint.pays(&bolt11).await;
            Ok(())
        })
    }

    async fn restart(&mut self) {
        let backend = self.backend.take().unwrap();
        call(&backend, Backend::stop).await;
        drop(backend);
        self.backend = Some(self.purse.open().await);
    }
}

async fn send(backend: &Arc<CashuBackend>, order: &Order) -> SendAnswer {
    let order = order.clone();
    call(backend, move |b| b.send(&order)).await
}

async fn look(backend: &Arc<CashuBackend>, hash: PaymentHash) -> Found {
    let sought = cashu::sought(Direction::Out, hash);
    call(backend, move |b| b.look_up(&sought)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs the mint program: cargo xtask interop"]
async fn ecash_passes_the_contract() {
    let rig = CashuRig::new().await;
    rig.fund(10_000).await;
    contract::holds(rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs the mint program: cargo xtask interop"]
async fn a_payment_that_hangs_is_known_after_a_restart() {
    let mut rig = CashuRig::new().await;
    rig.fund(1_000).await;
    rig.mint.mood("hangs").await;
    let order = rig.order(100_000).await;
    let hash = order.payment_hash.unwrap();
    assert!(matches!(send(&rig.backend(), &order).await, SendAnswer::Taken { .. }));
    assert_eq!(look(&rig.backend(), hash).await, Found::InFlight);
    assert!(matches!(send(&rig.backend(), &order).await, SendAnswer::Unclear(_)));
    rig.restart().await;
    assert_eq!(look(&rig.backend(), hash).await, Found::InFlight);
    assert!(matches!(send(&rig.backend(), &order).await, SendAnswer::Unclear(_)));
    rig.mint.mood("pays").await;
    let Fact::Paid { which, preimage, fee_msat, .. } = next(&rig.backend()).await else {
        panic!("what hung is paid")
    };
    assert_eq!((which, preimage.unwrap().payment_hash()), (Which::Hash(hash), hash));
    assert_eq!(rig.spendable().await, 1_000_000 - 100_000 - fee_msat.get(), "to the satoshi");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs the mint program: cargo xtask interop"]
async fn a_payment_without_a_way_gives_its_ecash_back_and_can_be_tried_again() {
    let rig = CashuRig::new().await;
    rig.fund(1_000).await;
    rig.mint.mood("fails").await;
    let order = rig.order(100_000).await;
    let hash = order.payment_hash.unwrap();
    assert!(matches!(send(&rig.backend(), &order).await, SendAnswer::Taken { .. }));
    let failed = next(&rig.backend()).await;
    assert!(matches!(failed, Fact::PayFailed { .. }), "{failed:?}");
    assert!(matches!(look(&rig.backend(), hash).await, Found::Failed { .. }));
    rig.mint.mood("pays").await;
    assert!(matches!(send(&rig.backend(), &order).await, SendAnswer::Taken { .. }));
    assert!(matches!(next(&rig.backend()).await, Fact::Paid { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs the mint program: cargo xtask interop"]
async fn lost_answers_lose_no_money_and_pay_nothing_twice() {
    let mut rig = CashuRig::new().await;
    let backend = rig.backend();
    let bolt11 = cashu::invoice(&backend, Msat::from_sat(1_000)).await.unwrap();
    rig.mint.lose(Lost::Mint);
    rig.mint.pays(&bolt11).await;
    let Fact::Received { amount_msat, .. } = next(&backend).await else { panic!("not received") };
    assert_eq!((amount_msat, rig.spendable().await), (Msat::from_sat(1_000), 1_000_000));
    assert_eq!(rig.mint.lost(), 1, "the answer with the signatures was really lost");
    let order = rig.order(100_000).await;
    rig.mint.lose(Lost::Melt);
    assert!(matches!(send(&backend, &order).await, SendAnswer::Taken { .. }));
    drop(backend);
    rig.restart().await;
    let paid = next(&rig.backend()).await;
    let Fact::Paid { fee_msat, .. } = paid else { panic!("not paid: {paid:?}") };
    assert_eq!(rig.spendable().await, 900_000 - fee_msat.get(), "change is not lost");
    assert_eq!(rig.mint.lost(), 2);
    assert!(matches!(send(&rig.backend(), &order).await, SendAnswer::Unclear(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs the mint program: cargo xtask interop"]
async fn the_words_alone_bring_the_ecash_back() {
    let mut rig = CashuRig::new().await;
    rig.fund(1_000).await;
    let backend = rig.backend.take().unwrap();
    call(&backend, Backend::stop).await;
    let name = backend.node_id();
    drop(backend);
    rig.purse.lose_everything_but_the_words();
    rig.backend = Some(rig.purse.open().await);
    call(&rig.backend(), Backend::sync).await.unwrap();
    assert_eq!((rig.backend().node_id(), rig.spendable().await), (name, 1_000_000));
    // And nothing of it is used twice: both ways still work.
    rig.fund(50).await;
    let order = rig.order(100_000).await;
    assert!(matches!(send(&rig.backend(), &order).await, SendAnswer::Taken { .. }));
    assert!(matches!(next(&rig.backend()).await, Fact::Paid { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs the mint program: cargo xtask interop"]
async fn a_mint_takes_in_no_more_than_it_may_hold_and_no_more_fee_than_is_allowed() {
    let rig = CashuRig::new().await;
    rig.fund(1_000).await;
    let too_much = Msat::from_sat(cashu::MOST_SAT);
    let refused = cashu::invoice(&rig.backend(), too_much).await.unwrap_err();
    assert!(refused.to_string().contains("as much as it may"), "{refused}");
    let order = Order { max_fee_msat: Msat::from_sat(1), ..rig.order(100_000).await };
    let dear = send(&rig.backend(), &order).await;
    assert!(matches!(&dear, SendAnswer::NotSent(why) if why.contains("fee")), "{dear:?}");
    assert_eq!(rig.spendable().await, 1_000_000, "nothing stays set aside");
}
