//! What a certificate is for: names and addresses, as agents dial them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use rustls::pki_types::DnsName;

use crate::limit;
use crate::obs::machine;

use super::CertError;

/// Where whoever works on the hub's own machine finds it.
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// A name or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A DNS name in lower case, which the client's verifier takes as well.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl FromStr for Host {
    type Err = CertError;

    fn from_str(text: &str) -> Result<Self, CertError> {
        let text = text.trim();
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let wrong = || CertError::Host(text.chars().take(80).collect());
        // A dot at its end is no part of a certificate's name.
        if text.ends_with('.') {
            return Err(wrong());
        }
        let name = DnsName::try_from(text).map_err(|_| wrong())?;
        Ok(Self::Name(name.to_lowercase_owned().as_ref().to_owned()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// All hosts of a certificate: what was asked for, else what the present one has, else the machine's name; and the loopback
/// in any case. Each once.
pub(super) fn complete(
    asked: Vec<Host>,
    present: impl FnOnce() -> Result<Option<Vec<Host>>, CertError>,
) -> Result<Vec<Host>, CertError> {
    let own = || machine::host_name().parse().into_iter().collect();
    let first = if asked.is_empty() { present()?.unwrap_or_else(own) } else { asked };
    let loopback = LOOPBACK.map(Host::Address);
    let mut hosts: Vec<Host> = Vec::new();
    for host in first.into_iter().chain([Host::Name("localhost".to_owned())]).chain(loopback) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    if hosts.len() > limit::CERT_HOSTS_MAX { Err(CertError::TooManyHosts(hosts.len())) } else { Ok(hosts) }
}
