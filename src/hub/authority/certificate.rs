//! Certificates: what stands in those that are made here, and what is read of those that are there. ECDSA P-256, which
//! every TLS 1.3 peer knows and whose chains are small on slow links.

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use crate::id::AgentName;
use crate::limit;
use crate::net::tls::certificate::{Certificate, Kind, Unreadable};
use crate::obs::random;
use crate::time::{HubTime, WallTime};

use super::{CertError, Host};

const DAY_S: i64 = 86_400;

/// From when until when a certificate is good, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Validity {
    pub(super) fn new(now: i64, days: u32) -> Self {
        Self {
            not_before: now.saturating_sub(limit::CERT_BEFORE_S),
            not_after: now.saturating_add(i64::from(days).saturating_mul(DAY_S)),
        }
    }
}

/// An authority: its certificate and its key.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// The same as its file has it.
    pem: String,
    good: Validity,
}

impl Authority {
    /// The authority with this certificate.
    ///
    /// # Errors
    /// One line, where the certificate is no authority's or the key is not its own.
    pub(super) fn new(
        certificate: CertificateDer<'static>,
        pem: String,
        key: KeyPair,
    ) -> Result<Self, String> {
        let found = Certificate::read(&certificate).map_err(|error| error.to_string())?;
        if found.kind != Kind::Authority {
            return Err("it is not the certificate of an authority".to_owned());
        }
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|error| error.to_string())?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err("ca.key is not its key".to_owned());
        }
        let good = Validity { not_before: seconds(found.not_before), not_after: seconds(found.not_after) };
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| error.to_string())?;
        Ok(Self { issuer, certificate, pem, good })
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    pub(super) fn expires_at(&self) -> i64 {
        self.good.not_after
    }

    /// So many days, within the authority's own; `None`: all of them.
    pub(super) fn validity(&self, now: i64, days: Option<u32>) -> Result<Validity, CertError> {
        let wished = Validity::new(now, days.unwrap_or(limit::CA_DAYS));
        let validity = Validity {
            not_before: wished.not_before.max(self.good.not_before),
            not_after: wished.not_after.min(self.good.not_after),
        };
        // The clock runs behind the one that the authority was made by, which has a day to spare.
        if now < self.good.not_before {
            return Err(CertError::Behind { now, authority: self.good.not_before });
        }
        if validity.not_after <= now {
            return Err(CertError::Expired(self.good.not_after));
        }
        Ok(validity)
    }

    /// The hub's certificate and the authority's, as PEM.
    pub(super) fn server(
        &self,
        hosts: &[Host],
        validity: Validity,
        key: &KeyPair,
    ) -> Result<String, CertError> {
        let mut params = leaf("outpost hub", ExtendedKeyUsagePurpose::ServerAuth, validity)?;
        for host in hosts {
            params.subject_alt_names.push(match host {
                Host::Name(name) => SanType::DnsName(Ia5String::try_from(name.as_str())?),
                Host::Address(address) => SanType::IpAddress(*address),
            });
        }
        let leaf = params.signed_by(key, &self.issuer)?.pem();
        Ok(format!("{leaf}{}", self.pem))
    }

    /// An agent's certificate, as PEM. It has no names of hosts: nobody is to take it for a server's.
    pub(super) fn client(
        &self,
        name: &AgentName,
        validity: Validity,
        key: &KeyPair,
    ) -> Result<String, CertError> {
        let params = leaf(name.as_str(), ExtendedKeyUsagePurpose::ClientAuth, validity)?;
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }
}

/// A key of its own for each certificate.
pub(super) fn new_key() -> Result<KeyPair, CertError> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

/// The certificate of a new authority, as PEM. Its name has a random part: verifiers look authorities up by name, and an
/// agent may know the one before as well.
pub(super) fn root(key: &KeyPair, validity: Validity) -> Result<String, CertError> {
    let name = format!("outpost hub authority {}", hex::encode(random::bytes::<4>()));
    let mut params = named(&name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params.self_signed(key)?.pem())
}

fn leaf(
    name: &str,
    purpose: ExtendedKeyUsagePurpose,
    validity: Validity,
) -> Result<CertificateParams, CertError> {
    let mut params = named(name, validity)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn named(name: &str, validity: Validity) -> Result<CertificateParams, CertError> {
    let at = |seconds: i64| ASN1Time::from_timestamp(seconds).map(|time| time.to_datetime());
    let clock = |_| CertError::Clock(validity.not_before);
    let mut params = CertificateParams::default();
    params.not_before = at(validity.not_before).map_err(clock)?;
    params.not_after = at(validity.not_after).map_err(clock)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // Not of the key, which a renewal keeps. Positive, and never with a zero in front (RFC 5280, 4.1.2.2).
    let mut serial = random::bytes::<16>();
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// Whether a certificate is an authority's that vouches for itself.
pub(super) fn is_root(certificate: &CertificateDer<'_>) -> bool {
    Certificate::read(certificate)
        .is_ok_and(|found| found.kind == Kind::Authority && found.subject == found.issuer)
}

/// The names and addresses that a certificate is for.
pub(super) fn hosts(certificate: &CertificateDer<'_>) -> Result<Vec<Host>, Unreadable> {
    let found = Certificate::read(certificate)?;
    Ok(found.names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// A whole second since 1970.
pub(super) fn seconds(time: WallTime) -> i64 {
    i64::try_from(time.0 / 1000).unwrap_or(i64::MAX)
}

/// A second since 1970 as people write it.
pub(crate) fn date(seconds: i64) -> String {
    HubTime(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)).to_second()
}
