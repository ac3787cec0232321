//! The egress gate: the single place that decides which URL may be fetched, and at which address.
//!
//! What anybody names must be `https` (or `wss`) on the public internet. What the operator named
//! may also be on a private network or on this machine, and on this machine without TLS. The
//! addresses that were checked are the ones that are dialled, so that no second look at the DNS can
//! lead elsewhere.

use relay::{BoxFuture, tls};
use rustls::ClientConfig;
use std::{
    collections::HashSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use url::{Host, Url};

use crate::address::{Reach, reach};

/// Why a URL is not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    #[error("{url:?} is not a web address")]
    BadUrl { url: String },
    #[error("{scheme}:// is not fetched; only https:// and wss:// are")]
    Scheme { scheme: String },
    #[error(
        "{host} would be reached without encryption; only what the operator named on this machine may be"
    )]
    Cleartext { host: String },
    #[error("an address must not carry a user name or password")]
    UserInfo,
    #[error("port {port} belongs to another service")]
    Port { port: u16 },
    #[error("{host} is a name of the local network, which strangers don't choose")]
    LocalName { host: String },
    #[error(
        "{host} leads to {ip}, which is not on the public internet; the operator can allow the host"
    )]
    NotPublic { host: String, ip: IpAddr },
    #[error("{host} leads to {ip}, an address that nothing may be fetched from")]
    Never { host: String, ip: IpAddr },
    #[error("{host} is reached through Tor, which is not set up")]
    Onion { host: String },
    #[error("the name {host} was not found: {detail}")]
    Unresolved { host: String, detail: String },
}

/// Looks names up.
pub trait Resolver: Send + Sync {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A host with its port, as the operator names one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Authority {
    host: String,
    port: u16,
}

/// How the gate looks names up, encrypts and waits.
pub struct EgressConfig {
    pub resolver: Arc<dyn Resolver>,
    pub tls: Arc<ClientConfig>,
    /// For looking a name up, and for each address that is dialled.
    pub connect_timeout: Duration,
    /// The longest silence while something is read or written.
    pub stall_timeout: Duration,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            resolver: Arc::new(SystemResolver),
            tls: tls::client_config(),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(20),
        }
    }
}

/// The gate. Clones are the same gate.
#[derive(Clone)]
pub struct Egress {
    pub(crate) config: Arc<EgressConfig>,
    trusted: Arc<RwLock<HashSet<Authority>>>,
}

/// A URL that passed the gate, with the addresses it may be fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    pub url: Url,
    pub addresses: Vec<SocketAddr>,
}

impl Default for Egress {
    fn default() -> Self {
        Self::new(EgressConfig::default())
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("trusted", &self.trusted).finish_non_exhaustive()
    }
}

impl Egress {
    /// No DNS answer worth dialling has more.
    const MOST_ADDRESSES: usize = 16;
    const LONGEST_URL: usize = 4096;

    pub fn new(config: EgressConfig) -> Self {
        Self { config: Arc::new(config), trusted: Arc::default() }
    }

    /// The operator names this host and port, by any URL on it: it may be private or local.
    pub fn trust(&self, url: &str) -> Result<(), GateError> {
        let authority = authority(&parse(url)?)?;
        self.trusted.write().unwrap_or_else(PoisonError::into_inner).insert(authority);
        Ok(())
    }

    /// A gate of its own that also trusts the host and port of `url`; this one stays as it is.
    pub fn also_trusting(&self, url: &str) -> Result<Self, GateError> {
        let trusted = self.trusted.read().unwrap_or_else(PoisonError::into_inner).clone();
        let wider =
            Self { config: Arc::clone(&self.config), trusted: Arc::new(RwLock::new(trusted)) };
        wider.trust(url)?;
        Ok(wider)
    }

    /// The operator no longer names this host and port.
    pub fn distrust(&self, url: &str) -> Result<(), GateError> {
        let authority = authority(&parse(url)?)?;
        self.trusted.write().unwrap_or_else(PoisonError::into_inner).remove(&authority);
        Ok(())
    }

    fn is_trusted(&self, authority: &Authority) -> bool {
        self.trusted.read().unwrap_or_else(PoisonError::into_inner).contains(authority)
    }

    /// Decides on a URL: everything about it, then every address its name leads to.
    pub async fn admit(&self, url: &str) -> Result<Gate, GateError> {
        self.admit_url(parse(url)?).await
    }

    pub(crate) async fn admit_url(&self, url: Url) -> Result<Gate, GateError> {
        let authority = authority(&url)?;
        let is_trusted = self.is_trusted(&authority);
        let is_encrypted = check_scheme(&url, &authority, is_trusted)?;
        let ips = match url.host() {
            Some(Host::Ipv4(ip)) => vec![ip.into()],
            Some(Host::Ipv6(ip)) => vec![ip.into()],
            _ => {
                if !is_trusted {
                    check_name(&authority.host)?;
                }
                self.resolve(&authority.host).await?
            }
        };
        for ip in &ips {
            check_ip(&authority, *ip, is_trusted, is_encrypted)?;
        }
        let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, authority.port)).collect();
        Ok(Gate { url, addresses })
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, GateError> {
        let unresolved = |detail: String| GateError::Unresolved { host: host.to_owned(), detail };
        let answer = timeout(self.config.connect_timeout, self.config.resolver.resolve(host)).await;
        let mut ips = match answer {
            Err(_) => return Err(unresolved("no answer in time".to_owned())),
            Ok(Err(error)) => return Err(unresolved(error.to_string())),
            Ok(Ok(ips)) => ips,
        };
        if ips.is_empty() {
            return Err(unresolved("it has no address".to_owned()));
        }
        ips.truncate(Self::MOST_ADDRESSES);
        Ok(ips)
    }

    /// Dials the addresses of an admitted URL, one after the other.
    pub(crate) async fn dial(&self, gate: &Gate) -> io::Result<TcpStream> {
        let mut failure = io::Error::other("there is no address to dial");
        for address in &gate.addresses {
            match timeout(self.config.connect_timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failure)
    }
}

impl Gate {
    /// Whether all of it is on the public internet, or it is the host and port of `home`.
    pub(crate) fn check_inward(&self, home: &Url) -> Result<(), GateError> {
        if authority(&self.url)? == authority(home)? {
            return Ok(());
        }
        let inward = self.addresses.iter().find(|at| reach(at.ip()) != Reach::Public);
        inward.map_or(Ok(()), |at| {
            let host = self.url.host_str().unwrap_or_default().to_owned();
            Err(GateError::NotPublic { host, ip: at.ip() })
        })
    }
}

fn parse(text: &str) -> Result<Url, GateError> {
    let bad = || GateError::BadUrl { url: text.chars().take(200).collect() };
    if text.len() > Egress::LONGEST_URL {
        return Err(bad());
    }
    Url::parse(text).map_err(|_| bad())
}

/// The host in its one spelling (lower case, no trailing dot; numbers in any notation are already
/// an address after parsing) with its port.
fn authority(url: &Url) -> Result<Authority, GateError> {
    let bad = || GateError::BadUrl { url: url.as_str().chars().take(200).collect() };
    let host = match url.host().ok_or_else(bad)? {
        Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => ip.to_string(),
    };
    let port = url.port_or_known_default().ok_or_else(bad)?;
    if host.is_empty() || host.ends_with('.') || port == 0 {
        return Err(bad());
    }
    Ok(Authority { host, port })
}

/// Whether the scheme encrypts; or why it is not allowed here.
fn check_scheme(url: &Url, authority: &Authority, is_trusted: bool) -> Result<bool, GateError> {
    let is_encrypted = match url.scheme() {
        "https" | "wss" => true,
        "http" | "ws" => false,
        scheme => return Err(GateError::Scheme { scheme: scheme.to_owned() }),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(GateError::UserInfo);
    }
    if authority.host.ends_with(".onion") {
        return Err(GateError::Onion { host: authority.host.clone() });
    }
    if !is_encrypted && !is_trusted {
        return Err(GateError::Cleartext { host: authority.host.clone() });
    }
    if !is_trusted && authority.port < 1024 && !matches!(authority.port, 80 | 443) {
        return Err(GateError::Port { port: authority.port });
    }
    Ok(is_encrypted)
}

/// Names that mean something else in each network (RFC 6761, RFC 6762, RFC 8375), and names
/// without a dot, are not even looked up for a stranger.
fn check_name(host: &str) -> Result<(), GateError> {
    let top = host.rsplit('.').next().unwrap_or(host);
    let is_local = !host.contains('.')
        || matches!(
            top,
            "local"
                | "localhost"
                | "internal"
                | "lan"
                | "home"
                | "corp"
                | "intranet"
                | "test"
                | "example"
                | "invalid"
                | "alt"
                | "arpa"
        );
    if is_local { Err(GateError::LocalName { host: host.to_owned() }) } else { Ok(()) }
}

fn check_ip(
    authority: &Authority,
    ip: IpAddr,
    is_trusted: bool,
    is_encrypted: bool,
) -> Result<(), GateError> {
    let host = || authority.host.clone();
    match reach(ip) {
        Reach::Never => Err(GateError::Never { host: host(), ip }),
        Reach::Loopback if is_trusted => Ok(()),
        _ if !is_encrypted => Err(GateError::Cleartext { host: host() }),
        Reach::Private if is_trusted => Ok(()),
        Reach::Loopback | Reach::Private => Err(GateError::NotPublic { host: host(), ip }),
        Reach::Public => Ok(()),
    }
}

#[cfg(test)]
mod tests;
