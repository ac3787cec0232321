//! The desks that joined: who they are and where their nodes listen, kept over restarts.

use bitcoin::secp256k1::PublicKey;
use host::home::write_private;
use ldk_node::lightning::ln::msgs::SocketAddress;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddrV4},
    path::PathBuf,
};

const MAX_NAME_CHARS: usize = 64;
/// More would need more coins than the treasury mines in time.
pub const MAX_DESKS: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum DesksError {
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} does not hold desks ({reason}); delete it and let desks join again")]
    Unreadable { path: PathBuf, reason: String },
}

/// Why a desk's description was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADesk {
    #[error("{0:?} is not the id of a Lightning node")]
    NodeId(String),
    #[error("{0:?} is not an address on this computer such as 127.0.0.1:9735")]
    Address(String),
    #[error("a desk's name has at most {MAX_NAME_CHARS} characters")]
    Name,
}

/// A desk that joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desk {
    pub node_id: PublicKey,
    pub address: SocketAddress,
    pub name: String,
}

/// A desk as the file and the control API have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeskRow {
    pub node_id: String,
    pub address: String,
    #[serde(default)]
    pub name: String,
}

impl TryFrom<&DeskRow> for Desk {
    type Error = NotADesk;

    fn try_from(row: &DeskRow) -> Result<Self, NotADesk> {
        let node_id = row.node_id.parse().map_err(|_| NotADesk::NodeId(row.node_id.clone()))?;
        let bad_address = || NotADesk::Address(row.address.clone());
        let spelled = row.address.replace("localhost:", "127.0.0.1:");
        let at: SocketAddrV4 = spelled.parse().map_err(|_| bad_address())?;
        // Nothing here ever connects to another machine.
        if *at.ip() != Ipv4Addr::LOCALHOST || at.port() == 0 {
            return Err(bad_address());
        }
        if row.name.chars().count() > MAX_NAME_CHARS {
            return Err(NotADesk::Name);
        }
        let address = SocketAddress::TcpIpV4 { addr: at.ip().octets(), port: at.port() };
        Ok(Self { node_id, address, name: row.name.clone() })
    }
}

impl From<&Desk> for DeskRow {
    fn from(desk: &Desk) -> Self {
        Self {
            node_id: desk.node_id.to_string(),
            address: desk.address.to_string(),
            name: desk.name.clone(),
        }
    }
}

#[derive(Debug)]
pub struct Desks {
    path: PathBuf,
    by_node: BTreeMap<PublicKey, Desk>,
}

impl Desks {
    pub fn load(path: PathBuf) -> Result<Self, DesksError> {
        let rows: Vec<DeskRow> = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                DesksError::Unreadable { path: path.clone(), reason: error.to_string() }
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(DesksError::Io { path, source }),
        };
        let desks = rows.iter().map(Desk::try_from).collect::<Result<Vec<_>, _>>();
        let desks = desks.map_err(|refusal| DesksError::Unreadable {
            path: path.clone(),
            reason: refusal.to_string(),
        })?;
        let by_node = desks.into_iter().map(|desk| (desk.node_id, desk)).collect();
        Ok(Self { path, by_node })
    }

    pub fn all(&self) -> impl Iterator<Item = &Desk> {
        self.by_node.values()
    }

    pub fn len(&self) -> usize {
        self.by_node.len()
    }

    pub fn contains(&self, node_id: &PublicKey) -> bool {
        self.by_node.contains_key(node_id)
    }

    /// Whether one of them listens there.
    pub fn has_address(&self, address: &str) -> bool {
        self.all().any(|desk| desk.address.to_string() == address)
    }

    pub fn name_of(&self, node_id: &str) -> String {
        let found = node_id.parse().ok().and_then(|id: PublicKey| self.by_node.get(&id));
        found.map(|desk| desk.name.clone()).unwrap_or_default()
    }

    /// Adds a desk, or notes its new address and name; on disk before it counts.
    pub fn put(&mut self, desk: Desk) -> Result<(), DesksError> {
        if self.by_node.get(&desk.node_id) == Some(&desk) {
            return Ok(());
        }
        let mut next = self.by_node.clone();
        next.insert(desk.node_id, desk);
        let rows: Vec<DeskRow> = next.values().map(DeskRow::from).collect();
        let text = serde_json::to_vec_pretty(&rows).expect("BUG: strings are always JSON");
        write_private(&self.path, &text)
            .map_err(|source| DesksError::Io { path: self.path.clone(), source })?;
        self.by_node = next;
        host::faults::step();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    fn row(node_id: &str, address: &str) -> DeskRow {
        DeskRow { node_id: node_id.into(), address: address.into(), name: "a".into() }
    }

    #[test]
    fn only_nodes_on_this_computer_are_desks() {
        assert!(Desk::try_from(&row(ID, "127.0.0.1:9735")).is_ok());
        assert!(Desk::try_from(&row(ID, "localhost:9735")).is_ok());
        for address in
            ["10.0.0.1:9735", "example.org:9735", "127.0.0.1", "127.0.0.1:0", "", "[::1]:1"]
        {
            let refused = Desk::try_from(&row(ID, address));
            assert_eq!(refused, Err(NotADesk::Address(address.into())));
        }
        assert_eq!(Desk::try_from(&row("02", "127.0.0.1:1")), Err(NotADesk::NodeId("02".into())));
    }

    #[test]
    fn desks_are_kept_and_their_address_may_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("desks.json");
        let mut desks = Desks::load(path.clone()).unwrap();
        desks.put(Desk::try_from(&row(ID, "127.0.0.1:1000")).unwrap()).unwrap();
        desks.put(Desk::try_from(&row(ID, "127.0.0.1:2000")).unwrap()).unwrap();
        let again = Desks::load(path.clone()).unwrap();
        assert_eq!(again.len(), 1);
        assert_eq!(again.all().next().unwrap().address.to_string(), "127.0.0.1:2000");
        assert_eq!(again.name_of(ID), "a");
        std::fs::write(&path, "[{}]").unwrap();
        assert!(matches!(Desks::load(path), Err(DesksError::Unreadable { .. })));
    }
}
