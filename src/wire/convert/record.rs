//! Records, Gaps, acks and loss reports.

use bytes::BufMut;
use prost::encoding::encode_varint;

use crate::id::{AppName, ParseIdError};
use crate::limit;
use crate::time::{ClockOffset, WallTime};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message as domain;
use crate::wire::proto;

use super::field::{bounded, invalid, lane_to_proto, stream};

/// A `Records` body without its batch: the fields before it and those after it, encoded on the stack.
pub(in crate::wire) struct RecordsEdges {
    before: [u8; 64],
    before_len: usize,
    after: [u8; 11],
    after_len: usize,
}

impl RecordsEdges {
    pub(in crate::wire) fn new(records: &domain::Records) -> Self {
        let mut edges = Self { before: [0; 64], before_len: 0, after: [0; 11], after_len: 0 };
        let mut put = edges.before.as_mut_slice();
        put_number(0x08, u64::from(lane_to_proto(records.stream.lane).unsigned_abs()), &mut put);
        let epoch = records.stream.epoch.as_u64();
        if epoch != 0 {
            put.put_u8(0x11);
            put.put_u64_le(epoch);
        }
        put_number(0x18, records.first, &mut put);
        put_number(0x20, records.count.into(), &mut put);
        put_number(0x28, u64::from(records.codec == domain::Codec::Zstd), &mut put);
        put_number(0x30, records.raw_len.into(), &mut put);
        put_number(0x3A, records.batch.len() as u64, &mut put);
        let unused = put.len();
        edges.before_len = edges.before.len() - unused;
        if let Some(ClockOffset(offset)) = records.clock_offset {
            let mut put = edges.after.as_mut_slice();
            put.put_u8(0x40);
            // ZigZag, as sint64 is written.
            encode_varint((offset.wrapping_shl(1) ^ (offset >> 63)).cast_unsigned(), &mut put);
            let unused = put.len();
            edges.after_len = edges.after.len() - unused;
        }
        edges
    }

    pub(in crate::wire) fn before(&self) -> &[u8] {
        self.before.get(..self.before_len).unwrap_or_default()
    }

    pub(in crate::wire) fn after(&self) -> &[u8] {
        self.after.get(..self.after_len).unwrap_or_default()
    }
}

/// A varint field; 0 is left out, as proto3 does.
fn put_number(tag: u8, value: u64, out: &mut impl BufMut) {
    if value != 0 {
        out.put_u8(tag);
        encode_varint(value, out);
    }
}

pub(in crate::wire) fn records_to_proto(records: domain::Records) -> proto::Records {
    proto::Records {
        lane: lane_to_proto(records.stream.lane),
        epoch: records.stream.epoch.as_u64(),
        first: records.first,
        count: records.count,
        codec: match records.codec {
            domain::Codec::None => proto::Codec::None,
            domain::Codec::Zstd => proto::Codec::Zstd,
        } as i32,
        raw_len: records.raw_len,
        batch: records.batch,
        clock_offset_ms: records.clock_offset.map(|offset| offset.0),
    }
}

pub(in crate::wire) fn records_from_proto(records: proto::Records) -> Result<domain::Records, WireError> {
    let end = records.first.checked_add(records.count.into());
    if records.first == 0 || records.count == 0 || end.is_none() {
        return Err(invalid(format!("records from {} count {}", records.first, records.count)));
    }
    if records.count > limit::BATCH_RECORDS_MAX {
        let detail =
            format!("{} records in one batch, the limit is {}", records.count, limit::BATCH_RECORDS_MAX);
        return Err(invalid(detail));
    }
    let codec = match proto::Codec::try_from(records.codec) {
        Ok(proto::Codec::None) => domain::Codec::None,
        Ok(proto::Codec::Zstd) => domain::Codec::Zstd,
        Err(_) => return Err(invalid(format!("codec {}", records.codec))),
    };
    let raw_len = records.raw_len as usize;
    if raw_len > limit::MESSAGE_BYTES_MAX || (codec == domain::Codec::None && raw_len != records.batch.len())
    {
        return Err(invalid(format!("raw_len {raw_len}, the batch has {}", records.batch.len())));
    }
    Ok(domain::Records {
        stream: stream(records.lane, records.epoch)?,
        first: records.first,
        count: records.count,
        codec,
        raw_len: records.raw_len,
        batch: records.batch,
        clock_offset: records.clock_offset_ms.map(ClockOffset),
    })
}

pub(in crate::wire) fn record_to_proto(record: domain::Record) -> proto::Record {
    proto::Record {
        recorded_at_ms: record.recorded_at.0,
        source: record.source,
        kind: kind_to_proto(record.kind),
        payload: record.payload,
        part: record.part.map_or(0, |part| part.index),
        parts: record.part.map_or(0, |part| part.of),
        app: record.app.map(AppName::into_string).unwrap_or_default(),
    }
}

pub(in crate::wire) fn record_from_proto(record: proto::Record) -> Result<domain::Record, WireError> {
    let part = match (record.part, record.parts) {
        (0, 0) => None,
        (index, of) if index >= 1 && index <= of => Some(domain::Part { index, of }),
        (index, of) => return Err(invalid(format!("part {index} of {of}"))),
    };
    if record.payload.len() > limit::RECORD_BYTES_MAX {
        let detail = format!("{} bytes, the limit is {}", record.payload.len(), limit::RECORD_BYTES_MAX);
        return Err(WireError::new(ErrorCode::RecordTooLarge, detail));
    }
    Ok(domain::Record {
        recorded_at: WallTime(record.recorded_at_ms),
        source: bounded(record.source, limit::SOURCE_BYTES_MAX, "source")?,
        kind: kind_from_proto(record.kind),
        payload: record.payload,
        part,
        app: app(&record.app)?,
    })
}

/// No name at all is proto3's way to say that there is none.
fn app(name: &str) -> Result<Option<AppName>, WireError> {
    let name = Some(name).filter(|name| !name.is_empty());
    name.map(str::parse).transpose().map_err(|error: ParseIdError| invalid(error.to_string()))
}

fn kind_to_proto(kind: domain::RecordKind) -> i32 {
    let kind = match kind {
        domain::RecordKind::Opaque => proto::RecordKind::Opaque,
        domain::RecordKind::LossReport => proto::RecordKind::LossReport,
        domain::RecordKind::JobAck => proto::RecordKind::JobAck,
        domain::RecordKind::JobStatus => proto::RecordKind::JobStatus,
        domain::RecordKind::JobResult => proto::RecordKind::JobResult,
        domain::RecordKind::JobProgress => proto::RecordKind::JobProgress,
        domain::RecordKind::JobOutput => proto::RecordKind::JobOutput,
        domain::RecordKind::JobArtifact => proto::RecordKind::JobArtifact,
        domain::RecordKind::JobPayload => proto::RecordKind::JobPayload,
        domain::RecordKind::Unknown(number) => return number,
    };
    kind as i32
}

/// A kind of a later version is kept as it is: refusing it would hold up everything behind it for ever.
fn kind_from_proto(kind: i32) -> domain::RecordKind {
    match proto::RecordKind::try_from(kind) {
        Ok(proto::RecordKind::Opaque) => domain::RecordKind::Opaque,
        Ok(proto::RecordKind::LossReport) => domain::RecordKind::LossReport,
        Ok(proto::RecordKind::JobAck) => domain::RecordKind::JobAck,
        Ok(proto::RecordKind::JobStatus) => domain::RecordKind::JobStatus,
        Ok(proto::RecordKind::JobResult) => domain::RecordKind::JobResult,
        Ok(proto::RecordKind::JobProgress) => domain::RecordKind::JobProgress,
        Ok(proto::RecordKind::JobOutput) => domain::RecordKind::JobOutput,
        Ok(proto::RecordKind::JobArtifact) => domain::RecordKind::JobArtifact,
        Ok(proto::RecordKind::JobPayload) => domain::RecordKind::JobPayload,
        Err(_) => domain::RecordKind::Unknown(kind),
    }
}

pub(in crate::wire) fn loss_to_proto(report: domain::LossReport) -> proto::LossReport {
    proto::LossReport {
        lane: lane_to_proto(report.stream.lane),
        epoch: report.stream.epoch.as_u64(),
        from: report.from,
        to: report.to,
        reason: match report.reason {
            domain::LossReason::RolledBack => proto::LossReason::RolledBack,
            domain::LossReason::Quarantined => proto::LossReason::Quarantined,
            domain::LossReason::Unreadable => proto::LossReason::Unreadable,
            domain::LossReason::CoreLost => proto::LossReason::CoreLost,
        } as i32,
    }
}

pub(in crate::wire) fn loss_from_proto(report: proto::LossReport) -> Result<domain::LossReport, WireError> {
    Ok(domain::LossReport {
        stream: stream(report.lane, report.epoch)?,
        from: report.from,
        to: report.to,
        reason: match proto::LossReason::try_from(report.reason) {
            Ok(proto::LossReason::RolledBack) => domain::LossReason::RolledBack,
            Ok(proto::LossReason::Quarantined) => domain::LossReason::Quarantined,
            Ok(proto::LossReason::Unreadable) => domain::LossReason::Unreadable,
            Ok(proto::LossReason::CoreLost) => domain::LossReason::CoreLost,
            Ok(proto::LossReason::Unspecified) | Err(_) => {
                return Err(invalid(format!("loss reason {}", report.reason)));
            }
        },
    })
}

pub(in crate::wire) fn gap_to_proto(gap: domain::Gap) -> proto::Gap {
    proto::Gap {
        lane: lane_to_proto(gap.stream.lane),
        epoch: gap.stream.epoch.as_u64(),
        from: gap.from,
        to: gap.to,
        reason: match gap.reason {
            domain::GapReason::Evicted => proto::GapReason::Evicted,
            domain::GapReason::Expired => proto::GapReason::Expired,
            domain::GapReason::Corrupt => proto::GapReason::Corrupt,
            domain::GapReason::CutTail => proto::GapReason::CutTail,
            domain::GapReason::HubLost => proto::GapReason::HubLost,
        } as i32,
        records: gap.records,
        bytes: gap.bytes,
    }
}

pub(in crate::wire) fn gap_from_proto(gap: &proto::Gap) -> Result<domain::Gap, WireError> {
    if gap.from == 0 || gap.to < gap.from {
        return Err(invalid(format!("gap from {} to {}", gap.from, gap.to)));
    }
    Ok(domain::Gap {
        stream: stream(gap.lane, gap.epoch)?,
        from: gap.from,
        to: gap.to,
        reason: match proto::GapReason::try_from(gap.reason) {
            Ok(proto::GapReason::Evicted) => domain::GapReason::Evicted,
            Ok(proto::GapReason::Expired) => domain::GapReason::Expired,
            Ok(proto::GapReason::Corrupt) => domain::GapReason::Corrupt,
            Ok(proto::GapReason::CutTail) => domain::GapReason::CutTail,
            Ok(proto::GapReason::HubLost) => domain::GapReason::HubLost,
            Ok(proto::GapReason::Unspecified) | Err(_) => {
                return Err(invalid(format!("gap reason {}", gap.reason)));
            }
        },
        records: gap.records,
        bytes: gap.bytes,
    })
}

pub(super) fn ack_to_proto(mark: &domain::StreamMark) -> proto::Ack {
    proto::Ack {
        lane: lane_to_proto(mark.stream.lane),
        epoch: mark.stream.epoch.as_u64(),
        acked: mark.acked,
        acked_crc: mark.acked_crc,
    }
}

pub(super) fn ack_from_proto(ack: &proto::Ack) -> Result<domain::StreamMark, WireError> {
    Ok(domain::StreamMark {
        stream: stream(ack.lane, ack.epoch)?,
        acked: ack.acked,
        acked_crc: ack.acked_crc,
    })
}
