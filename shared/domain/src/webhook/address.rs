//! The policy for addresses that deliveries may be sent to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port on 127.0.0.1 of Lambda's runtime API. A request there could be taken for the function's own answer.
pub const RUNTIME_PORT: u16 = 9001;

/// The policy for addresses that deliveries may be sent to. An address is allowed because it is known to be
/// public, not because it is not known to be private.
///
/// Addresses that embed another one (IPv4-mapped, NAT64, 6to4, Teredo …) are refused, whatever they embed: a
/// translator decides where they lead, and no public host needs one. A network-specific NAT64 prefix (RFC 6052,
/// section 2.2) cannot be recognised, so a function that delivers must not run in a network that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Globally reachable unicast addresses.
    Public,
    /// Public addresses and the loopback address; only for the local machine.
    AndLoopback,
}

/// A block of addresses, in CIDR notation `first/prefix`.
#[derive(Clone, Copy)]
struct Block<A> {
    first: A,
    /// The number of leading bits that all addresses of the block share.
    prefix: u32,
}

const fn block<A: Copy>(first: A, prefix: u32) -> Block<A> {
    Block { first, prefix }
}

/// IPv4 blocks that are not public unicast: all of the IANA IPv4 Special-Purpose Address Registry (RFC 6890),
/// including those it calls globally reachable, and multicast.
const CLOSED4: [Block<Ipv4Addr>; 18] = [
    // "This network", which some systems treat as the local host (RFC 791).
    block(Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private (RFC 1918).
    block(Ipv4Addr::new(10, 0, 0, 0), 8),
    // Carrier-grade NAT, also used internally by clouds (RFC 6598).
    block(Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback (RFC 1122).
    LOOPBACK4,
    // Link local (RFC 3927): cloud metadata and credentials.
    block(Ipv4Addr::new(169, 254, 0, 0), 16),
    // Private (RFC 1918).
    block(Ipv4Addr::new(172, 16, 0, 0), 12),
    // Protocol assignments, DS-Lite, NAT64 discovery (RFC 6890, 7335, 7050).
    block(Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation (RFC 5737).
    block(Ipv4Addr::new(192, 0, 2, 0), 24),
    // AS112, the sink for misdirected queries (RFC 7535).
    block(Ipv4Addr::new(192, 31, 196, 0), 24),
    // Multicast tunnels (RFC 7450).
    block(Ipv4Addr::new(192, 52, 193, 0), 24),
    // Relays of 6to4, deprecated (RFC 7526).
    block(Ipv4Addr::new(192, 88, 99, 0), 24),
    // Private (RFC 1918).
    block(Ipv4Addr::new(192, 168, 0, 0), 16),
    // AS112 (RFC 7534).
    block(Ipv4Addr::new(192, 175, 48, 0), 24),
    // Benchmarks (RFC 2544).
    block(Ipv4Addr::new(198, 18, 0, 0), 15),
    // Documentation (RFC 5737).
    block(Ipv4Addr::new(198, 51, 100, 0), 24),
    block(Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast (RFC 5771).
    block(Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, and the broadcast that ends it (RFC 1112, 919).
    block(Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The global unicast block of IPv6 (IANA IPv6 Address Space). Outside of it are loopback, embedded IPv4,
/// NAT64, discard-only, SRv6, unique local, link local, site local and multicast.
const GLOBAL6: Block<Ipv6Addr> = block(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The blocks within [`GLOBAL6`] that are not public unicast: all of the IANA IPv6 Special-Purpose Address
/// Registry (RFC 6890; as of 2024-10-22), including those it calls globally reachable.
const CLOSED6: [Block<Ipv6Addr>; 5] = [
    // Protocol assignments: Teredo, benchmarks, AMT, AS112, ORCHID, drones (RFC 2928 and those after it).
    block(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation (RFC 3849).
    block(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4, which embeds IPv4 (RFC 3056).
    block(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // AS112 (RFC 7534).
    block(Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    // Documentation (RFC 9637).
    block(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

const LOOPBACK4: Block<Ipv4Addr> = block(Ipv4Addr::new(127, 0, 0, 0), 8);

impl AddressPolicy {
    /// Whether deliveries to `address` are allowed; see [`AddressPolicy::admits_at`] for a port of it.
    #[must_use]
    pub fn admits(self, address: IpAddr) -> bool {
        let is_open = match address {
            IpAddr::V4(address) => !CLOSED4.iter().any(|block| holds4(*block, address)),
            IpAddr::V6(address) => {
                holds6(GLOBAL6, address) && !CLOSED6.iter().any(|block| holds6(*block, address))
            }
        };
        match self {
            Self::Public => is_open,
            Self::AndLoopback => is_open || is_loopback(address),
        }
    }

    /// Whether deliveries to this port of this address are allowed. Lambda's runtime API is never allowed, not
    /// even where the loopback address is.
    #[must_use]
    pub fn admits_at(self, place: SocketAddr) -> bool {
        self.admits(place.ip()) && !(is_loopback(place.ip()) && place.port() == RUNTIME_PORT)
    }
}

/// Whether it is a plain loopback address; IPv4 embedded in IPv6 is not.
fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => holds4(LOOPBACK4, address),
        IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST,
    }
}

fn holds4(block: Block<Ipv4Addr>, address: Ipv4Addr) -> bool {
    (block.first.to_bits() ^ address.to_bits()).leading_zeros() >= block.prefix
}

fn holds6(block: Block<Ipv6Addr>, address: Ipv6Addr) -> bool {
    (block.first.to_bits() ^ address.to_bits()).leading_zeros() >= block.prefix
}
