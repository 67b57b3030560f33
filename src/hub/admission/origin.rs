//! Where a connection comes from: the address that is held responsible, and the proxies whose word counts.
//!
//! * IPv4 by address, IPv6 by /64: whoever has one address of a /64 has them all. An IPv4 address in IPv6's clothes is
//!   the IPv4 address.
//! * `X-Forwarded-For` counts from the right, and only as far as trusted proxies wrote it: the rightmost address that is
//!   not theirs is the client. What stands left of it anybody could have written.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::hub::config::Network;
use crate::limit;

/// What is counted as one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::hub) struct Origin(IpAddr);

impl Origin {
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & u128::from(u64::MAX).wrapping_shl(64)))
            }
        })
    }
}

/// Whether `address` is one of `networks`.
pub(super) fn is_trusted(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

/// The client behind `peer`: `forwarded` are the values of all `X-Forwarded-For` headers, in their order. Where a proxy
/// wrote something that is no address, that proxy itself is the client. Bytes: what a client wrote need not be text, and
/// must not hide what a proxy wrote behind it.
pub(super) fn client<'a>(
    trusted: &[Network],
    peer: SocketAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> SocketAddr {
    let mut client = peer;
    let hops =
        forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b',')).take(limit::FORWARDED_MAX);
    for hop in hops {
        if !is_trusted(trusted, client.ip()) {
            break;
        }
        let Some(address) = address(hop.trim_ascii()) else { break };
        client = address;
    }
    client
}

/// `1.2.3.4`, `1.2.3.4:5678`, `2001:db8::1` or `[2001:db8::1]:5678`; port 0 where there is none.
fn address(hop: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(hop).ok()?;
    let bare = || text.trim_matches(['[', ']']).parse().ok().map(|address| SocketAddr::new(address, 0));
    text.parse().ok().or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn behind(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let peer = SocketAddr::new(ip(peer), 7);
        client(&networks(trusted), peer, forwarded.iter().map(|value| value.as_bytes())).ip().to_string()
    }

    #[test]
    fn a_slash_64_is_one_origin_and_each_ipv4_address_is_one() {
        let of = |text| Origin::of(ip(text));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxys_is_the_client() {
        let trusted = ["10.0.0.0/8", "127.0.0.1"];
        assert_eq!(behind(&trusted, "127.0.0.1", &["203.0.113.9, 198.51.100.4, 10.1.1.1"]), "198.51.100.4");
        assert_eq!(
            behind(&trusted, "127.0.0.1", &["203.0.113.9", "198.51.100.4", "10.1.1.1"]),
            "198.51.100.4"
        );
        assert_eq!(behind(&trusted, "10.1.1.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(behind(&trusted, "10.1.1.1", &["198.51.100.4:5000"]), "198.51.100.4");
    }

    #[test]
    fn the_header_of_anybody_else_is_not_believed() {
        assert_eq!(behind(&[], "198.51.100.4", &["203.0.113.9"]), "198.51.100.4");
        assert_eq!(behind(&["10.0.0.0/8"], "198.51.100.4", &["203.0.113.9"]), "198.51.100.4");
        assert_eq!(behind(&["10.0.0.0/8"], "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(behind(&["10.0.0.0/8"], "10.0.0.1", &["203.0.113.9, unknown"]), "10.0.0.1");
        assert_eq!(behind(&["10.0.0.0/8"], "10.0.0.1", &["203.0.113.9, ,10.0.0.2"]), "10.0.0.2");
        let peer = SocketAddr::new(ip("10.0.0.1"), 7);
        let hidden = [b"203.0.113.9, \xff, 198.51.100.4".as_slice()].into_iter();
        assert_eq!(client(&networks(&["10.0.0.0/8"]), peer, hidden).ip(), ip("198.51.100.4"));
        let long = "10.0.0.2,".repeat(limit::FORWARDED_MAX * 2);
        let long = format!("203.0.113.9,{}", long.trim_end_matches(','));
        assert_eq!(behind(&["10.0.0.0/8"], "10.0.0.1", &[&long]), "10.0.0.2", "bounded work");
    }
}
