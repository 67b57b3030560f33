//! Hub and agent as they are, on links that are slow, far, lossy or dead.
//!
//! # The link
//!
//! Hub and agent are real processes, each in a network namespace of its own ([`namespace`]). The namespaces have one
//! interface each, a TUN device whose other end is held by this test ([`tun`]): every IP packet passes through here, and
//! [`link`] does to it what the line does: a rate with a queue before it, a delay, seeded loss, silence. The kernel's own
//! netem would do the same; it is not used, because many kernels are built without it.
//!
//! What goes through is the kernels' TCP with nothing mocked; congestion control is set to reno, which every kernel has, so
//! that the figures do not depend on the machine's.
//!
//! These tests need root (or a user namespace and a /dev/net/tun that it may open) and take minutes of waiting; they are
//! ignored by a plain `cargo test`, `scripts/test` runs them where they can run.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where its world does not hold")]

mod down;
mod far;
mod goodput;
mod link;
mod lossy;
mod namespace;
mod program;
mod random;
mod roaming;
#[path = "../power/seed.rs"]
mod seed;
mod silence;
mod site;
mod slow;
mod tun;
