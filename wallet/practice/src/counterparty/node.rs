//! Builds the LDK node: its seed, its settings, its first look at the chain, its first coins.

use super::{Counterparty, CounterpartyError, CounterpartySetup, log::ToTracing};
use crate::chain::{Chain, Treasury};
use bitcoin::{Amount, Network, TxOut};
use host::home::write_private;
use ldk_durable::{DurableStore, Gate, Held, Relay};
use ldk_node::{
    Builder, Node,
    config::{Config, WALLET_KEYS_SEED_LEN},
    liquidity::LSPS2ServiceConfig,
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

const SYNCED_WITHIN: Duration = Duration::from_secs(60);
/// Coins are topped up to this many outputs of this size, so that channels open side by side.
const COINS: u64 = 20;
const COIN: Amount = Amount::from_sat(50_000_000);
const LOW: Amount = Amount::from_sat(100_000_000);

/// Everything needed to build the node.
pub struct NodeSetup {
    dir: PathBuf,
    seed: [u8; WALLET_KEYS_SEED_LEN],
    rpc_port: u16,
    rpc_user: String,
    rpc_password: String,
    lightning_port: u16,
    runtime: Handle,
}

/// A node that runs, and the relays through which it speaks.
pub struct Started {
    pub node: Node,
    pub gate: Gate,
    /// When it last looked at the chain before, in seconds.
    pub looked_before: Option<u64>,
    pub relays: [Relay; 2],
}

impl NodeSetup {
    pub fn prepare(setup: &CounterpartySetup, runtime: Handle) -> Result<Self, CounterpartyError> {
        let io = |source| CounterpartyError::Io { path: setup.dir.clone(), source };
        std::fs::create_dir_all(&setup.dir).map_err(io)?;
        Ok(Self {
            dir: setup.dir.join("ldk"),
            seed: load_or_make_seed(&setup.dir.join("seed"))?,
            rpc_port: setup.rpc_port,
            rpc_user: setup.rpc_user.clone(),
            rpc_password: setup.rpc_password.clone(),
            lightning_port: setup.lightning_port,
            runtime,
        })
    }

    /// Blocks until desks can call; the node goes on to look at the chain by itself.
    ///
    /// What it says to the chain or to a desk leaves through a relay that waits for the disk, so
    /// that no kill finds it behind what it said.
    pub fn build_and_start(self) -> Result<Started, CounterpartyError> {
        let path = self.dir.clone();
        let io = |source| CounterpartyError::Io { path: path.clone(), source };
        std::fs::create_dir_all(&self.dir).map_err(io)?;
        let (store, gate) = DurableStore::open(&self.dir)?;
        store.at_commit(host::faults::step);
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let chain = local(self.rpc_port).to_string();
        let to_chain = Relay::start(chain, Held::Caller, gate.clone());
        let to_chain = self.runtime.block_on(to_chain).map_err(io)?;
        let inside = local(free_port().map_err(io)?);
        let (runtime, port) = (self.runtime.clone(), self.lightning_port);
        let node = self.build(store, to_chain.address(), inside)?;
        let looked_before = node.status().latest_onchain_wallet_sync_timestamp;
        gate.built();
        node.start()?;
        let door = Relay::start_on(port, inside.to_string(), Held::Callee, gate.clone());
        match runtime.block_on(door) {
            Ok(door) => Ok(Started { node, gate, looked_before, relays: [to_chain, door] }),
            Err(error) => {
                let _stopped = node.stop();
                Err(io(error))
            }
        }
    }

    fn build(
        self,
        store: DurableStore,
        chain: SocketAddr,
        inside: SocketAddr,
    ) -> Result<Node, CounterpartyError> {
        let mut builder = Builder::from_config(Config {
            // The only network that this program knows.
            network: Network::Regtest,
            storage_dir_path: self.dir.to_string_lossy().into_owned(),
            listening_addresses: Some(vec![inside.into()]),
            ..Config::default()
        });
        builder
            .set_runtime(self.runtime)
            .set_custom_logger(Arc::new(ToTracing))
            .set_entropy_seed_bytes(self.seed)
            .set_chain_source_bitcoind_rpc(
                chain.ip().to_string(),
                chain.port(),
                self.rpc_user,
                self.rpc_password,
            )
            .set_liquidity_provider_lsps2(forwards_between_private_channels());
        Ok(builder.build_with_store(Arc::new(store))?)
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// ldk-node forwards over unannounced channels only as a liquidity provider. The channels to desks
/// are unannounced, so it is one; nobody is told, and no desk needs the service itself.
fn forwards_between_private_channels() -> LSPS2ServiceConfig {
    LSPS2ServiceConfig {
        require_token: None,
        advertise_service: false,
        channel_opening_fee_ppm: 0,
        channel_over_provisioning_ppm: 0,
        min_channel_opening_fee_msat: 0,
        min_channel_lifetime: 144,
        max_client_to_self_delay: 1_024,
        min_payment_size_msat: 1_000,
        max_payment_size_msat: 100_000_000,
        client_trusts_lsp: false,
    }
}

fn load_or_make_seed(path: &Path) -> Result<[u8; WALLET_KEYS_SEED_LEN], CounterpartyError> {
    let io = |source| CounterpartyError::Io { path: path.to_owned(), source };
    match std::fs::read(path) {
        Ok(bytes) => {
            bytes.try_into().map_err(|_| CounterpartyError::NotASeed { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut seed = [0; WALLET_KEYS_SEED_LEN];
            let (first, second) = seed.split_at_mut(32);
            first.copy_from_slice(&host::entropy::random_32()?);
            second.copy_from_slice(&host::entropy::random_32()?);
            write_private(path, &seed).map_err(io)?;
            Ok(seed)
        }
        Err(error) => Err(io(error)),
    }
}

impl Counterparty {
    /// Waits until the node's own loop has been through the chain once. Before that,
    /// `sync_wallets` must not be called: it would take the loop's place.
    pub(super) async fn wait_until_synced(
        &self,
        looked_before: Option<u64>,
    ) -> Result<(), CounterpartyError> {
        let started = Instant::now();
        loop {
            let status = self.node.status();
            // A restart finds the time of the last run; the loop's own one is newer, at the latest
            // after its second look.
            let looked = status.latest_onchain_wallet_sync_timestamp;
            if looked > looked_before {
                return Ok(());
            }
            if started.elapsed() > SYNCED_WITHIN {
                return Err(CounterpartyError::NotSynced(SYNCED_WITHIN));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn has_coins(&self) -> bool {
        let spendable = self.node.list_balances().spendable_onchain_balance_sats;
        Amount::from_sat(spendable) >= LOW
    }

    /// Pays the node from the treasury when it is low on coins.
    pub(super) async fn ensure_coins(&self) -> Result<(), CounterpartyError> {
        if self.has_coins() {
            return Ok(());
        }
        if self.chain().has_waiting_transactions() {
            // Coins on their way, of a start that was cut short, need a block and not more coins.
            self.mine(1).await?;
            if self.has_coins() {
                return Ok(());
            }
        }
        let address = self.on_node(|node| node.onchain_payment().new_address()).await??;
        let script_pubkey = address.script_pubkey();
        let (chain, treasury) = (Arc::clone(&self.chain), Arc::clone(&self.treasury));
        tokio::task::spawn_blocking(move || pay_and_mine(&chain, &treasury, &script_pubkey))
            .await??;
        self.sync().await
    }
}

fn pay_and_mine(
    chain: &Mutex<Chain>,
    treasury: &Treasury,
    script: &bitcoin::ScriptBuf,
) -> Result<(), CounterpartyError> {
    let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
    let now = host::clock::now().as_secs();
    let outputs = (0..COINS).map(|_| TxOut { value: COIN, script_pubkey: script.clone() });
    treasury.pay(&mut chain, outputs.collect(), now)?;
    chain.mine(1, treasury.script(), now)?;
    Ok(())
}
