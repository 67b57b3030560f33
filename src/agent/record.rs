//! One record of the outbox, its parts joined, as `outbox show` prints it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::id::RecordId;
use crate::limit;
use crate::outbox::{Outbox, Reading, StoreError};
use crate::wire::batch;
use crate::wire::message::Record;

/// The object of `outbox show --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The lane's name.
    pub lane: String,
    /// The epoch's text form.
    pub epoch: String,
    /// Its number, the first one's where it has parts.
    pub seq: u64,
    /// This machine's clock when it was recorded.
    pub recorded_at_ms: u64,
    /// Who made it.
    pub source: String,
    /// What the payload is, where it is not a program's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Parts that are here, where there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
    /// Whether parts are missing: they were acked, or are lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// The payload, where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The payload otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// What is said where there is no such record.
pub fn absent(id: RecordId) -> String {
    format!(
        "{id} is not in the outbox: it was acked, is lost, or never was; `outpost outbox ls` shows what is"
    )
}

/// A record that is held, with all its parts that are, whichever of them `id` names.
///
/// # Errors
/// It cannot be read.
pub async fn show(outbox: &Outbox, id: RecordId) -> Result<Option<Shown>, StoreError> {
    let Some(named) = read(outbox, id).await? else { return Ok(None) };
    let Some(part) = named.part else { return Ok(Some(shown(id, &named, 1, 1, &named.payload))) };
    let before = u64::from(part.index.saturating_sub(1));
    let (mut payload, mut found, mut begin) = (Vec::new(), 0u32, None);
    for offset in 0..u64::from(part.of) {
        let seq = id.seq.saturating_sub(before).saturating_add(offset);
        let Some(piece) = read(outbox, RecordId { seq, ..id }).await? else { continue };
        if payload.len().saturating_add(piece.payload.len()) > limit::RECORD_BYTES_MAX {
            break;
        }
        begin.get_or_insert(seq);
        payload.extend_from_slice(&piece.payload);
        found = found.saturating_add(1);
    }
    let first = RecordId { seq: begin.unwrap_or(id.seq), ..id };
    Ok(Some(shown(first, &named, found, part.of, &payload)))
}

async fn read(outbox: &Outbox, id: RecordId) -> Result<Option<Record>, StoreError> {
    let Some(Reading::Records(batch)) = outbox.read(id.stream, id.seq, 1).await? else { return Ok(None) };
    let damaged = |error| StoreError::Invalid { detail: format!("{id}: {error}") };
    let records = batch::decode(&batch.batch, batch.count).map_err(damaged)?;
    Ok(records.into_iter().next())
}

fn shown(id: RecordId, record: &Record, found: u32, of: u32, payload: &[u8]) -> Shown {
    let text = std::str::from_utf8(payload).ok().map(str::to_owned);
    Shown {
        lane: id.stream.lane.name().to_owned(),
        epoch: id.stream.epoch.to_string(),
        seq: id.seq,
        recorded_at_ms: record.recorded_at.0,
        source: record.source.clone(),
        kind: record.kind.name().map(str::to_owned),
        parts: (of > 1).then_some(found),
        incomplete: found < of,
        base64: text.is_none().then(|| STANDARD.encode(payload)),
        text,
    }
}
