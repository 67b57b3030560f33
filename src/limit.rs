//! Every bound of the product in one place, with its unit and where it comes from.
//!
//! The two ends negotiate down: `RegisterAck` carries the hub's figures and the smaller one holds.

use std::time::Duration;

/// One WebSocket message: exactly this passes, one byte more closes with 1009.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The least that a hub's config may make of it: a batch must fit.
pub const MESSAGE_BYTES_LEAST: u32 = 64 * 1024;
/// The MAC trailer: tag 0x7A, length 0x20, 32 bytes.
pub const MAC_TRAILER_BYTES: usize = 34;
/// From the accepted socket to the upgrade's answer.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that has proved nothing may take so many times as long as it may be silent, if bytes move: on 300 byte/s a TLS
/// handshake and a request take some fifteen seconds.
pub const TRICKLE_FACTOR: u32 = 6;
/// A dial, an upgrade or a registration in all: on 300 byte/s a thousand streams are listed in less, and a peer that lets
/// a byte through now and then is done with after it.
pub const OPENING_TIMEOUT: Duration = Duration::from_secs(300);
/// From the Challenge, or the last byte that moved after it, to a verified Register.
pub const REGISTER_TIMEOUT: Duration = Duration::from_secs(15);
/// An answer to a Challenge older than this by the hub's own clock is not accepted: the time-outs of the handshake see
/// to it, by the same clock.
pub const CHALLENGE_AGE_MAX: Duration = Duration::from_secs(30);
const _: () = assert!(CHALLENGE_REPLY_TIMEOUT.as_millis() <= CHALLENGE_AGE_MAX.as_millis());
/// How long the agent may take to answer the Challenge, from the last byte that moved.
pub const CHALLENGE_REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// Without one byte accepted by the peer for this long the session ends.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// WebSocket and application pings.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Without a frame or pong for this long the session ends.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Envelope times further than this from our own reckoning are refused; exactly this passes.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);
/// Default distance of heartbeats.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);

/// Unacked bytes in flight, events and logs together.
pub const WINDOW_BYTES: u32 = 1024 * 1024;
/// Unacked bytes in flight, control, so that logs never hold it back.
pub const CONTROL_WINDOW_BYTES: u32 = 64 * 1024;
/// A `Records` batch is closed at this size.
pub const BATCH_BYTES: usize = 32 * 1024;
/// Records of one batch: an empty one takes two bytes on the wire and fifty times that once it is decoded. A batch of
/// `BATCH_BYTES` reaches this only where its records have next to nothing in them.
pub const BATCH_RECORDS_MAX: u32 = 4096;
/// Records that are signed and not acked take a line so long at the rate it was seen to have, in seconds, those of control and
/// the others each; a batch at most as well.
pub const LINE_SECONDS: u64 = 30;
/// The first batch of a session takes it so long, in seconds: one that is cut early was good for something, too.
pub const LINE_SECONDS_FIRST: u64 = 2;
/// What is signed and not acked however slow the line seems, in bytes: some round trips from here any line is filled.
pub const LINE_BYTES_MIN: usize = 4 * 1024;
/// A batch however slow the line seems, in bytes: below, envelope and headers weigh more than records.
pub const LINE_BATCH_BYTES_MIN: usize = 512;
/// A rate is taken from what was acked in a time at least as long: acks alone wait for `ACK_DELAY`.
pub const LINE_SAMPLE_MIN: Duration = Duration::from_millis(250);
/// How many times the rate known before one look may raise it to.
pub const LINE_GROWTH_MAX: u64 = 8;
/// A batch below this is not compressed: it has too little that repeats.
pub const ZSTD_BYTES_MIN: usize = 4 * 1024;
/// A line that carries more bytes a second is not slow: its batches are not compressed. 32 Mbit/s; compressing takes an
/// agent of the smallest kind some 10 % of a core at this rate.
pub const ZSTD_RATE_MAX: u64 = 4 * 1024 * 1024;
/// Base-2 logarithm of the window a compressed batch may need: the greatest message.
pub const ZSTD_WINDOW_LOG_MAX: u8 = 21;
const _: () = assert!(MESSAGE_BYTES_MAX == 1 << ZSTD_WINDOW_LOG_MAX);
/// An ack is sent after this many records.
pub const ACK_RECORDS: u64 = 256;
/// An ack waits at most this long.
pub const ACK_DELAY: Duration = Duration::from_millis(100);
/// Streams in one Register, RegisterMore, RegisterAck or RegisterAckMore.
pub const STREAMS_PER_FRAME: usize = 64;
/// Streams one agent may list in one registration: 64 frames.
pub const STREAMS_MAX: usize = 4096;
/// Entries of the maps and lists of a Register, and bytes of its texts.
pub const REGISTER_ENTRIES_MAX: usize = 64;
/// Bytes of one text in a Register.
pub const REGISTER_TEXT_BYTES_MAX: usize = 1024;
/// A config snapshot.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;
/// Text of an Error or GoAway.
pub const ERROR_TEXT_BYTES_MAX: usize = 1024;

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

/// First reconnect delay while a backlog waits and the outage is young.
pub const RECONNECT_FAST: Duration = Duration::from_millis(250);
/// Greatest reconnect delay while a backlog waits and the outage is young.
pub const RECONNECT_FAST_MAX: Duration = Duration::from_millis(500);
/// How long an outage counts as young.
pub const RECONNECT_FAST_FOR: Duration = Duration::from_secs(60);
/// First reconnect delay otherwise.
pub const RECONNECT_MIN: Duration = Duration::from_secs(1);
/// Greatest reconnect delay.
pub const RECONNECT_MAX: Duration = Duration::from_secs(30);
/// A session this old resets the delay.
pub const RECONNECT_STABLE: Duration = Duration::from_secs(30);
/// A backlog without an ack for this long ends the session.
pub const NO_ACK_TIMEOUT: Duration = Duration::from_secs(60);
/// A hub's `retry_after` counts up to this: no hub can send an agent away for ever.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// A login that was replaced stays away for so long: the one that took over may be a copy.
pub const REPLACED_WAIT: Duration = Duration::from_secs(60);
/// A copy of an agent that is told apart stays away for so long.
pub const IDENTITY_IN_USE_WAIT: Duration = Duration::from_secs(300);
/// A process that was replaced is known as such for so long after it was seen last: many times what it stays away.
pub const CLONE_MEMORY: Duration = Duration::from_secs(3600);
/// Replaced processes remembered for one agent.
pub const CLONES_PER_AGENT: usize = 8;
/// Agents of which replaced processes are remembered; few in unit tests, so that they reach the edge.
pub const CLONE_AGENTS_MAX: usize = if cfg!(test) { 100 } else { 10_000 };
/// How long the nonce of a signed upgrade is remembered: twice what its time may be off, so that a nonce that is
/// forgotten is refused for its time.
pub const UPGRADE_NONCE_MEMORY: Duration = Duration::from_secs(2 * CLOCK_SKEW_MAX.as_secs());
/// Nonces remembered for one agent: of more the oldest are forgotten, and its timestamps have to be later than theirs.
pub const UPGRADE_NONCES_PER_AGENT: usize = 64;
/// Agents whose nonces are remembered, at up to 3 KiB each; few in unit tests.
pub const UPGRADE_NONCE_AGENTS_MAX: usize = if cfg!(test) { 1000 } else { 100_000 };
/// How often agents are looked for that have been quiet for as long as a nonce is remembered.
pub const UPGRADE_NONCE_SWEEP: Duration = Duration::from_secs(60);
/// How long a token opens anything, unless the hub's config says otherwise.
pub const JWT_TTL: Duration = Duration::from_secs(15 * 60);
/// The shortest that config may say: an agent asks each half minute then.
pub const JWT_TTL_MIN: Duration = Duration::from_secs(60);
/// The longest, and what an agent believes at most.
pub const JWT_TTL_MAX: Duration = Duration::from_secs(24 * 3600);
/// A token is refreshed so long before its end, or at half of its time where that is later.
pub const JWT_REFRESH_AHEAD: Duration = Duration::from_secs(120);
/// An agent asks for tokens no more often, whatever their time.
pub const JWT_REFRESH_MIN: Duration = Duration::from_secs(30);
/// A token that could not be fetched is asked for again after this.
pub const JWT_RETRY: Duration = Duration::from_secs(60);
/// A token's text: about 320 bytes are needed.
pub const JWT_BYTES_MAX: usize = 1024;
/// An agent without a usable key looks again this often.
pub const KEY_RETRY: Duration = Duration::from_secs(30);

/// A hub's answer to a request outside of the session: a key or a token, and some words.
pub const HUB_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// All of such a request: some kilobytes of TLS and JSON on a link of 300 bytes a second, several times over.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(300);

/// A Unix socket's path, by the kernel (sun_path less its NUL).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;
/// One frame of the local socket: a full-sized record, its batch and their lengths.
pub const INTAKE_FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Records of one frame on the local socket.
pub const INTAKE_BATCH_RECORDS: usize = 512;
/// Payload bytes after which a frame on the local socket is closed.
pub const INTAKE_BATCH_BYTES: usize = 256 * 1024;
/// Frames one program may have sent that are not durable yet.
pub const INTAKE_FRAMES_IN_FLIGHT: usize = 8;
/// Programs connected to the local socket at once.
pub const INTAKE_CONNECTIONS_MAX: usize = 64;
/// A local program that connected and asks nothing for this long is dropped: others may wait for its place.
pub const INTAKE_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A local program that does not read an answer for this long is dropped.
pub const INTAKE_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// A command that asks the agent a question waits so long for each part of the answer.
pub const INTAKE_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Threads of an agent's runtime: its two tasks that work hard are the link and the intake.
pub const AGENT_THREADS: usize = 2;
/// How long a stopping agent waits for its jobs: their grace by default, and as long again to write it down.
pub const SHUTDOWN_JOBS_TIMEOUT: Duration = Duration::from_secs(20);
/// Each other step of a shutdown.
pub const SHUTDOWN_STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// The socket's read buffer on an agent.
pub const SOCKET_READ_BUFFER: usize = 32 * 1024;
/// The socket's read buffer on a hub: idle fleets cost what this costs.
pub const SOCKET_READ_BUFFER_IDLE: usize = 4 * 1024;
/// The socket's write buffer: bytes gathered before a write.
pub const SOCKET_WRITE_BUFFER: usize = 32 * 1024;
/// What the system takes of a connection beyond what it has sent, in bytes (TCP_NOTSENT_LOWAT): what is urgent waits for
/// no more than this and the write buffer. Less than 1 ms of 1 Gbit/s, half a second of 1 Mbit/s.
pub const SOCKET_UNSENT: u32 = 64 * 1024;
/// The round trip that a peer is given the benefit of, at most: what it takes to its first frame is its own choice.
pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(20);
/// The greatest number of a record that the hub's database can hold.
pub const RECORD_NUMBER_MAX: u64 = i64::MAX.cast_unsigned();
/// Records one page of the records API holds at most.
pub const RECORDS_PAGE_MAX: u32 = 10_000;

/// What a Gap counts for in a window.
pub const GAP_WINDOW_BYTES: usize = 64;
/// Answers to pings that wait for the socket; a peer that asks faster than it reads loses the oldest.
pub const PONGS_MAX: usize = 16;
/// What an envelope adds to the batch it carries, at most: header, body header and trailer.
pub const ENVELOPE_BYTES_MAX: usize = 160;
/// Reads of one lane in a row while a less urgent one waits: control, events, logs.
pub const LANE_TURNS: [u32; 3] = [16, 4, 1];
/// Reads of a lane's older streams in a row while its current one waits: then the current one has a read. Older records
/// come first, and new ones wait for four batches, not for the whole backlog.
pub const OLD_STREAM_TURNS: u32 = 3;

/// Payload bytes one page of the records API holds before it ends early.
pub const RECORDS_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Pieces of work that may wait for the hub's writer.
pub const INGEST_QUEUE: usize = 256;
/// Pieces the hub's writer puts into one transaction.
pub const INGEST_ROUND: usize = 256;
/// Pieces one connection may have at the writer; then it is not read from.
pub const INGEST_PER_SESSION: usize = 256;
/// Bytes one connection may have at the writer; then it is not read from.
pub const INGEST_SESSION_BYTES: usize = 4 * 1024 * 1024;
/// How long a closing connection may take to hear why.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a stopping hub waits for its sessions.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Head of one HTTP request; an upgrade's takes about 1 KiB. A longer one gets 431.
pub const REQUEST_HEAD_BYTES_MAX: usize = 16 * 1024;
/// One in so many of the hub's sessions, or of its file descriptors where sessions have no bound: as many sockets there
/// may be that have not proved anything.
pub const UNPROVEN_SHARE: usize = 10;
/// Sockets that have not proved anything, at least, however few sessions a hub takes.
pub const UNPROVEN_MIN: usize = 16;
/// One in so many file descriptors is not for sessions: database, API, and sockets that have not proved anything.
pub const DESCRIPTORS_KEPT_SHARE: usize = 5;
/// And at most, where the config does not bound sessions: some 20 KiB each.
pub const UNPROVEN_MAX: usize = 4096;
/// Handshakes in flight at a hub whose config does not say: from the credential to the registration.
pub const HANDSHAKES: std::num::NonZeroU32 = std::num::NonZeroU32::new(64).unwrap();
/// Handshakes of one agent at once: whoever copied its bearer takes no more places than these.
pub const HANDSHAKES_PER_AGENT: usize = 4;
/// What one address may fail in a minute, and have open without having proved anything, where the config does not say.
pub const PER_ADDRESS: u32 = 256;
/// How long an address that failed as often as it may needs until all is forgotten.
pub const FAILURES_WINDOW: Duration = Duration::from_secs(60);
/// Addresses whose failures are remembered: some 100 bytes each.
pub const ADDRESSES_MAX: usize = if cfg!(test) { 8 } else { 65_536 };
/// Agents that registered lately and so are not held responsible for their neighbours: some 100 bytes each.
pub const FAMILIAR_MAX: usize = if cfg!(test) { 8 } else { 65_536 };
/// Entries of `X-Forwarded-For` that are looked at, from the right.
pub const FORWARDED_MAX: usize = 32;
/// Agents a second that a hub asks to come back, after a restart or a refusal.
pub const RETURNS_PER_SECOND: u32 = 100;
/// What a hub that goes gives itself to be back, before the first of its agents is.
pub const RETURN_PAUSE: Duration = Duration::from_millis(500);
/// What is announced beyond the last one's turn: the agents' own jitter (`RECONNECT_MIN`) and the handshake.
pub const RETURN_MARGIN: Duration = Duration::from_secs(3);
/// The longest `Retry-After` of a hub that is too busy for now.
pub const BUSY_RETRY_MAX: Duration = Duration::from_secs(60);
/// The shortest: the header has whole seconds.
pub const BUSY_RETRY_MIN: Duration = Duration::from_secs(1);
/// A silent TCP peer is probed after this, and again after each [`TCP_PROBE_INTERVAL`].
pub const TCP_IDLE: Duration = Duration::from_secs(60);
/// See [`TCP_IDLE`].
pub const TCP_PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// Probes without an answer that end a connection.
pub const TCP_PROBES: u32 = 3;
/// One PEM file: the system's own bundle of some 140 authorities has 220 KB.
pub const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How often a hub looks whether its certificate was replaced.
pub const TLS_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A replacement is two files or three: what cannot be used for so long is no longer a replacement in the making.
pub const TLS_REPLACING: Duration = Duration::from_secs(5);
/// A hub says that its certificate expires when so much of its time is left, from the first on.
pub const TLS_EXPIRY_WARNINGS: [Duration; 3] =
    [Duration::from_secs(30 * 24 * 3600), Duration::from_secs(7 * 24 * 3600), Duration::from_secs(24 * 3600)];
/// What a hub reads of a plain request on its TLS port before it has said so and closes.
pub const PLAIN_REQUEST_BYTES_MAX: usize = REQUEST_HEAD_BYTES_MAX;
/// How long a hub waits that has no descriptor left to accept a connection with.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// The least `[quota] rate`, bytes a second: a full message then keeps its agent waiting for 32 s, below the idle time-out.
pub const QUOTA_RATE_MIN: u64 = 64 * 1024;
/// What an agent may send at once beyond its rate: as much as the rate allows in this time.
pub const QUOTA_BURST: Duration = Duration::from_secs(1);
/// One in so many bytes beyond its quota are for an agent's control lane: results come in though its logs do not.
pub const QUOTA_CONTROL_SHARE: u64 = 8;

/// Payload of one relayed message: exactly this passes, one byte more is refused.
pub const RELAY_BYTES_MAX: usize = 64 * 1024;
/// What a `Relay` frame adds to its payload at most: envelope, two ids, two names, the handler's and the tags.
pub const RELAY_OVERHEAD_BYTES_MAX: usize = 512;
/// Messages of one agent that are not answered yet, in each direction: 1 MiB at both ends.
pub const RELAY_IN_FLIGHT: usize = 16;
/// Answers to relayed messages that wait for the socket; a peer that asks faster than it reads loses the oldest.
pub const RELAY_REPLIES_MAX: usize = 64;
/// Messages a second that one agent may relay where the hub's config does not say, and at once beyond that.
pub const RELAY_RATE: u32 = 20;
/// The most that config may say.
pub const RELAY_RATE_MAX: u32 = 10_000;
/// Rules of one hub: they are looked through for each message.
pub const RELAY_RULES_MAX: usize = 1024;
/// Payload bytes that the hub keeps for one agent that is away.
pub const RELAY_QUEUE_BYTES_MAX: u64 = 1024 * 1024;
/// Messages that it keeps: rows have their own cost, however little is in them.
pub const RELAY_QUEUE_MESSAGES_MAX: u64 = 1024;
/// How long it keeps them.
pub const RELAY_QUEUE_TIME: Duration = Duration::from_secs(24 * 3600);
/// How often the hub deletes those that are older.
pub const RELAY_SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// A handler that takes longer for one message is dropped, and the message with it.
pub const RELAY_HANDLER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the hub waits for an agent to answer: its handler's time, and that of a slow link.
pub const RELAY_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a sender waits for the hub: longer than the hub for the other agent.
pub const RELAY_REPLY_TIMEOUT: Duration = Duration::from_secs(45);
const _: () = assert!(
    RELAY_HANDLER_TIMEOUT.as_millis() < RELAY_ANSWER_TIMEOUT.as_millis()
        && RELAY_ANSWER_TIMEOUT.as_millis() < RELAY_REPLY_TIMEOUT.as_millis()
);
/// A queued message that was not answered, or found no room, is sent again after this.
pub const RELAY_RETRY: Duration = Duration::from_secs(5);
/// Ids of messages that an agent knows again when they are sent a second time.
pub const RELAY_IDS_REMEMBERED: usize = 1024;
/// Handlers of one agent.
pub const RELAY_HANDLERS_MAX: usize = 64;

/// Answers to offers that wait for the socket; beyond, the oldest is dropped: the hub offers again.
pub const JOB_ANSWERS_MAX: usize = 64;
/// Offers and cancels one session may have waiting for the socket.
pub const JOB_ORDERS_MAX: usize = 64;
/// Bytes of a file with a key or a token: one line of some hundred.
pub const SECRET_FILE_BYTES_MAX: usize = 4 * 1024;
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
/// The same at most where the agent stops: what follows has to fit into [`SHUTDOWN_JOBS_TIMEOUT`], too.
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
/// Bytes of a request that is too long which are read and dropped, so that its sender hears why.
pub const REQUEST_DRAIN_BYTES: usize = 64 * 1024 * 1024;
/// How long a request of the API may wait for something to happen.
pub const JOB_WAIT_MAX: Duration = Duration::from_secs(60);
/// Jobs on one page of the list.
pub const JOBS_PAGE_MAX: u32 = 1000;
/// Lines on one page of a job's log.
pub const JOB_LINES_PAGE_MAX: u32 = 10_000;

/// A browser token: claims of up to 2 KiB as hexadecimal digits; a URL or header carries no more without trouble.
pub const BROWSER_TOKEN_BYTES_MAX: usize = 4 * 1024 + 65;

/// Content of one frame of a bundle.
pub const BUNDLE_FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Numbers that one chunk of a bundle covers: as many of the longest parts as fit into a frame.
pub const BUNDLE_CHUNK_RECORDS: u64 = 64;
/// Pieces (records or Gaps) that one chunk of a bundle holds at most.
pub const BUNDLE_ENTRIES_MAX: usize = 256;
/// A bundle as a hub takes it: what is spooled to its disk before it is verified.
pub const BUNDLE_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// An ack file: `STREAMS_MAX` marks and a header.
pub const ACK_FILE_BYTES_MAX: usize = 128 * 1024;
/// Chunks of a bundle that are read ahead of the transaction that stores them.
pub const BUNDLE_READ_AHEAD: usize = 2;
/// The hub's writer gives an import up that brings nothing for this long: its source is a local file.
pub const IMPORT_STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an invite may be used unless told otherwise, and at most: it is as good as a key until then.
pub const INVITE_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// See [`INVITE_EXPIRY`].
pub const INVITE_EXPIRY_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long an agent's older keys stay good beside a new one that it has not used, unless told otherwise.
pub const ROTATION_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);
/// The same at most.
pub const ROTATION_OVERLAP_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// The body of a request to enrol: three texts of at most 130 bytes.
pub const ENROLL_BODY_BYTES_MAX: usize = 4096;
/// From the first byte of a request to enrol to its last, and from there to the answer.
pub const ENROLL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an agent waits for its disk to take a new key; its session stands still for that time.
pub const KEY_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Processes of one agent that a hub remembers, the newest; an agent that dies at each start is another one each time.
pub const INSTANCES_PER_AGENT: i64 = 20;
/// Entries on one page of the audit.
pub const AUDIT_PAGE_MAX: u32 = 1000;

/// Names and addresses in one certificate: a chain that TLS carries in some packets.
pub const CERT_HOSTS_MAX: usize = 64;
/// How long an authority is good, in days: nobody visits every agent to give it a new one.
pub const CA_DAYS: u32 = 3650;
/// How long a hub's certificate is good unless told otherwise, in days: a year and a month to renew it in, and not above
/// what clients that go by the CA/Browser Forum's rules take (398 days).
pub const SERVER_CERT_DAYS: u32 = 397;
/// A certificate is good from so long ago: a machine that takes its local time for UTC is up to 14 hours behind.
pub const CERT_BEFORE_S: i64 = 24 * 3600;
/// 2026-01-01: a clock that says less was never set.
pub const CLOCK_PLAUSIBLE_FROM: i64 = 1_767_225_600;

/// Hosts a certificate is for that a message lists, of however many.
pub const CERTIFICATE_NAMES_SHOWN: usize = 8;
/// Letters of one text out of a certificate.
pub const CERTIFICATE_TEXT_CHARS_MAX: usize = 256;

/// Connections to the metrics' listener at once: some scrapers and a person; one more takes the oldest one's place.
pub const METRICS_CONNECTIONS_MAX: usize = 16;
/// From the accepted connection to the last byte of its answer: the time-out that Prometheus itself has for a scrape.
pub const METRICS_TIMEOUT: Duration = Duration::from_secs(10);
/// Head of one request for metrics: the least that hyper takes.
pub const METRICS_HEAD_BYTES_MAX: usize = 8 * 1024;
/// What a page of metrics waits for the database or the outbox; then it comes without their figures.
pub const METRICS_STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// Reasons that one of an agent's counters tells apart; what comes beyond counts as `other`. The error table has 36.
pub const METRICS_REASONS_MAX: usize = 80;

/// How long a name's addresses are waited for: the resolver's own two attempts of 5 s, as resolv.conf(5) has them.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Lookups under way at once: one for each hub of an agent, and for its proxies.
pub const LOOKUPS_MAX: usize = HUBS_MAX + 4;
/// Addresses of one name that are tried, however many there are; both families have their turn.
pub const ADDRESSES_TRIED_MAX: usize = 16;
/// Addresses that an error names.
pub const ADDRESSES_SHOWN: usize = 4;
/// How long the next address waits for the one before (RFC 8305, "Connection Attempt Delay").
pub const CONNECT_STAGGER: Duration = Duration::from_millis(250);
/// From the first SYN to the connection, for one address: a round trip of 10 s, and room for SYNs that are lost.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Without one byte moved for this long while a connection is made ready (proxy, TLS, upgrade) it is given up: a round
/// trip of 10 s, twice.
pub const DIAL_STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// And each of these steps is done within this, though bytes move: 30 KiB at 2,400 bit/s.
pub const DIAL_STEP_MAX: Duration = Duration::from_secs(120);
/// Head of a proxy's answer. A longer one is none.
pub const PROXY_HEAD_BYTES_MAX: usize = 16 * 1024;
/// A proxy's URL: a name of 253 bytes, a user and a password.
pub const PROXY_URL_BYTES_MAX: usize = 2048;
/// Hubs of one agent.
pub const HUBS_MAX: usize = 16;
