//! Certificates and private keys from PEM files, with an error for everything that can be wrong with one.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::limit;

/// A file without what was looked for in it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PemError {
    /// It cannot be read.
    #[error("cannot read {}: {reason}; check the path and who may read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No certificate, or a damaged one.
    #[error("{} has no usable certificate: {reason}; expected PEM, `-----BEGIN CERTIFICATE-----`", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No private key, or a damaged one.
    #[error("{} has no usable private key: {reason}; expected PEM, `-----BEGIN PRIVATE KEY-----`", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A passphrase would be needed.
    #[error("the private key in {} is protected by a passphrase; write it without one (openssl pkey -in OLD -out NEW) and keep the file at mode 0600", path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
    },
}

/// All certificates of a file, in its order; at least one.
///
/// # Errors
/// Where it cannot be read, holds none, or a damaged one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let bytes = read(path)?;
    let wrong = |reason: String| PemError::NoCertificate { path: path.to_owned(), reason };
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() {
        return Err(wrong("there is none in it".to_owned()));
    }
    Ok(found)
}

/// A certificate as a file has it.
pub fn to_text(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let mut lines = String::from("-----BEGIN CERTIFICATE-----\n");
    for (at, letter) in text.chars().enumerate() {
        // RFC 7468: 64 letters a line.
        if at > 0 && at % 64 == 0 {
            lines.push('\n');
        }
        lines.push(letter);
    }
    lines.push_str("\n-----END CERTIFICATE-----\n");
    lines
}

/// The first private key of a file: PKCS#8, PKCS#1 or SEC1.
///
/// # Errors
/// Where it cannot be read, holds none, a damaged one, or one with a passphrase.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("ENCRYPTED") {
        return Err(PemError::Passphrase { path: path.to_owned() });
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let reason = match error {
            pem::Error::NoItemsFound => "there is none in it".to_owned(),
            other => other.to_string(),
        };
        PemError::NoKey { path: path.to_owned(), reason }
    })
}

fn read(path: &Path) -> Result<Vec<u8>, PemError> {
    regular(path).map_err(|error| PemError::Unreadable { path: path.to_owned(), reason: error.to_string() })
}

/// A pipe would keep its reader waiting, a device would never end.
fn regular(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit::PEM_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit::PEM_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {} bytes", limit::PEM_BYTES_MAX)));
    }
    Ok(bytes)
}
