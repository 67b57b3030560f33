//! The frame against peers and damage: every message round trips, nothing panics, every refusal has its own code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod hostile;
mod limits;
mod messages;
mod refusals;
mod round_trip;
mod support;
mod upgrade;
