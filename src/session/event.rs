//! What goes in and out of the two machines besides frames.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{InstanceId, JobId, KeyId, MessageId, SessionId, StreamId};
use crate::time::{ClockOffset, HubTime};
use crate::wire::error::ErrorCode;
use crate::wire::job::{JobAck, JobOffer};
use crate::wire::key::AgentKey;
use crate::wire::message::{
    ConfigSnapshot, ErrorMessage, Gap, GoAway, Heartbeat, KeyShare, LossReport, Records, Register,
    RetryHints, StreamMark,
};
use crate::wire::relay::{Relay, RelayReply};

/// How the agent introduces itself: a Register without its streams and its wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterInfo {
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
}

impl RegisterInfo {
    /// A process of this build, without runtimes, capabilities or a config.
    pub fn of(instance: InstanceId, agent_version: impl Into<String>, hostname: impl Into<String>) -> Self {
        Self {
            instance,
            agent_version: agent_version.into(),
            hostname: hostname.into(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            runtimes: BTreeMap::new(),
            capabilities: Vec::new(),
            last_known_config_version: 0,
        }
    }
}

/// What the outbox knows about a stream, to be compared with the hub's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalMark {
    /// The stream.
    pub stream: StreamId,
    /// Greatest number the agent knows to be acked; 0 where none.
    pub cursor: u64,
    /// `record_crc` of the record the *hub's* mark stands on, as the outbox knows it; `None` where it does not.
    pub crc: Option<u32>,
}

/// Asks the driver to read durable records and answer with `handle_batch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    /// From which stream.
    pub stream: StreamId,
    /// Number of the first record wanted.
    pub from: u64,
    /// Bytes of the encoded batch; one record may exceed it where it is alone.
    pub bytes_max: usize,
}

/// What to write to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transmit {
    /// One binary message; its bytes were appended to `out`.
    Frame,
    /// A WebSocket ping without payload.
    Ping,
}

/// What the agent's driver has to know or do.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// The hub's mark of every stream; look each up in the outbox and answer with `resolve_marks`.
    Marks(Vec<StreamMark>),
    /// A verified RegisterAck came and the marks are resolved: the session is open and records flow.
    Registered {
        /// The session the hub named.
        session_id: SessionId,
        /// The hub's clock at the moment the RegisterAck came.
        hub_time: HubTime,
        /// Hub time less this machine's wall clock at that moment.
        offset: ClockOffset,
        /// Distance of heartbeats.
        heartbeat_interval: Duration,
        /// A newer config snapshot.
        config: Option<ConfigSnapshot>,
        /// Reconnect delays the hub asks for.
        retry: Option<RetryHints>,
        /// What the outbox has to do about its streams; streams whose marks agree are not listed.
        resolutions: Vec<Resolution>,
    },
    /// Everything up to the mark is durable at the hub.
    Acked(StreamMark),
    /// The hub says why it ends the session; `Closed` follows.
    HubError(ErrorMessage),
    /// The hub goes; the driver ends the session and comes back after the delay.
    GoAway(GoAway),
    /// Answer with `send_heartbeat`.
    HeartbeatDue,
    /// A job; answered by a control record or with `answer_offer`.
    JobOffer {
        /// What an answer is correlated to.
        id: MessageId,
        /// The job.
        offer: JobOffer,
    },
    /// A job is to end.
    CancelJob(JobId),
    /// The hub wants a new key; answered with `agree_key` and, once that is durable, `key_is_durable`.
    RotateKey(KeyShare),
    /// The hub has the new key: come back with it.
    KeyStored(KeyId),
    /// A message for a handler; answered with `answer_relay`.
    Relay(Relay),
    /// What became of a message of `send_relay`.
    RelayReply(RelayReply),
    /// A body this version does not know, by its field number.
    Unknown(u32),
    /// The session ended; nothing comes after this.
    Closed(Closed),
}

/// What the outbox has to do about one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The hub has more than the agent knew: drop up to the mark.
    Acked(StreamMark),
    /// The hub lost what it had acked (it was restored from a backup): make the Gap durable, then `send_gap` it.
    /// The stream waits for it.
    HubLost(Gap),
    /// The agent's disk went back in time: roll the epoch, then reconnect at once. The stream sends nothing more.
    RolledBack {
        /// The stream.
        stream: StreamId,
        /// What to put on record.
        report: LossReport,
    },
}

/// How a session ended. The driver sends a close frame with `code` after draining `poll_transmit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The WebSocket close code.
    pub code: u16,
    /// The entry of the error table, ours or the peer's; `None` for a polite end.
    pub error: Option<ErrorCode>,
    /// What exactly happened.
    pub detail: String,
}

/// What the hub's driver has to know or do.
#[derive(Debug, Clone, PartialEq)]
pub enum HubEvent {
    /// A verified Register with all its streams (`more` is false); answer with `accept` or `close`.
    Register(Box<Register>),
    /// Records to store; the first `skip` of them are below the mark already.
    Records {
        /// The batch as it came.
        records: Records,
        /// Leading duplicates, less than `records.count`.
        skip: u32,
    },
    /// Numbers that will not come, cut to the part above the mark.
    Gap(Gap),
    /// Depth and versions.
    Heartbeat(Heartbeat),
    /// An answer to an offer that is not a record: a refusal, or the state of a job accepted before.
    JobAck(JobAck),
    /// A key the agent holds durably and asks to be known by; commit it, then answer with `key_stored`.
    KeyAgreed {
        /// Its id.
        key_id: KeyId,
        /// The key.
        key: AgentKey,
    },
    /// A message for another agent; answered with `answer_relay`. Its sender is what the agent says it is.
    Relay(Relay),
    /// What became of a message of `send_relay`.
    RelayReply(RelayReply),
    /// A body this version does not know, by its field number.
    Unknown(u32),
    /// The session ended; nothing comes after this.
    Closed(Closed),
}

impl From<Closed> for AgentEvent {
    fn from(closed: Closed) -> Self {
        Self::Closed(closed)
    }
}

impl From<Closed> for HubEvent {
    fn from(closed: Closed) -> Self {
        Self::Closed(closed)
    }
}
