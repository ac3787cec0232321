//! Tests of the gate.

use super::*;
use proptest::prelude::*;
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Mutex,
};

/// Answers every name with the same addresses and remembers what was asked.
struct Fixed {
    answer: Vec<IpAddr>,
    asked: Mutex<Vec<String>>,
}

impl Resolver for Fixed {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let answer = self.answer.clone();
        Box::pin(async move { Ok(answer) })
    }
}

fn gate_to(answer: &[&str]) -> (Egress, Arc<Fixed>) {
    let answer = answer.iter().map(|ip| ip.parse().unwrap()).collect();
    let fixed = Arc::new(Fixed { answer, asked: Mutex::default() });
    let config = EgressConfig { resolver: fixed.clone(), ..EgressConfig::default() };
    (Egress::new(config), fixed)
}

fn admit(gate: &Egress, url: &str) -> Result<Gate, GateError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(gate.admit(url))
}

#[test]
fn the_public_internet_is_open_with_tls_only() {
    let (gate, _) = gate_to(&["1.1.1.1", "2606:4700::1"]);
    let admitted = admit(&gate, "https://Blobs.Example.com./x?y#z").unwrap();
    let addresses: Vec<String> = admitted.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["1.1.1.1:443", "[2606:4700::1]:443"]);
    assert!(admit(&gate, "wss://relay.example.com:7777").is_ok());
    assert!(admit(&gate, "https://9.9.9.9/").is_ok());
    for url in ["http://blobs.example.com/", "ws://relay.example.com", "http://9.9.9.9/"] {
        assert!(matches!(admit(&gate, url), Err(GateError::Cleartext { .. })), "{url}");
    }
    for url in ["ftp://a.com/", "file:///etc/passwd", "data:,x", "javascript:1", "gopher://a.com"] {
        let refused = admit(&gate, url);
        assert!(
            matches!(refused, Err(GateError::Scheme { .. } | GateError::BadUrl { .. })),
            "{url}"
        );
    }
    let refused = admit(&gate, "https://a.com:22/");
    assert_eq!(refused, Err(GateError::Port { port: 22 }));
    let long = format!("https://a.com/{}", "x".repeat(5000));
    assert!(matches!(admit(&gate, &long), Err(GateError::BadUrl { .. })));
}

#[test]
fn every_spelling_of_a_local_address_is_refused() {
    let (gate, fixed) = gate_to(&["1.1.1.1"]);
    let spellings = [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://0x7f.1/",
        "https://127.0.0.1./",
        "https://①②⑦.0.0.1/",
        "https://127.0.0.1:8443/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[0:0:0:0:0:ffff:10.0.0.1]/",
        "https://[64:ff9b::10.0.0.1]/",
        "https://10.0.0.1/",
        "https://192.168.0.1/",
        "https://172.16.0.1/",
        "https://100.64.0.1/",
        "https://[fd00::1]/",
    ];
    for url in spellings {
        let refused = admit(&gate, url);
        assert!(matches!(refused, Err(GateError::NotPublic { .. })), "{url}: {refused:?}");
    }
    for url in [
        "https://0.0.0.0/",
        "https://0/",
        "https://169.254.169.254/latest/meta-data/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://[fe80::1]/",
        "https://[::]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[::127.0.0.1]/",
        "https://[2002:7f00:1::]/",
        "https://255.255.255.255/",
    ] {
        let refused = admit(&gate, url);
        assert!(matches!(refused, Err(GateError::Never { .. })), "{url}: {refused:?}");
    }
    for url in [
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://printer/",
        "https://nas.local/",
        "https://metadata.google.internal/",
        "https://1.0.0.127.in-addr.arpa/",
    ] {
        let refused = admit(&gate, url);
        assert!(matches!(refused, Err(GateError::LocalName { .. })), "{url}: {refused:?}");
    }
    assert!(fixed.asked.lock().unwrap().is_empty(), "no stranger's local name is looked up");
}

#[test]
fn tricks_with_the_user_part_do_not_hide_the_host() {
    let (gate, _) = gate_to(&["1.1.1.1"]);
    for url in ["https://a.com@127.0.0.1/", "https://a.com:x@127.0.0.1/", "https://me@a.com/"] {
        assert_eq!(admit(&gate, url), Err(GateError::UserInfo), "{url}");
    }
    for url in ["https://127.0.0.1\\@a.com/", "https:\\\\127.0.0.1\\", "https:127.0.0.1/"] {
        let refused = admit(&gate, url);
        assert!(matches!(refused, Err(GateError::NotPublic { .. })), "{url}: {refused:?}");
    }
    for url in
        ["https://", "https:///", "https://[::1", "https://a..com.../", "", "a.com", "//a.com"]
    {
        assert!(admit(&gate, url).is_err(), "{url}");
    }
}

#[test]
fn a_name_that_leads_home_is_refused_even_among_others() {
    for answer in [&["10.0.0.1"][..], &["1.1.1.1", "127.0.0.1"], &["1.1.1.1", "::ffff:10.1.2.3"]] {
        let (gate, _) = gate_to(answer);
        let refused = admit(&gate, "https://rebind.attacker.com/");
        assert!(matches!(refused, Err(GateError::NotPublic { .. })), "{answer:?}: {refused:?}");
    }
    let (gate, _) = gate_to(&["169.254.169.254"]);
    gate.trust("https://rebind.attacker.com/").unwrap();
    let refused = admit(&gate, "https://rebind.attacker.com/");
    assert!(matches!(refused, Err(GateError::Never { .. })), "trust does not reach metadata");
    let (gate, _) = gate_to(&[]);
    assert!(matches!(admit(&gate, "https://a.com/"), Err(GateError::Unresolved { .. })));
}

#[test]
fn the_operator_may_name_what_is_at_home() {
    let (gate, _) = gate_to(&["127.0.0.1"]);
    gate.trust("ws://127.0.0.1:7000/any").unwrap();
    assert!(admit(&gate, "http://127.0.0.1:7000/other").is_ok());
    assert!(admit(&gate, "http://127.1:7000/").is_ok());
    assert!(admit(&gate, "http://127.0.0.1:7001/").is_err());
    assert!(admit(&gate, "http://127.0.0.2:7000/").is_err());
    gate.trust("http://localhost:7002").unwrap();
    assert!(admit(&gate, "http://LocalHost.:7002/").is_ok());
    gate.trust("https://192.168.1.5").unwrap();
    assert!(admit(&gate, "https://192.168.1.5/").is_ok());
    gate.trust("http://192.168.1.6:3000").unwrap();
    let refused = admit(&gate, "http://192.168.1.6:3000/");
    assert!(matches!(refused, Err(GateError::Cleartext { .. })), "not over the air in the clear");
    gate.distrust("http://127.0.0.1:7000").unwrap();
    assert!(admit(&gate, "http://127.0.0.1:7000/").is_err());
    let onion = admit(&gate, "https://abcdef.onion/");
    assert!(matches!(onion, Err(GateError::Onion { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_notation_of_a_private_address_passes(bits in any::<u32>(), style in 0..8, at in 0_usize..5) {
        let homes = [0x7f00_0000_u32, 0x0a00_0000, 0xc0a8_0000, 0xac10_0000, 0xa9fe_0000];
        let masks = [8_u32, 8, 16, 12, 16];
        let ip = Ipv4Addr::from(homes[at] | (bits & (u32::MAX >> masks[at])));
        let [a, b, c, d] = ip.octets();
        let n = u32::from(ip);
        let host = match style {
            0 => ip.to_string(),
            1 => n.to_string(),
            2 => format!("0x{n:x}"),
            3 => format!("0{n:o}"),
            4 => format!("0{a:o}.0x{b:x}.{c}.0{d:o}"),
            5 => format!("{a}.{}.", n & 0xff_ffff),
            6 => format!("[::ffff:{ip}]"),
            _ => format!("[{}]", ip.to_ipv6_mapped()),
        };
        let (gate, _) = gate_to(&["1.1.1.1"]);
        let url = format!("https://{host}/x");
        let refused = admit(&gate, &url);
        prop_assert!(
            matches!(refused, Err(GateError::NotPublic { .. } | GateError::Never { .. })),
            "{url}: {refused:?}"
        );
    }

    #[test]
    fn what_passes_is_public_and_encrypted(
        scheme in "(https?|wss?|ftp)", user in "([a-z]{1,3}(:[a-z]{1,3})?@)?",
        host in "([a-z0-9.\\-]{1,24}|[0-9a-fx.]{1,16}|\\[[0-9a-f:.]{2,24}\\])",
        port in "(:[0-9]{1,5})?", path in "[/\\\\]?[ -~]{0,16}", v4 in any::<u32>(), v6 in any::<u128>(),
    ) {
        let answer: Vec<IpAddr> = vec![Ipv4Addr::from(v4).into(), Ipv6Addr::from(v6).into()];
        let fixed = Arc::new(Fixed { answer, asked: Mutex::default() });
        let config = EgressConfig { resolver: fixed, ..EgressConfig::default() };
        let url = format!("{scheme}://{user}{host}{port}{path}");
        if let Ok(gate) = admit(&Egress::new(config), &url) {
            prop_assert!(matches!(gate.url.scheme(), "https" | "wss"));
            prop_assert!(gate.url.username().is_empty());
            for address in gate.addresses {
                prop_assert_eq!(reach(address.ip()), Reach::Public);
            }
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,100}") {
        let (gate, _) = gate_to(&["1.1.1.1"]);
        let _ = (admit(&gate, &text), gate.trust(&text), gate.distrust(&text));
    }
}
