//! One session between an agent and a hub: frames, time-outs, windows, and what a line may carry.

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
/// Once it has said something it may be silent for so many times as long: its line's round trip is in it. No more than it
/// gets anyway by a byte now and then.
pub const ANSWER_FACTOR: u32 = 2;
const _: () = assert!(ANSWER_FACTOR < TRICKLE_FACTOR);
/// A dial, an upgrade or a registration in all: on 300 byte/s a thousand streams are listed in less, and a peer that lets
/// a byte through now and then is done with after it.
pub const OPENING_TIMEOUT: Duration = Duration::from_secs(300);
/// From the Challenge, or the last byte that moved after it, to a verified Register: 5 s beyond a line's round trip of 10 s.
pub const REGISTER_TIMEOUT: Duration = Duration::from_secs(15);
/// An answer to a Challenge older than this by the hub's own clock is not accepted: the time-outs of the handshake see
/// to it, by the same clock.
pub const CHALLENGE_AGE_MAX: Duration = Duration::from_secs(30);
const _: () = assert!(CHALLENGE_REPLY_TIMEOUT.as_millis() <= CHALLENGE_AGE_MAX.as_millis());
/// How long the agent may take to answer the Challenge, from the last byte that moved: its Register comes with the answer.
pub const CHALLENGE_REPLY_TIMEOUT: Duration = REGISTER_TIMEOUT;
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
/// Records that are signed and not acked take a line so long at the rate it was seen to have, in seconds, all together; a batch
/// at most as well. A large frame of another kind is signed when all before it takes less.
pub const LINE_SECONDS: u64 = 30;
/// One in so many bytes of that are for control alone: a result is signed though logs have filled the rest, and comes a round
/// trip sooner than if it waited for their ack.
pub const LINE_CONTROL_SHARE: usize = 8;
/// The first batch of a session takes it so long, in seconds: one that is cut early was good for something, too.
pub const LINE_SECONDS_FIRST: u64 = 2;
/// What is signed and not acked however slow the line seems, in bytes: some round trips from here any line is filled.
pub const LINE_BYTES_MIN: usize = 4 * 1024;
/// Pings that stand behind large frames and are not answered yet: more frames than wait for one session.
pub const LINE_MARKS_MAX: usize = 64;
/// What is large that goes over a line in either direction, and holds up an ack, is waited for beyond `no_ack`, so long in all: a
/// frame that takes longer is refused for its time.
pub const LINE_BUSY_MAX: Duration = CLOCK_SKEW_MAX;
/// What the hub sent that is large and whose Pong has not come for so long was refused for its time, or its Pong was: each of
/// them had [`CLOCK_SKEW_MAX`].
pub const LINE_STUCK: Duration = Duration::from_secs(2 * CLOCK_SKEW_MAX.as_secs());
/// A batch however slow the line seems, and the room that one is read for, in bytes: below, envelope and headers weigh more
/// than records.
pub const LINE_BATCH_BYTES_MIN: usize = 512;
const _: () = assert!(LINE_BYTES_MIN / LINE_CONTROL_SHARE >= LINE_BATCH_BYTES_MIN);
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
/// A backlog without an ack for this long ends the session.
pub const NO_ACK_TIMEOUT: Duration = Duration::from_secs(60);
/// The round trip that a peer is given the benefit of, at most: what it takes to its first frame is its own choice.
pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(20);
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
