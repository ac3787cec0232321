//! A Cashu wallet of a test.

use super::contract::call;
use domain::{IdempotencyKey, Msat, Network, PaymentHash, Timestamp};
use net::Egress;
use pilothouse_wallet::{
    backend::{Backend, BackendError},
    cashu::{CashuBackend, Options, Tempo, TrustedMint},
};
use std::{sync::Arc, time::Duration};
use wallet::{
    InvoiceOrder, Order, Sought,
    bolt11::Bolt11,
    wire::{Direction, Rail},
};
use zeroize::Zeroizing;

pub const MOST_SAT: u32 = 100_000;

/// What an operator has of it: its folder, its words, and the list of mints.
pub struct Purse {
    dir: tempfile::TempDir,
    mints: Vec<TrustedMint>,
}

impl Purse {
    pub fn new(mint: &str) -> Self {
        let most_msat = Msat::from_sat(MOST_SAT);
        let mints = vec![TrustedMint { url: mint.to_owned(), most_msat }];
        Self { dir: tempfile::tempdir().unwrap(), mints }
    }

    pub fn lose_everything_but_the_words(&mut self) {
        self.dir = tempfile::tempdir().unwrap();
    }

    pub async fn open(&self) -> Arc<CashuBackend> {
        let options = Options {
            network: Network::Practice,
            dir: self.dir.path().to_owned(),
            seed: Zeroizing::new([42; 64]),
            mints: self.mints.clone(),
            egress: Egress::default(),
            tempo: Tempo {
                answer_within: Duration::from_secs(3),
                look_every: Duration::from_millis(50),
                doubt: Duration::from_secs(2),
            },
            runtime: tokio::runtime::Handle::current(),
        };
        let opened = tokio::task::spawn_blocking(move || CashuBackend::open(&options));
        Arc::new(opened.await.unwrap().unwrap())
    }
}

pub async fn invoice(backend: &Arc<CashuBackend>, amount: Msat) -> Result<String, BackendError> {
    let order = InvoiceOrder {
        key: IdempotencyKey::new("in/cashu").unwrap(),
        rail: Rail::Bolt11,
        amount_msat: Some(amount),
        memo: "ecash".into(),
        expiry_secs: 600,
    };
    let made = call(backend, move |b| b.make_invoice(&order, PaymentHash([0; 32]))).await?;
    Ok(made.text)
}

pub fn order(bolt11: &str) -> Order {
    let invoice = Bolt11::read(bolt11, Network::Practice).unwrap();
    Order {
        key: IdempotencyKey::of("out", invoice.payment_hash),
        rail: Rail::Bolt11,
        request: bolt11.to_owned(),
        payment_hash: Some(invoice.payment_hash),
        amount_msat: invoice.amount_msat,
        max_fee_msat: Msat::from_sat(10),
    }
}

pub fn sought(direction: Direction, hash: PaymentHash) -> Sought {
    Sought {
        key: IdempotencyKey::of("sought", hash),
        direction,
        rail: Rail::Bolt11,
        request: None,
        payment_hash: Some(hash),
        reference: None,
        amount_msat: Msat::ZERO,
        since: Timestamp::default(),
    }
}
