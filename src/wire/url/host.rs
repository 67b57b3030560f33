//! The host of a URL: a name or an address, and whether plain text may go there.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{AllowInsecure, UrlError};

/// A name in small letters, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

impl Host {
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let wrong = || UrlError::Host(text.chars().take(40).collect());
        if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return Ipv6Addr::from_str(inner)
                .map(|address| Self::Address(address.into()))
                .map_err(|_| wrong());
        }
        if let Ok(address) = Ipv4Addr::from_str(text) {
            return Ok(Self::Address(address.into()));
        }
        // What ends in a number is read as an IPv4 address by some resolvers (127.1, 0x7f.1): refused.
        let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next().unwrap_or_default();
        let numeric =
            last.bytes().all(|byte| byte.is_ascii_digit()) || last.to_ascii_lowercase().starts_with("0x");
        let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if text.is_empty() || text.len() > 253 || text.starts_with(['.', '-']) || numeric || !valid {
            return Err(wrong());
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }

    /// `host` or `host:port`, as an authority has it behind its `@`.
    pub(crate) fn with_port(authority: &str) -> Result<(Self, Option<u16>), UrlError> {
        // The colons inside of [..] are no port separators.
        let after_bracket = authority.rfind(']').unwrap_or(0);
        let Some(colon) = authority.get(after_bracket..).and_then(|rest| rest.find(':')) else {
            return Ok((Self::parse(authority)?, None));
        };
        let (host, port) = authority.split_at(after_bracket.saturating_add(colon));
        let port = port.strip_prefix(':').unwrap_or(port);
        let number = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok()).flatten();
        match number {
            Some(1..) => Ok((Self::parse(host)?, number)),
            Some(0) | None => Err(UrlError::Port(port.chars().take(40).collect())),
        }
    }

    /// As a URL and a CONNECT have it: an IPv6 address in brackets.
    pub(crate) fn bracketed(&self) -> String {
        match self {
            Self::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Self::Address(IpAddr::V4(_)) | Self::Name(_) => self.to_string(),
        }
    }

    /// Whether what goes there stays on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Address(address) => plain(*address).is_loopback(),
        }
    }

    /// Whether plain text may go there.
    pub(crate) fn check_plain(&self, allow: AllowInsecure) -> Result<(), UrlError> {
        if self.is_loopback() {
            return Ok(());
        }
        let private = self.is_private();
        match allow {
            AllowInsecure::Any => Ok(()),
            AllowInsecure::Private if private => Ok(()),
            AllowInsecure::No | AllowInsecure::Private => Err(UrlError::Insecure {
                host: self.to_string(),
                wanted: if private { "true" } else { "\"any\"" },
            }),
        }
    }

    fn is_private(&self) -> bool {
        match self {
            Self::Name(_) => false,
            Self::Address(address) => match plain(*address) {
                IpAddr::V4(address) => {
                    let [a, b, ..] = address.octets();
                    address.is_private() || (a == 100 && b & 0xC0 == 64)
                }
                IpAddr::V6(address) => address.is_unique_local(),
            },
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// An IPv4 address in IPv6 clothes (::ffff:a.b.c.d) counts as what it is.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
