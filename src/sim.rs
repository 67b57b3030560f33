//! A simulation of agent and hub in virtual time, from one seed: test only.
//!
//! It stands above every other layer and runs what they run: the store, the sessions, the journal, the intake of the hub.
//! What it replaces is the machine below (a disk with durable and volatile bytes, see [`disk`]), the wire between and the
//! hub's database. docs/simulation.md says what is modelled and how to repeat a seed.

#[cfg(feature = "agent")]
#[cfg_attr(
    not(feature = "hub"),
    expect(dead_code, unused_imports, reason = "for the whole simulation, which has a hub")
)]
pub(crate) mod disk;
#[cfg(feature = "agent")]
#[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "for the whole simulation, which has a hub"))]
pub(crate) mod mutant;

#[cfg(all(feature = "agent", feature = "hub"))]
mod agent;
#[cfg(all(feature = "agent", feature = "hub"))]
mod around;
#[cfg(all(feature = "agent", feature = "hub"))]
mod cable;
#[cfg(all(feature = "agent", feature = "hub"))]
mod hub;
#[cfg(all(feature = "agent", feature = "hub"))]
mod run;
#[cfg(all(feature = "agent", feature = "hub"))]
mod scenario;
#[cfg(all(feature = "agent", feature = "hub"))]
mod seeds;
#[cfg(all(feature = "agent", feature = "hub"))]
mod tests;
#[cfg(all(feature = "agent", feature = "hub"))]
mod truth;
#[cfg(all(feature = "agent", feature = "hub"))]
mod world;
