//! Challenge, Register and RegisterAck.

use std::time::Duration;

use bytes::Bytes;

use crate::id::{HubId, InstanceId, SessionId};
use crate::limit;
use crate::time::{HubTime, WallTime};
use crate::wire::error::WireError;
use crate::wire::message as domain;
use crate::wire::operator::OperatorSignature;
use crate::wire::proto;

use super::field::{fixed, invalid, millis32, operator_signature, register_text, seconds32};
use super::stream::{listing, mark_from_proto, mark_to_proto, state_from_proto, state_to_proto};

pub(super) fn challenge_to_proto(challenge: &domain::Challenge) -> proto::Challenge {
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

pub(super) fn challenge_from_proto(challenge: &proto::Challenge) -> Result<domain::Challenge, WireError> {
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

pub(super) fn register_to_proto(register: domain::Register) -> proto::Register {
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

pub(super) fn register_from_proto(register: proto::Register) -> Result<domain::Register, WireError> {
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

pub(super) fn register_ack_to_proto(ack: domain::RegisterAck) -> proto::RegisterAck {
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
        config: ack.config.map(config_to_proto),
        retry: ack
            .retry
            .map(|retry| proto::RetryHints { min_ms: millis32(retry.min), max_ms: millis32(retry.max) }),
    }
}

pub(super) fn register_ack_from_proto(ack: proto::RegisterAck) -> Result<domain::RegisterAck, WireError> {
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
    let config = ack.config.map(config_from_proto).transpose()?;
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

fn config_to_proto(config: domain::ConfigSnapshot) -> proto::ConfigSnapshot {
    proto::ConfigSnapshot {
        version: config.version,
        document: config.document,
        signature: OperatorSignature::to_wire(config.signature.as_ref()),
    }
}

fn config_from_proto(config: proto::ConfigSnapshot) -> Result<domain::ConfigSnapshot, WireError> {
    if config.document.len() > limit::CONFIG_BYTES_MAX {
        return Err(invalid(format!("config snapshot of {} bytes", config.document.len())));
    }
    let signature = operator_signature(&config.signature)?;
    Ok(domain::ConfigSnapshot { version: config.version, document: config.document, signature })
}
