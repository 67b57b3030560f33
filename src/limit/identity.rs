//! Who somebody is: keys, tokens, invites, copies, certificates, and the audit of them.

use std::time::Duration;

use super::CLOCK_SKEW_MAX;

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
/// Bytes of a file with a key or a token: one line of some hundred.
pub const SECRET_FILE_BYTES_MAX: usize = 4 * 1024;
/// A file that is being written takes milliseconds; one that was begun so long ago was left by a kill.
pub const DRAFT_AGE_MIN: Duration = Duration::from_secs(3600);
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
/// All of a request to enrol, at the hub: it is bounded even for one who shows the admin token.
pub const ENROLL_TIMEOUT: Duration = Duration::from_secs(60);
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
/// Operators' tokens of one hub: people and programs, not customers. All are in memory.
pub const TOKENS_MAX: i64 = if cfg!(test) { 10 } else { 1000 };
/// How long an operator's token may last that has an end.
pub const TOKEN_EXPIRY_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
