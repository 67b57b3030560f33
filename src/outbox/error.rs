//! What can go wrong with an outbox, one enum for each surface: opening, appending, everything else.

use std::path::PathBuf;

use crate::id::{AgentId, Lane, StreamId};

/// Why an outbox could not be opened or bound.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("the outbox {} is in use by process {}: stop it or choose another data folder", path.display(), pid_text(*pid))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The holder, where its pid could be read.
        pid: Option<u32>,
    },
    /// It belongs to another agent.
    #[error("the outbox {} belongs to agent {held}, not {wanted}: choose another data folder or the other key", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The agent whose records it holds.
        held: AgentId,
        /// The agent that wanted it.
        wanted: AgentId,
    },
    /// It was written by a newer program.
    #[error("the outbox {} has format {found}, this program knows up to {known}: install the newer program again", path.display())]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// The version in its FORMAT file.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// It is encrypted and no key is set.
    #[error("the outbox {} is encrypted: set its key with [outbox] key_file", path.display())]
    KeyUnset {
        /// The folder.
        path: PathBuf,
    },
    /// It is encrypted and its key file is not there.
    #[error("the outbox {} is encrypted and its key file {} is missing: put it back, nothing else opens what is stored", path.display(), key_file.display())]
    KeyFileMissing {
        /// The folder.
        path: PathBuf,
        /// The key file.
        key_file: PathBuf,
    },
    /// It is encrypted with another key.
    #[error("the key in {} is not the one the outbox {} is encrypted with: set the right file with [outbox] key_file; nothing was changed", key_file.display(), path.display())]
    WrongKey {
        /// The folder.
        path: PathBuf,
        /// The key file.
        key_file: PathBuf,
    },
    /// Others may read the key.
    #[error("others may read the outbox key {} (mode {mode:03o}): run chmod 600 on it", key_file.display())]
    KeyFileOpen {
        /// The key file.
        key_file: PathBuf,
        /// Its rights.
        mode: u32,
    },
    /// The key file is none.
    #[error("{} is no outbox key (one line `opo1.<key>`): restore it from a copy, or name another with [outbox] key_file", key_file.display())]
    KeyFileMalformed {
        /// The key file.
        key_file: PathBuf,
    },
    /// 2^32 openings are used up.
    #[error("lane {lane} has used up its epochs: move the outbox folder away to begin anew")]
    EpochsUsedUp {
        /// The lane.
        lane: Lane,
    },
    /// Reading or writing failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database refused.
    #[error("the outbox does not open: {0}")]
    Store(#[from] StoreError),
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(|| "of unknown number".to_owned(), |pid| pid.to_string())
}

/// Why records were not taken. None of a refused call's records will be delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No record was given.
    #[error("an append without records")]
    Empty,
    /// One record is too large.
    #[error(
        "record_too_large: record {index} of the call has {bytes} bytes, the limit is {limit}: drop or split it"
    )]
    RecordTooLarge {
        /// Which of the call's records, from 0.
        index: usize,
        /// Its payload's length.
        bytes: usize,
        /// `limit::RECORD_BYTES_MAX`.
        limit: usize,
    },
    /// The name of a record's source is too long.
    #[error("the source of record {index} has {bytes} bytes, the limit is {limit}")]
    SourceTooLong {
        /// Which of the call's records, from 0.
        index: usize,
        /// Its source's length.
        bytes: usize,
        /// `limit::SOURCE_BYTES_MAX`.
        limit: usize,
    },
    /// One call holds more than is committed at once.
    #[error("one append of {bytes} bytes, the limit is {limit}: append in smaller calls")]
    CallTooLarge {
        /// The call's encoded bytes.
        bytes: usize,
        /// `limit::APPEND_BYTES_MAX`.
        limit: usize,
    },
    /// The lane's quota is used up.
    #[error("lane {lane} is full: {used} of {quota} bytes are held until the hub acks them; retry later")]
    LaneFull {
        /// The lane.
        lane: Lane,
        /// Bytes on disk.
        used: u64,
        /// Its quota.
        quota: u64,
    },
    /// What events and logs may take together is used up.
    #[error(
        "the outbox is full: {used} of {quota} bytes for events and logs are held until the hub acks them; retry later"
    )]
    OutboxFull {
        /// Bytes on disk.
        used: u64,
        /// What the outbox may take, less what is set aside for control.
        quota: u64,
    },
    /// The disk is full; nothing was accepted. It mends itself when there is room.
    #[error("the disk is full, nothing was accepted: {detail}; make room, or retry later")]
    DiskFull {
        /// What was tried.
        detail: String,
    },
    /// The store is poisoned: nothing durable is possible until the process restarts.
    #[error("degraded: the outbox takes nothing more until a restart, because {reason}")]
    Degraded {
        /// The first failure.
        reason: String,
    },
    /// The outbox was closed.
    #[error("the outbox is closed")]
    Closed,
}

impl AppendError {
    /// Whether there was no room, which may pass: the same may be tried again.
    pub const fn is_shortage(&self) -> bool {
        matches!(self, Self::LaneFull { .. } | Self::OutboxFull { .. } | Self::DiskFull { .. })
    }
}

/// Why a call on an open outbox failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// An ack beyond what the stream holds.
    #[error("an ack up to {acked} on stream {stream}, whose next number is {next}: close the session")]
    AckBeyond {
        /// The stream.
        stream: StreamId,
        /// The number acked.
        acked: u64,
        /// The stream's next number.
        next: u64,
    },
    /// Not one of our streams.
    #[error("stream {stream} is not in this outbox")]
    UnknownStream {
        /// The stream.
        stream: StreamId,
    },
    /// Part of the outbox cannot be read; the rest works on.
    #[error("{} cannot be read: {detail}", path.display())]
    Unreadable {
        /// The database's folder.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The disk is full; what the call asked for was not done. It mends itself when there is room.
    #[error("the disk is full, nothing was changed: {detail}; retry later")]
    DiskFull {
        /// What was tried.
        detail: String,
    },
    /// A key name or value outside its bounds.
    #[error("{detail}")]
    Invalid {
        /// What is wrong.
        detail: String,
    },
    /// The store is poisoned: nothing durable is possible until the process restarts.
    #[error("degraded: the outbox changes nothing more until a restart, because {reason}")]
    Degraded {
        /// The first failure.
        reason: String,
    },
    /// The outbox was closed.
    #[error("the outbox is closed")]
    Closed,
}
