//! A certificate and its key from two files, as both sides of TLS show one, with an error for each thing that can be wrong.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::pem::{self, PemError};
use super::provider;

/// Two files that are no certificate with its key.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PairError {
    /// One of them.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Each for itself would do.
    #[error("the private key in {} is not the one of the first certificate in {}; the certificate of this key comes first, then the ones that signed it", key.display(), cert.display())]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The key's kind, mostly.
    #[error("the private key in {} cannot be used: {reason}; ECDSA (P-256, P-384), Ed25519 and RSA (2048 to 8192 bits) can", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A certificate that is none.
    #[error("a certificate in {} cannot be used: {reason}; look at it with `openssl x509 -in {} -text`", path.display(), path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The chain, which was read from `cert`, with the key in the file `key`.
///
/// # Errors
/// See [`PairError`].
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    cert: &Path,
    key: &Path,
) -> Result<CertifiedKey, PairError> {
    let private = pem::private_key(key)?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            PairError::Mismatch { cert: cert.to_owned(), key: key.to_owned() }
        }
        rustls::Error::General(reason) => PairError::Key { path: key.to_owned(), reason },
        other => PairError::Certificate { path: cert.to_owned(), reason: other.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Made by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521`.
    const P521: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIALOTQl1RV4T49Kdu7\n\
        0K6k74ZwsIczYAkDyOqs8inylvOy1GsSJegNpF55q0jL7/Z0p66f4JHExPnAzJM0\n\
        NHNOHdKhgYkDgYYABAFQ81WNgLAYOixLhV1wvC9GxFj2R4yW+9zOYJkJDNcfIAlL\n\
        tjpVvCIyP9xlOvZNaIs1Y3ikIRIIg5nb+MySVAqMaQFMx/3dd0YLz71fp90kRRMx\n\
        nODNZgYXJw0AWjF0nVF1dxw/S0KDjgZxfyUk3Lunlu24myYgmfLi6+inoCki7eeQ\n\
        wQ==\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn a_pair_is_taken_and_what_is_none_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["own.pem", "own.key"].map(|name| folder.path().join(name));
        let (own, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let certificate = CertificateParams::new(["a".to_owned()]).unwrap().self_signed(&own).unwrap();
        std::fs::write(&cert, certificate.pem()).unwrap();
        let with = |text: &str| {
            std::fs::write(&key, text).unwrap();
            certified(pem::certificates(&cert).unwrap(), &cert, &key)
        };
        with(&own.serialize_pem()).unwrap();
        let error = with(&other.serialize_pem()).unwrap_err();
        assert!(matches!(error, PairError::Mismatch { .. }), "{error}");
        // A good key, of a kind that is not spoken here.
        let error = with(P521).unwrap_err();
        assert!(matches!(&error, PairError::Key { path, .. } if *path == key), "{error}");
        assert!(error.to_string().contains("ECDSA (P-256, P-384)"), "{error}");
        assert!(matches!(with("no key").unwrap_err(), PairError::Pem(PemError::NoKey { .. })));
        std::fs::write(&key, own.serialize_pem()).unwrap();
        let no_certificate = vec![CertificateDer::from(vec![1, 2, 3])];
        let error = certified(no_certificate, &cert, &key).unwrap_err();
        assert!(matches!(&error, PairError::Certificate { path, .. } if *path == cert), "{error}");
    }
}
