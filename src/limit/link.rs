//! The way to a hub and its sockets: names, addresses, proxies, TLS, and when to come back.

use std::time::Duration;

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
/// A hub's `retry_after` counts up to this: no hub can send an agent away for ever.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// A hub's answer to a request outside of the session: a key or a token, and some words.
pub const HUB_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// All of such a request: some kilobytes of TLS and JSON on a link of 300 bytes a second, several times over.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(300);
/// The socket's read buffer on an agent.
pub const SOCKET_READ_BUFFER: usize = 32 * 1024;
/// The socket's read buffer on a hub: idle fleets cost what this costs.
pub const SOCKET_READ_BUFFER_IDLE: usize = 4 * 1024;
/// The socket's write buffer: bytes gathered before a write.
pub const SOCKET_WRITE_BUFFER: usize = 32 * 1024;
/// What TLS keeps while the socket takes nothing: one such write.
pub const TLS_WRITE_BUFFER: usize = SOCKET_WRITE_BUFFER;
/// What the system takes of a connection beyond what it has sent, in bytes (TCP_NOTSENT_LOWAT): what is urgent waits for
/// no more than this and the write buffer. Less than 1 ms of 1 Gbit/s, half a second of 1 Mbit/s.
pub const SOCKET_UNSENT: u32 = 64 * 1024;
/// A silent TCP peer is probed after this, and again after each [`TCP_PROBE_INTERVAL`].
pub const TCP_IDLE: Duration = Duration::from_secs(60);
/// See [`TCP_IDLE`].
pub const TCP_PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// Probes without an answer that end a connection.
pub const TCP_PROBES: u32 = 3;
/// One PEM file: the system's own bundle of some 140 authorities has 220 KB.
pub const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How long certificates, keys and authorities may take to be read: a disk that hangs for longer is told of. A dial has
/// [`DIAL_STALL_TIMEOUT`] for all of it.
pub const TLS_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a hub looks whether its certificate was replaced.
pub const TLS_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A replacement is two files or three: what cannot be used for so long is no longer a replacement in the making.
pub const TLS_REPLACING: Duration = Duration::from_secs(5);
/// A hub says that its certificate expires when so much of its time is left, from the first on.
pub const TLS_EXPIRY_WARNINGS: [Duration; 3] =
    [Duration::from_secs(30 * 24 * 3600), Duration::from_secs(7 * 24 * 3600), Duration::from_secs(24 * 3600)];
/// How long a name's addresses are waited for: the resolver's own two attempts of 5 s, as resolv.conf(5) has them.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Lookups under way at once: one for each hub of an agent, and for its proxies.
pub const LOOKUPS_MAX: usize = HUBS_MAX + 4;
/// The system's authorities are read again no more often than this: a few megabytes of PEM for a change that comes with a
/// package.
pub const SYSTEM_AUTHORITIES_AGAIN: Duration = Duration::from_secs(3600);
/// Addresses of one name that are tried, however many there are; both families have their turn.
pub const ADDRESSES_TRIED_MAX: usize = 16;
/// Addresses that an error names.
pub const ADDRESSES_SHOWN: usize = 4;
/// Addresses that let somebody in and were of no use, of all names together, that are remembered: those of a few hubs and
/// their proxies. Beyond, the oldest is forgotten.
pub const SETBACKS_MAX: usize = 4 * ADDRESSES_TRIED_MAX;
/// How long the next address waits for the one before (RFC 8305, "Connection Attempt Delay").
pub const CONNECT_STAGGER: Duration = Duration::from_millis(250);
/// From the first SYN to the connection, for one address: a round trip of 10 s, and room for SYNs that are lost.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Without one byte moved for this long while a connection is made ready (proxy, TLS, upgrade) it is given up: a round
/// trip of 10 s, twice.
pub const DIAL_STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// And each of these steps is done within this, though bytes move: 30 KiB at 2,400 bit/s.
pub const DIAL_STEP_MAX: Duration = Duration::from_secs(120);
/// Head of what a proxy answers to CONNECT, or a hub to an upgrade. A longer one is none.
pub const ANSWER_HEAD_BYTES_MAX: usize = 16 * 1024;
/// A proxy's URL: a name of 253 bytes, a user and a password.
pub const PROXY_URL_BYTES_MAX: usize = 2048;
/// Hubs of one agent.
pub const HUBS_MAX: usize = 16;
