//! Two real processes, a hub and an agent, on real files and sockets: what is durable arrives once and in order,
//! whatever is killed meanwhile.

#![cfg(all(feature = "agent", feature = "hub"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where its world does not hold")]

mod apps;
mod bundles;
mod certificates;
mod commands;
mod damage;
mod delivery;
mod demo;
mod eavesdropper;
mod enrolment;
mod eviction;
mod examples;
mod folder;
mod follow;
mod forms;
mod full_disk;
mod hub_key;
mod job_kills;
mod job_refusals;
mod job_secrets;
mod jobs;
mod leak;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod memory;
mod operator;
mod printed;
mod revocation;
mod rights;
mod rotation;
mod secure;
#[path = "../power/seed.rs"]
mod seed;
mod soak;
mod world;
