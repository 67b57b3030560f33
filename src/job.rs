//! Jobs: what is to be run, and where it is in its life. Pure: no processes, files or clocks.
//!
//! [`spec`] parses what was submitted.

pub mod spec;

pub use crate::wire::job::JobState;
pub use spec::{JobSpec, OnCrash, SpecError};
