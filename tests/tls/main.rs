//! TLS at the hub as its peers see it: certificates that are replaced, clients with and without one, peers that speak
//! something else or nothing, and other people's programs: openssl, testssl.sh and nginx.
//!
//! What needs such a program is ignored by a plain `cargo test`; `scripts/test` runs it where it is installed.

#![cfg(all(feature = "agent", feature = "hub"))]
#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod authority;
mod blame;
mod clients;
mod clocks;
mod hung;
mod hung_disk;
#[path = "../power/inode.rs"]
mod inode;
mod peer;
mod peers;
mod programs;
mod replaced;
mod scene;
#[allow(dead_code, reason = "tests/process uses the rest of it")]
#[path = "../process/world.rs"]
mod world;
