//! Finding the way to a hub: real agents and a real hub behind proxies, portals, names and several addresses.
//!
//! * `proxies`: squid and tinyproxy as Debian has them, on ports of their own; ignored by a plain
//!   `cargo test`, which need not find them.
//! * `lies`, `portal`, `hubs`: a [`front`] made by hand, in the manner it is told, before a real hub.
//! * `tls`: the same with a hub behind TLS.
//! * `typos`: settings that end the agent before it does anything.
//! * `names`: a DNS server of the test's own ([`dns`]). It needs the machine's resolver for itself, so these tests run only
//!   in a network and a mount namespace of their own, and are ignored otherwise.
//!
//! `scripts/test` runs what is ignored, where it can be run.
//!
//! In all of them everything that was written down afterwards is searched for the proxy's password.

#![cfg(all(feature = "agent", feature = "hub"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where its world does not hold")]

mod dns;
mod enrolment;
mod front;
mod hubs;
mod lies;
mod names;
mod portal;
mod proxies;
mod real_proxy;
mod site;
mod tls;
mod typos;
#[allow(dead_code, reason = "tests/process uses the rest of it")]
#[path = "../process/world.rs"]
mod world;
