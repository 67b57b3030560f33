//! Jobs: what is to be run, where it is in its life, and what an agent must remember so that it never runs twice.
//!
//! Pure: no processes, files or clocks. [`spec`] parses what was submitted, [`journal`] decides what an offer, a start, an
//! end, a cancel and a restart mean.

pub mod journal;
pub mod process;
pub mod secrets;
pub mod spec;
pub mod terms;

pub use crate::wire::job::JobState;
pub use journal::Journal;
pub use secrets::Secrets;
pub use spec::{JobSpec, OnCrash, SpecError};
pub use terms::Terms;
