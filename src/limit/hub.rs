//! What a hub takes in and gives out: admission, ingest, quotas, its API, metrics.

use std::time::Duration;

use super::JOB_LINE_BYTES_MAX;

/// Records one page of the records API holds at most.
pub const RECORDS_PAGE_MAX: u32 = 10_000;
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
/// The body of a request to the API that is a JSON document: the longest is a list of labels.
pub const API_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The body of one that needs none: an empty object with some blanks.
pub const NO_CONTENT_BYTES_MAX: usize = 4096;
/// Bytes of a request that is too long which are read and dropped, so that its sender hears why.
pub const REQUEST_DRAIN_BYTES: usize = 64 * 1024 * 1024;
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
/// Requests to the hub's API a second with one token where its config does not say: what the reading of one page each takes
/// on a small machine, and far from what a busy dashboard asks.
pub const API_RATE: u32 = 500;
/// As many as come in so many seconds may come at once.
pub const API_BURST_SECONDS: std::num::NonZeroU32 = std::num::NonZeroU32::new(5).unwrap();
/// The same.
pub const API_BURST: Duration = Duration::from_secs(API_BURST_SECONDS.get() as u64);
/// An `X-Request-Id` that is taken over.
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// A label's name or value, as Kubernetes bounds them.
pub const LABEL_BYTES_MAX: usize = 63;
/// Labels of one agent.
pub const LABELS_MAX: i64 = 64;
/// A label selector: what a URL carries without trouble.
pub const SELECTOR_BYTES_MAX: usize = 1024;
/// Requirements of one selector: each is looked at for every agent.
pub const SELECTOR_REQUIREMENTS_MAX: usize = 16;
/// Values of one requirement.
pub const SELECTOR_VALUES_MAX: usize = 64;
/// Agents on one page of the list.
pub const AGENTS_PAGE_MAX: u32 = 1000;
/// Logs that are followed at once: each has a task, a connection and up to half a MiB of output on its way.
pub const FOLLOWERS_MAX: usize = 1024;
/// Of them with one token: a half, so that the others go on.
pub const FOLLOWERS_OF_A_TOKEN_MAX: usize = FOLLOWERS_MAX / 2;
/// Bytes of a log that one follower is handed at once, or a line more.
pub const FOLLOW_CHUNK_BYTES: usize = 16 * 1024;
/// Lines of that.
pub const FOLLOW_CHUNK_LINES: u32 = 256;
/// A follower that takes none of it for so long is dropped: some 550 bytes a second.
pub const FOLLOW_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A follower hears something at least this often: half of what proxies wait for by default (nginx: 60 s).
pub const FOLLOW_HEARTBEAT: Duration = Duration::from_secs(15);
/// A log whose agent is busy is looked at no more often than this for one follower.
pub const FOLLOW_PAUSE: Duration = Duration::from_millis(50);
/// How soon a follower that lost its connection is to come back.
pub const FOLLOW_RETRY: Duration = Duration::from_secs(1);
/// One event of a followed log: a line of the greatest length in JSON's worst case, six bytes for each, and its fields.
pub const EVENT_BYTES_MAX: usize = 6 * JOB_LINE_BYTES_MAX + 4 * 1024;
/// Sessions of an agent that may end with the same offer or kept message on the way for `CLOCK_SKEW_MAX` and longer, in number:
/// then it is refused for good. One may have had a bad day.
pub const STRANDED_LONG_MAX: u32 = 2;
/// The same with it on the way for [`STRANDED_SESSION_MIN`] and longer: cuts at random let one of so many through that takes twice as long as they
/// are apart.
pub const STRANDED_SESSIONS_MAX: u32 = 20;
/// A session that ended sooner tells nothing of what was on the way: more than three times there and back over a satellite.
pub const STRANDED_SESSION_MIN: Duration = Duration::from_secs(2);
/// Offers and messages of one agent that this is remembered of, the newest: more than are on the way in one session.
pub const STRANDED_MAX: usize = 64;
