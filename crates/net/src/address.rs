//! Which addresses are on the public internet, and which must never be dialled at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is, for one who dials it on a stranger's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// On the public internet.
    Public,
    /// This machine.
    Loopback,
    /// A private or shared network (RFC 1918, RFC 6598, RFC 4193).
    Private,
    /// Nobody's to dial: link-local (where clouds keep their metadata), unspecified, multicast,
    /// broadcast, reserved, documentation, benchmarking, transition.
    Never,
}

/// The reach of an address. IPv4 inside IPv6 (mapped, NAT64) counts as the IPv4 address.
pub fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

/// The IANA special-purpose registry for IPv4 (RFC 6890 and its updates).
fn reach_v4(ip: Ipv4Addr) -> Reach {
    match ip.octets() {
        [127, ..] => Reach::Loopback,
        [10, ..] | [192, 168, ..] => Reach::Private,
        [172, b, ..] if b & 0xf0 == 16 => Reach::Private,
        [100, b, ..] if b & 0xc0 == 64 => Reach::Private,
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [192, 31, 196, _] => Reach::Never,
        [192, 52, 193, _] | [192, 88, 99, _] | [192, 175, 48, _] => Reach::Never,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => Reach::Never,
        [224..=255, ..] => Reach::Never,
        _ => Reach::Public,
    }
}

/// The IANA special-purpose registry for IPv6: outside 2000::/3 nothing is public.
fn reach_v6(ip: Ipv6Addr) -> Reach {
    if let Some(mapped) = ip.to_ipv4_mapped() {
        return reach_v4(mapped);
    }
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            reach_v4(Ipv4Addr::new(a, b, c, d))
        }
        [first, ..] if first & 0xfe00 == 0xfc00 => Reach::Private,
        [0x2001, second, ..] if second < 0x0200 => Reach::Never,
        [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x2620, 0x004f, 0x8000, ..] => Reach::Never,
        [0x3fff, second, ..] if second < 0x1000 => Reach::Never,
        [first, ..] if first & 0xe000 == 0x2000 => Reach::Public,
        _ => Reach::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_registries() {
        let cases = [
            ("1.1.1.1", Reach::Public),
            ("172.15.255.255", Reach::Public),
            ("172.32.0.0", Reach::Public),
            ("100.63.255.255", Reach::Public),
            ("100.128.0.0", Reach::Public),
            ("223.255.255.255", Reach::Public),
            ("127.0.0.1", Reach::Loopback),
            ("127.255.255.255", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("10.0.0.1", Reach::Private),
            ("172.16.0.1", Reach::Private),
            ("172.31.255.255", Reach::Private),
            ("192.168.1.1", Reach::Private),
            ("100.100.100.200", Reach::Private),
            ("fd00:ec2::254", Reach::Private),
            ("::ffff:192.168.1.1", Reach::Private),
            ("64:ff9b::a00:1", Reach::Private),
            ("64:ff9b::101:101", Reach::Public),
            ("2606:4700:4700::1111", Reach::Public),
            ("0.0.0.0", Reach::Never),
            ("169.254.169.254", Reach::Never),
            ("::ffff:169.254.169.254", Reach::Never),
            ("192.0.2.1", Reach::Never),
            ("198.19.0.1", Reach::Never),
            ("224.0.0.1", Reach::Never),
            ("255.255.255.255", Reach::Never),
            ("::", Reach::Never),
            ("::7f00:1", Reach::Never),
            ("fe80::1", Reach::Never),
            ("fec0::1", Reach::Never),
            ("ff02::1", Reach::Never),
            ("2001::1", Reach::Never),
            ("2001:db8::1", Reach::Never),
            ("2002:7f00:1::", Reach::Never),
            ("64:ff9b:1::a00:1", Reach::Never),
            ("100::1", Reach::Never),
            ("3fff::1", Reach::Never),
        ];
        for (text, expected) in cases {
            assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn mapped_is_the_same_and_std_agrees(bits in any::<u32>()) {
            let ip = Ipv4Addr::from(bits);
            let direct = reach(ip.into());
            prop_assert_eq!(reach(ip.to_ipv6_mapped().into()), direct);
            let is_special = ip.is_private() || ip.is_loopback() || ip.is_link_local()
                || ip.is_multicast() || ip.is_broadcast() || ip.is_unspecified()
                || ip.is_documentation();
            prop_assert!(!(is_special && direct == Reach::Public));
        }

        #[test]
        fn nothing_local_in_ipv6_is_public(bits in any::<u128>()) {
            let ip = Ipv6Addr::from(bits);
            let is_special = ip.is_loopback() || ip.is_multicast() || ip.is_unspecified()
                || ip.is_unique_local() || ip.is_unicast_link_local();
            prop_assert!(!(is_special && reach(ip.into()) == Reach::Public));
        }
    }
}
