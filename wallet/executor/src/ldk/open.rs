//! Building and starting the node.

use domain::Network;
use ldk_durable::{DurableStore, Gate, Held, Relay};
use ldk_node::{
    BuildError, Builder, Node, NodeError,
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

use super::{
    adapter::LdkBackend,
    convert,
    peers::{Peer, Peers},
};
use crate::chain_file::ChainFile;

const LISTEN_FILE: &str = "listen";

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
    ChainFile(#[from] crate::chain_file::ChainFileError),
    #[error("the node's folder {path} cannot be used: {source}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("the node could not be built: {0}")]
    Build(BuildError),
    /// The chain source does not answer, most often: worth another try.
    #[error("the node could not start: {0}")]
    Start(NodeError),
}

impl OpenError {
    /// Whether the same call may succeed later without anyone's help.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Start(_) | Self::ChainFile(crate::chain_file::ChainFileError::Io { .. })
        )
    }
}

impl LdkBackend {
    /// Builds the node and starts it. Blocks until the chain source has answered.
    pub fn open(options: &Options, mnemonic: &Mnemonic) -> Result<Self, OpenError> {
        let chain = ChainFile::read(&options.chain_dir, options.network)?;
        let folder = |source| OpenError::Folder { path: options.dir.clone(), source };
        host::Home::open(&options.dir).map_err(|error| folder(io::Error::other(error)))?;
        let (store, gate) =
            DurableStore::open(&options.dir).map_err(|error| folder(io::Error::other(error)))?;
        let source = format!("{}:{}", chain.host, chain.port);
        let to_chain = options
            .runtime
            .block_on(Relay::start(source, Held::Caller, gate.clone()))
            .map_err(folder)?;
        let inside = free_port().map_err(folder)?;
        let node = build(options, &chain, mnemonic, store, to_chain.address(), inside)?;
        gate.built();
        node.start().map_err(OpenError::Start)?;
        let door = match open_door(options, inside, &gate) {
            Ok(door) => door,
            Err(error) => {
                let _stopped = node.stop();
                return Err(folder(error));
            }
        };
        let peers = Peers::new(options, gate.clone());
        Ok(Self::new(node, gate, peers, door, to_chain, options.runtime.clone()))
    }
}

/// Everything that the node says leaves through `to_chain`, the door, or a peer's relay: each holds
/// its words until the state behind them is on disk.
fn build(
    options: &Options,
    chain: &ChainFile,
    mnemonic: &Mnemonic,
    store: DurableStore,
    to_chain: SocketAddr,
    inside: u16,
) -> Result<Node, OpenError> {
    let trusted: Vec<PublicKey> =
        chain.peers.iter().filter_map(|text| Peer::parse(text)).map(|peer| peer.node_id).collect();
    let listening = SocketAddress::from(SocketAddr::from((Ipv4Addr::LOCALHOST, inside)));
    let config = Config {
        network: convert::network(options.network),
        storage_dir_path: options.dir.to_string_lossy().into_owned(),
        anchor_channels_config: Some(AnchorChannelsConfig {
            trusted_peers_no_reserve: trusted,
            ..AnchorChannelsConfig::default()
        }),
        ..Config::default()
    };
    let mut builder = Builder::from_config(config);
    builder
        .set_runtime(options.runtime.clone())
        .set_entropy_bip39_mnemonic(mnemonic.clone(), None)
        .set_chain_source_bitcoind_rpc(
            to_chain.ip().to_string(),
            to_chain.port(),
            chain.user.clone(),
            chain.password.clone(),
        )
        .set_filesystem_logger(
            Some(options.dir.join("node.log").to_string_lossy().into_owned()),
            Some(LogLevel::Info),
        )
        .set_listening_addresses(vec![listening])
        .map_err(OpenError::Build)?;
    builder.build_with_store(Arc::new(store)).map_err(OpenError::Build)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Where peers call: the port of the last start, so that they find the node again, or another one
/// where that is taken.
fn open_door(options: &Options, inside: u16, gate: &Gate) -> io::Result<Relay> {
    let file = options.dir.join(LISTEN_FILE);
    let known = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    let target = format!("{}:{inside}", Ipv4Addr::LOCALHOST);
    let open = |port| {
        let relay = Relay::start_on(port, target.clone(), Held::Callee, gate.clone());
        options.runtime.block_on(relay)
    };
    let door = match known.map(open) {
        Some(Ok(door)) => door,
        _ => open(0)?,
    };
    host::home::write_private(&file, door.address().port().to_string().as_bytes())?;
    Ok(door)
}
