//! The real node passes the contract, against a counterparty on the practice chain.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use common::{
    contract::{self, Rig, call},
    practice,
};
use domain::{Msat, Network};
use ldk_node::bip39::Mnemonic;
use pilothouse_practice::Practice;
use pilothouse_wallet::{
    backend::Backend,
    ldk::{LdkBackend, Options},
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use wallet::wire::NodeState;

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

struct LdkRig {
    practice: Practice,
    dir: PathBuf,
    backend: Option<Arc<LdkBackend>>,
}

impl LdkRig {
    async fn open(&mut self) {
        let options = Options {
            network: Network::Practice,
            dir: self.dir.join("node"),
            chain_dir: self.dir.clone(),
            runtime: tokio::runtime::Handle::current(),
        };
        let words: Mnemonic = WORDS.parse().unwrap();
        let opened = tokio::task::spawn_blocking(move || LdkBackend::open(&options, &words));
        self.backend = Some(Arc::new(opened.await.unwrap().unwrap()));
    }

    async fn ready(&self) {
        let backend = self.backend();
        for _ in 0..600 {
            if call(&backend, Backend::observe).await.state == NodeState::Ready {
                return;
            }
            call(&backend, Backend::keep_connected).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not ready: {:?}", call(&backend, Backend::observe).await);
    }
}

impl Rig for LdkRig {
    type Backend = LdkBackend;

    fn backend(&self) -> Arc<LdkBackend> {
        Arc::clone(self.backend.as_ref().unwrap())
    }

    async fn outside_invoice(&self, amount: Msat) -> String {
        let counterparty = self.practice.counterparty().unwrap();
        counterparty.invoice(amount.get(), "outside").await.unwrap().bolt11
    }

    fn outside_pays(&self, bolt11: String) -> JoinHandle<Result<(), String>> {
        let counterparty = Arc::clone(self.practice.counterparty().unwrap());
        tokio::spawn(async move {
            counterparty.pay(&bolt11).await.map(drop).map_err(|error| error.to_string())
        })
    }

    async fn restart(&mut self) {
        let backend = self.backend.take().unwrap();
        call(&backend, Backend::stop).await;
        drop(backend);
        self.open().await;
        self.ready().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_node_passes_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let practice = practice::start(dir.path()).await;
    let own = dir.path().join("wallet");
    practice::write_chain_file(&practice, &own);
    let mut rig = LdkRig { practice, dir: own, backend: None };
    rig.open().await;
    let backend = rig.backend();
    let address = backend.listening_address().unwrap();
    practice::join(&rig.practice, backend.node_id(), address).await;
    rig.ready().await;
    let half = Msat::from_sat(5_000_000);
    assert_eq!(call(&backend, Backend::in_channels).await, Some(half));
    drop(backend);
    contract::holds(rig).await;
}
