//! The agent: takes records from local programs, keeps them in the outbox, and delivers them to its hub.

mod address;
pub mod config;
pub mod intake;
pub mod pace;
