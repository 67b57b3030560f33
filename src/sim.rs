//! A simulation of agent and hub in virtual time, from one seed: test only.
//!
//! It stands above every other layer and runs what they run: the store, the sessions, the journal, the intake of the hub.
//! What it replaces is the machine below (a disk with durable and volatile bytes, see [`disk`]), the wire between and the
//! hub's database. docs/simulation.md says what is modelled and how to repeat a seed.

pub(crate) mod disk;
