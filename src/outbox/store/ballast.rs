//! `BALLAST`: space that is given up to let a full disk open a generation.

use std::io;
use std::path::Path;

use crate::limit;

use super::host::Host;

/// Makes the ballast where it is missing. On a full disk there is none: not an error.
pub(super) fn keep(host: &dyn Host, dir: &Path) -> io::Result<()> {
    let path = dir.join("BALLAST");
    match host.reserve_file(&path, limit::BALLAST_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            tracing::warn!(%error, path = %path.display(), "no space for the outbox's ballast");
            Ok(())
        }
        other => other,
    }
}
