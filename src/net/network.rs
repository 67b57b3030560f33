//! A range of addresses, as `trusted_proxies` and NO_PROXY name them. An IPv4 address in IPv6's clothes (`::ffff:10.0.0.1`) is
//! the IPv4 address, in a range as in what is looked for.

use std::net::IpAddr;
use std::str::FromStr;

/// What all IPv4 addresses in IPv6's clothes have in front.
const MAPPED_BITS: u32 = 96;

/// A range of addresses: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not an address, or a range of them like 10.0.0.0/8")]
pub struct ParseNetworkError;

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(head, bits)| (head, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| ParseNetworkError)?;
        let Some(bits) = bits else { return Ok(address.into()) };
        let bits: Option<u32> = bits.parse().ok().filter(|bits| *bits <= width(address));
        let bits = bits.ok_or(ParseNetworkError)?;
        Ok(match (address.to_canonical(), u32::checked_sub(bits, MAPPED_BITS)) {
            (four @ IpAddr::V4(_), Some(bits)) if address.is_ipv6() => Self { address: four, bits },
            _ => Self { address, bits },
        })
    }
}

impl From<IpAddr> for Network {
    /// This address alone.
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, bits: width(address) }
    }
}

impl Network {
    /// Whether the address is one of these; an IPv4 address in IPv6's clothes is the IPv4 address.
    pub fn contains(self, address: IpAddr) -> bool {
        let differ = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        // Leading bits that agree.
        differ >= self.bits
    }
}

const fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let ten =
            ["10.0.0.0/8", "192.0.2.7", "fd00::/8", "0.0.0.0/0"].map(|text| text.parse::<Network>().unwrap());
        let holds = |at: usize, text: &str| ten[at].contains(text.parse().unwrap());
        assert!(holds(0, "10.255.1.2") && !holds(0, "11.0.0.1") && holds(0, "::ffff:10.1.1.1"));
        assert!(holds(1, "192.0.2.7") && !holds(1, "192.0.2.6"));
        assert!(holds(2, "fd12::1") && !holds(2, "fc00::1") && !holds(2, "253.0.0.1"));
        assert!(holds(3, "8.8.8.8") && !holds(3, "::1"));
        let clothed = ["::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "::ffff:0:0/96", "::/0"];
        let clothed = clothed.map(|text| text.parse::<Network>().unwrap());
        let holds = |at: usize, text: &str| clothed[at].contains(text.parse().unwrap());
        assert!(holds(0, "10.0.0.1") && holds(0, "::ffff:10.0.0.1") && !holds(0, "10.0.0.2"));
        assert!(holds(1, "10.255.1.2") && !holds(1, "11.0.0.1") && holds(2, "192.0.2.7") && !holds(2, "::1"));
        assert!(holds(3, "fd00::1") && !holds(3, "10.0.0.1"));
        for wrong in ["", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "proxy", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
