//! `<home>/wallet/chain.json`: the chain source and the peers, written by who supervises us.

use domain::Network;
use serde::{Deserialize, Serialize};
use std::{
    fmt, io,
    net::{IpAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

pub const FILE_NAME: &str = "chain.json";

/// Where bitcoind's RPC answers, and which peers to stay connected to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainFile {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    /// Each `<node id>@<host>:<port>`. Their channels are accepted without an on-chain reserve.
    #[serde(default)]
    pub peers: Vec<String>,
}

impl fmt::Debug for ChainFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainFile({}:{}, peers {:?})", self.host, self.port, self.peers)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ChainFileError {
    #[error("{path} cannot be read: {source}; the program that starts the wallet writes it")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not understood: {reason}")]
    Malformed { path: PathBuf, reason: String },
    #[error("{0} can be read by others; make it readable by its owner alone (mode 0600)")]
    Exposed(PathBuf),
    #[error("the practice network stays on this computer, and {0} is not on it")]
    NotLoopback(String),
}

impl ChainFile {
    /// Reads and checks the file in `dir`.
    pub fn read(dir: &Path, network: Network) -> Result<Self, ChainFileError> {
        const MAX_BYTES: usize = 64 * 1024;
        let path = dir.join(FILE_NAME);
        let io = |source| ChainFileError::Io { path: path.clone(), source };
        if exposed(&path).map_err(io)? {
            return Err(ChainFileError::Exposed(path));
        }
        let bytes = std::fs::read(&path).map_err(io)?;
        let malformed = |reason| ChainFileError::Malformed { path: path.clone(), reason };
        if bytes.len() > MAX_BYTES {
            return Err(malformed("it is too long".into()));
        }
        let file: Self =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        if network == Network::Practice && !is_loopback(&file.host, file.port) {
            return Err(ChainFileError::NotLoopback(file.host));
        }
        Ok(file)
    }
}

fn is_loopback(host: &str, port: u16) -> bool {
    (host, port).to_socket_addrs().is_ok_and(|mut addresses| {
        let mut any = false;
        addresses.all(|address| {
            any = true;
            matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback())
                || matches!(address.ip(), IpAddr::V6(ip) if ip.is_loopback())
        }) && any
    })
}

#[cfg(unix)]
fn exposed(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn exposed(path: &Path) -> io::Result<bool> {
    std::fs::metadata(path).map(|_| false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<ChainFile, ChainFileError> {
        let dir = tempfile::tempdir().unwrap();
        host::home::write_private(&dir.path().join(FILE_NAME), text.as_bytes()).unwrap();
        ChainFile::read(dir.path(), Network::Practice)
    }

    const GOOD: &str = r#"{"host":"127.0.0.1","port":18443,"user":"u","password":"hush"}"#;

    #[test]
    fn reads_what_it_should_and_hides_the_password() {
        let file = read(GOOD).unwrap();
        assert_eq!((file.port, file.peers.len()), (18_443, 0));
        assert!(!format!("{file:?}").contains("hush"));
    }

    #[test]
    fn practice_never_leaves_this_computer() {
        for host in ["192.0.2.1", "10.0.0.1", "0.0.0.0", ""] {
            let text = GOOD.replace("127.0.0.1", host);
            assert!(matches!(read(&text), Err(ChainFileError::NotLoopback(_))), "{host}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), GOOD).unwrap();
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(dir.path().join(FILE_NAME), open).unwrap();
        let error = ChainFile::read(dir.path(), Network::Practice).unwrap_err();
        assert!(matches!(error, ChainFileError::Exposed(_)));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,200}") {
            prop_assert!(read(&text).is_err());
        }
    }
}
