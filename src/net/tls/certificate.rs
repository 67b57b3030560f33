//! What a certificate says of itself, for logs, errors and the status. Nothing here is verified: that is rustls' work.

use std::fmt;
use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use crate::limit;
use crate::time::{HubTime, Validity, WallTime};

/// A certificate that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not an X.509 certificate ({0})")]
pub struct Unreadable(String);

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// In upper-case hex, as `openssl x509 -serial` writes it.
    pub serial: String,
    /// Whom it is for; may be empty.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The host names and addresses it is for.
    pub names: Vec<String>,
    /// The first moment of its validity; 0 where that is before 1970.
    pub not_before: WallTime,
    /// The last one.
    pub not_after: WallTime,
    /// Whether it is an authority's.
    pub kind: Kind,
}

/// What a certificate can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A server, a client.
    Leaf,
    /// It signs others.
    Authority,
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// Where it is no certificate.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let (_rest, certificate) = x509_parser::certificate::X509Certificate::from_der(der)
            .map_err(|error| Unreadable(error.to_string()))?;
        let names = match certificate.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name).collect(),
            Ok(None) | Err(_) => Vec::new(),
        };
        let validity = certificate.validity();
        Ok(Self {
            serial: serial(certificate.raw_serial()),
            subject: text(certificate.subject()),
            issuer: text(certificate.issuer()),
            names,
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
            kind: if certificate.is_ca() { Kind::Authority } else { Kind::Leaf },
        })
    }

    /// Its dates; `None` where it ends before it begins.
    pub fn valid(&self) -> Option<Validity> {
        // The last second counts to its end.
        Validity::new(HubTime(self.not_before.0), HubTime(self.not_after.0.saturating_add(999)))
    }

    /// Whether it is for exactly this address.
    pub fn is_for(&self, address: IpAddr) -> bool {
        self.names.iter().any(|name| name.parse() == Ok(address))
    }
}

impl fmt::Display for Certificate {
    /// For one line of an error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> =
            self.names.iter().take(limit::CERTIFICATE_NAMES_SHOWN).map(String::as_str).collect();
        let more = self.names.len().saturating_sub(shown.len());
        match (shown.is_empty(), more) {
            (true, _) => write!(f, "it is for no host")?,
            (false, 0) => write!(f, "it is for {}", shown.join(", "))?,
            (false, more) => write!(f, "it is for {} and {more} more", shown.join(", "))?,
        }
        write!(f, ", issued by `{}`", self.issuer)?;
        self.valid().map_or(Ok(()), |valid| write!(f, ", valid {valid}"))
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(plain(name)),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn text(name: &X509Name<'_>) -> String {
    plain(&name.to_string())
}

/// It is shown in logs: no control characters from a stranger's certificate, and no novels.
fn plain(text: &str) -> String {
    let letters = text.chars().map(|letter| if letter.is_control() { '?' } else { letter });
    letters.take(limit::CERTIFICATE_TEXT_CHARS_MAX).collect()
}

fn serial(bytes: &[u8]) -> String {
    // DER puts a zero before a number whose first bit is set.
    let bytes = bytes.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(bytes);
    hex::encode_upper(bytes)
}

fn time(seconds: i64) -> WallTime {
    WallTime(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SanType, SerialNumber, date_time_ymd};

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = CertificateParams::new(vec!["hub.example".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Certificate::read(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn names_dates_and_number_are_what_was_put_in() {
        let certificate = made(|params| {
            params.serial_number = Some(SerialNumber::from_slice(&[0xC0, 0x01]));
            params.subject_alt_names.push(SanType::IpAddress("10.1.2.3".parse().unwrap()));
            params.subject_alt_names.push(SanType::IpAddress("::1".parse().unwrap()));
            params.not_before = date_time_ymd(2026, 1, 1);
            params.not_after = date_time_ymd(2027, 1, 1);
        });
        assert_eq!(certificate.names, ["hub.example", "10.1.2.3", "::1"]);
        assert_eq!(certificate.serial, "C001");
        assert_eq!(certificate.not_before.to_string(), "2026-01-01T00:00:00.000Z");
        assert_eq!(certificate.not_after.to_string(), "2027-01-01T00:00:00.000Z");
        assert_eq!(certificate.kind, Kind::Leaf);
        assert!(
            certificate.is_for("::1".parse().unwrap()) && !certificate.is_for("10.1.2.4".parse().unwrap())
        );
    }

    #[test]
    fn an_authority_and_a_strangers_letters_are_seen() {
        let certificate = made(|params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, "one\ntwo");
        });
        assert_eq!(certificate.kind, Kind::Authority);
        assert!(certificate.subject.contains("one?two"), "{}", certificate.subject);
        let before = made(|params| params.not_before = date_time_ymd(1960, 1, 1)).not_before;
        assert_eq!(before, WallTime(0));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for bytes in [&b""[..], b"0", &[0x30, 0x82, 0xFF, 0xFF]] {
            assert!(Certificate::read(bytes).is_err());
        }
    }

    #[test]
    fn a_long_list_of_names_is_cut_in_messages_and_a_makers_letters_cannot_write_to_a_terminal() {
        let certificate = made(|params| {
            let more = (0..1000).map(|at| SanType::DnsName(format!("h{at}.example").try_into().unwrap()));
            params.subject_alt_names.extend(more);
            params.distinguished_name.push(rcgen::DnType::CommonName, "\u{1b}[2Jx".repeat(1000));
        });
        let text = certificate.to_string();
        assert!(text.starts_with("it is for hub.example, h0.example"), "{text}");
        assert!(text.contains(&format!("and {} more", 1001 - limit::CERTIFICATE_NAMES_SHOWN)), "{text}");
        assert!(text.len() < 1000 && !text.contains('\u{1b}'), "{text}");
        let nobody = made(|params| params.subject_alt_names.clear()).to_string();
        assert!(nobody.starts_with("it is for no host, issued by"), "{nobody}");
    }

    #[test]
    fn one_that_ends_before_it_begins_is_never_valid() {
        let dates = |from: i32, to: i32| {
            made(|params| {
                params.not_before = date_time_ymd(from, 1, 1);
                params.not_after = date_time_ymd(to, 1, 1);
            })
        };
        assert_eq!(dates(2027, 2026).valid(), None);
        let valid = dates(2026, 2027).valid().unwrap();
        assert_eq!(valid.to_string(), "from 2026-01-01T00:00:00Z to 2027-01-01T00:00:00Z");
        assert!(valid.contains(HubTime(valid.not_before().0 + 1)) && !valid.contains(HubTime(0)));
    }
}
