//! The agent: takes records from local programs, keeps them in the outbox, and delivers them to its hub.

pub mod pace;
