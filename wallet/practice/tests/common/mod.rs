//! A node as a desk's wallet has it, without the wallet.
#![allow(dead_code, reason = "each test program uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "test code outside of a test function")]

use domain::ErrorBody;
use host::ipc::Client;
use ldk_node::{
    Builder, Event, Node,
    config::{AnchorChannelsConfig, Config},
    lightning::ln::msgs::SocketAddress,
    lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescription, Description},
};
use pilothouse_practice::Rendezvous;
use serde_json::{Value, json};
use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

pub const SOON: Duration = Duration::from_secs(30);

pub struct Desk {
    pub node: Arc<Node>,
    dir: PathBuf,
    seed: [u8; 64],
    port: u16,
}

impl Desk {
    pub async fn start(practice: &Rendezvous, dir: PathBuf, seed: [u8; 64], port: u16) -> Self {
        let chain = practice.chain.clone().unwrap();
        let counterparty = practice.counterparty.clone().unwrap().node_id.parse().unwrap();
        let password = std::fs::read_to_string(&chain.rpc_password_path).unwrap();
        let listening = SocketAddress::TcpIpV4 { addr: [127, 0, 0, 1], port };
        let config = Config {
            network: ldk_node::bitcoin::Network::Regtest,
            storage_dir_path: dir.to_string_lossy().into_owned(),
            listening_addresses: Some(vec![listening]),
            anchor_channels_config: Some(AnchorChannelsConfig {
                trusted_peers_no_reserve: vec![counterparty],
                ..AnchorChannelsConfig::default()
            }),
            ..Config::default()
        };
        let node = tokio::task::spawn_blocking(move || {
            let mut builder = Builder::from_config(config);
            builder.set_entropy_seed_bytes(seed).set_chain_source_bitcoind_rpc(
                chain.rpc_host,
                chain.rpc_port,
                chain.rpc_user,
                password,
            );
            let node = builder.build().unwrap();
            node.start().unwrap();
            node
        });
        Self { node: Arc::new(node.await.unwrap()), dir, seed, port }
    }

    pub async fn new(practice: &Rendezvous, dir: PathBuf, seed: u8) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self::start(practice, dir, [seed; 64], port).await
    }

    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> T {
        let node = Arc::clone(&self.node);
        tokio::task::spawn_blocking(move || work(&node)).await.unwrap()
    }

    pub async fn join(&self, practice: &Rendezvous, name: &str) -> Value {
        self.try_join(practice, name).await.unwrap()
    }

    pub async fn try_join(&self, practice: &Rendezvous, name: &str) -> Result<Value, ErrorBody> {
        let control = Client::connect_to(&practice.control).await?;
        let asked = json!({
            "node_id": self.node.node_id().to_string(),
            "address": format!("127.0.0.1:{}", self.port),
            "name": name,
        });
        control.call("join", asked).await
    }

    pub async fn invoice(&self, msat: u64) -> Bolt11Invoice {
        self.blocking(move |node| {
            let text = Description::new("work".into()).unwrap();
            let description = Bolt11InvoiceDescription::Direct(text);
            node.bolt11_payment().receive(msat, &description, 600).unwrap()
        })
        .await
    }

    /// Pays, and returns preimage and fee.
    pub async fn pay(&self, invoice: Bolt11Invoice) -> (Vec<u8>, u64) {
        self.blocking(move |node| node.bolt11_payment().send(&invoice, None).unwrap()).await;
        loop {
            match self.event().await {
                Event::PaymentSuccessful { payment_preimage, fee_paid_msat, .. } => {
                    return (payment_preimage.unwrap().0.to_vec(), fee_paid_msat.unwrap());
                }
                Event::PaymentFailed { reason, .. } => panic!("the payment failed: {reason:?}"),
                _ => {}
            }
        }
    }

    pub async fn received(&self) -> u64 {
        loop {
            if let Event::PaymentReceived { amount_msat, .. } = self.event().await {
                return amount_msat;
            }
        }
    }

    pub async fn event(&self) -> Event {
        let event = tokio::time::timeout(SOON, self.node.next_event_async()).await;
        let event = event.expect("no event came");
        self.blocking(|node| node.event_handled().unwrap()).await;
        event
    }

    pub fn lightning_sat(&self) -> u64 {
        self.node.list_balances().total_lightning_balance_sats
    }

    pub fn is_usable(&self) -> bool {
        self.node.list_channels().iter().any(|channel| channel.is_usable)
    }

    pub async fn wait_until_usable(&self) {
        let started = Instant::now();
        while !self.is_usable() {
            assert!(started.elapsed() < SOON, "the channel did not come back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn restart(self, practice: &Rendezvous) -> Self {
        self.blocking(|node| node.stop().unwrap()).await;
        let Self { dir, seed, port, node } = self;
        drop(node);
        Self::start(practice, dir, seed, port).await
    }

    pub async fn stop(self) {
        self.blocking(|node| node.stop().unwrap()).await;
    }
}
