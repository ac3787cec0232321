//! `<home>/wallet/chain.json` on the disk: read only where nobody else can read or write it.

use domain::Network;
use std::{
    io::{self, Read},
    net::ToSocketAddrs,
    path::{Path, PathBuf},
};
use wallet::chain::{ChainFault, ChainFile, FILE_NAME, MAX_BYTES, Source};

#[derive(Debug, thiserror::Error)]
pub enum ChainFileError {
    #[error(
        "no chain source is chosen for the {0} network, and none is chosen in silence. Choose one \
         that you trust: `pilothouse --network {0} wallet chain set --esplora URL`, or \
         `--electrum URL`, or `--bitcoind HOST:PORT`. The wallet starts as soon as it is there"
    )]
    NotChosen(Network),
    #[error("{path} cannot be read: {source}; the program that starts the wallet writes it")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not used: {fault}. Nothing was started")]
    Fault { path: PathBuf, fault: ChainFault },
    #[error("{0} can be read by others; make it readable by its owner alone (mode 0600)")]
    Exposed(PathBuf),
    #[error("the practice network stays on this computer, and {0} is not on it")]
    NotLoopback(String),
}

impl ChainFileError {
    /// Whether another file, or the same one a moment later, may be good: the wallet waits for it.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::NotChosen(_) | Self::Io { .. } | Self::Fault { .. })
    }
}

/// Reads and checks the file in `dir`.
///
/// # Errors
/// If there is none, others can read it, or something in it makes no sense for this network.
pub fn read(dir: &Path, network: Network) -> Result<ChainFile, ChainFileError> {
    let path = dir.join(FILE_NAME);
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound if network != Network::Practice => {
            ChainFileError::NotChosen(network)
        }
        _ => ChainFileError::Io { path: path.clone(), source },
    };
    if exposed(&path).map_err(io)? {
        return Err(ChainFileError::Exposed(path));
    }
    let mut bytes = Vec::new();
    // One byte more than may be: what is too long is told apart from what is cut.
    let most = MAX_BYTES as u64 + 1;
    std::fs::File::open(&path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(io)?;
    let file = ChainFile::parse(&bytes, network)
        .map_err(|fault| ChainFileError::Fault { path: path.clone(), fault })?;
    if network == Network::Practice
        && let Source::Bitcoind { host, port, .. } = &file.source
        && !is_loopback(host, *port)
    {
        return Err(ChainFileError::NotLoopback(host.clone()));
    }
    Ok(file)
}

/// Writes the file, for its owner alone.
///
/// # Errors
/// If the disk refuses.
pub fn write(dir: &Path, file: &ChainFile) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(file)?;
    host::home::write_private(&dir.join(FILE_NAME), &text)
}

fn is_loopback(host: &str, port: u16) -> bool {
    (host, port).to_socket_addrs().is_ok_and(|mut addresses| {
        let mut any = false;
        addresses.all(|address| {
            any = true;
            address.ip().is_loopback()
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
    use wallet::chain::Login;

    fn bitcoind(network: Network, host: &str) -> ChainFile {
        let login = Login::Password { user: "u".into(), password: "hush".into() };
        ChainFile::new(network, Source::Bitcoind { host: host.into(), port: 18_443, login })
    }

    fn kept(file: &ChainFile) -> Result<ChainFile, ChainFileError> {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), file).unwrap();
        read(dir.path(), file.network)
    }

    #[test]
    fn what_was_written_is_read() {
        let file = bitcoind(Network::Signet, "127.0.0.1");
        assert_eq!(kept(&file).unwrap(), file);
    }

    #[test]
    fn practice_never_leaves_this_computer() {
        for host in ["192.168.2.1", "10.0.0.1", "0.0.0.0"] {
            assert!(kept(&bitcoind(Network::Practice, host)).is_err(), "{host}");
            assert_eq!(kept(&bitcoind(Network::Regtest, host)).is_ok(), host != "0.0.0.0");
        }
        assert!(kept(&bitcoind(Network::Practice, "127.0.0.1")).is_ok());
    }

    #[test]
    fn no_network_but_practice_has_a_source_in_silence() {
        let dir = tempfile::tempdir().unwrap();
        for network in [Network::Regtest, Network::Signet, Network::Mainnet] {
            let error = read(dir.path(), network).unwrap_err();
            assert!(matches!(error, ChainFileError::NotChosen(_)) && error.is_temporary());
            assert!(error.to_string().contains("wallet chain set"), "{error}");
        }
        assert!(matches!(read(dir.path(), Network::Practice), Err(ChainFileError::Io { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &bitcoind(Network::Signet, "127.0.0.1")).unwrap();
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(dir.path().join(FILE_NAME), open).unwrap();
        let error = read(dir.path(), Network::Signet).unwrap_err();
        assert!(matches!(error, ChainFileError::Exposed(_)));
    }
}
