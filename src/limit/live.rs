//! Live topics: the broker, its cluster, and what the hub itself publishes.

use std::time::Duration;

/// A browser token: claims of up to 2 KiB as hexadecimal digits; a URL or header carries no more without trouble.
pub const BROWSER_TOKEN_BYTES_MAX: usize = 4 * 1024 + 65;
/// A live broker's secret, in characters: what is shorter can be guessed, and with it tokens can be minted.
pub const LIVE_SECRET_CHARS_MIN: usize = 32;
/// Body of one request at a live broker's internal listener: exactly this passes, one byte more is refused.
pub const LIVE_BODY_BYTES_MAX: usize = 1024 * 1024;
/// A topic's name: a token that names it in 4 KiB of frame has room for some 1,900 bytes of claims.
pub const LIVE_TOPIC_BYTES_MAX: usize = 512;
/// Topics that are registered at once; few in unit tests, so that they reach the edge.
pub const LIVE_TOPICS_MAX: usize = if cfg!(test) { 8 } else { 100_000 };
/// How long a topic is registered, unless the config says otherwise.
pub const LIVE_TOPIC_TTL: Duration = Duration::from_secs(24 * 3600);
/// The shortest that config may say.
pub const LIVE_TOPIC_TTL_MIN: Duration = Duration::from_secs(1);
/// The longest.
pub const LIVE_TOPIC_TTL_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// How often topics are looked for whose time is over.
pub const LIVE_SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// From the upgrade to a subscriber's first frame.
pub const LIVE_AUTH_TIMEOUT: Duration = Duration::from_secs(10);
/// One message of a subscriber; a longer one closes with 1009.
pub const LIVE_FRAME_BYTES_MAX: usize = 4 * 1024;
/// How often a subscriber is pinged.
pub const LIVE_PING_INTERVAL: Duration = Duration::from_secs(30);
/// Without a pong for this long its connection ends.
pub const LIVE_PONG_TIMEOUT: Duration = Duration::from_secs(60);
/// Messages that wait for one subscriber; what comes beyond is dropped for it, and counted.
pub const LIVE_BUFFER: usize = 32;
/// Bytes of all messages that wait for subscribers, each counted once; little in unit tests, so that they reach the edge.
pub const LIVE_WAITING_BYTES_MAX: usize = if cfg!(test) { 64 * 1024 } else { 256 * 1024 * 1024 };
/// A message to a subscriber goes out in frames of this, and short ones that wait go together up to this: a copy of so much is
/// kept for each that does not read, 1 GiB for all.
pub const LIVE_FRAME_SENT_BYTES_MAX: usize = if cfg!(test) { 256 } else { 16 * 1024 };
/// One subscriber is told the status no more often.
pub const LIVE_STATUS_INTERVAL: Duration = Duration::from_millis(700);
/// Subscribers at once: some 12 KiB each while they are idle; few in unit tests, so that they reach the edge.
pub const LIVE_SUBSCRIBERS_MAX: usize = if cfg!(test) { 16 } else { 65_536 };
/// Connections of either listener that have proved nothing; one more takes the place of the oldest.
pub const LIVE_UNPROVEN_MAX: usize = if cfg!(test) { 4 } else { 4096 };
/// How long a request at a live broker may take, from its head to its last byte; and its head.
pub const LIVE_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a token that `topic token` mints is good, unless it is told otherwise.
pub const LIVE_TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);
/// The shortest: tokens end by the second.
pub const LIVE_TOKEN_TTL_MIN: Duration = Duration::from_secs(1);
/// Letters of a peer's text (an address a proxy wrote, a topic) that a log line has.
pub const LIVE_LABEL_CHARS_MAX: usize = 64;
/// What one answer of Redis, or a message through it, has at most: a payload, and a topic whose every letter is escaped.
pub const LIVE_REDIS_BYTES_MAX: usize = LIVE_BODY_BYTES_MAX + 8 * LIVE_TOPIC_BYTES_MAX + 1024;
/// Elements of one answer of Redis.
pub const LIVE_REDIS_ELEMENTS_MAX: usize = 1024;
/// Orders for Redis that may wait.
pub const LIVE_REDIS_QUEUE: usize = 256;
/// Bytes of the messages among them.
pub const LIVE_REDIS_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Orders that are sent together: the one that goes beyond is the last.
pub const LIVE_REDIS_BATCH_BYTES: usize = 1024 * 1024;
/// How long they may take while bytes move: some 35 KiB/s, with the largest message.
pub const LIVE_REDIS_BATCH_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a request of a worker waits for Redis; then it is answered by what this node knows.
pub const LIVE_REDIS_WAIT: Duration = Duration::from_secs(1);
/// Without an answer of Redis for this long its connections are given up.
pub const LIVE_REDIS_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon Redis is dialled again, at first and later.
pub const LIVE_REDIS_RETRY_MIN: Duration = Duration::from_millis(100);
/// See [`LIVE_REDIS_RETRY_MIN`].
pub const LIVE_REDIS_RETRY_MAX: Duration = Duration::from_secs(5);
/// How often a node tells the others that it is there.
pub const LIVE_BEAT_INTERVAL: Duration = Duration::from_secs(2);
/// A node that was not heard for this long is gone.
pub const LIVE_BEAT_TIMEOUT: Duration = Duration::from_secs(7);
/// Nodes that are counted.
pub const LIVE_NODES_MAX: usize = 1024;
/// A link to Redis that lasted as long was a good one: the next is dialled as soon as the first.
pub const LIVE_REDIS_STABLE: Duration = Duration::from_secs(10);
/// Topics of which it is kept that they were unregistered.
pub const LIVE_GONE_MAX: usize = LIVE_TOPICS_MAX;
/// How long: a node that was away from Redis for longer knows it by what Redis does not have any more.
pub const LIVE_GONE_TTL: Duration = Duration::from_secs(600);
/// The name of a channel in Redis.
pub const LIVE_CHANNEL_BYTES_MAX: usize = 128;
/// Origins that a broker's config may allow: they are looked through for each upgrade.
pub const LIVE_ORIGINS_MAX: usize = 256;
/// A broker's config file in YAML: some ten lines.
pub const LIVE_CONFIG_BYTES_MAX: u64 = 64 * 1024;
/// Events of own streams that are kept: some 100 MiB of rows at most 500 bytes long.
pub const STREAM_EVENTS_MAX: u32 = 200_000;
/// How long they are kept: a page that was closed on Friday goes on where it was on Monday.
pub const STREAM_EVENTS_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Events that one transaction forgets at most: some 20 ms of the database.
pub const STREAM_TRIM_BATCH: u32 = 5000;
/// Events that one subscriber is handed at once.
pub const STREAM_CHUNK_EVENTS: u32 = 256;
/// How often the state that a subscriber gets first is read anew while it changes.
pub const STREAM_STATE_TRIES: u32 = 4;
/// How long a token for an own stream is good, unless it is told otherwise: a page asks for the next one.
pub const STREAM_TOKEN_TTL: Duration = Duration::from_secs(3600);
/// The longest such a token may be good.
pub const STREAM_TOKEN_TTL_MAX: Duration = Duration::from_secs(24 * 3600);
