//! A hub under many connections, as a process of its own: two thousand agents that come back after its restart, ten
//! thousand sockets that say nothing, and a thousand agents that have nothing to say, plain and over TLS.
//!
//! The agents are the library's session and its pace on a bare WebSocket, without an outbox, in two processes of this
//! same binary ([`child`]); everything runs on loopback. Times of all processes are of one clock (`obs/clock.rs`).
//!
//! The tests take minutes of processor time and thousands of file descriptors, and are ignored by a plain `cargo test`;
//! `scripts/test` runs them where descriptors allow it. Their figures go to standard output.

#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod agent;
#[path = "../tls/authority.rs"]
#[allow(dead_code, reason = "tests/tls uses the rest of it")]
mod authority;
mod child;
mod crowd;
mod fleet;
mod hub;
mod idle;
#[path = "../tls/peer.rs"]
#[allow(dead_code, reason = "tests/tls uses the rest of it")]
mod peer;
mod restart;
mod silence;
