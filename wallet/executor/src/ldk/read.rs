//! A node's state, read without a node that runs: nobody is called, nothing is sent.
//!
//! ldk-node reads all of it when it builds a node, and does nothing else before it is started. Its
//! chain source is a port of this computer where nobody listens, its store is memory.

use domain::{Msat, Network};
use ldk_node::{
    BuildError, Builder, Node,
    bip39::Mnemonic,
    bitcoin::BlockHash,
    config::Config,
    lightning::{
        io,
        util::{
            persist::{KVStore, KVStoreSync},
            ser::Writeable,
        },
    },
};
use std::{
    collections::BTreeMap,
    future::{Future, ready},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::KvKey;
use wallet::backup::BackedChannel;

use super::convert;

/// The namespace of the on-chain wallet.
pub const ONCHAIN: &str = "bdk_wallet";
const LOCAL_CHAIN: &str = "local_chain";

pub type State = BTreeMap<KvKey, Vec<u8>>;

/// What a state says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    pub node_id: String,
    pub channels: Vec<BackedChannel>,
    pub in_channels_msat: Msat,
    pub onchain_msat: Msat,
    pub payments: u64,
}

/// A state that no node can be built from.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the node's state is not readable: {0}")]
    Build(BuildError),
    #[error("a folder or a port for reading the node's state is missing: {0}")]
    Io(#[from] std::io::Error),
}

/// What nobody may do to a node whose state is only read.
pub struct Reading {
    pub network: Network,
    /// A folder that goes away afterwards.
    pub scratch: PathBuf,
    pub runtime: tokio::runtime::Handle,
}

/// Reads a state. Blocks; not from an async task.
pub fn read(reading: &Reading, words: &Mnemonic, state: State) -> Result<NodeState, ReadError> {
    let memory = Memory::new(state);
    let node = build(reading, words, &memory)?;
    let balances = node.list_balances();
    let channels: Vec<BackedChannel> = node
        .list_channels()
        .iter()
        .map(|channel| BackedChannel {
            channel: channel.channel_id.to_string(),
            peer: channel.counterparty_node_id.to_string(),
            capacity_msat: convert::sat(channel.channel_value_sats),
            ours_msat: convert::ours(channel, &balances),
        })
        .collect();
    let ours = channels.iter().map(|channel| channel.ours_msat);
    Ok(NodeState {
        node_id: node.node_id().to_string(),
        in_channels_msat: ours.fold(Msat::ZERO, Msat::saturating_add),
        channels,
        onchain_msat: convert::sat(balances.total_onchain_balance_sats),
        payments: node.list_payments().len() as u64,
    })
}

/// The on-chain wallet of these words, made as ldk-node makes it, and its chain put to where it may
/// begin: ldk-node itself would begin at the chain's end and miss what was paid before.
pub fn fresh_onchain(
    reading: &Reading,
    words: &Mnemonic,
    birthday: Option<(u32, BlockHash)>,
) -> Result<State, ReadError> {
    let memory = Memory::new(State::new());
    drop(build(reading, words, &memory)?);
    let mut state = memory.take();
    state.retain(|key, _| key.primary == ONCHAIN);
    let genesis = ldk_node::bitcoin::constants::genesis_block(convert::network(reading.network));
    let mut blocks: BTreeMap<u32, Option<BlockHash>> =
        BTreeMap::from([(0, Some(genesis.block_hash()))]);
    if let Some((height, hash)) = birthday.filter(|(height, _)| *height > 0) {
        blocks.insert(height, Some(hash));
    }
    let key = KvKey { primary: ONCHAIN.into(), secondary: String::new(), name: LOCAL_CHAIN.into() };
    state.insert(key, local_chain(&blocks));
    Ok(state)
}

/// As ldk-node 0.7 writes BDK's chain: a version, then one TLV record (BOLT 1) of type 0.
fn local_chain(blocks: &BTreeMap<u32, Option<BlockHash>>) -> Vec<u8> {
    let value = blocks.encode();
    let mut out = vec![1, 0];
    out.extend(ldk_node::lightning::util::ser::BigSize(value.len() as u64).encode());
    out.extend(value);
    out
}

fn build(reading: &Reading, words: &Mnemonic, memory: &Memory) -> Result<Node, ReadError> {
    std::fs::create_dir_all(&reading.scratch)?;
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let config = Config {
        network: convert::network(reading.network),
        storage_dir_path: reading.scratch.to_string_lossy().into_owned(),
        ..Config::default()
    };
    let mut builder = Builder::from_config(config);
    builder
        .set_runtime(reading.runtime.clone())
        .set_entropy_bip39_mnemonic(words.clone(), None)
        .set_chain_source_bitcoind_rpc(
            nobody.ip().to_string(),
            nobody.port(),
            String::new(),
            String::new(),
        )
        .set_filesystem_logger(Some(log_in(&reading.scratch)), None);
    builder.build_with_store(Arc::new(memory.clone())).map_err(ReadError::Build)
}

fn log_in(scratch: &Path) -> String {
    scratch.join("node.log").to_string_lossy().into_owned()
}

/// A store that is gone when it is dropped.
#[derive(Clone)]
struct Memory(Arc<Mutex<State>>);

impl Memory {
    fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> State {
        std::mem::take(&mut *self.state())
    }
}

fn key(primary: &str, secondary: &str, name: &str) -> KvKey {
    KvKey { primary: primary.into(), secondary: secondary.into(), name: name.into() }
}

impl KVStoreSync for Memory {
    fn read(&self, primary: &str, secondary: &str, name: &str) -> Result<Vec<u8>, io::Error> {
        let found = self.state().get(&key(primary, secondary, name)).cloned();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such key"))
    }

    fn write(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<(), io::Error> {
        self.state().insert(key(primary, secondary, name), bytes);
        Ok(())
    }

    fn remove(
        &self,
        primary: &str,
        secondary: &str,
        name: &str,
        _lazy: bool,
    ) -> Result<(), io::Error> {
        self.state().remove(&key(primary, secondary, name));
        Ok(())
    }

    fn list(&self, primary: &str, secondary: &str) -> Result<Vec<String>, io::Error> {
        let state = self.state();
        let here = |key: &&KvKey| key.primary == primary && key.secondary == secondary;
        Ok(state.keys().filter(here).map(|key| key.name.clone()).collect())
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, io::Error>> + Send>>;

impl KVStore for Memory {
    fn read(&self, primary: &str, secondary: &str, name: &str) -> Answer<Vec<u8>> {
        Box::pin(ready(KVStoreSync::read(self, primary, secondary, name)))
    }

    fn write(&self, primary: &str, secondary: &str, name: &str, bytes: Vec<u8>) -> Answer<()> {
        Box::pin(ready(KVStoreSync::write(self, primary, secondary, name, bytes)))
    }

    fn remove(&self, primary: &str, secondary: &str, name: &str, lazy: bool) -> Answer<()> {
        Box::pin(ready(KVStoreSync::remove(self, primary, secondary, name, lazy)))
    }

    fn list(&self, primary: &str, secondary: &str) -> Answer<Vec<String>> {
        Box::pin(ready(KVStoreSync::list(self, primary, secondary)))
    }
}
