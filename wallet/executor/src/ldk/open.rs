//! Building and starting the node.

use domain::Network;
use ldk_durable::{DurableStore, Gate, Held, Relay};
use ldk_node::{
    BuildError, Builder, Node,
    bip39::Mnemonic,
    bitcoin::secp256k1::PublicKey,
    config::{AnchorChannelsConfig, Config},
    lightning::ln::msgs::SocketAddress,
    logger::LogLevel,
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use wallet::chain::ChainFile;

use super::{
    adapter::LdkBackend,
    channels::Openings,
    convert,
    front::{Front, SourceError},
    outgoing::Outgoing,
    peers::{Peer, Peers},
};
use crate::{
    backup::keeper::Keeper,
    chain_file::{self, ChainFileError},
};

const LISTEN_FILE: &str = "listen";
/// Kept on the chain for each channel whose peer is not trusted to pay for its closing: enough for
/// the anchor's and the HTLCs' transactions while fees are not extreme.
pub const ANCHOR_RESERVE_SAT: u64 = 25_000;

/// What a node is opened with.
#[derive(Debug)]
pub struct Options {
    pub network: Network,
    /// The node's own folder.
    pub dir: PathBuf,
    /// Where `chain.json` lies: read again whenever a peer must be found.
    pub chain_dir: PathBuf,
    /// The node's tasks run here.
    pub runtime: tokio::runtime::Handle,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    ChainFile(#[from] ChainFileError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("the node's folder {path} cannot be used: {source}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("{0} cannot be listened on, as chain.json asks for: {1}")]
    Listen(SocketAddr, io::Error),
    /// The backup's folder is away, and nothing leaves without it; or it knows a newer wallet.
    #[error("{0}")]
    Copy(ldk_durable::copy::CarryError),
    #[error("the node could not be built: {0}")]
    Build(BuildError),
    /// The chain source does not answer, most often: worth another try.
    #[error("the node could not start: {reason}")]
    Start { reason: String },
}

impl OpenError {
    /// Whether the same call may succeed later: the file, the source or the port may be others.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::ChainFile(error) => error.is_temporary(),
            Self::Source(_) | Self::Start { .. } | Self::Listen(..) => true,
            Self::Copy(error) => !error.is_fence(),
            Self::Folder { .. } | Self::Build(_) => false,
        }
    }
}

impl LdkBackend {
    /// Builds the node and starts it. Blocks until the chain source has answered; nothing is
    /// written before it has shown that it is of this network.
    pub fn open(options: &Options, mnemonic: &Mnemonic) -> Result<Self, OpenError> {
        Self::open_kept(options, mnemonic, None)
    }

    /// The same with a backup: nothing leaves before it is there too.
    pub fn open_kept(
        options: &Options,
        mnemonic: &Mnemonic,
        keeper: Option<&Keeper>,
    ) -> Result<Self, OpenError> {
        let chain = chain_file::read(&options.chain_dir, options.network)?;
        let front = options.runtime.block_on(Front::open(&chain.source, options.network))?;
        let folder = |source| OpenError::Folder { path: options.dir.clone(), source };
        host::Home::open(&options.dir).map_err(|error| folder(io::Error::other(error)))?;
        let is_new = !options.dir.join(ldk_durable::FILE_NAME).exists();
        let (store, gate) = open_store(options, keeper)?;
        let to_chain = Relay::start(front.address().to_string(), Held::Caller, gate.clone());
        let to_chain = options.runtime.block_on(to_chain).map_err(folder)?;
        let store = Arc::new(store);
        let outgoing = Outgoing::open(Arc::clone(&store), gate.clone()).map_err(folder)?;
        let openings = Openings::new(Arc::clone(&store));
        let peers = Peers::new(options, gate.clone(), front, outgoing, openings);
        let inside = free_port().map_err(folder)?;
        let node = build(options, &chain, mnemonic, store, &peers, to_chain.address(), inside)?;
        if let Some(keeper) = keeper {
            before_start(&node, keeper, options.network, is_new).map_err(folder)?;
        }
        gate.built();
        if let Err(error) = node.start() {
            let reason = peers.front().trouble().unwrap_or_else(|| error.to_string());
            return Err(OpenError::Start { reason });
        }
        match open_door(options, &chain, inside, &gate) {
            Ok(door) => Ok(Self::new(node, gate, peers, door, to_chain, options.runtime.clone())),
            Err(error) => {
                let _stopped = node.stop();
                Err(error)
            }
        }
    }
}

fn open_store(
    options: &Options,
    keeper: Option<&Keeper>,
) -> Result<(DurableStore, Gate), OpenError> {
    let folder = |source: io::Error| OpenError::Folder { path: options.dir.clone(), source };
    let Some(keeper) = keeper else {
        return DurableStore::open(&options.dir).map_err(|error| folder(io::Error::other(error)));
    };
    DurableStore::open_with(&options.dir, keeper.mirror()).map_err(|error| match error {
        ldk_durable::OpenError::Storage(error) => folder(io::Error::other(error)),
        ldk_durable::OpenError::Copy(error) => OpenError::Copy(error),
    })
}

/// What only a node that does not run yet tells: when it last saw the chain, and, where it is new,
/// which block it begins at.
fn before_start(node: &Node, keeper: &Keeper, network: Network, is_new: bool) -> io::Result<()> {
    let status = node.status();
    let seen = status.latest_lightning_wallet_sync_timestamp;
    keeper.before_start(seen, !node.list_channels().is_empty());
    let block = status.current_best_block;
    let (height, hash) = if is_new {
        (block.height, block.block_hash)
    } else {
        // Older than the record of birthdays: its money may be anywhere.
        (0, ldk_node::bitcoin::constants::genesis_block(convert::network(network)).block_hash())
    };
    let birthday =
        wallet::backup::Birthday { height, block_hash: hash.to_string(), at: host::clock::now() };
    keeper.born(birthday).map_err(io::Error::other)
}

/// Everything that the node says leaves through `to_chain`, the door, or a peer's relay: each holds
/// its words until the state behind them is on disk.
fn build(
    options: &Options,
    chain: &ChainFile,
    mnemonic: &Mnemonic,
    store: Arc<DurableStore>,
    peers: &Peers,
    to_chain: SocketAddr,
    inside: u16,
) -> Result<Node, OpenError> {
    let mut trusted: Vec<PublicKey> =
        chain.no_reserve.iter().filter_map(|id| id.parse().ok()).collect();
    let lsp = chain.lsps2.as_ref().and_then(|lsps2| Some((Peer::parse(&lsps2.node)?, lsps2)));
    trusted.extend(lsp.iter().map(|(peer, _)| peer.node_id));
    let listening = SocketAddress::from(SocketAddr::from((Ipv4Addr::LOCALHOST, inside)));
    // Without an alias nothing is ever announced: neither the node nor a channel of it.
    let config = Config {
        network: convert::network(options.network),
        storage_dir_path: options.dir.to_string_lossy().into_owned(),
        anchor_channels_config: Some(AnchorChannelsConfig {
            trusted_peers_no_reserve: trusted,
            per_channel_reserve_sats: ANCHOR_RESERVE_SAT,
        }),
        ..Config::default()
    };
    let mut builder = Builder::from_config(config);
    peers.front().configure(&mut builder, to_chain);
    if let Some((peer, lsps2)) = lsp {
        // The node calls the provider by itself, so by a way that holds its words.
        let way = peers
            .way(&peer)
            .map_err(|source| OpenError::Folder { path: options.dir.clone(), source })?;
        builder.set_liquidity_source_lsps2(peer.node_id, way, lsps2.token.clone());
    }
    builder
        .set_runtime(options.runtime.clone())
        .set_entropy_bip39_mnemonic(mnemonic.clone(), None)
        .set_filesystem_logger(
            Some(options.dir.join("node.log").to_string_lossy().into_owned()),
            Some(LogLevel::Info),
        )
        .set_listening_addresses(vec![listening])
        .map_err(OpenError::Build)?;
    builder.build_with_store(store).map_err(OpenError::Build)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Where peers call: the address that the operator chose, else the port of the last start on this
/// computer, so that they find the node again, or another one where that is taken.
fn open_door(
    options: &Options,
    chain: &ChainFile,
    inside: u16,
    gate: &Gate,
) -> Result<Relay, OpenError> {
    let target = format!("{}:{inside}", Ipv4Addr::LOCALHOST);
    let open = |at: SocketAddr| {
        let relay = Relay::start_at(at, target.clone(), Held::Callee, gate.clone());
        options.runtime.block_on(relay)
    };
    if let Some(chosen) = chain.listen.as_ref().and_then(|listen| listen.parse().ok()) {
        return open(chosen).map_err(|error| OpenError::Listen(chosen, error));
    }
    let folder = |source| OpenError::Folder { path: options.dir.clone(), source };
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let file = options.dir.join(LISTEN_FILE);
    let known = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    let door = match known.map(|port| open(local(port))) {
        Some(Ok(door)) => door,
        _ => open(local(0)).map_err(folder)?,
    };
    host::home::write_private(&file, door.address().port().to_string().as_bytes())
        .map_err(folder)?;
    Ok(door)
}
