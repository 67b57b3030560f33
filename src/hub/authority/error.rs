//! Why there is no certificate.

use std::io;
use std::path::PathBuf;

use crate::limit;
use crate::net::tls::pem::PemError;

use super::certificate::date;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertError {
    /// This machine's clock cannot be right.
    #[error(
        "this machine's clock says {}: certificates made now would be over at once; set the clock, then run this again",
        date(*.0)
    )]
    Clock(i64),
    /// The clock is before the authority's beginning: what is made now would end before it begins, or be good to nobody.
    #[error(
        "this machine's clock says {}, and the authority is good from {} on: set the clock, then run this again",
        date(*now),
        date(*authority)
    )]
    Behind {
        /// What the clock says, in seconds since 1970.
        now: i64,
        /// When the authority begins.
        authority: i64,
    },
    /// Neither a name nor an address.
    #[error(
        "`{0}` is not a host name or an IP address: give it as agents dial it, without https://, port or path (wildcards are not made)"
    )]
    Host(String),
    /// More than one certificate carries.
    #[error("{count} hosts are more than the {max} that one certificate is made for", count = .0, max = limit::CERT_HOSTS_MAX)]
    TooManyHosts(usize),
    /// A file that can be neither read nor written.
    #[error("{}: {source}; check the folder and who may write in it", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is never overwritten.
    #[error("{} is there already and is not overwritten; move it away, or choose another folder", .0.display())]
    Present(PathBuf),
    /// A file that is not what it should be.
    #[error("{}: {reason}; restore it from a backup, or {remedy}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do without one.
        remedy: &'static str,
    },
    /// One of the two files of the authority is not there.
    #[error(
        "the authority in {} has no {missing}; restore it from a backup, or move the folder away to begin a new authority, which every agent has to be told of", folder.display()
    )]
    Incomplete {
        /// Where.
        folder: PathBuf,
        /// The file.
        missing: &'static str,
    },
    /// Somebody else can use a key.
    #[error("{0}")]
    Exposed(String),
    /// Certificates of it would be of no use.
    #[error(
        "the authority was good until {}; move its folder away and run `outpost hub cert init` for a new one, which every agent has to be told of",
        date(*.0)
    )]
    Expired(i64),
    /// There is nothing to issue with.
    #[error("there is no authority in {}; run `outpost hub cert init` first, or name the hub's folder with --data", .0.display())]
    NoAuthority(PathBuf),
    /// The certificate library.
    #[error("the certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
    /// A certificate file.
    #[error(transparent)]
    Pem(#[from] PemError),
}
