//! The peers to stay connected to: read again from `chain.json`, as their addresses may change.

use domain::Network;
use ldk_durable::{Gate, Ways};
use ldk_node::{Node, bitcoin::secp256k1::PublicKey, lightning::ln::msgs::SocketAddress};
use std::{io, path::PathBuf};
use tokio::runtime::Handle;

use super::{Options, front::Front};
use crate::chain_file;

/// `<node id>@<host>:<port>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub node_id: PublicKey,
    pub address: SocketAddress,
}

impl Peer {
    pub fn parse(text: &str) -> Option<Self> {
        let (node_id, address) = text.split_once('@')?;
        Some(Self { node_id: node_id.parse().ok()?, address: address.parse().ok()? })
    }
}

/// Keeps the ways out of the node: to the chain, and to each peer a relay that holds our words
/// until they are on disk.
pub struct Peers {
    chain_dir: PathBuf,
    network: Network,
    runtime: Handle,
    ways: Ways,
    front: Front,
}

impl Peers {
    pub fn new(options: &Options, gate: Gate, front: Front) -> Self {
        Self {
            chain_dir: options.chain_dir.clone(),
            network: options.network,
            runtime: options.runtime.clone(),
            ways: Ways::new(gate, options.runtime.clone()),
            front,
        }
    }

    /// The way to the chain.
    pub fn front(&self) -> &Front {
        &self.front
    }

    /// Where the node calls to reach a peer. Blocks for a moment.
    pub fn way(&self, peer: &Peer) -> io::Result<SocketAddress> {
        let way = self.runtime.block_on(self.ways.to(&peer.address.to_string()))?;
        Ok(SocketAddress::from(way))
    }

    /// Connects to each peer that is not connected. Blocks.
    pub fn connect(&self, node: &Node) {
        let Ok(chain) = chain_file::read(&self.chain_dir, self.network) else { return };
        let connected = node.list_peers();
        let lsp = chain.lsps2.iter().map(|lsps2| &lsps2.node);
        for text in chain.peers.iter().chain(lsp) {
            let Some(peer) = Peer::parse(text) else {
                tracing::warn!(peer = text, "a peer in chain.json is not <node id>@<host>:<port>");
                continue;
            };
            let here = |p: &ldk_node::PeerDetails| p.node_id == peer.node_id && p.is_connected;
            if peer.node_id == node.node_id() || connected.iter().any(here) {
                continue;
            }
            let way = match self.way(&peer) {
                Ok(way) => way,
                Err(error) => {
                    tracing::warn!(%error, peer = text, "no relay to the peer could be started");
                    continue;
                }
            };
            // Not remembered by the node: the relay's port is another one next time.
            if let Err(error) = node.connect(peer.node_id, way, false) {
                tracing::debug!(%error, peer = text, "a peer is not reachable");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn reads_a_peer_and_nothing_that_is_none() {
        assert!(Peer::parse(&format!("{ID}@127.0.0.1:9735")).is_some());
        for bad in ["", "@", "x@127.0.0.1:1", ID] {
            assert_eq!(Peer::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,100}", tail in "\\PC{0,30}") {
            let _none = Peer::parse(&text);
            let _some = Peer::parse(&format!("{ID}@{tail}"));
        }
    }
}
