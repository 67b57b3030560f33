//! Waiting for something to happen to an agent's jobs, or for lines of apps, up to a time.

use std::time::Duration;

use serde::Deserialize;

use crate::hub::Shared;
use crate::hub::store::Changed;
use crate::limit;
use crate::obs::clock;
use crate::time::BootTime;

/// What `GET /v1/jobs/ID?wait=S` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Until {
    /// A final status.
    Final,
    /// A final status and every line of the output.
    #[default]
    Complete,
}

/// When a request is answered at the latest.
pub(in crate::hub::api) struct Deadline(Option<BootTime>);

impl Deadline {
    /// `seconds` from now, at most `limit::JOB_WAIT_MAX`; at once where none are given.
    pub(in crate::hub::api) fn after(seconds: Option<u64>) -> Self {
        let wait = seconds.map(|seconds| Duration::from_secs(seconds).min(limit::JOB_WAIT_MAX));
        Self(wait.map(|wait| clock::boot_now().after(wait)))
    }

    /// Waits until something changed; `false` where the time is over or the hub stops.
    pub(in crate::hub::api) async fn wait_for(&mut self, shared: &Shared, changed: &mut Changed) -> bool {
        let Some(deadline) = self.0 else { return false };
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => false,
            () = changed.changed() => true,
            () = tokio::time::sleep(deadline.since(clock::boot_now())) => {
                // One more look: what happened in the meantime is told.
                self.0 = None;
                true
            }
        }
    }
}
