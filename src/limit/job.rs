//! Jobs: specs, queues, processes, output.

use std::time::Duration;

use super::{RECORD_BYTES_MAX, RECORD_PART_BYTES_MAX};

/// Answers to offers that wait for the socket; beyond, the oldest is dropped: the hub offers again.
pub const JOB_ANSWERS_MAX: usize = 64;
/// Offers and cancels one session may have waiting for the socket.
pub const JOB_ORDERS_MAX: usize = 64;
/// A job's spec as it was submitted.
pub const JOB_SPEC_BYTES_MAX: usize = 256 * 1024;
/// What a stored spec may be longer by where it is sealed: the key's id, nonce and tag.
pub const JOB_SPEC_SEAL_BYTES_MAX: usize = 128;
/// A spec as an agent stores it.
pub const JOB_SPEC_STORED_BYTES_MAX: usize = JOB_SPEC_BYTES_MAX + JOB_SPEC_SEAL_BYTES_MAX;
/// Secrets of one job. Each is looked for at every byte of its output.
pub const JOB_SECRETS_MAX: usize = 64;
/// A secret's name: it may become a variable's.
pub const JOB_SECRET_NAME_BYTES_MAX: usize = 64;
/// A secret's value: a long private key, or a chain of certificates. Linux gives a process 128 KiB in one piece.
pub const JOB_SECRET_BYTES_MAX: usize = 32 * 1024;
/// Keys that an agent opens sealed specs with: its present one, the one before, and what this process ran with earlier.
pub const JOB_SEAL_KEYS_MAX: usize = 4;
/// Operator keys of one agent: a few people, and those who come after them while both sign.
pub const OPERATOR_KEYS_MAX: usize = 16;
/// How often an agent with operator keys keeps how late it is: what a crash forgets of it at most.
pub const OPERATOR_TIME_INTERVAL: Duration = Duration::from_secs(60);
/// Kinds in an agent's list of those it runs.
pub const JOB_KINDS_MAX: usize = 64;
/// How far ahead a job's `expires_at_ms` may lie.
pub const JOB_EXPIRY_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// When a job expires that does not say: after its creation.
pub const JOB_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// The greatest duration a spec may name: a typing error, beyond it.
pub const JOB_DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Accepted and not finished jobs of one agent, running ones included.
pub const JOB_QUEUE: usize = 32;
/// The most an agent's config may ask for instead: at 320 KiB of core each, they fill a third of the control lane.
pub const JOB_QUEUE_MAX: u32 = 64;
/// Finished ids that the journal keeps at least; few in unit tests, so that they reach the edge.
pub const JOBS_REMEMBERED: usize = if cfg!(test) { 20 } else { 100_000 };
/// Finished ids that the journal keeps at most, however young: about 60 bytes each in memory and on disk.
pub const JOBS_REMEMBERED_MAX: usize = 4 * JOBS_REMEMBERED;
/// How long the journal keeps a finished id at least.
pub const JOBS_REMEMBERED_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
/// Jobs one agent runs at once, unless its config says otherwise.
pub const JOB_CONCURRENCY: std::num::NonZeroU32 = std::num::NonZeroU32::new(4).unwrap();
/// How long an agent waits at its start for what an earlier process left of a job to be gone.
pub const SURVIVOR_TIMEOUT: Duration = Duration::from_secs(10);
/// A result that found no room is tried again this often.
pub const JOB_WRITE_RETRY: Duration = Duration::from_secs(1);
/// How often an agent looks whether a job may start by now.
pub const JOB_TEND_INTERVAL: Duration = Duration::from_secs(30);
/// Finished jobs that one commit forgets at most.
pub const JOBS_FORGOTTEN_AT_ONCE: usize = 16;
/// The journal's row of one job: fixed fields, of which the longest has 66 bytes.
pub const JOB_ROW_BYTES_MAX: usize = 1024;
/// Core space an accepted job reserves: its acks, statuses and result.
pub const JOB_RESERVATION_BYTES: u64 = 64 * 1024;
/// Between TERM and KILL.
pub const JOB_GRACE: Duration = Duration::from_secs(10);
/// The same at most where the agent stops: what follows has to fit into [`SHUTDOWN_JOBS_TIMEOUT`](super::SHUTDOWN_JOBS_TIMEOUT), too.
pub const JOB_SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(12);
/// One line of a job's output; a longer one is cut into pieces.
pub const JOB_LINE_BYTES_MAX: usize = 8 * 1024;
/// Lines of a job wait at most this long for a record to fill.
pub const JOB_OUTPUT_DELAY: Duration = Duration::from_millis(200);
/// Payload bytes of one record of a job's output: a whole block, less the record's own fields.
pub const JOB_OUTPUT_BYTES: usize = RECORD_PART_BYTES_MAX;
/// Output a job may write unless its spec or the agent's config says otherwise.
pub const JOB_OUTPUT_MAX: u64 = 16 * 1024 * 1024;
/// After a job's process ended, how long its pipes may stay open in the hands of a grandchild.
pub const PIPE_HELD_TIMEOUT: Duration = Duration::from_secs(5);
/// A result's payload above this goes to the logs lane, and the result names where: its record is one part.
pub const JOB_RESULT_INLINE_BYTES: usize = 4 * 1024;
/// Text of a job's reason, detail or progress.
pub const JOB_TEXT_BYTES_MAX: usize = 1024;
/// Name of an artifact.
pub const ARTIFACT_NAME_BYTES_MAX: usize = 255;
/// Output one job may ask for with its `output_max`.
pub const JOB_OUTPUT_BOUND: u64 = 4 * 1024 * 1024 * 1024;
/// Reports of one running job that wait to be taken; beyond them the job's pipes fill and it waits.
pub const JOB_REPORTS: usize = 16;
/// Bytes of one artifact, and of a result's payload: one record, less its own fields.
pub const JOB_ATTACHMENT_BYTES_MAX: usize = RECORD_BYTES_MAX - 1024;
/// After KILL, or beyond a stopped job's grace, how long a job may take to end before it is left behind.
pub const JOB_STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How soon a process group that was told to end is looked at again, at first.
pub const JOB_GROUP_LOOK: Duration = Duration::from_millis(20);
/// And later.
pub const JOB_GROUP_LOOK_MAX: Duration = Duration::from_millis(320);
/// A sleep towards a deadline lasts no longer, so that time spent suspended is seen.
pub const DEADLINE_LOOK: Duration = Duration::from_secs(30);
/// One read from a job's pipe.
pub const PIPE_READ_BYTES: usize = 32 * 1024;
/// One argument of a process (the kernel's MAX_ARG_STRLEN, less its closing zero).
pub const ARGUMENT_BYTES_MAX: usize = 128 * 1024 - 1;
/// How often a job that was told to end is seen to be waiting for the agent itself, which is not held against it.
pub const JOB_STOP_LOOK: Duration = Duration::from_millis(500);
/// After KILL, how long a process group may take to be gone (one that hangs in the kernel stays).
pub const JOB_KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// Offers of one agent that wait for its answer; then the hub holds back the next.
pub const JOB_OFFERS_UNANSWERED: u32 = 32;
/// An offer that was not answered is made again after this, and a doorbell that was lost is made good.
pub const JOB_OFFER_INTERVAL: Duration = Duration::from_secs(30);
/// The result of a job that its agent has ended is waited for so long, then for the next answer: below the offers' interval.
pub const JOB_RESULT_PATIENCE: Duration = Duration::from_secs(20);
/// How often the hub looks for jobs whose time is over.
pub const JOB_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Jobs that one transaction of that sweep closes at most.
pub const JOB_SWEEP_BATCH: u32 = 500;
/// An `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// How long a request of the API may wait for something to happen.
pub const JOB_WAIT_MAX: Duration = Duration::from_secs(60);
/// Jobs on one page of the list.
pub const JOBS_PAGE_MAX: u32 = 1000;
/// Lines on one page of a job's log.
pub const JOB_LINES_PAGE_MAX: u32 = 10_000;
/// Agents that one submission gives jobs to: one transaction.
pub const JOB_GROUP_MAX: usize = 1000;
/// Bytes of the list `agents` of one submission: with the rest of the request it fits into `REQUEST_HEAD_BYTES_MAX`, though each
/// comma is written as three bytes.
pub const AGENTS_LIST_BYTES_MAX: usize = 12 * 1024;
const _: () = assert!(AGENTS_LIST_BYTES_MAX + 2 * JOB_GROUP_MAX < super::REQUEST_HEAD_BYTES_MAX - 1024);
/// Bytes of all specs of one submission together: each job has its own.
pub const JOB_GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;
