//! Real sockets: a hub of this process and agents made of raw frames.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod commands;
mod delivery;
mod raw_agent;
mod refusal;
mod upgrade;
