//! What each lane may take, and what happens when that is used up. Decisions only: the store carries them out.
//!
//! * A lane has a quota on disk; events and logs share what the whole outbox may take, from which the control lane's quota
//!   is set aside; and they leave some of the disk free for everybody else.
//! * Whoever asks for room takes it from its own lane or a less urgent one, never from a more urgent one, never from
//!   control, and only where that lane's policy is to evict. The least urgent goes first, its oldest generation first.
//! * On a disk that others fill, old records make room for new ones: the outbox then takes no more than it gave back.
//! * What is older than a lane's TTL goes. Age is hub time less the corrected time of recording. A wall clock that jumps
//!   must not make records old: what this process wrote is at least as young as the time since says, and a time that no
//!   clock can have shown counts from when the record was found.

use std::time::Duration;

use crate::id::Lane;
use crate::limit;
use crate::time::{BootTime, ClockOffset, HubTime, WallTime};

use super::AppendError;
use super::ledger::PerLane;

/// What a lane may take and keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanePolicy {
    /// Bytes on disk.
    pub max_bytes: u64,
    /// How old records may get; `None`: any age. Never for control.
    pub ttl: Option<Duration>,
    /// What happens to an append that finds no room.
    pub on_full: OnFull,
    /// When an append returns.
    pub durability: Durability,
}

/// What happens to an append that finds no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// It is an error at once.
    Refuse,
    /// The oldest records go, and the hub gets a Gap for them. Never for control.
    Evict,
    /// It waits for acks, at most `limit::BLOCK_TIMEOUT`, then it is an error.
    Block,
}

/// When an append returns, and so what a record that was taken survives.
///
/// | | process killed | machine cut off | clean stop |
/// |---|---|---|---|
/// | `Synced` | kept | kept | kept |
/// | `Buffered` | the last `limit::BUFFER_DELAY` or `limit::BUFFER_BYTES` may be lost | the same | kept |
///
/// Either way nothing is sent before it is on the medium: a lost record was never seen by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on the medium.
    Synced,
    /// Once it waits for the next commit. Only for logs.
    Buffered,
}

impl LanePolicy {
    /// What holds unless something else is set.
    pub const fn of(lane: Lane) -> Self {
        let (max_bytes, on_full) = match lane {
            Lane::Control => (limit::CONTROL_QUOTA_BYTES, OnFull::Refuse),
            Lane::Events => (limit::EVENTS_QUOTA_BYTES, OnFull::Evict),
            Lane::Logs => (limit::LOGS_QUOTA_BYTES, OnFull::Evict),
        };
        Self { max_bytes, ttl: None, on_full, durability: Durability::Synced }
    }

    /// Bytes of one of the lane's generations, at least `least`: a small part of what is held, since it goes whole.
    pub fn generation_bytes(&self, least: u64) -> u64 {
        (self.max_bytes / 8).clamp(least, limit::GENERATION_BYTES.max(least))
    }
}

/// What events and logs leave free on a disk of this size, unless something else is set.
pub fn min_free(disk_bytes: u64) -> u64 {
    (disk_bytes / 100).min(limit::MIN_FREE_BYTES_MAX)
}

/// The generation that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// Bytes written.
    pub length: u64,
    /// Bytes it takes on disk, what it has not written yet included.
    pub reserved: u64,
    /// Whether it holds a record.
    pub begun: bool,
}

impl Writer {
    /// Whether `bytes` more go into it, where generations have `size`. An empty one takes anything.
    pub const fn takes(&self, bytes: u64, size: u64) -> bool {
        !self.begun || self.length.saturating_add(bytes) <= size
    }
}

/// What an append of events or logs finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The lane's policy.
    pub policy: LanePolicy,
    /// Bytes of one of its generations.
    pub generation: u64,
    /// Bytes a new one reserves beyond its own.
    pub slack: u64,
    /// Bytes of the lane's files.
    pub used: u64,
    /// Its newest generation, where it is open.
    pub writer: Option<Writer>,
    /// Bytes of both lanes' files.
    pub both_used: u64,
    /// What both may take.
    pub both_max: u64,
    /// Bytes free on the disk.
    pub free: u64,
    /// Bytes that stay free.
    pub min_free: u64,
    /// Bytes given back for this append.
    pub freed: u64,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// The lane's quota.
    Lane {
        /// Bytes on disk.
        used: u64,
        /// The quota.
        max: u64,
    },
    /// What events and logs may take together.
    Both {
        /// Bytes on disk.
        used: u64,
        /// What is left of the whole outbox's quota.
        max: u64,
    },
    /// The disk.
    Disk {
        /// Bytes free.
        free: u64,
        /// Bytes that stay free.
        min_free: u64,
    },
}

impl Short {
    /// What the producer hears.
    pub fn error(self, lane: Lane) -> AppendError {
        match self {
            Self::Lane { used, max } => AppendError::LaneFull { lane, used, quota: max },
            Self::Both { used, max } => AppendError::OutboxFull { used, quota: max },
            Self::Disk { free, min_free } => {
                let detail = format!("{free} bytes are free, {min_free} of them stay free for others");
                AppendError::DiskFull { detail }
            }
        }
    }
}

impl Room {
    /// Why `bytes` more have none; `None` where they have.
    pub fn shortage(&self, bytes: u64) -> Option<Short> {
        let (given_back, taken) = self.disk_change(bytes);
        let used = self.used.saturating_sub(given_back).saturating_add(taken);
        let both = self.both_used.saturating_sub(given_back).saturating_add(taken);
        let growth = taken.saturating_sub(given_back);
        if used > self.policy.max_bytes {
            return Some(Short::Lane { used: self.used, max: self.policy.max_bytes });
        }
        if both > self.both_max {
            return Some(Short::Both { used: self.both_used, max: self.both_max });
        }
        let leaves = self.free.checked_sub(growth).is_some_and(|left| left >= self.min_free);
        if growth > 0 && !leaves && self.freed < growth {
            return Some(Short::Disk { free: self.free, min_free: self.min_free });
        }
        None
    }

    /// As it is when everything is gone that may go for this append: `all` bytes, `own` of them the lane's.
    pub const fn emptied(self, own: u64, all: u64) -> Self {
        Self {
            used: self.used.saturating_sub(own),
            both_used: self.both_used.saturating_sub(all),
            free: self.free.saturating_add(all),
            freed: self.freed.saturating_add(all),
            writer: if own > 0 { None } else { self.writer },
            ..self
        }
    }

    /// Bytes of disk given back and taken by `bytes` more: nothing while the writer has room, else what a new generation
    /// takes, when the full one has given back what it reserved.
    fn disk_change(&self, bytes: u64) -> (u64, u64) {
        let size = self.generation;
        match self.writer {
            Some(writer) if writer.takes(bytes, size) => (0, 0),
            writer => {
                let spare = writer.map_or(0, |writer| writer.reserved.saturating_sub(writer.length));
                (spare, size.max(bytes).saturating_add(self.slack))
            }
        }
    }
}

/// The lanes whose generations make room for an append to `lane`, the first one first.
pub fn victims(lane: Lane, lanes: &PerLane<LanePolicy>) -> impl Iterator<Item = Lane> {
    let may = move |victim: &Lane| *victim >= lane && lanes.of(*victim).on_full == OnFull::Evict;
    [Lane::Logs, Lane::Events].into_iter().filter(may)
}

/// The lane whose oldest generation makes room for an append to `lane`. `held`: which lanes have one.
pub fn victim(short: Short, lane: Lane, lanes: &PerLane<LanePolicy>, held: &PerLane<bool>) -> Option<Lane> {
    let is_own = matches!(short, Short::Lane { .. });
    victims(lane, lanes).filter(|victim| !is_own || *victim == lane).find(|victim| *held.of(*victim))
}

/// When a generation's newest record was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRecord {
    /// As the machine's clock said.
    pub recorded_at: WallTime,
    /// By whom it was written, and when that was.
    pub written: Written,
}

/// By whom a generation was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// By this process, at this moment.
    Here(BootTime),
    /// By one before; this one found it at this moment.
    Before(BootTime),
}

/// What the hub said of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubClock {
    /// Hub time ...
    pub time: HubTime,
    /// ... at this moment.
    pub at: BootTime,
    /// Hub time less wall time: the greater one of this session's and the last one's, so that a clock that was set
    /// between makes nothing old.
    pub offset: ClockOffset,
}

/// Whether everything in a generation is older than `ttl`.
pub fn is_expired(ttl: Duration, clock: &HubClock, now: BootTime, last: &LastRecord) -> bool {
    let hub_now = clock.time.after(now.since(clock.at));
    let old = |since: BootTime| now.since(since) >= ttl;
    let by_record = clock.offset.correct(last.recorded_at).after(ttl) <= hub_now;
    by_record
        && match last.written {
            Written::Here(at) => old(at),
            Written::Before(found) => last.recorded_at.0 >= limit::WALL_CLOCK_MS_MIN || old(found),
        }
}

#[cfg(test)]
mod tests;
