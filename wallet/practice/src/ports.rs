//! Ports that stay the same over restarts, so that desks find the practice network again.

use host::home::write_private;
use serde::{Deserialize, Serialize};
use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

/// Below the ranges from which systems take ports for outgoing connections, so that none of these
/// is taken while this process is down for a moment.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
const TRIES: usize = 200;

/// The loopback ports of one practice folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub relay: u16,
    pub blossom: u16,
    pub rpc: u16,
    pub lightning: u16,
}

#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} does not hold ports ({source}); delete it and let desks join again")]
    Unreadable { path: PathBuf, source: serde_json::Error },
    #[error("no free port was found on this machine")]
    NoneFree,
    #[error("the system gave no randomness: {0}")]
    NoEntropy(getrandom::Error),
}

impl Ports {
    /// The ports kept in `path`, or four free ones that are kept there from now on.
    ///
    /// # Errors
    /// If the file can't be read or written, or no port is free.
    pub fn load_or_choose(path: &Path) -> Result<Self, PortsError> {
        let io = |source| PortsError::Io { path: path.to_owned(), source };
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| PortsError::Unreadable { path: path.to_owned(), source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let ports = Self::choose()?;
                let text =
                    serde_json::to_vec_pretty(&ports).expect("BUG: four integers are always JSON");
                write_private(path, &text).map_err(io)?;
                Ok(ports)
            }
            Err(error) => Err(io(error)),
        }
    }

    /// Holds each port until all four are found, so that they differ.
    fn choose() -> Result<Self, PortsError> {
        let mut held = Vec::new();
        for _ in 0..TRIES {
            let mut random = [0; 2];
            getrandom::fill(&mut random).map_err(PortsError::NoEntropy)?;
            let port = FIRST + u16::from_le_bytes(random) % COUNT;
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                held.push((port, listener));
            }
            if let [(relay, _), (blossom, _), (rpc, _), (lightning, _)] = held.as_slice() {
                let (relay, blossom, rpc, lightning) = (*relay, *blossom, *rpc, *lightning);
                return Ok(Self { relay, blossom, rpc, lightning });
            }
        }
        Err(PortsError::NoneFree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_kept_and_differ() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ports.json");
        let first = Ports::load_or_choose(&path).unwrap();
        assert_eq!(Ports::load_or_choose(&path).unwrap(), first);
        let mut all = vec![first.relay, first.blossom, first.rpc, first.lightning];
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn a_broken_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ports.json");
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(Ports::load_or_choose(&path), Err(PortsError::Unreadable { .. })));
    }
}
