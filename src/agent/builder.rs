//! An agent inside another program: its own kinds of job, and its receivers of messages.

use crate::exec::{Exec, Handlers, JobHandler};
use crate::id::{HandlerName, ParseIdError};
use crate::limit;

use super::config::Config;
use super::relay::{RelayHandler, RelayHandlers};
use super::{Agent, StartError};

/// The kind of job that every agent runs.
const EXEC: &str = "exec";

/// An agent that is about to start.
#[derive(Debug)]
pub struct Builder {
    config: Config,
    handlers: Handlers,
    /// Or the first name that is none.
    relay: Result<RelayHandlers, ParseIdError>,
}

impl Builder {
    pub(super) fn new(config: Config) -> Self {
        let exec = Exec::new(config.exec.clone());
        let handlers = Handlers::new().with(EXEC, exec);
        Self { config, handlers, relay: Ok(RelayHandlers::default()) }
    }

    /// Runs jobs of this kind with `handler`, in place of an earlier one for it.
    #[must_use]
    pub fn handler(mut self, kind: impl Into<String>, handler: impl JobHandler) -> Self {
        self.handlers = self.handlers.with(kind, handler);
        self
    }

    /// Gives messages that other agents send to `name` (1 to 64 of a-z, 0-9, `-`, `_` and `.`) to `handler`, in place of an
    /// earlier one for it.
    #[must_use]
    pub fn relay_handler(mut self, name: &str, handler: impl RelayHandler) -> Self {
        self.relay = self.relay.and_then(|known| {
            let name: HandlerName = name.parse()?;
            Ok(known.with(name, handler))
        });
        self
    }

    /// Starts the agent. Needs a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(self) -> Result<Agent, StartError> {
        let relay = self.relay.map_err(StartError::HandlerName)?;
        if relay.len() > limit::RELAY_HANDLERS_MAX {
            return Err(StartError::Handlers(relay.len()));
        }
        Agent::start_with(self.config, self.handlers, relay).await
    }
}
