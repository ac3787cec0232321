//! `chain.json` in the executor's folder: where it asks the chain, and which peers it stays with.
//!
//! The desk writes it for the practice network, the operator's command for every other one; nobody
//! chooses a server in silence. It says which network it is for, so that it serves no other.

use domain::Network;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// The file's name in the executor's folder.
pub const FILE_NAME: &str = "chain.json";
/// The newest version of the file.
pub const VERSION: u32 = 2;
/// A file is never longer.
pub const MAX_BYTES: usize = 64 * 1024;
const MAX_PEERS: usize = 64;
const MAX_TEXT_CHARS: usize = 512;

/// The file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainFile {
    pub v: u32,
    pub network: Network,
    pub source: Source,
    /// Each `<node id>@<host>:<port>`: connected to whenever it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
    /// Node ids trusted to bring a closing transaction to the chain: their channels need no
    /// on-chain reserve of ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_reserve: Vec<String>,
    /// Who sells inbound liquidity to us (bLIP-52, LSPS2). It is trusted: its channels count before
    /// they are confirmed, and need no on-chain reserve of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsps2: Option<Lsps2>,
    /// Where peers may call, `<ip>:<port>`; without it only programs of this computer can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
}

/// Where the chain is asked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// bitcoind's JSON-RPC.
    Bitcoind { host: String, port: u16, login: Login },
    /// An Esplora server's REST API.
    Esplora {
        url: String,
        /// Exactly this certificate is trusted, and no authority: SHA-256 of its DER, in hex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate_sha256: Option<String>,
    },
    /// An Electrum server, `ssl://host:port` or `tcp://host:port`.
    Electrum {
        url: String,
        /// As with Esplora; many Electrum servers have a certificate that no authority signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate_sha256: Option<String>,
    },
}

/// What opens bitcoind's RPC.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Login {
    Password {
        user: String,
        password: String,
    },
    /// The `.cookie` file, read anew for each call: bitcoind writes another one at each start.
    CookieFile(String),
}

/// A provider of inbound liquidity.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lsps2 {
    /// `<node id>@<host>:<port>`.
    pub node: String,
    /// What the provider gave us to be recognised by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Why a file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    #[error("it is not a chain file of version {VERSION}: {0}")]
    Malformed(String),
    #[error("it is for the {found} network, and this wallet is of {asked}")]
    OtherNetwork { found: Network, asked: Network },
    #[error("{0:?} is not an address of the form <scheme>://<host>[:<port>][/<path>] with {1}")]
    BadUrl(String, &'static str),
    #[error(
        "{0} would be asked without encryption, so anyone on the way could read and change the \
         answers; use {1}, or a server in your own network"
    )]
    Open(String, &'static str),
    #[error("the practice network is asked by its own RPC only")]
    PracticeSource,
    #[error("{0:?} is not <node id>@<host>:<port>")]
    BadPeer(String),
    #[error("{0:?} is not a node id")]
    BadNodeId(String),
    #[error("a certificate's fingerprint is 64 hexadecimal digits")]
    BadFingerprint,
    #[error("{0:?} is not <ip>:<port>")]
    BadListen(String),
    #[error("{0} is empty or too long")]
    BadText(&'static str),
    #[error("at most {MAX_PEERS} peers")]
    TooManyPeers,
}

/// A server that a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// Without a slash at the end.
    pub path: String,
}

impl Server {
    /// `host:port`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether it is this computer or in a network of the operator's, as far as its name says.
    fn is_near(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            Ok(IpAddr::V6(ip)) => {
                ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
            Err(_) => {
                let name = self.host.to_ascii_lowercase();
                !name.contains('.')
                    || [".local", ".lan", ".internal", ".home.arpa", ".localhost"]
                        .iter()
                        .any(|end| name.ends_with(end))
            }
        }
    }
}

impl Source {
    /// What people call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bitcoind { .. } => "bitcoind",
            Self::Esplora { .. } => "esplora",
            Self::Electrum { .. } => "electrum",
        }
    }

    /// The server that it names.
    ///
    /// # Errors
    /// If the address makes no sense, or the way to it would be open to everyone.
    pub fn server(&self) -> Result<Server, ChainFault> {
        let server = match self {
            Self::Bitcoind { host, port, .. } => {
                let server =
                    Server { tls: false, host: host.clone(), port: *port, path: String::new() };
                if !is_host(host) || *port == 0 {
                    return Err(ChainFault::BadUrl(server.authority(), "a host and a port"));
                }
                server
            }
            Self::Esplora { url, .. } => {
                read_url(url, [("https", 443), ("http", 80)], "https or http")?
            }
            Self::Electrum { url, .. } => {
                let server = read_url(url, [("ssl", 50_002), ("tcp", 50_001)], "ssl or tcp")?;
                if !server.path.is_empty() {
                    return Err(ChainFault::BadUrl(shown(url), "no path"));
                }
                server
            }
        };
        if !server.tls && !server.is_near() {
            let instead = match self {
                Self::Bitcoind { .. } => "a tunnel to it",
                Self::Esplora { .. } => "https://",
                Self::Electrum { .. } => "ssl://",
            };
            return Err(ChainFault::Open(server.host, instead));
        }
        Ok(server)
    }

    fn check(&self) -> Result<(), ChainFault> {
        self.server()?;
        match self {
            Self::Bitcoind { login: Login::Password { user, password }, .. } => {
                text("the RPC's user", user)?;
                text("the RPC's password", password)?;
                if user.contains(':') {
                    return Err(ChainFault::BadText("the RPC's user"));
                }
                Ok(())
            }
            Self::Bitcoind { login: Login::CookieFile(path), .. } => text("the cookie file", path),
            Self::Esplora { certificate_sha256, .. }
            | Self::Electrum { certificate_sha256, .. } => match certificate_sha256 {
                Some(hex) if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    Err(ChainFault::BadFingerprint)
                }
                _ => Ok(()),
            },
        }
    }
}

impl ChainFile {
    /// A file with nothing but a source.
    pub fn new(network: Network, source: Source) -> Self {
        Self {
            v: VERSION,
            network,
            source,
            peers: Vec::new(),
            no_reserve: Vec::new(),
            lsps2: None,
            listen: None,
        }
    }

    /// Reads and checks a file's text for a wallet of `network`.
    ///
    /// # Errors
    /// If it is of another version or network, or something in it makes no sense.
    pub fn parse(bytes: &[u8], network: Network) -> Result<Self, ChainFault> {
        if bytes.len() > MAX_BYTES {
            return Err(ChainFault::Malformed("it is too long".into()));
        }
        let file: Self = serde_json::from_slice(bytes).map_err(|error| {
            // serde's message may quote what it read, which may be a password.
            ChainFault::Malformed(format!("line {}, column {}", error.line(), error.column()))
        })?;
        file.check(network)?;
        Ok(file)
    }

    /// Checks everything that can be checked without asking anyone.
    ///
    /// # Errors
    /// As [`ChainFile::parse`].
    pub fn check(&self, network: Network) -> Result<(), ChainFault> {
        if self.v != VERSION {
            return Err(ChainFault::Malformed(format!("it is of version {}", self.v)));
        }
        if self.network != network {
            return Err(ChainFault::OtherNetwork { found: self.network, asked: network });
        }
        if network == Network::Practice && !matches!(self.source, Source::Bitcoind { .. }) {
            return Err(ChainFault::PracticeSource);
        }
        self.source.check()?;
        if self.peers.len() > MAX_PEERS || self.no_reserve.len() > MAX_PEERS {
            return Err(ChainFault::TooManyPeers);
        }
        for peer in &self.peers {
            check_peer(peer)?;
        }
        if let Some(id) = self.no_reserve.iter().find(|id| !is_node_id(id)) {
            return Err(ChainFault::BadNodeId(shown(id)));
        }
        if let Some(lsps2) = &self.lsps2 {
            check_peer(&lsps2.node)?;
            if let Some(token) = &lsps2.token {
                text("the provider's token", token)?;
            }
        }
        match &self.listen {
            Some(listen) if listen.parse::<SocketAddr>().is_err() => {
                Err(ChainFault::BadListen(shown(listen)))
            }
            _ => Ok(()),
        }
    }
}

/// Splits `<node id>@<host>:<port>`.
///
/// # Errors
/// If it is not of that form. Whether the id is a point of the curve is not looked at.
pub fn check_peer(text: &str) -> Result<(&str, &str), ChainFault> {
    let bad = || ChainFault::BadPeer(shown(text));
    let (node_id, address) = text.split_once('@').ok_or_else(bad)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if !is_node_id(node_id) || !is_host(host) || !matches!(port.parse::<u16>(), Ok(1..)) {
        return Err(bad());
    }
    Ok((node_id, address))
}

fn is_node_id(text: &str) -> bool {
    text.len() == 66
        && (text.starts_with("02") || text.starts_with("03"))
        && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
        || (!text.is_empty()
            && text.len() <= 253
            && !text.starts_with(['-', '.'])
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')))
}

fn text(what: &'static str, text: &str) -> Result<(), ChainFault> {
    let length = text.chars().count();
    if length == 0 || length > MAX_TEXT_CHARS || text.chars().any(char::is_control) {
        return Err(ChainFault::BadText(what));
    }
    Ok(())
}

/// Outside text in an error: short and on one line.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// Encrypted scheme first; each with its usual port.
fn read_url(
    url: &str,
    schemes: [(&'static str, u16); 2],
    wanted: &'static str,
) -> Result<Server, ChainFault> {
    let bad = || ChainFault::BadUrl(shown(url), wanted);
    let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
    let place = schemes.iter().position(|(name, _)| scheme.eq_ignore_ascii_case(name));
    let place = place.ok_or_else(bad)?;
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, String::new()),
    };
    let path = path.trim_end_matches('/').to_owned();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b);
    if url.len() > MAX_TEXT_CHARS || !path.bytes().all(plain) {
        return Err(bad());
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(bad)?)),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().map_err(|_| bad())?,
        None => schemes[place].1,
    };
    if !is_host(host) || port == 0 {
        return Err(bad());
    }
    Ok(Server { tls: place == 0, host: host.to_owned(), port, path })
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A path may hold a key of the server's, and a login always does.
        match self.server() {
            Ok(server) => write!(f, "{} at {}", self.kind(), server.authority()),
            Err(_) => write!(f, "{} at no place", self.kind()),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::CookieFile(_) => "CookieFile",
        })
    }
}

impl fmt::Debug for Lsps2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lsps2({})", self.node)
    }
}

impl fmt::Debug for ChainFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainFile")
            .field("network", &self.network)
            .field("source", &self.source)
            .field("peers", &self.peers)
            .field("no_reserve", &self.no_reserve)
            .field("lsps2", &self.lsps2)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    fn bitcoind(host: &str) -> Source {
        let login = Login::Password { user: "u".into(), password: "hush".into() };
        Source::Bitcoind { host: host.into(), port: 8_332, login }
    }

    fn esplora(url: &str) -> Source {
        Source::Esplora { url: url.into(), certificate_sha256: None }
    }

    fn electrum(url: &str) -> Source {
        Source::Electrum { url: url.into(), certificate_sha256: None }
    }

    #[test]
    fn a_file_comes_back_as_it_was_written_and_hides_its_secrets() {
        let mut file = ChainFile::new(Network::Signet, bitcoind("127.0.0.1"));
        file.peers = vec![format!("{ID}@node.example:9735"), format!("{ID}@[::1]:1")];
        file.lsps2 = Some(Lsps2 { node: format!("{ID}@1.2.3.4:9735"), token: Some("tok".into()) });
        file.listen = Some("0.0.0.0:9735".into());
        let text = serde_json::to_vec(&file).unwrap();
        assert_eq!(ChainFile::parse(&text, Network::Signet).unwrap(), file);
        let shown = format!("{file:?}");
        assert!(!shown.contains("hush") && !shown.contains("tok\""), "{shown}");
        let other = ChainFile::parse(&text, Network::Mainnet).unwrap_err();
        assert!(matches!(other, ChainFault::OtherNetwork { .. }));
        let shown = format!("{:?}", esplora("https://x.example/key-1234"));
        assert!(!shown.contains("1234"), "{shown}");
    }

    #[test]
    fn what_an_error_says_is_not_the_password() {
        let text =
            r#"{"v":2,"network":"signet","source":{"kind":"bitcoind","host":"h","port":"hush"}}"#;
        let error = ChainFile::parse(text.as_bytes(), Network::Signet).unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
    }

    #[test]
    fn urls_are_read_whole_or_refused() {
        let server = esplora("https://example.com/api/").server().unwrap();
        assert_eq!((server.port, server.path.as_str()), (443, "/api"));
        assert_eq!(
            electrum("ssl://[2001:db8::1]:5").server().unwrap().authority(),
            "[2001:db8::1]:5"
        );
        assert_eq!(electrum("ssl://host.example").server().unwrap().port, 50_002);
        for bad in [
            "",
            "example.com",
            "ftp://x",
            "https://",
            "https://u:p@x",
            "https://x:0",
            "https://x:1:2",
            "https://x?y",
            "https://x/#y",
            "https://x/ y",
            "https://[::1",
            "https://[::1]x",
        ] {
            assert!(matches!(esplora(bad).server(), Err(ChainFault::BadUrl(..))), "{bad}");
        }
        assert!(electrum("ssl://x.example/path").server().is_err());
    }

    #[test]
    fn nothing_goes_open_over_the_internet() {
        for near in ["http://127.0.0.1:1", "http://192.168.1.2", "http://node", "http://a.local"] {
            assert!(esplora(near).server().is_ok(), "{near}");
        }
        for source in [
            esplora("http://8.8.8.8"),
            esplora("http://mempool.example"),
            electrum("tcp://electrum.example:50001"),
            bitcoind("node.example"),
        ] {
            assert!(matches!(source.server(), Err(ChainFault::Open(..))), "{source:?}");
        }
    }

    #[test]
    fn practice_has_one_kind_of_source() {
        let file = ChainFile::new(Network::Practice, esplora("http://127.0.0.1:1"));
        assert_eq!(file.check(Network::Practice), Err(ChainFault::PracticeSource));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,200}", tail in "\\PC{0,40}") {
            prop_assert!(ChainFile::parse(text.as_bytes(), Network::Signet).is_err());
            for url in [format!("https://{tail}"), format!("ssl://x{tail}"), text.clone()] {
                let _read = esplora(&url).server();
                let _read = electrum(&url).server();
            }
            let _read = check_peer(&text);
            let _read = check_peer(&format!("{ID}@{tail}"));
        }
    }
}
