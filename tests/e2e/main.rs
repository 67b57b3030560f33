<<<<<<< HEAD
//! Real sockets: a hub of this process and agents made of raw frames.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod commands;
mod delivery;
mod raw_agent;
mod refusal;
mod upgrade;
=======
//! Whole parts over real sockets: port 0, a folder of their own, no sleeps.
#![cfg(all(feature = "agent", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod agent_link;
mod agent_socket;
mod hand_hub;
>>>>>>> agent
