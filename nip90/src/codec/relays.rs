//! Which relays a stranger may make us publish to: public ones over TLS, and few of them.

use nostr::types::url::{Host, RelayUrl, RelayUrlScheme};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most relays of one request that are published to, beside our own.
pub const MAX_EXTRA_RELAYS: usize = 4;
/// The longest relay URL that is looked at.
pub const MAX_RELAY_URL_BYTES: usize = 200;

/// The relays a request names that we publish to beside our `own`: at most [`MAX_EXTRA_RELAYS`],
/// `wss` to a public host only. Plain `ws` to loopback passes where `loopback` says that the
/// network is a test one. A host name may still resolve to a private address: who connects checks
/// the address again.
pub fn publishable(named: &[String], own: &[String], loopback: bool) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for url in named {
        let fresh = |url: &String| {
            !own.iter().chain(&found).any(|known| same_relay(known, url)) && allowed(url, loopback)
        };
        if found.len() < MAX_EXTRA_RELAYS && fresh(url) {
            found.push(url.clone());
        }
    }
    found
}

/// Whether two URLs name the same relay, whatever their letter case and trailing slash.
pub fn same_relay(one: &str, other: &str) -> bool {
    match (RelayUrl::parse(one), RelayUrl::parse(other)) {
        (Ok(one), Ok(other)) => {
            one.as_str_without_trailing_slash() == other.as_str_without_trailing_slash()
        }
        _ => one == other,
    }
}

fn allowed(url: &str, loopback: bool) -> bool {
    if url.len() > MAX_RELAY_URL_BYTES || url.contains('@') {
        return false;
    }
    let Ok(url) = RelayUrl::parse(url) else { return false };
    let (address, name) = match url.host() {
        Some(Host::Ipv4(address)) => (Some(IpAddr::V4(address)), None),
        Some(Host::Ipv6(address)) => (Some(IpAddr::V6(address)), None),
        Some(Host::Domain(name)) => (None, Some(name)),
        None => return false,
    };
    if address.is_some_and(|address| address.is_loopback()) {
        return loopback;
    }
    let public = match (address, name) {
        (Some(address), _) => is_public(address),
        (None, Some(name)) => is_public_name(name),
        (None, None) => false,
    };
    public && url.scheme() == RelayUrlScheme::Wss
}

fn is_public_name(name: &str) -> bool {
    const PRIVATE: [&str; 7] =
        ["localhost", "local", "internal", "lan", "home", "home.arpa", "onion"];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let private = PRIVATE
        .iter()
        .any(|end| name == *end || name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.')));
    name.contains('.') && !private
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4() {
            Some(address) => is_public_v4(address),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (b == 18 || b == 19);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || shared
        || benchmark)
}

/// Only 2000::/3 is global unicast; of it 6to4 and NAT64-like ranges could hide a private one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let global = first & 0xe000 == 0x2000;
    let documentation = first == 0x2001 && second == 0xdb8;
    let tunnel = first == 0x2002 || (first == 0x2001 && second == 0);
    global && !documentation && !tunnel
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pass(url: &str) -> bool {
        publishable(&[url.into()], &[], false).len() == 1
    }

    #[test]
    fn p04_publishes_to_public_relays_of_the_request_only() {
        for good in ["wss://relay.example.com", "wss://9.9.9.9:443/", "wss://[2606:4700::1111]"] {
            assert!(pass(good), "{good}");
        }
        for bad in [
            "ws://relay.example.com",
            "wss://localhost",
            "wss://intranet",
            "wss://nas.local",
            "wss://x.internal.",
            "wss://127.0.0.1",
            "wss://127.1",
            "wss://0x7f000001",
            "wss://10.0.0.1",
            "wss://192.168.1.1",
            "wss://169.254.169.254",
            "wss://100.64.0.1",
            "wss://0.0.0.0",
            "wss://[::1]",
            "wss://[::ffff:10.0.0.1]",
            "wss://[fe80::1]",
            "wss://[fd00::1]",
            "wss://[2002:0a00:0001::1]",
            "wss://user@relay.example.com",
            "http://relay.example.com",
            "wss://",
            "",
        ] {
            assert!(!pass(bad), "{bad}");
        }
    }

    #[test]
    fn p04_loopback_only_on_a_test_network_and_never_our_own_twice() {
        let named = ["ws://127.0.0.1:7777".to_owned(), "WSS://Relay.Example.com/".to_owned()];
        assert_eq!(publishable(&named, &[], true), named);
        assert_eq!(publishable(&named, &["wss://relay.example.com".into()], false), [""; 0]);
    }

    #[test]
    fn p04_takes_at_most_k_relays() {
        let many: Vec<String> = (0..50).map(|n| format!("wss://r{n}.example.com")).collect();
        assert_eq!(publishable(&many, &[], false), many[..MAX_EXTRA_RELAYS]);
    }

    proptest! {
        #[test]
        fn never_panics_and_never_exceeds_the_cap(named in proptest::collection::vec(".{0,60}|wss?://[a-z0-9.:\\[\\]@/]{0,40}", 0..12)) {
            let found = publishable(&named, &[], false);
            prop_assert!(found.len() <= MAX_EXTRA_RELAYS);
            prop_assert!(found.iter().all(|url| url.to_ascii_lowercase().starts_with("wss://")));
        }
    }
}
