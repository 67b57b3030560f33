//! Between generated protobuf types and domain types; every bound a peer could break is checked here, once.

use std::time::Duration;

use bytes::{BufMut, Bytes};
use prost::encoding::encode_varint;

use crate::id::{Epoch, HubId, InstanceId, Lane, SessionId, StreamId};
use crate::limit;
use crate::time::{ClockOffset, HubTime, WallTime, millis};

use super::error::{ErrorCode, WireError};
use super::job;
use super::message as domain;
use super::message::Message;
use super::proto;
use proto::envelope::Body;

/// The body of a message; `None` for `Unknown`, which nobody sends.
pub(super) fn to_proto(message: Message) -> Option<Body> {
    Some(match message {
        Message::Records(records) => Body::Records(proto::Records {
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
        }),
        Message::Gap(gap) => Body::Gap(gap_to_proto(gap)),
        Message::Heartbeat(heartbeat) => Body::Heartbeat(proto::Heartbeat {
            depth: Lane::ALL
                .into_iter()
                .zip(heartbeat.depth)
                .map(|(lane, depth)| proto::LaneDepth {
                    lane: lane_to_proto(lane),
                    records: depth.records,
                    bytes: depth.bytes,
                })
                .collect(),
            agent_version: heartbeat.agent_version,
            config_version: heartbeat.config_version,
        }),
        Message::Ack(mark) => Body::Ack(proto::Ack {
            lane: lane_to_proto(mark.stream.lane),
            epoch: mark.stream.epoch.as_u64(),
            acked: mark.acked,
            acked_crc: mark.acked_crc,
        }),
        Message::Ping => Body::Ping(proto::Ping {}),
        Message::Pong => Body::Pong(proto::Pong {}),
        Message::Challenge(challenge) => Body::Challenge(challenge_to_proto(&challenge)),
        Message::ChallengeReply(signature) => Body::ChallengeReply(proto::ChallengeReply {
            signature: Bytes::copy_from_slice(signature.as_slice()),
        }),
        Message::Register(register) => Body::Register(register_to_proto(*register)),
        Message::RegisterMore(listing) => Body::RegisterMore(proto::RegisterMore {
            streams: listing.entries.iter().map(state_to_proto).collect(),
            more: listing.more,
        }),
        Message::RegisterAck(ack) => Body::RegisterAck(register_ack_to_proto(*ack)),
        Message::RegisterAckMore(listing) => Body::RegisterAckMore(proto::RegisterAckMore {
            streams: listing.entries.iter().map(mark_to_proto).collect(),
            more: listing.more,
        }),
        Message::Error(error) => Body::Error(proto::Error {
            code: error.code.map_or(0, ErrorCode::number),
            text: cut_text(error.text, limit::ERROR_TEXT_BYTES_MAX),
            retry_after_ms: error.retry_after.map_or(0, millis32),
        }),
        Message::GoAway(go_away) => Body::GoAway(proto::GoAway {
            retry_after_ms: millis32(go_away.retry_after),
            reason: cut_text(go_away.reason, limit::ERROR_TEXT_BYTES_MAX),
        }),
        Message::JobOffer(offer) => Body::JobOffer(job::offer_to_proto(offer)),
        Message::JobAck(ack) => Body::JobAck(job::ack_to_proto(ack)),
        Message::CancelJob(id) => Body::CancelJob(job::cancel_to_proto(id)),
        Message::Unknown(_) => return None,
    })
}

/// A `Records` body without its batch: the fields before it and those after it, encoded on the stack.
pub(super) struct RecordsEdges {
    before: [u8; 64],
    before_len: usize,
    after: [u8; 11],
    after_len: usize,
}

impl RecordsEdges {
    pub(super) fn new(records: &domain::Records) -> Self {
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

    pub(super) fn before(&self) -> &[u8] {
        self.before.get(..self.before_len).unwrap_or_default()
    }

    pub(super) fn after(&self) -> &[u8] {
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

/// The message of a body.
pub(super) fn from_proto(body: Body) -> Result<Message, WireError> {
    Ok(match body {
        Body::Records(records) => Message::Records(records_from_proto(records)?),
        Body::Gap(gap) => Message::Gap(gap_from_proto(&gap)?),
        Body::Heartbeat(heartbeat) => Message::Heartbeat(heartbeat_from_proto(heartbeat)?),
        Body::Ack(ack) => Message::Ack(domain::StreamMark {
            stream: stream(ack.lane, ack.epoch)?,
            acked: ack.acked,
            acked_crc: ack.acked_crc,
        }),
        Body::Ping(proto::Ping {}) => Message::Ping,
        Body::Pong(proto::Pong {}) => Message::Pong,
        Body::Challenge(challenge) => Message::Challenge(challenge_from_proto(&challenge)?),
        Body::ChallengeReply(reply) => {
            Message::ChallengeReply(Box::new(fixed(&reply.signature, "signature")?))
        }
        Body::Register(register) => Message::Register(Box::new(register_from_proto(register)?)),
        Body::RegisterMore(more) => {
            Message::RegisterMore(listing(&more.streams, more.more, state_from_proto)?)
        }
        Body::RegisterAck(ack) => Message::RegisterAck(Box::new(register_ack_from_proto(ack)?)),
        Body::RegisterAckMore(more) => {
            Message::RegisterAckMore(listing(&more.streams, more.more, mark_from_proto)?)
        }
        Body::Error(error) => Message::Error(domain::ErrorMessage {
            code: ErrorCode::from_number(error.code),
            text: bounded(error.text, limit::ERROR_TEXT_BYTES_MAX, "error text")?,
            retry_after: (error.retry_after_ms > 0)
                .then(|| Duration::from_millis(error.retry_after_ms.into())),
        }),
        Body::GoAway(go_away) => Message::GoAway(domain::GoAway {
            retry_after: Duration::from_millis(go_away.retry_after_ms.into()),
            reason: bounded(go_away.reason, limit::ERROR_TEXT_BYTES_MAX, "reason")?,
        }),
        Body::JobOffer(offer) => Message::JobOffer(job::offer_from_proto(offer)?),
        Body::JobAck(ack) => Message::JobAck(job::ack_from_proto(ack)?),
        Body::CancelJob(cancel) => Message::CancelJob(job::cancel_from_proto(&cancel)?),
    })
}

pub(super) fn record_to_proto(record: domain::Record) -> proto::Record {
    proto::Record {
        recorded_at_ms: record.recorded_at.0,
        source: record.source,
        kind: kind_to_proto(record.kind),
        payload: record.payload,
        part: record.part.map_or(0, |part| part.index),
        parts: record.part.map_or(0, |part| part.of),
    }
}

pub(super) fn record_from_proto(record: proto::Record) -> Result<domain::Record, WireError> {
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
    })
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

pub(super) fn loss_to_proto(report: domain::LossReport) -> proto::LossReport {
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

pub(super) fn loss_from_proto(report: proto::LossReport) -> Result<domain::LossReport, WireError> {
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

fn records_from_proto(records: proto::Records) -> Result<domain::Records, WireError> {
    let end = records.first.checked_add(records.count.into());
    if records.first == 0 || records.count == 0 || end.is_none() {
        return Err(invalid(format!("records from {} count {}", records.first, records.count)));
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

fn gap_to_proto(gap: domain::Gap) -> proto::Gap {
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

fn gap_from_proto(gap: &proto::Gap) -> Result<domain::Gap, WireError> {
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

fn heartbeat_from_proto(heartbeat: proto::Heartbeat) -> Result<domain::Heartbeat, WireError> {
    let mut depth = [domain::LaneDepth::default(); 3];
    for entry in heartbeat.depth.iter().take(depth.len()) {
        let lane = lane(entry.lane)?;
        if let Some(slot) = depth.get_mut(lane.index()) {
            *slot = domain::LaneDepth { records: entry.records, bytes: entry.bytes };
        }
    }
    Ok(domain::Heartbeat {
        depth,
        agent_version: register_text(heartbeat.agent_version, "agent_version")?,
        config_version: heartbeat.config_version,
    })
}

fn challenge_to_proto(challenge: &domain::Challenge) -> proto::Challenge {
    proto::Challenge {
        hub_id: Bytes::copy_from_slice(challenge.hub_id.as_bytes()),
        hub_nonce: Bytes::copy_from_slice(&challenge.hub_nonce),
        session_id: Bytes::copy_from_slice(challenge.session_id.as_bytes()),
        hub_time_ms: challenge.hub_time.0,
        signature: match challenge.signature {
            domain::SignatureMode::None => proto::SignatureMode::None,
            domain::SignatureMode::Optional => proto::SignatureMode::Optional,
            domain::SignatureMode::Required => proto::SignatureMode::Required,
        } as i32,
        binding: match challenge.binding {
            domain::ChannelBinding::None => proto::ChannelBinding::None,
            domain::ChannelBinding::TlsExporter => proto::ChannelBinding::TlsExporter,
        } as i32,
    }
}

fn challenge_from_proto(challenge: &proto::Challenge) -> Result<domain::Challenge, WireError> {
    Ok(domain::Challenge {
        hub_id: HubId::from_bytes(fixed(&challenge.hub_id, "hub_id")?),
        hub_nonce: fixed(&challenge.hub_nonce, "hub_nonce")?,
        session_id: SessionId::from_bytes(fixed(&challenge.session_id, "session_id")?),
        hub_time: HubTime(challenge.hub_time_ms),
        signature: match proto::SignatureMode::try_from(challenge.signature) {
            Ok(proto::SignatureMode::None) => domain::SignatureMode::None,
            Ok(proto::SignatureMode::Optional) => domain::SignatureMode::Optional,
            Ok(proto::SignatureMode::Required) => domain::SignatureMode::Required,
            Ok(proto::SignatureMode::Unspecified) | Err(_) => {
                return Err(invalid(format!("signature mode {}", challenge.signature)));
            }
        },
        binding: match proto::ChannelBinding::try_from(challenge.binding) {
            Ok(proto::ChannelBinding::None) => domain::ChannelBinding::None,
            Ok(proto::ChannelBinding::TlsExporter) => domain::ChannelBinding::TlsExporter,
            Ok(proto::ChannelBinding::Unspecified) | Err(_) => {
                return Err(invalid(format!("channel binding {}", challenge.binding)));
            }
        },
    })
}

fn register_to_proto(register: domain::Register) -> proto::Register {
    proto::Register {
        instance: Bytes::copy_from_slice(register.instance.as_bytes()),
        agent_version: register.agent_version,
        hostname: register.hostname,
        os: register.os,
        arch: register.arch,
        runtimes: register.runtimes,
        capabilities: register.capabilities,
        last_known_config_version: register.last_known_config_version,
        streams: register.streams.entries.iter().map(state_to_proto).collect(),
        more: register.streams.more,
        wall_time_ms: register.wall_time.0,
    }
}

fn register_from_proto(register: proto::Register) -> Result<domain::Register, WireError> {
    let entries = register.runtimes.len().max(register.capabilities.len());
    if entries > limit::REGISTER_ENTRIES_MAX {
        let detail =
            format!("{entries} runtimes or capabilities, the limit is {}", limit::REGISTER_ENTRIES_MAX);
        return Err(invalid(detail));
    }
    Ok(domain::Register {
        instance: InstanceId::from_bytes(fixed(&register.instance, "instance")?),
        agent_version: register_text(register.agent_version, "agent_version")?,
        hostname: register_text(register.hostname, "hostname")?,
        os: register_text(register.os, "os")?,
        arch: register_text(register.arch, "arch")?,
        runtimes: register
            .runtimes
            .into_iter()
            .map(|(name, version)| Ok((register_text(name, "runtime")?, register_text(version, "runtime")?)))
            .collect::<Result<_, WireError>>()?,
        capabilities: register
            .capabilities
            .into_iter()
            .map(|capability| register_text(capability, "capability"))
            .collect::<Result<_, _>>()?,
        last_known_config_version: register.last_known_config_version,
        streams: listing(&register.streams, register.more, state_from_proto)?,
        wall_time: WallTime(register.wall_time_ms),
    })
}

fn register_ack_to_proto(ack: domain::RegisterAck) -> proto::RegisterAck {
    proto::RegisterAck {
        hub_time_ms: ack.hub_time.0,
        heartbeat_interval_s: seconds32(ack.heartbeat_interval),
        limits: Some(proto::Limits {
            message_bytes: ack.limits.message_bytes,
            window_bytes: ack.limits.window_bytes,
            control_window_bytes: ack.limits.control_window_bytes,
            record_bytes: ack.limits.record_bytes,
            ping_interval_s: seconds32(ack.limits.ping_interval),
            idle_s: seconds32(ack.limits.idle),
            zstd: ack.limits.zstd,
        }),
        streams: ack.marks.entries.iter().map(mark_to_proto).collect(),
        more: ack.marks.more,
        config: ack
            .config
            .map(|config| proto::ConfigSnapshot { version: config.version, document: config.document }),
        retry: ack
            .retry
            .map(|retry| proto::RetryHints { min_ms: millis32(retry.min), max_ms: millis32(retry.max) }),
    }
}

fn register_ack_from_proto(ack: proto::RegisterAck) -> Result<domain::RegisterAck, WireError> {
    let limits = ack.limits.ok_or_else(|| invalid("RegisterAck without limits".to_owned()))?;
    let positive = [
        ack.heartbeat_interval_s,
        limits.message_bytes,
        limits.window_bytes,
        limits.control_window_bytes,
        limits.record_bytes,
        limits.ping_interval_s,
        limits.idle_s,
    ];
    if positive.contains(&0) {
        return Err(invalid("RegisterAck with a limit or interval of 0".to_owned()));
    }
    let config = ack
        .config
        .map(|config| {
            if config.document.len() > limit::CONFIG_BYTES_MAX {
                return Err(invalid(format!("config snapshot of {} bytes", config.document.len())));
            }
            Ok(domain::ConfigSnapshot { version: config.version, document: config.document })
        })
        .transpose()?;
    Ok(domain::RegisterAck {
        hub_time: HubTime(ack.hub_time_ms),
        heartbeat_interval: Duration::from_secs(ack.heartbeat_interval_s.into()),
        limits: domain::Limits {
            message_bytes: limits.message_bytes,
            window_bytes: limits.window_bytes,
            control_window_bytes: limits.control_window_bytes,
            record_bytes: limits.record_bytes,
            ping_interval: Duration::from_secs(limits.ping_interval_s.into()),
            idle: Duration::from_secs(limits.idle_s.into()),
            zstd: limits.zstd,
        },
        marks: listing(&ack.streams, ack.more, mark_from_proto)?,
        config,
        retry: ack.retry.map(|retry| domain::RetryHints {
            min: Duration::from_millis(retry.min_ms.into()),
            max: Duration::from_millis(retry.max_ms.into()),
        }),
    })
}

fn state_to_proto(state: &domain::StreamState) -> proto::StreamState {
    proto::StreamState {
        lane: lane_to_proto(state.stream.lane),
        epoch: state.stream.epoch.as_u64(),
        first_unacked: state.first_unacked,
        next: state.next,
    }
}

fn state_from_proto(state: &proto::StreamState) -> Result<domain::StreamState, WireError> {
    if state.first_unacked == 0 || state.next < state.first_unacked {
        return Err(invalid(format!(
            "stream with first_unacked {} and next {}",
            state.first_unacked, state.next
        )));
    }
    Ok(domain::StreamState {
        stream: stream(state.lane, state.epoch)?,
        first_unacked: state.first_unacked,
        next: state.next,
    })
}

fn mark_to_proto(mark: &domain::StreamMark) -> proto::StreamMark {
    proto::StreamMark {
        lane: lane_to_proto(mark.stream.lane),
        epoch: mark.stream.epoch.as_u64(),
        acked: mark.acked,
        acked_crc: mark.acked_crc,
    }
}

fn mark_from_proto(mark: &proto::StreamMark) -> Result<domain::StreamMark, WireError> {
    Ok(domain::StreamMark {
        stream: stream(mark.lane, mark.epoch)?,
        acked: mark.acked,
        acked_crc: mark.acked_crc,
    })
}

fn listing<P, D>(
    entries: &[P],
    more: bool,
    convert: fn(&P) -> Result<D, WireError>,
) -> Result<domain::Listing<D>, WireError> {
    if entries.len() > limit::STREAMS_PER_FRAME {
        let detail =
            format!("{} streams in one message, the limit is {}", entries.len(), limit::STREAMS_PER_FRAME);
        return Err(invalid(detail));
    }
    Ok(domain::Listing { entries: entries.iter().map(convert).collect::<Result<_, _>>()?, more })
}

fn lane_to_proto(lane: Lane) -> i32 {
    let lane = match lane {
        Lane::Control => proto::Lane::Control,
        Lane::Events => proto::Lane::Events,
        Lane::Logs => proto::Lane::Logs,
    };
    lane as i32
}

fn lane(number: i32) -> Result<Lane, WireError> {
    match proto::Lane::try_from(number) {
        Ok(proto::Lane::Control) => Ok(Lane::Control),
        Ok(proto::Lane::Events) => Ok(Lane::Events),
        Ok(proto::Lane::Logs) => Ok(Lane::Logs),
        Ok(proto::Lane::Unspecified) | Err(_) => Err(invalid(format!("lane {number}"))),
    }
}

fn stream(lane_number: i32, epoch: u64) -> Result<StreamId, WireError> {
    Ok(StreamId { lane: lane(lane_number)?, epoch: Epoch::from_u64(epoch) })
}

fn fixed<const N: usize>(bytes: &[u8], field: &str) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| invalid(format!("{field} has {} bytes instead of {N}", bytes.len())))
}

fn register_text(text: String, field: &str) -> Result<String, WireError> {
    bounded(text, limit::REGISTER_TEXT_BYTES_MAX, field)
}

fn bounded(text: String, bytes_max: usize, field: &str) -> Result<String, WireError> {
    if text.len() > bytes_max {
        return Err(invalid(format!("{field} of {} bytes, the limit is {bytes_max}", text.len())));
    }
    Ok(text)
}

/// Our own texts are cut, not refused: an error must get through.
fn cut_text(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

fn millis32(duration: Duration) -> u32 {
    u32::try_from(millis(duration)).unwrap_or(u32::MAX)
}

fn seconds32(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn invalid(detail: String) -> WireError {
    WireError::new(ErrorCode::Invalid, detail)
}
