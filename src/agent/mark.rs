//! What the outbox knows about a mark of the hub.

use crate::id::RecordId;
use crate::outbox::{Outbox, StoreError};
use crate::session::LocalMark;
use crate::wire::message::StreamMark;

/// The stream's cursor, and the CRC of the record that the mark stands on.
pub(super) async fn local_mark(outbox: &Outbox, mark: &StreamMark) -> Result<LocalMark, StoreError> {
    let stream = mark.stream;
    let cursor = outbox.cursor(stream).await?.acked;
    let crc = match mark.acked {
        0 => None,
        seq => outbox.crc(RecordId { stream, seq }).await?,
    };
    Ok(LocalMark { stream, cursor, crc })
}
