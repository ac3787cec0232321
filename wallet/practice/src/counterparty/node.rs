//! Builds the LDK node: its seed, its settings, its first look at the chain, its first coins.

use super::{Counterparty, CounterpartyError, CounterpartySetup, log::ToTracing};
use crate::chain::{Chain, Treasury};
use bitcoin::{Amount, Network, TxOut};
use host::home::write_private;
use ldk_node::{
    Builder, Node,
    config::{Config, WALLET_KEYS_SEED_LEN},
    io::sqlite_store::SQLITE_DB_FILE_NAME,
    lightning::ln::msgs::SocketAddress,
    liquidity::LSPS2ServiceConfig,
};
use std::{
    io,
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
    config: Config,
    seed: [u8; WALLET_KEYS_SEED_LEN],
    rpc_port: u16,
    rpc_user: String,
    rpc_password: String,
    runtime: Handle,
}

impl NodeSetup {
    pub fn prepare(setup: &CounterpartySetup, runtime: Handle) -> Result<Self, CounterpartyError> {
        let io = |source| CounterpartyError::Io { path: setup.dir.clone(), source };
        std::fs::create_dir_all(&setup.dir).map_err(io)?;
        let seed = load_or_make_seed(&setup.dir.join("seed"))?;
        let listening = SocketAddress::TcpIpV4 { addr: [127, 0, 0, 1], port: setup.lightning_port };
        let config = Config {
            // The only network that this program knows.
            network: Network::Regtest,
            storage_dir_path: setup.dir.join("ldk").to_string_lossy().into_owned(),
            listening_addresses: Some(vec![listening]),
            ..Config::default()
        };
        Ok(Self {
            config,
            seed,
            rpc_port: setup.rpc_port,
            rpc_user: setup.rpc_user.clone(),
            rpc_password: setup.rpc_password.clone(),
            runtime,
        })
    }

    /// Blocks until the node listens; it goes on to look at the chain by itself. Also tells when it
    /// last looked before, in seconds.
    pub fn build_and_start(self) -> Result<(Node, Option<u64>), CounterpartyError> {
        let storage = PathBuf::from(&self.config.storage_dir_path);
        let mut builder = Builder::from_config(self.config);
        builder
            .set_runtime(self.runtime)
            .set_custom_logger(Arc::new(ToTracing))
            .set_entropy_seed_bytes(self.seed)
            .set_chain_source_bitcoind_rpc(
                "127.0.0.1".into(),
                self.rpc_port,
                self.rpc_user,
                self.rpc_password,
            )
            .set_liquidity_provider_lsps2(forwards_between_private_channels());
        // Each write of the node is synced; a write-ahead log makes that one sync instead of three.
        std::fs::create_dir_all(&storage)
            .map_err(|source| CounterpartyError::Io { path: storage.clone(), source })?;
        store::use_write_ahead_log(&storage.join(SQLITE_DB_FILE_NAME))?;
        let node = builder.build()?;
        let looked_before = node.status().latest_onchain_wallet_sync_timestamp;
        node.start()?;
        Ok((node, looked_before))
    }
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
