//! Tests of the address policy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Addresses that Svix's own test refuses (svix-webhooks, `server/svix-server/src/core/webhook_http_client.rs`,
/// `is_allowed_test`), as of 0453fac.
const SVIX_CLOSED: [&str; 19] = [
    "10.254.0.0",
    "192.168.10.65",
    "172.16.10.65",
    "0.1.2.3",
    "0.0.0.0",
    "127.0.0.1",
    "169.254.45.1",
    "255.255.255.255",
    "192.0.2.255",
    "198.51.100.65",
    "203.0.113.6",
    "100.100.0.0",
    "192.0.0.0",
    "192.0.0.255",
    "250.10.20.30",
    "198.18.0.0",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.1",
];

/// Addresses that it allows, and whether this policy does: embedded IPv4 and unassigned addresses are refused
/// here.
const SVIX_OPEN: [(&str, bool); 4] =
    [("1.1.1.1", true), ("2001:4860:4860::8888", true), ("::ffff:8.8.8.8", false), ("0:0:0:ffff::1", false)];

#[test]
fn addresses_that_svix_refuses_are_refused() {
    for address in SVIX_CLOSED {
        assert!(!AddressPolicy::Public.admits(ip(address)), "{address}");
    }
    for (address, is_open) in SVIX_OPEN {
        assert_eq!(AddressPolicy::Public.admits(ip(address)), is_open, "{address}");
    }
}

/// Targets of known attacks: clouds' metadata and credentials, and their spellings in IPv6.
#[test]
fn targets_of_known_attacks_are_refused() {
    for address in [
        // EC2, ECS, EKS Pod Identity, Time Sync, EC2's IPv6.
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "169.254.169.123",
        "fd00:ec2::254",
        "fd00:ec2::23",
        // Alibaba, Oracle.
        "100.100.100.200",
        "192.0.0.192",
        // 169.254.169.254 as IPv4-mapped, -compatible and -translated, NAT64 (both), 6to4, Teredo, ISATAP.
        "::ffff:a9fe:a9fe",
        "::a9fe:a9fe",
        "::ffff:0:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "2001:0:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:5601:5601",
        "fe80::5efe:a9fe:a9fe",
        // Discard-only, dummy, SRv6, drones, ORCHID, site local, multicast, unique local.
        "100::1",
        "100:0:0:1::1",
        "5f00::1",
        "2001:30::1",
        "2001:20::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "fc00::1",
        "224.0.0.1",
        "239.255.255.250",
        "192.88.99.1",
    ] {
        assert!(!AddressPolicy::Public.admits(ip(address)), "{address}");
        assert!(!AddressPolicy::AndLoopback.admits(ip(address)), "{address}");
    }
    for address in ["8.8.8.8", "93.184.215.14", "52.95.110.1", "2606:4700::1111", "2a00:1450:4001::1"] {
        assert!(AddressPolicy::Public.admits(ip(address)), "{address}");
        assert!(AddressPolicy::AndLoopback.admits(ip(address)), "{address}");
    }
}

/// A special block: its first and last address, and whether the addresses beside it are allowed.
type AddressRow = (&'static str, &'static str, bool, bool);

/// The IANA IPv4 Special-Purpose Address Registry, row by row, including nested blocks; and multicast.
const REGISTRY4: [AddressRow; 26] = [
    ("0.0.0.0", "0.255.255.255", false, true),
    ("0.0.0.0", "0.0.0.0", false, false),
    ("10.0.0.0", "10.255.255.255", true, true),
    ("100.64.0.0", "100.127.255.255", true, true),
    ("127.0.0.0", "127.255.255.255", true, true),
    ("169.254.0.0", "169.254.255.255", true, true),
    ("172.16.0.0", "172.31.255.255", true, true),
    ("192.0.0.0", "192.0.0.255", true, true),
    ("192.0.0.0", "192.0.0.7", true, false),
    ("192.0.0.8", "192.0.0.8", false, false),
    ("192.0.0.9", "192.0.0.9", false, false),
    ("192.0.0.10", "192.0.0.10", false, false),
    ("192.0.0.170", "192.0.0.170", false, false),
    ("192.0.0.171", "192.0.0.171", false, false),
    ("192.0.2.0", "192.0.2.255", true, true),
    ("192.31.196.0", "192.31.196.255", true, true),
    ("192.52.193.0", "192.52.193.255", true, true),
    ("192.88.99.0", "192.88.99.255", true, true),
    ("192.168.0.0", "192.168.255.255", true, true),
    ("192.175.48.0", "192.175.48.255", true, true),
    ("198.18.0.0", "198.19.255.255", true, true),
    ("198.51.100.0", "198.51.100.255", true, true),
    ("203.0.113.0", "203.0.113.255", true, true),
    ("224.0.0.0", "239.255.255.255", true, false),
    ("240.0.0.0", "255.255.255.255", false, false),
    ("255.255.255.255", "255.255.255.255", false, false),
];

/// The IANA IPv6 Special-Purpose Address Registry; site local, multicast, and the limits of global unicast.
const REGISTRY6: [AddressRow; 29] = [
    ("::", "::", false, false),
    ("::1", "::1", false, false),
    ("::", "::ffff:ffff", false, false),
    ("::ffff:0:0", "::ffff:ffff:ffff", false, false),
    ("64:ff9b::", "64:ff9b::ffff:ffff", false, false),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false, false),
    ("100::", "100::ffff:ffff:ffff:ffff", false, false),
    ("100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", false, false),
    ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, true),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", true, true),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", true, false),
    ("2001:1::1", "2001:1::1", false, false),
    ("2001:1::2", "2001:1::2", false, false),
    ("2001:1::3", "2001:1::3", false, false),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", false, false),
    ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", false, false),
    ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true, true),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, true),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", true, true),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", true, true),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
];

/// The address `places` after `address`; `None` past the ends.
fn next(address: IpAddr, places: i8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            address.to_bits().checked_add_signed(places.into()).map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(address) => {
            address.to_bits().checked_add_signed(places.into()).map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    }
}

#[test]
fn special_blocks_are_refused_exactly() {
    for (first, last, is_open_before, is_open_after) in REGISTRY4.into_iter().chain(REGISTRY6) {
        let (first, last) = (ip(first), ip(last));
        assert!(first <= last, "{first}");
        for edge in [first, last] {
            assert!(!AddressPolicy::Public.admits(edge), "{edge}");
        }
        if let Some(before) = next(first, -1) {
            assert_eq!(AddressPolicy::Public.admits(before), is_open_before, "{before}, before {first}");
        }
        if let Some(after) = next(last, 1) {
            assert_eq!(AddressPolicy::Public.admits(after), is_open_after, "{after}, after {last}");
        }
    }
    // The last addresses of global unicast.
    assert!(AddressPolicy::Public.admits(ip("3fff:1000::")));
    assert!(AddressPolicy::Public.admits(ip("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
    assert!(!AddressPolicy::Public.admits(ip("4000::")));
}

#[test]
fn loopback_is_allowed_locally_but_never_lambdas_runtime_port() {
    for address in ["127.0.0.0", "127.0.0.1", "127.1.2.3", "127.255.255.255", "::1"] {
        let address = ip(address);
        assert!(!AddressPolicy::Public.admits(address), "{address}");
        assert!(AddressPolicy::AndLoopback.admits(address), "{address}");
        assert!(AddressPolicy::AndLoopback.admits_at((address, 9000).into()), "{address}");
        assert!(!AddressPolicy::AndLoopback.admits_at((address, 9001).into()), "{address}");
        assert!(!AddressPolicy::Public.admits_at((address, 9000).into()), "{address}");
    }
    for address in ["::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "0.0.0.0", "::"] {
        assert!(!AddressPolicy::AndLoopback.admits(ip(address)), "{address}");
    }
    assert!(AddressPolicy::Public.admits_at((ip("1.1.1.1"), 9001).into()));
}

/// The refused blocks in CIDR notation. The space outside of 2000::/3 is given by its complement.
const ORACLE: &str = "
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
    192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15
    198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
    1000::/4 800::/5 400::/6 200::/7 100::/8 ::/8 4000::/2 8000::/1
    2001::/32 2001:1::/32 2001:2::/31 2001:4::/30 2001:8::/29 2001:10::/28 2001:20::/27 2001:40::/26
    2001:80::/25 2001:100::/24 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20
";

/// A block of the oracle: IPv4 or not, its bits, its mask.
fn blocks() -> Vec<(bool, u128, u128)> {
    let block = |text: &str| {
        let (first, length) = text.split_once('/').unwrap();
        let length: u32 = length.parse().unwrap();
        match ip(first) {
            IpAddr::V4(first) => {
                (true, u128::from(first.to_bits()), (u128::MAX << (32 - length)) & 0xffff_ffff)
            }
            IpAddr::V6(first) => (false, first.to_bits(), u128::MAX << (128 - length)),
        }
    };
    ORACLE.split_whitespace().map(block).collect()
}

fn oracle(blocks: &[(bool, u128, u128)], address: IpAddr) -> bool {
    let (is_v4, bits) = match address {
        IpAddr::V4(address) => (true, u128::from(address.to_bits())),
        IpAddr::V6(address) => (false, address.to_bits()),
    };
    !blocks.iter().any(|(of_v4, first, mask)| *of_v4 == is_v4 && bits & mask == *first)
}

/// Any address; and, because most are far from every block, addresses a few flipped bits from a block's limits.
fn addresses() -> impl Strategy<Value = IpAddr> {
    let ends: Vec<IpAddr> =
        REGISTRY4.iter().chain(&REGISTRY6).flat_map(|(first, last, ..)| [ip(first), ip(last)]).collect();
    let near =
        (proptest::sample::select(ends), any::<u128>(), 0u32..128).prop_map(|(end, noise, kept)| match end {
            IpAddr::V4(end) => {
                let noise = u32::try_from(noise & 0xffff_ffff).unwrap().checked_shr(kept % 33);
                IpAddr::V4(Ipv4Addr::from_bits(end.to_bits() ^ noise.unwrap_or(0)))
            }
            IpAddr::V6(end) => IpAddr::V6(Ipv6Addr::from_bits(end.to_bits() ^ (noise >> kept))),
        });
    prop_oneof![
        1 => any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        1 => any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        2 => near,
    ]
}

#[test]
fn the_policy_agrees_with_an_independent_oracle() {
    let (blocks, mut open) = (blocks(), 0u32);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200_000));
    let outcome = runner.run(&addresses(), |address| {
        prop_assert_eq!(AddressPolicy::Public.admits(address), oracle(&blocks, address), "{}", address);
        Ok(())
    });
    outcome.unwrap();
    for _ in 0..1_000 {
        let address = addresses().new_tree(&mut runner).unwrap().current();
        open += u32::from(AddressPolicy::Public.admits(address));
    }
    assert!((200..800).contains(&open), "{open} of a thousand are open: the cases say little");
}
