//! Records, gaps, and what became of a bundle.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::hub::import::Imported;
use crate::hub::store::{Item, ItemContent, Page};
use crate::wire::batch;
use crate::wire::message::RecordKind;

/// A page of records and gaps, in order.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct RecordPage {
    records: Vec<RecordView>,
    /// Where the next page begins (`from`); null where nothing more is stored.
    next: Option<String>,
}

/// A record, or in its place what is missing.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct RecordView {
    /// `control`, `events` or `logs`.
    lane: &'static str,
    /// 16 hexadecimal digits.
    epoch: String,
    /// Numbers that will not come; then there is nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<GapView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// Corrected to the hub's clock where the offset is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// The app that these are log lines of.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    /// How many it came in, where it was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    /// Some of its parts will not come.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<bool>,
    /// What it says of a job or a loss; absent where a program wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// The payload, where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The payload, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// What the agent says it lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<LossView>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct GapView {
    from: i64,
    to: i64,
    reason: String,
    records: i64,
    bytes: i64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct LossView {
    lane: &'static str,
    epoch: String,
    from: u64,
    to: u64,
    reason: &'static str,
}

/// What became of a bundle.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct ImportView {
    agent: String,
    bundle: String,
    records: u64,
    gaps: u64,
    /// Records that were here before.
    known: u64,
    streams: Vec<MarkView>,
    /// The ack file, in base64.
    acks: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct MarkView {
    lane: &'static str,
    epoch: String,
    acked: u64,
}

/// A page of records, as the API answers it.
pub fn page(page: &Page) -> RecordPage {
    RecordPage {
        records: page.items.iter().map(item).collect(),
        next: page.next.map(|next| next.to_string()),
    }
}

/// What became of a bundle.
pub fn import(imported: &Imported) -> ImportView {
    let mark = |mark: &crate::wire::message::StreamMark| MarkView {
        lane: mark.stream.lane.name(),
        epoch: mark.stream.epoch.to_string(),
        acked: mark.acked,
    };
    ImportView {
        agent: imported.agent.to_string(),
        bundle: imported.bundle.to_string(),
        records: imported.records,
        gaps: imported.gaps,
        known: imported.known,
        streams: imported.marks.iter().map(mark).collect(),
        acks: STANDARD.encode(&imported.acks),
    }
}

/// One record or gap.
fn item(item: &Item) -> RecordView {
    let view = RecordView {
        lane: item.id.stream.lane.name(),
        epoch: item.id.stream.epoch.to_string(),
        ..RecordView::default()
    };
    match &item.content {
        ItemContent::Gap(gap) => {
            let (reason, records, bytes) = (gap.reason.clone(), gap.records, gap.bytes);
            RecordView { gap: Some(GapView { from: gap.from, to: gap.to, reason, records, bytes }), ..view }
        }
        ItemContent::Record { recorded_at, received_at, source, app, kind, payload, parts, whole } => {
            let view = RecordView {
                seq: Some(item.id.seq),
                recorded_at_ms: Some(recorded_at.0),
                received_at_ms: Some(*received_at),
                source: Some(source.clone()),
                app: app.as_ref().map(ToString::to_string),
                parts: (*parts > 1).then_some(*parts),
                incomplete: (!whole).then_some(true),
                kind: kind.name(),
                ..view
            };
            with_payload(view, *kind, payload)
        }
    }
}

/// As text where a program wrote text, decoded where it says what was lost, else as base64.
fn with_payload(view: RecordView, kind: RecordKind, payload: &[u8]) -> RecordView {
    match kind {
        RecordKind::Opaque => {
            if let Ok(text) = std::str::from_utf8(payload) {
                return RecordView { text: Some(text.to_owned()), ..view };
            }
        }
        RecordKind::LossReport => {
            if let Ok(loss) = batch::decode_loss(payload) {
                let (lane, epoch) = (loss.stream.lane.name(), loss.stream.epoch.to_string());
                let reason = loss.reason.name();
                let loss = LossView { lane, epoch, from: loss.from, to: loss.to, reason };
                return RecordView { loss: Some(loss), ..view };
            }
        }
        RecordKind::JobAck
        | RecordKind::JobStatus
        | RecordKind::JobResult
        | RecordKind::JobProgress
        | RecordKind::JobOutput
        | RecordKind::JobArtifact
        | RecordKind::JobPayload
        | RecordKind::Unknown(_) => {}
    }
    RecordView { base64: Some(STANDARD.encode(payload)), ..view }
}
