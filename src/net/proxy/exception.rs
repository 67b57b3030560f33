//! NO_PROXY: what is reached without a proxy.
//!
//! ```text
//! entries, separated by commas or white space       *                      everything
//! example.com, .example.com, *.example.com          the name and all below it
//! 10.0.0.1, fd00::1, 10.0.0.0/8, fd00::/8           addresses, where the hub's URL has one
//! example.com:8443, [fd00::1]:443                   of these, one port
//! ```
//! An entry that is none of them covers nothing: other programs read the variable too.

use crate::net::network::Network;
use crate::wire::url::Host;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Everything,
    Below(String),
    Network(Network),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    target: Target,
    port: Option<u16>,
}

/// The entries of one variable, which the kernel bounds to 128 KiB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exceptions(Vec<Exception>);

impl Exceptions {
    pub(super) fn parse(text: &str) -> Self {
        let entries = text.split(|char: char| char == ',' || char.is_whitespace());
        Self(entries.filter_map(Exception::parse).collect())
    }

    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|entry| entry.port.is_none_or(|only| only == port) && entry.target.covers(host))
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self { target: Target::Everything, port: None });
        }
        if let Ok(network) = entry.parse() {
            return Some(Self { target: Target::Network(network), port: None });
        }
        let name = entry.strip_prefix('*').unwrap_or(entry);
        let name = name.strip_prefix('.').unwrap_or(name);
        let (host, port) = Host::with_port(name).ok()?;
        let target = match host {
            Host::Name(name) => Target::Below(name.trim_end_matches('.').to_owned()),
            Host::Address(address) => Target::Network(address.into()),
        };
        Some(Self { target, port })
    }
}

impl Target {
    fn covers(&self, host: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Below(name) => {
                let above = host.trim_end_matches('.').strip_suffix(name.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            Self::Network(network) => host.parse().is_ok_and(|address| network.contains(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_cover_names_networks_and_ports() {
        for (entries, host, port, covered) in [
            ("*", "hub.example", 443, true),
            ("", "hub.example", 443, false),
            ("hub.example", "hub.example", 443, true),
            ("example", "hub.example", 443, true),
            (".example", "hub.example", 443, true),
            ("*.example", "hub.example", 443, true),
            ("EXAMPLE.", "hub.example", 443, true),
            ("b.example", "hub.example", 443, false),
            ("ub.example", "hub.example", 443, false),
            ("a, b\thub.example ,c", "hub.example", 443, true),
            ("hub.example:443", "hub.example", 443, true),
            ("hub.example:8443", "hub.example", 443, false),
            ("10.1.2.3", "10.1.2.3", 1, true),
            ("10.0.0.0/8", "10.1.2.3", 1, true),
            ("10.0.0.0/8", "11.1.2.3", 1, false),
            ("10.1.2.3/31", "10.1.2.2", 1, true),
            ("10.1.2.3/31", "10.1.2.4", 1, false),
            ("0.0.0.0/0", "11.1.2.3", 1, true),
            ("0.0.0.0/0", "fd00::1", 1, false),
            ("::/0", "fd00::1", 1, true),
            ("10.0.0.0/33", "10.0.0.0", 1, false),
            ("10.1.2.3:80", "10.1.2.3", 80, true),
            ("10.1.2.3:80", "10.1.2.3", 81, false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", 1, true),
            ("::ffff:10.1.2.3", "10.1.2.3", 1, true),
            ("[::ffff:10.1.2.3]:80", "10.1.2.3", 80, true),
            ("fd00::/8", "fd12::1", 1, true),
            ("fd00::/8", "fe80::1", 1, false),
            ("fd00::1", "fd00::1", 1, true),
            ("[fd00::1]:443", "fd00::1", 443, true),
            ("[fd00::1]:443", "fd00::1", 444, false),
            ("10.0.0.0/8", "hub.example", 1, false),
            ("h*b.example, /8, :443, hub.example:port", "hub.example", 443, false),
        ] {
            assert_eq!(Exceptions::parse(entries).covers(host, port), covered, "{entries} for {host}:{port}");
        }
    }
}
