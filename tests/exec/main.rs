//! Jobs with real processes: their output, their end, what is refused, and what an agent that was killed leaves.

#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where its world does not hold")]

mod ending;
mod handler;
mod helper;
mod output;
mod places;
mod refusal;
mod survivor;
mod world;
