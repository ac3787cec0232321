//! Building and starting the node.

use domain::Network;
use ldk_node::{
    BuildError, Builder, Node, NodeError,
    bip39::Mnemonic,
    bitcoin::secp256k1::PublicKey,
    config::{AnchorChannelsConfig, Config},
    io::sqlite_store::{KV_TABLE_NAME, SQLITE_DB_FILE_NAME, SqliteStore},
    lightning::ln::msgs::SocketAddress,
    logger::LogLevel,
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    adapter::LdkBackend,
    convert,
    peers::{Peer, Peers},
    watched::{Watch, WatchedStore},
};
use crate::chain_file::ChainFile;

const LISTEN_FILE: &str = "listen";
/// How many ports are tried before a port is the system's choice each time.
const PORT_TRIES: u32 = 3;

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
        let mut tries = 0;
        loop {
            tries += 1;
            let port = listening_port(&options.dir, tries).map_err(folder)?;
            let (node, watch) = build(options, &chain, mnemonic, port)?;
            match node.start() {
                Ok(()) => {
                    let peers = Peers::new(options.chain_dir.clone(), options.network);
                    return Ok(Self::new(node, watch, peers, port));
                }
                Err(NodeError::InvalidSocketAddress) if tries < PORT_TRIES => {}
                Err(error) => return Err(OpenError::Start(error)),
            }
        }
    }
}

fn build(
    options: &Options,
    chain: &ChainFile,
    mnemonic: &Mnemonic,
    port: u16,
) -> Result<(Node, Arc<Watch>), OpenError> {
    let trusted: Vec<PublicKey> =
        chain.peers.iter().filter_map(|text| Peer::parse(text)).map(|peer| peer.node_id).collect();
    let address = SocketAddress::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
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
            chain.host.clone(),
            chain.port,
            chain.user.clone(),
            chain.password.clone(),
        )
        .set_filesystem_logger(
            Some(options.dir.join("node.log").to_string_lossy().into_owned()),
            Some(LogLevel::Info),
        )
        .set_listening_addresses(vec![address])
        .map_err(OpenError::Build)?;
    let folder = |error: ldk_node::lightning::io::Error| OpenError::Folder {
        path: options.dir.clone(),
        source: io::Error::other(error.to_string()),
    };
    // Each write of the node is synced; a write-ahead log makes that one sync instead of three.
    store::use_write_ahead_log(&options.dir.join(SQLITE_DB_FILE_NAME)).map_err(|error| {
        OpenError::Folder { path: options.dir.clone(), source: io::Error::other(error) }
    })?;
    let store = SqliteStore::new(
        options.dir.clone(),
        Some(SQLITE_DB_FILE_NAME.into()),
        Some(KV_TABLE_NAME.into()),
    )
    .map_err(folder)?;
    let (store, watch) = WatchedStore::new(store);
    let node = builder.build_with_store(Arc::new(store)).map_err(OpenError::Build)?;
    Ok((node, watch))
}

/// The port of the last start, so that peers find the node again; another one where it is taken.
fn listening_port(dir: &Path, tries: u32) -> io::Result<u16> {
    let file = dir.join(LISTEN_FILE);
    let known = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    if let (Some(port), 1) = (known, tries)
        && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
    {
        return Ok(port);
    }
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    host::home::write_private(&file, port.to_string().as_bytes())?;
    Ok(port)
}
