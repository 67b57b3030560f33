//! Runs jobs: a pool with places per kind, handlers, processes and their output.
//!
//! What it owns: processes and their pipes. What it does not: the journal, the outbox and the hub. Whoever runs it is
//! given [`Report`]s through a bounded channel and makes them durable.
//!
//! The steps of one job, in order:
//! 1. [`Handlers::check`] before the job is accepted;
//! 2. [`Pool::queue`] in the order of acceptance, then [`Queued::permit`] until a place is free;
//! 3. the journal says `starting`, durably; only then [`Permit::start`] may run the handler;
//! 4. [`Running::next`] until it returns `None`. [`Report::Started`] comes right after the process exists; its [`Ack`]
//!    is given once the journal has it. [`Report::Finished`] is last and comes only after that ack.
//!
//! Invariants: a line that was read is handed over, in order, or the job's output was cut and says so; a channel that is
//! full stops the reading, so that the job's process waits. No process outlives its [`Running`] by more than its grace.
//!
//! After a restart of the agent [`survivor::end`] ends what is left of a job before it is reported or run again.

mod command;
mod context;
mod deadline;
mod environment;
mod handler;
mod line;
mod mask;
mod outcome;
mod pool;
mod proc;
mod process;
mod pump;
mod report;
mod reporter;
pub mod survivor;
mod user;

pub use crate::job::process::{BootId, ProcessId};
pub use command::{Exec, ExecSettings};
pub use context::JobContext;
pub use environment::EnvAllow;
pub use handler::{Begins, Handlers, InvalidPayload, JobHandler};
pub use mask::Masks;
pub use outcome::{CancelReason, Ending, Outcome};
pub use pool::{Canceller, JobRun, NotStarted, Permit, Pool, Queued, Running, Settings};
pub use report::{Ack, Finished, Report, ReportError};
