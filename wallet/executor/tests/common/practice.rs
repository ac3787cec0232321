//! A real practice network in this process, for tests with real nodes.

use domain::Network;
use pilothouse_practice::{Options, Practice, counterparty::JoinRequest};
use pilothouse_wallet::chain_file;
use std::path::Path;
use wallet::chain::{ChainFile, Login, Source};

pub async fn start(dir: &Path) -> Practice {
    Practice::start(Options { dir: dir.join("practice"), ..Options::default() }).await.unwrap()
}

/// How the chain's RPC is asked.
pub fn bitcoind(practice: &Practice) -> Source {
    let chain = practice.rendezvous().chain.as_ref().unwrap();
    let password = std::fs::read_to_string(&chain.rpc_password_path).unwrap();
    let login =
        Login::Password { user: chain.rpc_user.clone(), password: password.trim().to_owned() };
    Source::Bitcoind { host: chain.rpc_host.clone(), port: chain.rpc_port, login }
}

/// The counterparty as a peer, and its id.
pub fn counterparty(practice: &Practice) -> (String, String) {
    let counterparty = practice.rendezvous().counterparty.as_ref().unwrap();
    let peer = format!("{}@{}", counterparty.node_id, counterparty.address);
    (peer, counterparty.node_id.clone())
}

/// What an executor of `network` needs to know of the practice network.
pub fn chain_file_for(practice: &Practice, network: Network, source: Source) -> ChainFile {
    let (peer, id) = counterparty(practice);
    ChainFile { peers: vec![peer], no_reserve: vec![id], ..ChainFile::new(network, source) }
}

/// Writes what an executor needs into its folder, as the desk does.
pub fn write_chain_file(practice: &Practice, dir: &Path) {
    let file = chain_file_for(practice, Network::Practice, bitcoind(practice));
    let dir = host::Home::open(dir).unwrap();
    chain_file::write(dir.root(), &file).unwrap();
}

/// Opens a channel to the node, half of it the node's.
pub async fn join(practice: &Practice, node_id: String, address: String) {
    let desk = JoinRequest { node_id, address, name: "test".into() };
    let started = std::time::Instant::now();
    // A node that just started takes peers a moment later.
    while let Err(error) = practice.counterparty().unwrap().join(&desk).await {
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
