//! The ways out to peers: one relay for each address that is called.

use std::{collections::HashMap, io, net::SocketAddr};
use tokio::{runtime::Handle, sync::Mutex};

use crate::{
    gate::Gate,
    relay::{Held, Relay},
};

/// Relays to addresses, each made at its first call.
pub struct Ways {
    gate: Gate,
    /// The relays run here.
    runtime: Handle,
    open: Mutex<HashMap<String, Relay>>,
}

impl Ways {
    pub fn new(gate: Gate, runtime: Handle) -> Self {
        Self { gate, runtime, open: Mutex::default() }
    }

    /// Where the node calls to reach `target` (`host:port`), so that its words wait for the disk.
    /// Another port at each start: the node should not remember it.
    pub async fn to(&self, target: &str) -> io::Result<SocketAddr> {
        let mut open = self.open.lock().await;
        if let Some(relay) = open.get(target) {
            return Ok(relay.address());
        }
        let relay = Relay::start(target.to_owned(), Held::Caller, self.gate.clone());
        let relay = self.runtime.spawn(relay).await.map_err(io::Error::other)??;
        let address = relay.address();
        open.insert(target.to_owned(), relay);
        Ok(address)
    }

    /// Closes those to addresses that nobody has any more.
    pub async fn keep(&self, wanted: impl Fn(&str) -> bool) {
        self.open.lock().await.retain(|target, _| wanted(target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DurableStore;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn an_address_has_one_way_until_nobody_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let (_store, gate) = DurableStore::open(dir.path()).unwrap();
        let ways = Ways::new(gate, Handle::current());
        let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = peer.local_addr().unwrap().to_string();
        let way = ways.to(&target).await.unwrap();
        assert_eq!(ways.to(&target).await.unwrap(), way);
        assert_ne!(ways.to("127.0.0.1:1").await.unwrap(), way);
        let _calling = TcpStream::connect(way).await.unwrap();
        peer.accept().await.unwrap();
        ways.keep(|wanted| wanted != target).await;
        tokio::task::yield_now().await;
        assert!(TcpStream::connect(way).await.is_err(), "it is closed");
    }
}
