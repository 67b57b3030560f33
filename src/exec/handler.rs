//! What runs a kind of job: the interface for programs that embed the agent, and for the kinds built in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;

use crate::job::JobSpec;

use super::context::JobContext;
use super::outcome::Outcome;

/// Why a job cannot be run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidPayload {
    /// The field of the spec, like `kind` or `payload.cwd`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub reason: String,
}

impl InvalidPayload {
    /// Names a field and the reason.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// When a job of a kind counts as running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Begins {
    /// When [`JobHandler::run`] is called.
    #[default]
    AtOnce,
    /// When the handler calls [`JobContext::started`]; a job that ends before that never ran.
    WhenItSays,
}

/// Runs the jobs of one kind.
///
/// ```
/// use outpost::exec::{JobContext, JobHandler, Outcome};
/// use outpost::wire::job::OutputStream;
///
/// struct Greet;
///
/// impl JobHandler for Greet {
///     async fn run(&self, job: JobContext) -> Outcome {
///         let name: String = match job.payload() {
///             Ok(name) => name,
///             Err(wrong) => return Outcome::failed(wrong.to_string()),
///         };
///         match job.log(OutputStream::Stdout, format!("hello {name}")).await {
///             Ok(()) => Outcome::succeeded(),
///             Err(error) => Outcome::failed(error.to_string()),
///         }
///     }
/// }
/// ```
pub trait JobHandler: Send + Sync + 'static {
    /// Whether this spec's payload can be run. Called before the job is accepted, and must not block.
    ///
    /// # Errors
    /// Names the field and the reason; the job is rejected with it. Default: every payload can.
    fn check(&self, spec: &JobSpec) -> Result<(), InvalidPayload> {
        let _any = spec;
        Ok(())
    }

    /// How many jobs of this kind run at once; `None` (the default) for no bound but the pool's own.
    fn concurrency(&self) -> Option<NonZeroU32> {
        None
    }

    /// When a job counts as running. Default: at once.
    fn begins(&self) -> Begins {
        Begins::AtOnce
    }

    /// Runs one job to its end, in a task of its own. A panic is a failed job.
    ///
    /// When [`JobContext::cancelled`] resolves the job should end soon and return [`Outcome::stopped`]. A handler that
    /// goes on for longer than the job's grace and 20 s (`limit::JOB_STOP_TIMEOUT`) is dropped.
    fn run(&self, job: JobContext) -> impl Future<Output = Outcome> + Send;
}

/// A [`JobHandler`] without its type.
pub(super) trait AnyHandler: Send + Sync + 'static {
    fn check(&self, spec: &JobSpec) -> Result<(), InvalidPayload>;
    fn concurrency(&self) -> Option<NonZeroU32>;
    fn begins(&self) -> Begins;
    fn run(self: Arc<Self>, job: JobContext) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;
}

impl<H: JobHandler> AnyHandler for H {
    fn check(&self, spec: &JobSpec) -> Result<(), InvalidPayload> {
        JobHandler::check(self, spec)
    }

    fn concurrency(&self) -> Option<NonZeroU32> {
        JobHandler::concurrency(self)
    }

    fn begins(&self) -> Begins {
        JobHandler::begins(self)
    }

    fn run(self: Arc<Self>, job: JobContext) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        Box::pin(async move { JobHandler::run(&*self, job).await })
    }
}

/// The handlers of an agent by the kind they run. Cheap to clone.
#[derive(Clone, Default)]
pub struct Handlers {
    by_kind: BTreeMap<String, Arc<dyn AnyHandler>>,
    /// The only kinds that may be run; `None`: all that are known.
    allowed: Option<BTreeSet<String>>,
}

impl Handlers {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this one for `kind`, in place of an earlier one.
    #[must_use]
    pub fn with(mut self, kind: impl Into<String>, handler: impl JobHandler) -> Self {
        self.by_kind.insert(kind.into(), Arc::new(handler));
        self
    }

    /// Runs these kinds only, whatever else is known; `None`: all that are known.
    #[must_use]
    pub fn only(self, allowed: Option<BTreeSet<String>>) -> Self {
        Self { allowed, ..self }
    }

    /// Whether a job with this spec can be run here.
    ///
    /// # Errors
    /// Names the field and the reason: no handler for `kind`, or what its handler says.
    pub fn check(&self, spec: &JobSpec) -> Result<(), InvalidPayload> {
        self.find(&spec.kind)?.check(spec)
    }

    pub(super) fn find(&self, kind: &str) -> Result<Arc<dyn AnyHandler>, InvalidPayload> {
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(kind)) {
            let reason = format!("`{kind}` is not among the kinds that [jobs] kinds of this agent allows");
            return Err(InvalidPayload::new("kind", reason));
        }
        self.by_kind.get(kind).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.by_kind.keys().map(String::as_str).collect();
            InvalidPayload::new(
                "kind",
                format!("`{kind}` is not known to this agent, which knows: {}", known.join(", ")),
            )
        })
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_kind.keys()).finish()
    }
}
