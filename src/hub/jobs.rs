//! The hub's own words on jobs: expired and lost ones are closed when their time is over. Events whose time is over go, too.

use std::sync::Arc;

use crate::limit;
use crate::obs::clock;
use crate::time::HubTime;

use super::Shared;

/// Looks through all jobs again and again until the hub stops.
pub(super) async fn sweep(shared: Arc<Shared>) {
    loop {
        match shared.store.sweep_jobs(HubTime(clock::wall_now().0)).await {
            Ok(0) => {}
            Ok(jobs) => tracing::info!(jobs, "jobs expired or are given up"),
            Err(error) => tracing::warn!(%error, "expired jobs cannot be closed; it is tried again"),
        }
        let most = limit::STREAM_EVENTS_MAX;
        if let Err(error) = shared.store.trim_events(most, HubTime(clock::wall_now().0)).await {
            tracing::warn!(%error, "old events of own streams cannot be forgotten; it is tried again");
        }
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(limit::JOB_SWEEP_INTERVAL) => {}
        }
    }
}
