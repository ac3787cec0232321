//! The peers to stay connected to: read again from `chain.json`, as their addresses may change.

use domain::Network;
use ldk_durable::{Gate, Ways};
use ldk_node::{Node, bitcoin::secp256k1::PublicKey, lightning::ln::msgs::SocketAddress};
use std::{io, path::PathBuf, sync::Arc};
use tokio::runtime::Handle;

use super::{Options, channels::Openings, front::Front, outgoing::Outgoing};
use crate::chain_file;

const KNOWN_FILE: &str = "peers.json";

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
    outgoing: Arc<Outgoing>,
    openings: Openings,
    /// Peers that channels were opened to, beside those of `chain.json`.
    known: PathBuf,
}

impl Peers {
    pub fn new(
        options: &Options,
        gate: Gate,
        front: Front,
        outgoing: Outgoing,
        openings: Openings,
    ) -> Self {
        let outgoing = Arc::new(outgoing);
        front.shown_to(Arc::clone(&outgoing));
        Self {
            known: options.dir.join(KNOWN_FILE),
            openings,
            chain_dir: options.chain_dir.clone(),
            network: options.network,
            runtime: options.runtime.clone(),
            ways: Ways::new(gate, options.runtime.clone()),
            front,
            outgoing,
        }
    }

    /// What left for the chain.
    pub fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// The way to the chain.
    pub fn front(&self) -> &Front {
        &self.front
    }

    /// Channels that were asked for.
    pub fn openings(&self) -> &Openings {
        &self.openings
    }

    fn known(&self) -> Vec<String> {
        let read = std::fs::read(&self.known).ok();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Stays connected to this peer from now on, also after a restart.
    pub fn remember(&self, peer: &Peer) -> io::Result<()> {
        let mut known = self.known();
        known.retain(|text| Peer::parse(text).is_some_and(|known| known.node_id != peer.node_id));
        known.push(format!("{}@{}", peer.node_id, peer.address));
        host::home::write_private(&self.known, &serde_json::to_vec(&known)?)
    }

    /// Whether the operator trusts this peer to bring a closing to the chain.
    pub fn is_trusted(&self, node_id: &PublicKey) -> bool {
        let Ok(chain) = chain_file::read(&self.chain_dir, self.network) else { return false };
        let lsp = chain.lsps2.iter().filter_map(|lsps2| Peer::parse(&lsps2.node));
        let named = chain.no_reserve.iter().filter_map(|id| id.parse().ok());
        named.chain(lsp.map(|peer| peer.node_id)).any(|id: PublicKey| id == *node_id)
    }

    /// Connects to a peer, unless it is connected. Blocks.
    pub fn call(&self, node: &Node, peer: &Peer) -> Result<(), String> {
        let here = |p: &ldk_node::PeerDetails| p.node_id == peer.node_id && p.is_connected;
        if node.list_peers().iter().any(here) {
            return Ok(());
        }
        let way = self.way(peer).map_err(|error| error.to_string())?;
        // Not remembered by the node: the relay's port is another one next time.
        node.connect(peer.node_id, way, false).map_err(|error| error.to_string())
    }

    /// Where the node calls to reach a peer. Blocks for a moment.
    pub fn way(&self, peer: &Peer) -> io::Result<SocketAddress> {
        let way = self.runtime.block_on(self.ways.to(&peer.address.to_string()))?;
        Ok(SocketAddress::from(way))
    }

    /// Connects to each peer that is not connected. Blocks.
    pub fn connect(&self, node: &Node) {
        let Ok(chain) = chain_file::read(&self.chain_dir, self.network) else { return };
        let lsp = chain.lsps2.iter().map(|lsps2| lsps2.node.clone());
        for text in chain.peers.iter().cloned().chain(lsp).chain(self.known()) {
            let Some(peer) = Peer::parse(&text) else {
                tracing::warn!(peer = text, "this is not <node id>@<host>:<port>");
                continue;
            };
            if peer.node_id != node.node_id()
                && let Err(error) = self.call(node, &peer)
            {
                tracing::debug!(error, peer = text, "a peer is not reachable");
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
