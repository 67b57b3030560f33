//! The frame against peers and damage: every message round trips, nothing panics, every refusal has its own code.

mod hostile;
mod limits;
mod messages;
mod refusals;
mod round_trip;
mod support;
