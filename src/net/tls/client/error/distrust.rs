//! What speaks against a certificate, in words for people.

use std::fmt;
use std::path::PathBuf;

use crate::time::{HubTime, Validity};

/// A certificate's dates, and a time that does not lie within them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit {
    /// The leaf's dates.
    pub valid: Validity,
    /// What the time is thought to be.
    pub present: HubTime,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { valid, present } = *self;
        if present > valid.not_after() {
            write!(f, "expired at {}", valid.not_after().to_second())?;
        } else if present < valid.not_before() {
            write!(f, "is not valid before {}", valid.not_before().to_second())?;
        } else {
            f.write_str("holds, but one that was presented with it does not")?;
        }
        write!(f, ", and this machine takes it to be {}", present.to_second())
    }
}

/// What speaks against a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// Under the system's authorities, its dates and our time.
    Clock(Misfit),
    /// Under an authority of one's own, its dates, whatever our clock says.
    Dates {
        /// Its dates and our time.
        misfit: Misfit,
        /// What the time is at least, as the hub proved before.
        floor: HubTime,
    },
    /// It is for other hosts.
    WrongHost,
    /// Nobody in this file made it.
    NotIn(PathBuf),
    /// Nobody the system believes made it.
    UnknownAuthority,
    /// The authority of the invite did not make it.
    NotTheInvites,
    /// In the library's words.
    Other(String),
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock(misfit) => write!(
                f,
                "{misfit}: set its clock if that is wrong, renew the certificate if it is right, or give the hub's own authority with --ca (hub.ca_file), under which the hub may tell the time"
            ),
            Self::Dates { misfit, floor: HubTime(0) } => write!(
                f,
                "{misfit}; the certificates that were presented are at no time valid together; renew it at the hub (`outpost hub cert init`)"
            ),
            Self::Dates { misfit, floor } => write!(
                f,
                "{misfit}; all that was presented with it is at no time valid together from {} on, the time that this hub proved before; renew it at the hub (`outpost hub cert init`)",
                floor.to_second()
            ),
            Self::WrongHost => {
                f.write_str("is for other hosts; dial one of these, or have it made for this one as well")
            }
            Self::NotIn(path) => write!(
                f,
                "was made by nobody in {}; give the authority of this hub with --ca (hub.ca_file), or ask who stands between",
                path.display()
            ),
            Self::UnknownAuthority => f.write_str(
                "was made by nobody this system believes; give the hub's own authority with --ca (hub.ca_file)",
            ),
            Self::NotTheInvites => f.write_str(
                "does not come from the authority that the invite names; ask for a new invite, or who stands between",
            ),
            Self::Other(reason) => write!(f, "cannot be used: {reason}"),
        }
    }
}
