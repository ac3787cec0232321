//! The forms in which an LNURL or a lightning address is written down, and the URL behind each.

use domain::{Network, Sha256Hash};
use url::{Host, Url};

use super::super::{Kind, Payable, PayableError, bech32m};
use bech32m::LongBech32;

const LNURL: &str = "LNURL";
const ADDRESS: &str = "lightning address";
/// A longer one would not fit into what is fetched.
const MAX_URL_LEN: usize = 2_048;

/// Reads `lnurl1…` (LUD-01), or after `lnurl:` also a plain URL.
pub(in super::super) fn read_bech32(text: &str, network: Network) -> Result<Payable, PayableError> {
    let malformed = |why: &'static str| PayableError::malformed(LNURL, why);
    let (hrp, bytes) = bech32m::decode_long(text).map_err(malformed)?;
    if hrp != "lnurl" {
        return Err(malformed("it does not begin as one does"));
    }
    let url = String::from_utf8(bytes).map_err(|_| malformed("what it holds is no web address"))?;
    from_url(&url, network)
}

/// Reads what follows `lnurlp:` (LUD-17): a web address without its scheme, or an LNURL.
pub(in super::super) fn read_scheme(rest: &str, network: Network) -> Result<Payable, PayableError> {
    if rest.to_ascii_lowercase().starts_with("lnurl1") {
        return read_bech32(rest, network);
    }
    if rest.contains('@') {
        return read_address(rest, network);
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let url = Url::parse(&format!("http://{host}"));
    let is_here = url.is_ok_and(|url| is_loopback(&url)) && !network_has_names(network);
    from_url(&format!("{}://{rest}", if is_here { "http" } else { "https" }), network)
}

/// Reads a web link that carries an LNURL for wallets (LUD-01's fallback); any other is refused.
pub(in super::super) fn read_web_link(
    text: &str,
    network: Network,
) -> Result<Payable, PayableError> {
    let url = Url::parse(text).map_err(|_| PayableError::Unknown)?;
    let carried = url
        .query_pairs()
        .find(|(key, _)| key.eq_ignore_ascii_case("lightning"))
        .map(|(_, value)| value.into_owned());
    match carried {
        Some(text) => read_bech32(text.trim(), network),
        None => Err(PayableError::NotToPay { what: "a web page" }),
    }
}

/// Reads `user@host` (LUD-16).
pub(in super::super) fn read_address(
    text: &str,
    network: Network,
) -> Result<Payable, PayableError> {
    let malformed = |why: &'static str| PayableError::malformed(ADDRESS, why);
    if text.starts_with('₿') {
        let why = "it is to be looked up in the DNS (BIP 353), which this wallet can't check";
        return Err(PayableError::Unsupported { what: "₿ address", why });
    }
    let text = text.to_ascii_lowercase();
    let (user, host) = text.split_once('@').ok_or_else(|| malformed("it has no @"))?;
    let is_user = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    if user.is_empty() || user.len() > 128 || !user.chars().all(is_user) {
        return Err(malformed("what stands before its @ is no user's name"));
    }
    if user.chars().all(|c| c == '.') {
        return Err(malformed("what stands before its @ is no user's name"));
    }
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    if host.is_empty() || host.len() > 253 || !host.chars().all(is_host) {
        return Err(malformed("what stands after its @ is no host"));
    }
    let found = read_scheme(&format!("{host}/.well-known/lnurlp/{user}"), network)?;
    // The one spelling is that of the host in the URL, so that no two texts name one address.
    let url = found.url.as_deref().and_then(|url| Url::parse(url).ok());
    let host = url.as_ref().map(authority).ok_or_else(|| malformed("its host is none"))?;
    let address = format!("{user}@{host}");
    Ok(Payable { kind: Kind::LightningAddress, payee: address.clone(), text: address, ..found })
}

/// What a checked URL is to who pays: the LNURL in lower case; and its host, with so much of the
/// URL's hash that nobody else of the same host passes for it.
fn from_url(text: &str, network: Network) -> Result<Payable, PayableError> {
    let malformed = |why: &'static str| PayableError::malformed(LNURL, why);
    let url = admit(text, network).map_err(malformed)?;
    if url.query_pairs().any(|(key, value)| key == "tag" && value == "login") {
        return Err(PayableError::NotToPay { what: "a login" });
    }
    let text = bech32m::encode::<LongBech32>("lnurl", url.as_str().as_bytes())
        .ok_or_else(|| malformed("it is too long"))?;
    let hash = Sha256Hash::of(url.as_str().as_bytes());
    let id: u64 = hash.as_bytes().iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
    let payee = format!("{} (LNURL {id:016x})", authority(&url));
    Ok(Payable { url: Some(url.into()), ..Payable::new(Kind::Lnurl, text, payee) })
}

/// A URL that may be fetched as far as its text says: `https`, nobody's password, no fragment. On
/// this machine also `http`, for practice and tests; the egress gate has the last word.
pub(super) fn admit(text: &str, network: Network) -> Result<Url, &'static str> {
    if text.len() > MAX_URL_LEN {
        return Err("it is too long");
    }
    let url = Url::parse(text).map_err(|_| "it is no web address")?;
    let host = url.host_str().ok_or("it names no host")?;
    if host.trim_end_matches('.').ends_with(".onion") {
        return Err("it is reached through Tor, which is not set up");
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) && !network_has_names(network) => {}
        "http" => return Err("it is not encrypted (https)"),
        _ => return Err("it is no web address (https)"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it carries a user's name or password");
    }
    if url.fragment().is_some() {
        return Err("it has a fragment");
    }
    Ok(url)
}

/// Whether who gets money on this network is somewhere else than on this machine.
const fn network_has_names(network: Network) -> bool {
    matches!(network, Network::Mainnet | Network::Signet)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The host, with its port where that is not the usual one.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
