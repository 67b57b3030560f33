//! Strategies: any header, any message a sender may send, any record.

use std::time::Duration;

use bytes::Bytes;
use outpost::id::{AgentId, Epoch, HubId, InstanceId, JobId, Lane, MessageId, SessionId, StreamId};
use outpost::limit;
use outpost::time::{ClockOffset, HubTime, WallTime};
use outpost::wire::envelope::Header;
use outpost::wire::error::ErrorCode;
use outpost::wire::job::{Answer, JobAck, JobOffer, JobState, Refusal};
use outpost::wire::message::*;
use outpost::wire::operator::OperatorSignature;
use outpost::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply, Sender};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn header() -> impl Strategy<Value = Header> {
    any::<[u64; 6]>().prop_map(|[seq, sent_at, hi, lo, correlation_hi, correlation_lo]| Header {
        seq,
        sent_at: HubTime(sent_at),
        id: MessageId { hi, lo },
        correlation: MessageId { hi: correlation_hi, lo: correlation_lo },
    })
}

/// Every variant a sender may send.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        records().prop_map(Message::Records),
        gap().prop_map(Message::Gap),
        heartbeat().prop_map(Message::Heartbeat),
        mark().prop_map(Message::Ack),
        Just(Message::Ping),
        Just(Message::Pong),
        challenge().prop_map(Message::Challenge),
        vec(any::<u8>(), 64)
            .prop_map(|signature| Message::ChallengeReply(Box::new(signature.try_into().unwrap()))),
        register().prop_map(|register| Message::Register(Box::new(register))),
        listing(state()).prop_map(Message::RegisterMore),
        register_ack().prop_map(|ack| Message::RegisterAck(Box::new(ack))),
        listing(mark()).prop_map(Message::RegisterAckMore),
        error().prop_map(Message::Error),
        (millis32(), text())
            .prop_map(|(retry_after, reason)| Message::GoAway(GoAway { retry_after, reason })),
        job_offer().prop_map(Message::JobOffer),
        job_ack().prop_map(Message::JobAck),
        job().prop_map(Message::CancelJob),
        share().prop_map(Message::RotateKey),
        share().prop_map(Message::KeyReply),
        share().prop_map(|share| Message::KeyStored(share.key_id)),
        relay().prop_map(|relay| Message::Relay(Box::new(relay))),
        relay_reply().prop_map(Message::RelayReply),
    ]
}

fn share() -> impl Strategy<Value = KeyShare> {
    ("[a-z0-9]{1,32}", any::<[u8; 32]>())
        .prop_map(|(key_id, public)| KeyShare { key_id: key_id.parse().unwrap(), public })
}

fn relay() -> impl Strategy<Value = Relay> {
    let name = || option::of("[a-z0-9][a-z0-9-]{0,62}".prop_map(|name| name.parse().unwrap()));
    let sender = option::of(
        (any::<[u8; 16]>(), name()).prop_map(|(id, name)| Sender { id: AgentId::from_bytes(id), name }),
    );
    let delivery = select(vec![Delivery::Now, Delivery::Queued]);
    (any::<(u64, u64)>(), sender, name(), "[a-z0-9._-]{1,64}", bytes(500), delivery).prop_map(
        |((hi, lo), sender, to, handler, payload, delivery)| Relay {
            id: MessageId { hi, lo },
            sender,
            to,
            handler: handler.parse().unwrap(),
            payload,
            delivery,
        },
    )
}

fn relay_reply() -> impl Strategy<Value = RelayReply> {
    let refused = (option::of(select(ErrorCode::ALL.to_vec())), text())
        .prop_map(|(code, detail)| RelayOutcome::Refused { code, detail });
    let outcome = prop_oneof![
        Just(RelayOutcome::Delivered),
        Just(RelayOutcome::Queued),
        Just(RelayOutcome::Unanswered),
        refused
    ];
    (any::<(u64, u64)>(), outcome)
        .prop_map(|((hi, lo), outcome)| RelayReply { id: MessageId { hi, lo }, outcome })
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let kinds = vec![
        RecordKind::Opaque,
        RecordKind::LossReport,
        RecordKind::JobAck,
        RecordKind::JobStatus,
        RecordKind::JobResult,
        RecordKind::JobProgress,
        RecordKind::JobOutput,
        RecordKind::JobArtifact,
        RecordKind::JobPayload,
        RecordKind::Unknown(99),
        RecordKind::Unknown(-1),
    ];
    let kind = select(kinds);
    let part =
        option::of((1..=u32::MAX).prop_flat_map(|of| (1..=of).prop_map(move |index| Part { index, of })));
    let app = option::of("[a-z0-9][a-z0-9-]{0,62}".prop_map(|app| app.parse().unwrap()));
    (any::<u64>(), "[a-zé]{0,60}", kind, bytes(300), part, app).prop_map(
        |(recorded_at, source, kind, payload, part, app)| Record {
            recorded_at: WallTime(recorded_at),
            source,
            kind,
            payload,
            part,
            app,
        },
    )
}

fn bytes(len_max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=len_max).prop_map(Bytes::from)
}

/// Any text that every bound admits, multi-byte characters included.
fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn millis32() -> impl Strategy<Value = Duration> {
    any::<u32>().prop_map(|millis| Duration::from_millis(millis.into()))
}

fn seconds() -> impl Strategy<Value = Duration> {
    (1..=u32::MAX).prop_map(|seconds| Duration::from_secs(seconds.into()))
}

pub(crate) fn stream() -> impl Strategy<Value = StreamId> {
    (select(Lane::ALL.to_vec()), any::<u64>())
        .prop_map(|(lane, epoch)| StreamId { lane, epoch: Epoch::from_u64(epoch) })
}

fn records() -> impl Strategy<Value = Records> {
    let codec = select(vec![Codec::None, Codec::Zstd]);
    let raw_len = 0..=u32::try_from(limit::MESSAGE_BYTES_MAX).unwrap();
    let numbers = (1..u64::MAX - u64::from(u32::MAX), 1..=limit::BATCH_RECORDS_MAX);
    let offset = option::of(any::<i64>().prop_map(ClockOffset));
    (stream(), numbers, codec, raw_len, bytes(2000), offset).prop_map(
        |(stream, (first, count), codec, raw_len, batch, clock_offset)| Records {
            stream,
            first,
            count,
            codec,
            raw_len: if codec == Codec::None { u32::try_from(batch.len()).unwrap() } else { raw_len },
            batch,
            clock_offset,
        },
    )
}

fn gap() -> impl Strategy<Value = Gap> {
    let reason = select(vec![
        GapReason::Evicted,
        GapReason::Expired,
        GapReason::Corrupt,
        GapReason::CutTail,
        GapReason::HubLost,
    ]);
    let range = (1..=u64::MAX).prop_flat_map(|from| (Just(from), from..=u64::MAX));
    (stream(), range, reason, any::<u64>(), any::<u64>()).prop_map(
        |(stream, (from, to), reason, records, bytes)| Gap { stream, from, to, reason, records, bytes },
    )
}

pub(crate) fn loss_report() -> impl Strategy<Value = LossReport> {
    let reason = select(vec![
        LossReason::RolledBack,
        LossReason::Quarantined,
        LossReason::Unreadable,
        LossReason::CoreLost,
    ]);
    (stream(), any::<u64>(), any::<u64>(), reason).prop_map(|(stream, from, to, reason)| LossReport {
        stream,
        from,
        to,
        reason,
    })
}

fn operator_signature() -> impl Strategy<Value = Option<OperatorSignature>> {
    select(vec![None, Some(OperatorSignature::from_bytes([7; 64]))])
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let refused =
        option::of((any::<u64>(), text()).prop_map(|(version, reason)| ConfigRefusal { version, reason }));
    (any::<[(u64, u64); 3]>(), text(), any::<u64>(), refused).prop_map(
        |(depth, agent_version, config_version, config_refused)| Heartbeat {
            depth: depth.map(|(records, bytes)| LaneDepth { records, bytes }),
            agent_version,
            config_version,
            config_refused,
        },
    )
}

fn mark() -> impl Strategy<Value = StreamMark> {
    (stream(), any::<u64>(), any::<u32>()).prop_map(|(stream, acked, acked_crc)| StreamMark {
        stream,
        acked,
        acked_crc,
    })
}

fn state() -> impl Strategy<Value = StreamState> {
    let numbers = (1..=u64::MAX).prop_flat_map(|first| (Just(first), first..=u64::MAX));
    (stream(), numbers).prop_map(|(stream, (first_unacked, next))| StreamState {
        stream,
        first_unacked,
        next,
    })
}

fn listing<T: std::fmt::Debug>(entry: impl Strategy<Value = T>) -> impl Strategy<Value = Listing<T>> {
    (vec(entry, 0..=limit::STREAMS_PER_FRAME), any::<bool>())
        .prop_map(|(entries, more)| Listing { entries, more })
}

fn challenge() -> impl Strategy<Value = Challenge> {
    let signature = select(vec![SignatureMode::None, SignatureMode::Optional, SignatureMode::Required]);
    let binding = select(vec![ChannelBinding::None, ChannelBinding::TlsExporter]);
    (any::<[u8; 16]>(), any::<[u8; 32]>(), any::<[u8; 16]>(), any::<u64>(), signature, binding).prop_map(
        |(hub_id, hub_nonce, session_id, hub_time, signature, binding)| Challenge {
            hub_id: HubId::from_bytes(hub_id),
            hub_nonce,
            session_id: SessionId::from_bytes(session_id),
            hub_time: HubTime(hub_time),
            signature,
            binding,
        },
    )
}

fn register() -> impl Strategy<Value = Register> {
    let texts = [text(), text(), text(), text()];
    let runtimes = btree_map(text(), text(), 0..5);
    let numbers = (any::<u64>(), any::<u64>());
    (any::<[u8; 16]>(), texts, runtimes, vec(text(), 0..5), numbers, listing(state())).prop_map(
        |(instance, [agent_version, hostname, os, arch], runtimes, capabilities, (config, wall), streams)| {
            Register {
                instance: InstanceId::from_bytes(instance),
                agent_version,
                hostname,
                os,
                arch,
                runtimes,
                capabilities,
                last_known_config_version: config,
                streams,
                wall_time: WallTime(wall),
            }
        },
    )
}

fn register_ack() -> impl Strategy<Value = RegisterAck> {
    let config = option::of(
        (any::<u64>(), bytes(500), operator_signature())
            .prop_map(|(version, document, signature)| ConfigSnapshot { version, document, signature }),
    );
    let retry = option::of((millis32(), millis32()).prop_map(|(min, max)| RetryHints { min, max }));
    (any::<u64>(), seconds(), limits(), listing(mark()), config, retry).prop_map(
        |(hub_time, heartbeat_interval, limits, marks, config, retry)| RegisterAck {
            hub_time: HubTime(hub_time),
            heartbeat_interval,
            limits,
            marks,
            config,
            retry,
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let sizes = (1..=u32::MAX, 1..=u32::MAX, 1..=u32::MAX, 1..=u32::MAX);
    (sizes, seconds(), seconds(), any::<bool>()).prop_map(
        |((message_bytes, window_bytes, control_window_bytes, record_bytes), ping_interval, idle, zstd)| {
            Limits {
                message_bytes,
                window_bytes,
                control_window_bytes,
                record_bytes,
                ping_interval,
                idle,
                zstd,
            }
        },
    )
}

fn error() -> impl Strategy<Value = ErrorMessage> {
    let retry_after = option::of((1..=u32::MAX).prop_map(|millis| Duration::from_millis(millis.into())));
    (option::of(select(ErrorCode::ALL.to_vec())), text(), retry_after)
        .prop_map(|(code, text, retry_after)| ErrorMessage { code, text, retry_after })
}

fn job() -> impl Strategy<Value = JobId> {
    any::<[u8; 16]>().prop_map(JobId::from_bytes)
}

fn job_offer() -> impl Strategy<Value = JobOffer> {
    (job(), any::<u64>(), bytes(500), operator_signature()).prop_map(|(job, created_at, spec, signature)| {
        JobOffer { job, created_at: HubTime(created_at), spec, signature }
    })
}

fn job_ack() -> impl Strategy<Value = JobAck> {
    let refusals =
        vec![Refusal::Busy, Refusal::Degraded, Refusal::Expired, Refusal::TooOld, Refusal::Invalid];
    let answer = prop_oneof![
        select(JobState::ALL.to_vec()).prop_map(Answer::Accepted),
        (select(refusals), text()).prop_map(|(refusal, detail)| Answer::Refused { refusal, detail }),
    ];
    (job(), answer).prop_map(|(job, answer)| JobAck { job, answer })
}
