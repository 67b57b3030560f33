//! What an agent keeps on its disk.

use std::time::Duration;

/// One record as a program hands it over, before it is cut into parts.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Payload of one part; a longer record is cut, so that it fits into a stored block.
pub const RECORD_PART_BYTES_MAX: usize = 13 * 1024;
/// The name of a record's source.
pub const SOURCE_BYTES_MAX: usize = 128;
/// One stored block, header included. A leaf of sled's above a quarter of a segment (512 KiB) becomes a file that is never
/// freed and never synced; a fresh tree's few blocks stay below that (`outbox/store/database.rs`).
pub const BLOCK_BYTES_MAX: usize = 14 * 1024;
/// Payload of one part in control, whose blocks are rows of the core.
pub const CONTROL_PART_BYTES_MAX: usize = 5 * 1024 + 512;
/// Value of one row of the core, a block of control among them: a leaf of its one tree has up to twenty of them.
pub const ROW_BYTES_MAX: usize = 6 * 1024;
/// Bytes of one generation before the next begins.
pub const GENERATION_BYTES: u64 = 4 * 1024 * 1024;
/// Blocks a sled tree takes before a fresh one begins (write amplification 1.03 instead of 3.6); few in unit tests, so
/// that they reach the edge.
pub const TREE_BLOCKS_MAX: usize = if cfg!(test) { 3 } else { 8 };
/// Blocks it takes however small they are: a leaf that is split is written again, and so is the list of all trees with
/// each new one. Least was written with this (benches/README.md).
pub const TREE_SMALL_BLOCKS_MAX: usize = if cfg!(test) { 6 } else { 16 };
/// Trees of one generation; full blocks need about 40 for its bytes.
pub const GENERATION_TREES_MAX: usize = 128;
/// Bytes a sled tree takes before a fresh one begins; few in unit tests, too.
pub const TREE_BYTES_MAX: usize = if cfg!(test) { 512 } else { 40 * 1024 };
/// What sled writes into the core for each byte it is given, at most: 2.2 to 3.8 were measured with 32 jobs that use up
/// their reservations in records of 100 B to 12 KiB (`store/tests/reserve.rs`).
pub const CORE_AMPLIFICATION: u64 = 5;
/// A core below this size is not written anew, however little lives in it.
pub const CORE_BYTES_LIVELY: u64 = 16 * 1024 * 1024;
/// A core is written anew where its file has more than this many times the bytes of its rows.
pub const CORE_GROWTH_MAX: u64 = 4;
/// The core is written anew at most this often.
pub const CORE_RENEW_INTERVAL: Duration = Duration::from_secs(60);
/// What one commit of the core may take beside that: sled's file grows to the next of its segments (512 KiB).
pub const CORE_LAST_BYTES: u64 = 512 * 1024;
/// What a commit finds reserved beside that, unless it opens or drains: with what it leaves a full disk can be opened.
pub const CORE_COMMIT_BYTES: u64 = 1536 * 1024;
/// A database that has failed may hang when it is closed; then it is left behind.
pub const DATABASE_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How far `core` is fallocated ahead.
pub const CORE_AHEAD_BYTES: u64 = 2 * 1024 * 1024;
/// The file that is given up to let a full disk open a generation.
pub const BALLAST_BYTES: u64 = 1024 * 1024;
/// An idle drained newest generation goes after this.
pub const GENERATION_IDLE: Duration = Duration::from_secs(5);
/// The mark file is synced this often while it changes.
pub const MARK_SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// A step of the committer that takes longer poisons the store: a disk that answers after that is not to be relied on.
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// How often somebody looks for a committer that hangs; often in unit tests, whose clock does not wait.
pub const COMMIT_LOOK_INTERVAL: Duration =
    if cfg!(test) { Duration::from_millis(5) } else { Duration::from_secs(5) };
/// What a full disk kept from being done is tried again this often.
pub const DISK_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes taken into one committer round.
pub const COMMIT_ROUND_BYTES: usize = 4 * 1024 * 1024;
/// Encoded bytes of one append, which is committed at once and lies in one generation.
pub const APPEND_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Appends that may wait for the committer, per lane.
pub const COMMIT_QUEUE: usize = 1024;
/// Default quota of the control lane.
pub const CONTROL_QUOTA_BYTES: u64 = 64 * 1024 * 1024;
/// Default quota of the events lane.
pub const EVENTS_QUOTA_BYTES: u64 = 256 * 1024 * 1024;
/// Default quota of the logs lane.
pub const LOGS_QUOTA_BYTES: u64 = 1024 * 1024 * 1024;
/// The least quota of a lane: one record of the greatest size and what surrounds it.
pub const LANE_QUOTA_BYTES_MIN: u64 = 2 * RECORD_BYTES_MAX as u64;
/// What events and logs leave free of the disk by default: a hundredth of it, at most this. What journald keeps free is
/// 15 % and up to 4 GiB, made for the disks of servers; an agent's may have a few hundred megabytes.
pub const MIN_FREE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long the disk's free space is believed, unless the outbox itself took or gave some.
pub const FREE_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long an append waits for room in a lane whose policy is to block.
pub const BLOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// A blocked append looks again this often though nothing was acked: others may have given disk space back.
pub const BLOCK_LOOK: Duration = Duration::from_millis(500);
/// Buffered records are committed after this at most.
pub const BUFFER_DELAY: Duration = Duration::from_millis(20);
/// Buffered records are committed when there are so many bytes of them.
pub const BUFFER_BYTES: usize = 1024 * 1024;
/// Buffered records that found no room on disk are tried again this often.
pub const BUFFER_RETRY: Duration = Duration::from_secs(1);
/// How often records are looked at for their TTL.
pub const EXPIRY_LOOK: Duration = Duration::from_secs(10);
/// No clock that was ever set shows an earlier time than this (2025-01-01): records that say so were made before the
/// clock was set.
pub const WALL_CLOCK_MS_MIN: u64 = 1_735_689_600_000;
/// The shortest and the longest TTL a lane may have.
pub const TTL_MIN: Duration = Duration::from_secs(60);
/// See [`TTL_MIN`].
pub const TTL_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// The greatest number of a record that the hub's database can hold.
pub const RECORD_NUMBER_MAX: u64 = i64::MAX.cast_unsigned();
