//! `BALLAST`: space that is given up to let a full disk open a database.

use std::io;
use std::path::Path;

use crate::limit;

use super::host::Host;

const NAME: &str = "BALLAST";

/// Whether there is a ballast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ballast {
    /// It takes its space.
    Held,
    /// It was given up, or the disk was full before it could be made.
    Missing,
}

/// Makes the ballast where it is missing. On a full disk there is none: not an error.
pub(super) fn keep(host: &dyn Host, dir: &Path) -> io::Result<Ballast> {
    match host.reserve_file(&dir.join(NAME), limit::BALLAST_BYTES) {
        Ok(()) => Ok(Ballast::Held),
        Err(error) if is_full(&error) => {
            // Half a ballast only takes what others need.
            give_up(host, dir);
            Ok(Ballast::Missing)
        }
        Err(error) => Err(error),
    }
}

/// As [`keep`], where there is more room than the ballast alone takes.
pub(super) fn keep_with_room(host: &dyn Host, dir: &Path) -> io::Result<Ballast> {
    if host.free_bytes(dir)? < 2 * limit::BALLAST_BYTES {
        return Ok(Ballast::Missing);
    }
    keep(host, dir)
}

/// Gives its space back.
pub(super) fn give_up(host: &dyn Host, dir: &Path) -> Ballast {
    let path = dir.join(NAME);
    if let Err(error) = host.remove_file(&path) {
        tracing::warn!(%error, path = %path.display(), "the outbox's ballast cannot be given up");
    }
    Ballast::Missing
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
