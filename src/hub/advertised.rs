//! The URLs that a hub says of itself: for this machine, at a host that its certificate is for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::net::tls::certificate::Certificate;
use crate::wire::url::Host;

/// The URL of a listener at `address`; `machine` is this machine's name, for a certificate that is for all names of a domain.
pub(super) fn url(address: SocketAddr, certificate: Option<&Certificate>, machine: &str) -> String {
    let here = SocketAddr::new(reachable(address.ip()), address.port());
    let Some(certificate) = certificate else { return format!("http://{here}") };
    // A peer believes a certificate for the host it dials only.
    if certificate.is_for(here.ip()) {
        return format!("https://{here}");
    }
    match host(certificate, here.ip(), machine) {
        Some(host) => match host.parse() {
            Ok(ip) => format!("https://{}", SocketAddr::new(ip, here.port())),
            Err(_) => format!("https://{host}:{}", here.port()),
        },
        None => format!("https://{here}"),
    }
}

/// Nobody can dial the address that means all addresses; this machine has another.
const fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    }
}

/// A host that the certificate is for: one that is this machine for sure, else its first, else this machine's in its domain.
fn host(certificate: &Certificate, address: IpAddr, machine: &str) -> Option<String> {
    let names = || certificate.names.iter();
    let local = names().find(|name| *name == "localhost").filter(|_| address.is_loopback());
    if let Some(name) = local.or_else(|| names().find(|name| !name.starts_with('*'))) {
        return Some(name.clone());
    }
    let domain = names().find_map(|name| name.strip_prefix("*."))?;
    let label = machine.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let named = format!("{label}.{domain}");
    // A machine may be called what no host can be.
    Some(if Host::parse(&named).is_ok() { named } else { format!("hub.{domain}") })
}

#[cfg(test)]
mod tests {
    use crate::net::tls::certificate::Kind;
    use crate::time::WallTime;

    use super::*;

    fn of(address: &str, names: Option<&[&str]>, machine: &str) -> String {
        let certificate = names.map(|names| Certificate {
            serial: String::new(),
            subject: String::new(),
            issuer: String::new(),
            names: names.iter().map(ToString::to_string).collect(),
            not_before: WallTime(0),
            not_after: WallTime(1),
            kind: Kind::Leaf,
        });
        url(address.parse().unwrap(), certificate.as_ref(), machine)
    }

    #[test]
    fn a_url_can_be_dialled_and_its_certificate_is_believed_there() {
        let made = &["hub.example", "localhost", "127.0.0.1", "::1"][..];
        let wild = &["*.shop.example"][..];
        for (address, names, machine, expected) in [
            ("127.0.0.1:8440", None, "m", "http://127.0.0.1:8440"),
            ("0.0.0.0:8440", None, "m", "http://127.0.0.1:8440"),
            ("[::]:8440", None, "m", "http://[::1]:8440"),
            ("10.0.0.5:8440", None, "m", "http://10.0.0.5:8440"),
            ("127.0.0.1:8440", Some(made), "m", "https://127.0.0.1:8440"),
            ("0.0.0.0:8440", Some(made), "m", "https://127.0.0.1:8440"),
            ("[::]:8440", Some(made), "m", "https://[::1]:8440"),
            ("10.0.0.5:8440", Some(made), "m", "https://hub.example:8440"),
            ("0.0.0.0:8440", Some(&["hub.example", "localhost"][..]), "m", "https://localhost:8440"),
            ("0.0.0.0:8440", Some(&["10.0.0.5"][..]), "m", "https://10.0.0.5:8440"),
            ("0.0.0.0:8440", Some(&["*.a.example", "hub.example"][..]), "m", "https://hub.example:8440"),
            ("0.0.0.0:8440", Some(wild), "Till-7.site", "https://till-7.shop.example:8440"),
            ("127.0.0.1:8440", Some(wild), "till-7", "https://till-7.shop.example:8440"),
            ("0.0.0.0:8440", Some(wild), "", "https://hub.shop.example:8440"),
            ("0.0.0.0:8440", Some(wild), "a b", "https://hub.shop.example:8440"),
            ("0.0.0.0:8440", Some(&[][..]), "m", "https://127.0.0.1:8440"),
        ] {
            assert_eq!(of(address, names, machine), expected, "{address} {names:?} {machine}");
        }
    }
}
