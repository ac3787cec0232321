//! The way to the chain: a front on loopback that speaks to the node in the clear, and to the
//! server as the server wants it: encrypted, with its login, its name and its handshake.
//!
//! The node's words to the front pass a [`ldk_durable::Relay`] first, as everything that it says
//! does; so the front may send them at once. Before anything is written it asks the server for its
//! genesis block: a server of another network is refused while it has changed nothing.

mod http;
mod lines;
mod reach;

#[cfg(test)]
mod tests;

use domain::Network;
use ldk_node::{
    Builder,
    bitcoin::{
        BlockHash, FeeRate, Transaction,
        consensus::encode::{deserialize_hex, serialize_hex},
        constants::genesis_block,
        hex::DisplayHex,
    },
    config::{BackgroundSyncConfig, ElectrumSyncConfig, EsploraSyncConfig},
};
use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};
use wallet::chain::{ChainFault, Source};

use super::{convert, outgoing::Outgoing};
use reach::Reach;

/// The header by which the node shows that it may use the front.
const PASS_HEADER: &str = "x-front-pass";
/// The user by which the node logs in at the front.
const PASS_USER: &str = "node";
/// bitcoind is asked every two seconds; silence this long means that it is gone.
const BITCOIND_SILENT: Duration = Duration::from_secs(30);

const MOST_SAT_PER_VB: f64 = 2_000.0;

/// A chain source that cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(transparent)]
    Fault(#[from] ChainFault),
    #[error("the chain source {server} cannot be reached: {reason}. Nothing was changed")]
    NotReachable { server: String, reason: String },
    #[error(
        "the chain source {server} is not of the {asked} network: its first block is {found}. \
         Nothing was changed; name another source"
    )]
    OtherNetwork { server: String, asked: Network, found: BlockHash },
    #[error("the front of the chain source could not be opened: {0}")]
    Front(io::Error),
    #[error("the system gave no randomness: {0}")]
    NoEntropy(#[from] host::entropy::NoEntropy),
}

/// Why the server did not answer as it should; cleared by the next good answer.
#[derive(Clone)]
struct Trouble(Arc<watch::Sender<Option<String>>>);

impl Trouble {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    fn say(&self, what: &dyn fmt::Display) {
        let what = wallet::bolt11::printable(&what.to_string());
        self.0.send_if_modified(|told| {
            let news = told.as_deref() != Some(&what);
            if news {
                tracing::warn!(trouble = what, "the chain source");
                *told = Some(what);
            }
            news
        });
    }

    fn clear(&self) {
        self.0.send_if_modified(|told| told.take().is_some());
    }
}

/// Sees each transaction before it leaves.
#[derive(Clone, Default)]
struct Watch(Arc<OnceLock<Arc<Outgoing>>>);

impl Watch {
    /// # Errors
    /// If the transaction must not leave, and why.
    async fn leaving(&self, hex: &str) -> Result<(), String> {
        let Some(outgoing) = self.0.get() else {
            return Err("the node does not run yet".into());
        };
        match deserialize_hex::<Transaction>(hex.trim()) {
            Ok(tx) => outgoing.leaving(&tx).await,
            Err(_) => Err("this is not a transaction".into()),
        }
    }
}

/// The running front; it ends when it is dropped.
pub struct Front {
    kind: Kind,
    watch: Watch,
    way: Way,
    address: SocketAddr,
    pass: String,
    network: Network,
    trouble: Trouble,
    serving: JoinHandle<()>,
}

/// How the front itself asks the server.
enum Way {
    Http(Arc<http::Door>),
    Lines(Arc<lines::Lines>),
}

#[derive(Clone, Copy)]
enum Kind {
    Bitcoind,
    Esplora,
    Electrum,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Front {
    /// Asks the server for its network, then opens the front to it. Nothing is written.
    pub async fn open(source: &Source, network: Network) -> Result<Self, SourceError> {
        let server = source.server()?;
        let name = server.authority();
        let not_reachable =
            |reason: String| SourceError::NotReachable { server: name.clone(), reason };
        let pin = match source {
            Source::Bitcoind { .. } => None,
            Source::Esplora { certificate_sha256, .. }
            | Source::Electrum { certificate_sha256, .. } => certificate_sha256.as_deref(),
        };
        let reach = Reach::new(server, pin).map_err(|error| not_reachable(error.to_string()))?;
        let trouble = Trouble::new();
        let pass = host::entropy::random_32()?.to_lower_hex_string();
        let first = genesis(network);
        let (kind, found) = match source {
            Source::Bitcoind { .. } => (Kind::Bitcoind, None),
            Source::Esplora { .. } => (Kind::Esplora, None),
            Source::Electrum { .. } => {
                (Kind::Electrum, Some(lines::genesis_of(&reach).await.map_err(not_reachable)?))
            }
        };
        let listener = reach::listen().await.map_err(SourceError::Front)?;
        let address = listener.local_addr().map_err(SourceError::Front)?;
        let watch = Watch::default();
        let (found, way, serving) = match (kind, found) {
            (Kind::Electrum, Some(found)) => {
                let (trouble, watch) = (trouble.clone(), watch.clone());
                let lines = Arc::new(lines::Lines { reach, first, trouble, watch });
                let serving = tokio::spawn(lines::serve(listener, Arc::clone(&lines)));
                (found, Way::Lines(lines), serving)
            }
            _ => {
                let login = match source {
                    Source::Bitcoind { login, .. } => Some(login.clone()),
                    _ => None,
                };
                let out = http::Out::new(&reach, login, trouble.clone());
                let found = out.genesis(source).await.map_err(not_reachable)?;
                let (pass, watch) = (http::Pass::new(&pass), watch.clone());
                let is_rpc = matches!(kind, Kind::Bitcoind);
                let door = Arc::new(http::Door { out, pass, watch, is_rpc });
                let serving = tokio::spawn(http::serve(listener, Arc::clone(&door)));
                (found, Way::Http(door), serving)
            }
        };
        let front = Self { kind, watch, way, address, pass, network, trouble, serving };
        if found != first {
            return Err(SourceError::OtherNetwork { server: name, asked: network, found });
        }
        Ok(front)
    }

    /// From now on `outgoing` sees what leaves; before, no transaction does.
    pub fn shown_to(&self, outgoing: Arc<Outgoing>) {
        let _set_once = self.watch.0.set(outgoing);
    }

    /// Sends a transaction again that has left before.
    pub async fn send_again(&self, tx: &Transaction) -> Result<(), String> {
        let hex = serialize_hex(tx);
        match &self.way {
            Way::Http(door) => door.send(hex).await,
            Way::Lines(lines) => lines.send(hex).await,
        }
    }

    /// What a transaction costs that should be in a block soon. Never below the least that is
    /// relayed, nor above what no one would pay.
    pub async fn fee_rate(&self) -> Result<FeeRate, String> {
        const BLOCKS: u32 = 3;
        let sat_per_vb = match &self.way {
            Way::Http(door) => door.fee_sat_per_vb(BLOCKS).await?,
            Way::Lines(lines) => lines.fee_sat_per_vb(BLOCKS).await?,
        };
        let sat_per_vb = match (sat_per_vb, self.network) {
            (Some(rate), _) => rate,
            (None, Network::Mainnet) => {
                return Err("the chain source has no estimate of fees".into());
            }
            (None, _) => 1.0,
        };
        if !sat_per_vb.is_finite() {
            return Err("the chain source's estimate of fees makes no sense".into());
        }
        // In range, so nothing is cut.
        let sat_per_kwu = (sat_per_vb.clamp(1.0, MOST_SAT_PER_VB) * 250.0).ceil() as u64;
        Ok(FeeRate::from_sat_per_kwu(sat_per_kwu))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Why the server does not answer as it should, if that is so.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.0.borrow().clone()
    }

    /// The node's sync being older than this means that the source is gone.
    pub fn silent_after(&self) -> Duration {
        match self.kind {
            Kind::Bitcoind => BITCOIND_SILENT,
            Kind::Esplora | Kind::Electrum => {
                // Two rounds that failed, with the time that each may take.
                let round = self.intervals().lightning_wallet_sync_interval_secs + 20;
                Duration::from_secs(2 * round)
            }
        }
    }

    /// Regtest's blocks come whenever someone mines; elsewhere a public server is not asked more
    /// often than a wallet needs.
    fn intervals(&self) -> BackgroundSyncConfig {
        let (onchain, lightning, fees) = match self.network {
            Network::Practice | Network::Regtest => (10, 10, 60),
            Network::Signet | Network::Mainnet => (60, 30, 300),
        };
        BackgroundSyncConfig {
            onchain_wallet_sync_interval_secs: onchain,
            lightning_wallet_sync_interval_secs: lightning,
            fee_rate_cache_update_interval_secs: fees,
        }
    }

    /// Tells the node its chain source: this front, by way of `relay`.
    pub fn configure(&self, builder: &mut Builder, relay: SocketAddr) {
        let background_sync_config = Some(self.intervals());
        match self.kind {
            Kind::Bitcoind => builder.set_chain_source_bitcoind_rpc(
                relay.ip().to_string(),
                relay.port(),
                PASS_USER.into(),
                self.pass.clone(),
            ),
            Kind::Esplora => builder.set_chain_source_esplora_with_headers(
                format!("http://{relay}"),
                HashMap::from([(PASS_HEADER.to_owned(), self.pass.clone())]),
                Some(EsploraSyncConfig { background_sync_config }),
            ),
            Kind::Electrum => builder.set_chain_source_electrum(
                format!("tcp://{relay}"),
                Some(ElectrumSyncConfig { background_sync_config }),
            ),
        };
    }
}

/// The first block of a network. Practice is a regtest of its own.
fn genesis(network: Network) -> BlockHash {
    genesis_block(convert::network(network)).block_hash()
}
