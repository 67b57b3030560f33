//! What a certificate says of itself, for messages and for its dates. The texts are its maker's: they are cut, and
//! nothing in them can move a terminal's cursor.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::limit;
use crate::time::Validity;

/// The dates and names of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Whom it is for, as its maker wrote it.
    pub subject: String,
    /// Who made it.
    pub issuer: String,
    /// The hosts it is for; at most [`limit::CERTIFICATE_NAMES_SHOWN`].
    pub names: Vec<String>,
    /// When it holds.
    pub valid: Validity,
}

impl Leaf {
    /// Reads a certificate; `None` where it is damaged, or ends before it begins.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_rest, certificate) = X509Certificate::from_der(der).ok()?;
        let dates = certificate.validity();
        let valid = Validity::from_seconds(dates.not_before.timestamp(), dates.not_after.timestamp())?;
        let (subject, issuer) = (certificate.subject().to_string(), certificate.issuer().to_string());
        Some(Self { subject: shown(&subject), issuer: shown(&issuer), names: names(&certificate), valid })
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, issued by {}, valid {}", self.subject, self.issuer, self.valid)
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.into_iter().flat_map(|extension| &extension.value.general_names);
    names.filter_map(name).take(limit::CERTIFICATE_NAMES_SHOWN).collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(shown(name)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
            let v6 = <[u8; 16]>::try_from(*bytes).map(|bytes| Ipv6Addr::from(bytes).to_string());
            v4.or(v6).ok()
        }
        _other => None,
    }
}

fn shown(text: &str) -> String {
    let plain = text.chars().map(|letter| if letter.is_control() { '?' } else { letter });
    plain.take(limit::CERTIFICATE_TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn made(params: CertificateParams) -> Vec<u8> {
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn its_names_dates_and_makers_are_read() {
        let mut params =
            CertificateParams::new(vec!["hub.example".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::IpAddress("fd00::1".parse().unwrap()));
        params.distinguished_name.push(DnType::CommonName, "a hub");
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2027, 3, 4);
        let leaf = Leaf::read(&made(params)).unwrap();
        assert_eq!(leaf.names, ["hub.example", "10.0.0.7", "fd00::1"]);
        assert_eq!(leaf.valid.to_string(), "from 2026-01-02T00:00:00Z to 2027-03-04T00:00:00Z");
        assert_eq!((leaf.subject.as_str(), leaf.issuer.as_str()), ("CN=a hub", "CN=a hub"));
    }

    #[test]
    fn a_makers_texts_are_cut_and_cannot_write_to_a_terminal() {
        let names = (0..1000).map(|at| format!("host-{at}.example")).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "\u{1b}[2Jx".repeat(1000));
        let leaf = Leaf::read(&made(params)).unwrap();
        assert_eq!(leaf.names.len(), limit::CERTIFICATE_NAMES_SHOWN);
        assert!(leaf.subject.chars().count() <= limit::CERTIFICATE_TEXT_CHARS_MAX, "{}", leaf.subject);
        assert!(!leaf.to_string().contains('\u{1b}'), "{leaf}");
    }

    #[test]
    fn what_is_damaged_or_ends_before_it_begins_is_none() {
        let mut params = CertificateParams::new(vec!["hub.example".to_owned()]).unwrap();
        let whole = made(params.clone());
        for cut in 0..whole.len() {
            assert_eq!(Leaf::read(&whole[..cut]), None, "{cut} bytes of it");
        }
        params.not_before = rcgen::date_time_ymd(2027, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 1, 1);
        assert_eq!(Leaf::read(&made(params)), None);
    }
}
