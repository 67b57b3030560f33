//! What the two ends say to each other, as domain types. A value of these types has passed the wire's own bounds.

mod limits;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::id::{AppName, Epoch, HubId, InstanceId, JobId, KeyId, Lane, SessionId, StreamId};
use crate::time::{ClockOffset, HubTime, WallTime};

use super::error::ErrorCode;
use super::job::{JobAck, JobOffer};
use super::operator::OperatorSignature;
use super::relay::{Relay, RelayReply};
pub use limits::Limits;

/// The body of an envelope.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A batch of one stream's records (agent to hub).
    Records(Records),
    /// Numbers that will not come (agent to hub).
    Gap(Gap),
    /// Depth and versions, never stored (agent to hub).
    Heartbeat(Heartbeat),
    /// Cumulative ack (hub to agent).
    Ack(StreamMark),
    /// Asks for a `Pong` (both ways).
    Ping,
    /// Answers a `Ping`; its correlation is the ping's id.
    Pong,
    /// The hub's first message.
    Challenge(Challenge),
    /// The agent's Ed25519 signature, 64 bytes.
    ChallengeReply(Box<[u8; 64]>),
    /// The agent introduces itself.
    Register(Box<Register>),
    /// More streams of the Register.
    RegisterMore(Listing<StreamState>),
    /// The hub takes the agent in.
    RegisterAck(Box<RegisterAck>),
    /// More marks of the RegisterAck.
    RegisterAckMore(Listing<StreamMark>),
    /// Why the session is about to end.
    Error(ErrorMessage),
    /// The hub goes; come back after the delay.
    GoAway(GoAway),
    /// A job for the agent (hub to agent).
    JobOffer(JobOffer),
    /// Answers an offer, by its correlation (agent to hub).
    JobAck(JobAck),
    /// Ends a job (hub to agent).
    CancelJob(JobId),
    /// Asks for a new key (hub to agent).
    RotateKey(KeyShare),
    /// The agent's half of it, durable there (agent to hub).
    KeyReply(KeyShare),
    /// The new key is good from now on (hub to agent).
    KeyStored(KeyId),
    /// Bytes for a handler (both ways).
    Relay(Box<Relay>),
    /// What became of them (both ways).
    RelayReply(RelayReply),
    /// A body this version does not know: its field number, 0 where there was none. Counted, otherwise ignored.
    Unknown(u32),
}

impl Message {
    /// The body's name, for logs and counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Records(_) => "records",
            Self::Gap(_) => "gap",
            Self::Heartbeat(_) => "heartbeat",
            Self::Ack(_) => "ack",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Challenge(_) => "challenge",
            Self::ChallengeReply(_) => "challenge_reply",
            Self::Register(_) => "register",
            Self::RegisterMore(_) => "register_more",
            Self::RegisterAck(_) => "register_ack",
            Self::RegisterAckMore(_) => "register_ack_more",
            Self::Error(_) => "error",
            Self::GoAway(_) => "go_away",
            Self::JobOffer(_) => "job_offer",
            Self::JobAck(_) => "job_ack",
            Self::CancelJob(_) => "cancel_job",
            Self::RotateKey(_) => "rotate_key",
            Self::KeyReply(_) => "key_reply",
            Self::KeyStored(_) => "key_stored",
            Self::Relay(_) => "relay",
            Self::RelayReply(_) => "relay_reply",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// One end's half of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShare {
    /// The new key's id.
    pub key_id: KeyId,
    /// X25519, fresh.
    pub public: [u8; 32],
}

/// Consecutive records `first .. first + count` of one stream. `batch` is their encoding, see [`super::batch`].
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// The stream they were numbered in.
    pub stream: StreamId,
    /// Number of the first, from 1.
    pub first: u64,
    /// How many, at least 1; `first + count` does not overflow.
    pub count: u32,
    /// How `batch` is compressed.
    pub codec: Codec,
    /// Bytes of `batch` before compression.
    pub raw_len: u32,
    /// The encoded records.
    pub batch: Bytes,
    /// Hub time less the agent's wall clock, where the agent knows it.
    pub clock_offset: Option<ClockOffset>,
}

impl Records {
    /// Number of the last record.
    pub const fn last(&self) -> u64 {
        self.first.saturating_add(self.count as u64).saturating_sub(1)
    }
}

/// Compression of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// As it is.
    None,
    /// Zstandard.
    Zstd,
}

/// One record, or one part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The agent's wall clock when it was recorded, uncorrected.
    pub recorded_at: WallTime,
    /// Who made it.
    pub source: String,
    /// What the payload is.
    pub kind: RecordKind,
    /// The bytes.
    pub payload: Bytes,
    /// Which part of a long record this is; `None` where it is whole.
    pub part: Option<Part>,
    /// The app that these are log lines of, where they are one's.
    pub app: Option<AppName>,
}

/// Part `index` of `of`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// 1 to `of`.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

/// What a record's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// Bytes of a local program.
    Opaque,
    /// An encoded [`LossReport`].
    LossReport,
    /// An accepted job, see [`super::job::JobRecord`].
    JobAck,
    /// A job changed its state.
    JobStatus,
    /// The final word on a job.
    JobResult,
    /// How far a job is.
    JobProgress,
    /// Lines of a job.
    JobOutput,
    /// Something a job leaves behind.
    JobArtifact,
    /// What a job's handler returned, where its result names this record.
    JobPayload,
    /// A kind this version does not know: kept as it is.
    Unknown(i32),
}

impl RecordKind {
    /// The kind's name in JSON; `None` for what programs hand over.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Opaque => None,
            Self::LossReport => Some("loss_report"),
            Self::JobAck => Some("job_ack"),
            Self::JobStatus => Some("job_status"),
            Self::JobResult => Some("job_result"),
            Self::JobProgress => Some("job_progress"),
            Self::JobOutput => Some("job_output"),
            Self::JobArtifact => Some("job_artifact"),
            Self::JobPayload => Some("job_payload"),
            Self::Unknown(_) => Some("unknown"),
        }
    }
}

/// Numbers `from ..= to` that exist but will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The stream.
    pub stream: StreamId,
    /// First lost number, at least 1.
    pub from: u64,
    /// Last lost number, not below `from`.
    pub to: u64,
    /// Why.
    pub reason: GapReason,
    /// Records lost.
    pub records: u64,
    /// Payload bytes lost, where known.
    pub bytes: u64,
}

impl Gap {
    /// The numbers `from ..= to` of it, with their share of what it counts.
    #[must_use]
    pub fn part(&self, from: u64, to: u64) -> Self {
        let numbers = |from: u64, to: u64| u128::from(to.saturating_sub(from)) + 1;
        let share = |of: u64| {
            let share = u128::from(of) * numbers(from, to) / numbers(self.from, self.to);
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        Self { from, to, records: share(self.records), bytes: share(self.bytes), ..*self }
    }
}

/// Why records will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The lane was full.
    Evicted,
    /// Older than the lane's TTL.
    Expired,
    /// Damaged on the agent's disk.
    Corrupt,
    /// The end of the lane was lost on the agent's disk.
    CutTail,
    /// The hub had acked them and lost them (restored from a backup).
    HubLost,
}

impl GapReason {
    /// The reason's name in JSON and texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Expired => "expired",
            Self::Corrupt => "corrupt",
            Self::CutTail => "cut_tail",
            Self::HubLost => "hub_lost",
        }
    }
}

/// A loss the agent knows of but cannot put in numbers of a live stream: payload of a control record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossReport {
    /// The stream.
    pub stream: StreamId,
    /// First number concerned.
    pub from: u64,
    /// Last number concerned.
    pub to: u64,
    /// Why.
    pub reason: LossReason,
}

/// Why a loss is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// The agent's disk went back in time.
    RolledBack,
    /// Set aside, read as far as it can be.
    Quarantined,
    /// Not readable at all.
    Unreadable,
    /// The core database was lost.
    CoreLost,
}

impl LossReason {
    /// The reason's name in JSON and texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled_back",
            Self::Quarantined => "quarantined",
            Self::Unreadable => "unreadable",
            Self::CoreLost => "core_lost",
        }
    }
}

/// How full the outbox is, and what runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heartbeat {
    /// Unacked records and bytes per lane, in the order of [`Lane::ALL`].
    pub depth: [LaneDepth; 3],
    /// The agent's version.
    pub agent_version: String,
    /// The config snapshot it runs with; 0 where none.
    pub config_version: u64,
    /// The last snapshot, where it was refused.
    pub config_refused: Option<ConfigRefusal>,
}

/// A config snapshot that an agent does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigRefusal {
    /// Its version.
    pub version: u64,
    /// Why; at most `limit::ERROR_TEXT_BYTES_MAX`.
    pub reason: String,
}

/// Unacked content of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneDepth {
    /// Records.
    pub records: u64,
    /// Payload bytes.
    pub bytes: u64,
}

/// The hub's first message, signed with the challenge key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Which installation this is.
    pub hub_id: HubId,
    /// Fresh random bytes of the hub.
    pub hub_nonce: [u8; 32],
    /// The session that a Register will open.
    pub session_id: SessionId,
    /// The hub's clock.
    pub hub_time: HubTime,
    /// Whether an Ed25519 reply is wanted.
    pub signature: SignatureMode,
    /// What the session keys are bound to.
    pub binding: ChannelBinding,
}

/// Whether the hub wants the agent's Ed25519 signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureMode {
    /// Not looked at.
    None,
    /// Checked where the agent has a bound key.
    Optional,
    /// Registration without it is refused.
    Required,
}

impl SignatureMode {
    /// The mode's name in settings, on command lines and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }

    /// The mode with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Optional, Self::Required].into_iter().find(|mode| mode.name() == name)
    }
}

/// What the session keys are bound to below the WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Nothing: 32 zero bytes.
    None,
    /// The TLS exporter.
    TlsExporter,
}

/// The agent introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Random per process.
    pub instance: InstanceId,
    /// The agent's version and commit.
    pub agent_version: String,
    /// The machine's name.
    pub hostname: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Versions of what jobs may need, by name.
    pub runtimes: BTreeMap<String, String>,
    /// What this agent can do.
    pub capabilities: Vec<String>,
    /// The config snapshot it has; 0 where none.
    pub last_known_config_version: u64,
    /// Its streams, oldest epoch first within a lane.
    pub streams: Listing<StreamState>,
    /// The agent's own wall clock.
    pub wall_time: WallTime,
}

/// At most `limit::STREAMS_PER_FRAME` entries, and whether more follow in another message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Whether another message with more entries follows.
    pub more: bool,
}

/// One stream of the agent's outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// The stream.
    pub stream: StreamId,
    /// First number not acked; equal to `next` where there is none.
    pub first_unacked: u64,
    /// The number its next record will get.
    pub next: u64,
}

/// A cumulative mark: everything of the stream up to `acked` is durable at the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamMark {
    /// The stream.
    pub stream: StreamId,
    /// Greatest number taken; 0 where none.
    pub acked: u64,
    /// [`super::batch::record_crc`] of record `acked`; 0 where not known, then it is not compared.
    pub acked_crc: u32,
}

impl StreamMark {
    /// The mark of a stream nothing of which was taken.
    pub const fn none(lane: Lane, epoch: Epoch) -> Self {
        Self { stream: StreamId { lane, epoch }, acked: 0, acked_crc: 0 }
    }
}

/// The hub takes the agent in.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisterAck {
    /// The hub's clock.
    pub hub_time: HubTime,
    /// Distance of heartbeats, at least one second.
    pub heartbeat_interval: Duration,
    /// The hub's limits; the smaller of both ends' holds.
    pub limits: Limits,
    /// A mark for every stream the agent listed, in its order.
    pub marks: Listing<StreamMark>,
    /// A newer config snapshot.
    pub config: Option<ConfigSnapshot>,
    /// Reconnect delays the hub asks for.
    pub retry: Option<RetryHints>,
}

/// A versioned config document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSnapshot {
    /// Greater is newer.
    pub version: u64,
    /// At most `limit::CONFIG_BYTES_MAX`.
    pub document: Bytes,
    /// An operator's signature over the document.
    pub signature: Option<OperatorSignature>,
}

/// Reconnect delays the hub asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryHints {
    /// The first.
    pub min: Duration,
    /// The greatest.
    pub max: Duration,
}

/// Why the session is about to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorMessage {
    /// The entry of the error table; `None` for a number this version does not know.
    pub code: Option<ErrorCode>,
    /// What exactly happened.
    pub text: String,
    /// The floor of the next reconnect delay.
    pub retry_after: Option<Duration>,
}

/// The hub goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoAway {
    /// The floor of the next reconnect delay.
    pub retry_after: Duration,
    /// Why.
    pub reason: String,
}
