//! An authority of the test's own, and what it signs.

use std::path::Path;

use outpost::obs::clock::wall_now;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::time::ASN1Time;

pub(crate) struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(crate) struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// For a hub on this machine, with a number that ends in this.
    pub(crate) fn server(&self, serial: u8) -> Signed {
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(hosts).unwrap();
        let mut number = [0x6F; 16];
        number[15] = serial;
        params.serial_number = Some(SerialNumber::from_slice(&number));
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For an agent.
    pub(crate) fn client(&self) -> Signed {
        self.sign(CertificateParams::new(Vec::new()).unwrap(), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Signed {
        params.distinguished_name.push(DnType::CommonName, "somebody");
        // An hour ago, for a year: a certificate for ever is a finding.
        let now = i64::try_from(wall_now().0 / 1000).unwrap();
        let at = |seconds| ASN1Time::from_timestamp(seconds).unwrap().to_datetime();
        (params.not_before, params.not_after) = (at(now - 3600), at(now + 365 * 24 * 3600));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        Signed { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }
}

impl Signed {
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    /// As `NAME.pem` and `NAME.key`, each in one piece.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        for (suffix, text) in [("pem", self.certificate.pem()), ("key", self.key.serialize_pem())] {
            let part = folder.join("part");
            std::fs::write(&part, text).unwrap();
            std::fs::rename(part, folder.join(format!("{name}.{suffix}"))).unwrap();
        }
    }
}
