//! What is said about a job, as records.

use crate::outbox::NewRecord;
use crate::time::WallTime;
use crate::wire::job::JobRecord;
use crate::wire::message::RecordKind;

/// Who makes these records.
pub(super) const SOURCE: &str = "outpost";

/// A job's record.
pub(super) fn record(content: JobRecord, at: WallTime) -> NewRecord {
    NewRecord {
        recorded_at: at,
        source: SOURCE.to_owned(),
        kind: content.kind(),
        payload: content.encode(),
        app: None,
    }
}

/// What a handler returned and is too long for the result.
pub(super) fn payload(bytes: bytes::Bytes, at: WallTime) -> NewRecord {
    NewRecord {
        recorded_at: at,
        source: SOURCE.to_owned(),
        kind: RecordKind::JobPayload,
        payload: bytes,
        app: None,
    }
}
