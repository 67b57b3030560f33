//! Outpost runs jobs on machines that are often offline and loses nothing they produce.
//!
//! The layers, top to bottom; imports go downward only (see ARCHITECTURE.md):
//! `cli` · `agent`, `hub` · `net`, `exec`, `outbox::store`, `hub::store`, `obs` · `session`, `outbox` · `wire`, `age` · `id`, `limit`, `time`.

#![cfg_attr(
    not(any(feature = "agent", feature = "hub")),
    allow(
        dead_code,
        unused_variables,
        reason = "without either there are no commands: fuzz/ builds the pure parts alone"
    )
)]

pub mod age;
#[cfg(feature = "agent")]
pub mod agent;
pub mod cli;
#[cfg(all(feature = "agent", feature = "hub"))]
mod demo;
#[cfg(feature = "agent")]
pub mod exec;
#[cfg(feature = "hub")]
pub mod hub;
pub mod id;
pub mod job;
pub mod limit;
pub mod net;
pub mod obs;
pub mod outbox;
mod plain;
pub mod secret;
#[cfg(test)]
#[path = "../tests/power/seed.rs"]
mod seed;
pub mod session;
#[cfg(test)]
mod sim;
pub mod time;
pub mod unit;
pub mod wire;
