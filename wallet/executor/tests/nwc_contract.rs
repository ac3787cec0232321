//! Our client passes the contract of a backend, against our own service of apps, in front of a real
//! Lightning node, over the practice network's relay.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;
mod nwc_support;

use common::{
    contract::{self, Rig, call},
    practice,
};
use domain::{Msat, Network};
use ldk_node::bip39::Mnemonic;
use nwc_support::Served;
use pilothouse_practice::{Practice, counterparty::Counterparty};
use pilothouse_wallet::{
    backend::Backend,
    ldk::{LdkBackend, Options},
    nwc::{client::NwcBackend, line::Reach, uri::ConnectionUri},
};
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use wallet::wire::NodeState;

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

struct NwcRig {
    counterparty: Arc<Counterparty>,
    uri: ConnectionUri,
    backend: Option<Arc<NwcBackend>>,
}

async fn ready<B: Backend>(backend: &Arc<B>) {
    for _ in 0..600 {
        if call(backend, Backend::observe).await.state == NodeState::Ready {
            return;
        }
        call(backend, Backend::keep_connected).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not ready: {:?}", call(backend, Backend::observe).await);
}

async fn node(practice: &Practice, dir: &Path) -> Arc<LdkBackend> {
    practice::write_chain_file(practice, dir);
    let options = Options {
        network: Network::Practice,
        dir: dir.join("node"),
        chain_dir: dir.to_owned(),
        runtime: tokio::runtime::Handle::current(),
    };
    let words: Mnemonic = WORDS.parse().unwrap();
    let opened = tokio::task::spawn_blocking(move || LdkBackend::open(&options, &words));
    Arc::new(opened.await.unwrap().unwrap())
}

impl NwcRig {
    async fn open(&mut self) {
        let runtime = tokio::runtime::Handle::current();
        let backend =
            NwcBackend::open(&self.uri, Network::Practice, Reach::Loopback, runtime).unwrap();
        let backend = Arc::new(backend);
        ready(&backend).await;
        self.backend = Some(backend);
    }
}

impl Rig for NwcRig {
    type Backend = NwcBackend;

    fn backend(&self) -> Arc<NwcBackend> {
        Arc::clone(self.backend.as_ref().unwrap())
    }

    async fn outside_invoice(&self, amount: Msat) -> String {
        self.counterparty.invoice(amount.get(), "outside").await.unwrap().bolt11
    }

    fn outside_pays(&self, bolt11: String) -> JoinHandle<Result<(), String>> {
        let counterparty = Arc::clone(&self.counterparty);
        tokio::spawn(async move {
            counterparty.pay(&bolt11).await.map(drop).map_err(|error| error.to_string())
        })
    }

    async fn restart(&mut self) {
        let backend = self.backend.take().unwrap();
        call(&backend, Backend::stop).await;
        drop(backend);
        self.open().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn our_client_in_front_of_our_service_passes_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let practice = practice::start(dir.path()).await;
    let own = dir.path().join("wallet");
    let node = node(&practice, &own).await;
    let relays = [practice.rendezvous().relay_url.clone()];
    let served = Served::start(&own, Arc::clone(&node), &relays).await;
    practice::join(&practice, node.node_id(), node.listening_address().unwrap()).await;
    ready(&node).await;
    served.funded().await;
    let (_, uri) = served.connect(json!({})).await;
    let counterparty = Arc::clone(practice.counterparty().unwrap());
    let mut rig = NwcRig { counterparty, uri, backend: None };
    rig.open().await;
    let seen = call(&rig.backend(), Backend::observe).await;
    assert_eq!(seen.spendable_msat, Some(Msat::from_sat(5_000_000)));
    contract::holds(rig).await;
    served.end().await;
    call(&node, Backend::stop).await;
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
    practice.stop().await;
}
