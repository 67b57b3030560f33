//! A job's spec in its row: the bytes that were submitted, or, where it has secrets, those bytes sealed under `hub.key`.

use bytes::Bytes;

use crate::hub::store::{Store, StoreError};
use crate::id::JobId;
use crate::job::JobSpec;

/// The columns `spec` and `spec_sealed`.
pub(super) type Kept = (Vec<u8>, i64);

impl Store {
    /// A spec as it is to be stored.
    pub(super) fn keep_spec(&self, job: JobId, spec: &JobSpec, bytes: &[u8]) -> Result<Kept, StoreError> {
        if spec.secrets.is_empty() {
            return Ok((bytes.to_vec(), 0));
        }
        Ok((self.sealer.seal_spec(bytes, job)?, 1))
    }

    /// The spec as it was submitted; `None` where `hub.key` does not open it: its row is damaged.
    pub(super) fn kept_spec(&self, job: JobId, (spec, sealed): Kept) -> Option<Bytes> {
        if sealed == 0 {
            return Some(Bytes::from(spec));
        }
        self.sealer.open_spec(&spec, job).ok().map(Bytes::from_owner)
    }
}
