//! A real practice network in this process, for tests with real nodes.

use pilothouse_practice::{Options, Practice, counterparty::JoinRequest};
use pilothouse_wallet::chain_file::{ChainFile, FILE_NAME};
use std::path::Path;

pub async fn start(dir: &Path) -> Practice {
    Practice::start(Options { dir: dir.join("practice"), ..Options::default() }).await.unwrap()
}

/// Writes what an executor needs into its folder, as the desk does.
pub fn write_chain_file(practice: &Practice, dir: &Path) {
    let rendezvous = practice.rendezvous();
    let chain = rendezvous.chain.as_ref().unwrap();
    let counterparty = rendezvous.counterparty.as_ref().unwrap();
    let file = ChainFile {
        host: chain.rpc_host.clone(),
        port: chain.rpc_port,
        user: chain.rpc_user.clone(),
        password: std::fs::read_to_string(&chain.rpc_password_path).unwrap().trim().to_owned(),
        peers: vec![format!("{}@{}", counterparty.node_id, counterparty.address)],
    };
    let dir = host::Home::open(dir).unwrap();
    let text = serde_json::to_vec(&file).unwrap();
    host::home::write_private(&dir.join(FILE_NAME), &text).unwrap();
}

/// Opens a channel to the node, half of it the node's.
pub async fn join(practice: &Practice, node_id: String, address: String) {
    let desk = JoinRequest { node_id, address, name: "test".into() };
    practice.counterparty().unwrap().join(&desk).await.unwrap();
}
