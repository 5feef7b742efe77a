//! The addresses from which an API key may be used.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

/// The addresses from which a key may be used: at most 20 addresses or ranges. Empty for every address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct AllowedIps(Vec<IpNet>);

/// The list of addresses is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAllowedIps {
    /// One of them is neither an address nor a range.
    #[error(
        "must be IP addresses or ranges such as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32; `{0}` is not one"
    )]
    NotAnAddress(String),
    /// There are too many.
    #[error("must have at most {} addresses and ranges; use larger ranges", AllowedIps::MAX)]
    TooMany,
}

impl AllowedIps {
    /// The most addresses and ranges of a key.
    pub const MAX: usize = 20;

    /// Whether the key may be used from `address`. An address that is not known is one from which a key with a list may
    /// not be used.
    #[must_use]
    pub fn admit(&self, address: Option<IpAddr>) -> bool {
        // An IPv4 address that reached us through an IPv6 socket is the same address.
        let address = address.map(|address| address.to_canonical());
        self.0.is_empty()
            || address.is_some_and(|address| self.0.iter().any(|range| range.contains(&address)))
    }

    /// Whether every address is admitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A range of IPv4 addresses that is written as IPv6 is the same range.
fn canonical(range: IpNet) -> IpNet {
    let bits = range.prefix_len().checked_sub(96);
    match (range.addr().to_canonical(), bits) {
        (IpAddr::V4(address), Some(bits)) if range.addr().is_ipv6() => {
            Ipv4Net::new(address, bits).map_or(range, IpNet::V4)
        }
        _ => range,
    }
}

impl TryFrom<Vec<String>> for AllowedIps {
    type Error = BadAllowedIps;

    fn try_from(texts: Vec<String>) -> Result<Self, BadAllowedIps> {
        if Self::MAX < texts.len() {
            return Err(BadAllowedIps::TooMany);
        }
        let range = |text: String| {
            let range = text.parse::<IpNet>().ok().map(|range| canonical(range.trunc()));
            let address = || text.parse::<IpAddr>().ok().map(|address| address.to_canonical().into());
            range.or_else(address).ok_or(BadAllowedIps::NotAnAddress(text.chars().take(64).collect()))
        };
        texts.into_iter().map(range).collect::<Result<_, _>>().map(Self)
    }
}

impl From<AllowedIps> for Vec<String> {
    fn from(ranges: AllowedIps) -> Self {
        let text = |range: IpNet| {
            if range.prefix_len() == range.max_prefix_len() {
                range.addr().to_string()
            } else {
                range.to_string()
            }
        };
        ranges.0.into_iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Result<AllowedIps, BadAllowedIps> {
        texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().try_into()
    }

    #[test]
    fn a_key_is_admitted_from_its_addresses_only() {
        for (ranges, address, expected) in [
            (&["203.0.113.7"][..], "203.0.113.7", true),
            (&["203.0.113.7"], "203.0.113.8", false),
            (&["203.0.113.0/24"], "203.0.113.255", true),
            (&["203.0.113.0/24"], "203.0.114.0", false),
            (&["203.0.113.9/24"], "203.0.113.1", true),
            (&["198.51.100.1", "203.0.113.0/24"], "203.0.113.1", true),
            (&["2001:db8::/32"], "2001:db8:1::1", true),
            (&["2001:db8::/32"], "2001:db9::1", false),
            (&["0.0.0.0/0"], "203.0.113.1", true),
            (&["0.0.0.0/0"], "2001:db8::1", false),
            (&["203.0.113.7"], "::ffff:203.0.113.7", true),
            (&["::ffff:203.0.113.7"], "203.0.113.7", true),
            (&["::ffff:203.0.113.0/120"], "203.0.113.7", true),
            (&["::ffff:203.0.113.0/120"], "203.0.114.7", false),
            (&[], "203.0.113.7", true),
        ] {
            let admitted = list(ranges).unwrap().admit(Some(address.parse().unwrap()));
            assert_eq!(admitted, expected, "{ranges:?} {address}");
        }
        assert!(list(&[]).unwrap().admit(None));
        assert!(!list(&["0.0.0.0/0", "::/0"]).unwrap().admit(None), "an unknown address is in no list");
    }

    #[test]
    fn a_list_is_shown_in_its_shortest_form() {
        let shown: Vec<String> = list(&["203.0.113.7/32", "203.0.113.9/24", "2001:DB8:0::1"]).unwrap().into();
        assert_eq!(shown, ["203.0.113.7", "203.0.113.0/24", "2001:db8::1"]);
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for wrong in ["", "localhost", "203.0.113", "203.0.113.0/33", "203.0.113.0/", " 203.0.113.7", "*"] {
            assert_eq!(list(&[wrong]), Err(BadAllowedIps::NotAnAddress(wrong.to_owned())));
        }
        assert!(list(&["10.0.0.1"; 20]).is_ok());
        assert_eq!(list(&["10.0.0.1"; 21]), Err(BadAllowedIps::TooMany));
    }
}
