//! What one agent may use, so that none of them can fill the hub.
//!
//! * `rate`: its session is read slower ([`flow`]); what it has to say waits in its outbox and nothing is lost.
//! * `bytes`: pieces that would go beyond are refused in their transaction (`store/ingest/tally.rs`): nothing of them is
//!   stored or acked, the session ends with `quota_exceeded`, and other agents go on. The control lane has room of its
//!   own beyond, so that results come in where logs do not.
//! * `open_jobs`: no more jobs of it are taken from the API (`store/jobs/submit.rs`).

mod flow;

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Mutex, PoisonError};

use crate::id::Lane;
use crate::limit;
use crate::time::BootTime;

use super::config::QuotaConfig;
use super::store::AgentRef;
pub(super) use flow::Flows;

/// The quotas of one hub's agents.
pub(super) struct Quota {
    config: QuotaConfig,
    /// `None` where there is no rate. An agent's flow outlives its session: connecting anew gives it nothing.
    flows: Option<Mutex<Flows>>,
}

impl Quota {
    pub(super) fn new(config: QuotaConfig) -> Self {
        Self { config, flows: config.rate.map(|rate| Mutex::new(Flows::new(rate))) }
    }

    /// An agent sent so many bytes.
    pub(super) fn note(&self, agent: AgentRef, bytes: usize, now: BootTime) {
        if let Some(flows) = &self.flows {
            flows.lock().unwrap_or_else(PoisonError::into_inner).note(agent, bytes, now);
        }
    }

    /// Until when an agent is not read from; `None` where it is.
    pub(super) fn slowed_until(&self, agent: AgentRef, now: BootTime) -> Option<BootTime> {
        let flows = self.flows.as_ref()?;
        flows.lock().unwrap_or_else(PoisonError::into_inner).slowed_until(agent, now)
    }

    /// Bytes of an agent that the hub stores before it refuses records of `lane`.
    pub(super) fn bytes_max(&self, lane: Lane) -> Option<NonZeroU64> {
        let bytes = self.config.bytes?;
        Some(match lane {
            Lane::Control => bytes.saturating_add(bytes.get() / limit::QUOTA_CONTROL_SHARE),
            Lane::Events | Lane::Logs => bytes,
        })
    }

    /// Jobs of an agent that may be open at once.
    pub(super) const fn open_jobs_max(&self) -> Option<NonZeroU32> {
        self.config.open_jobs
    }
}
