//! Agents that another process removed or revoked (`hub agent revoke --data` beside a running hub): the audit tells, and
//! their sessions end.

use std::sync::Arc;
use std::time::Duration;

use crate::wire::error::ErrorCode;

use super::Shared;
use super::store::{Departure, StoreError};

/// How often the audit is read.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the hub stops. A removal through this process ends the session by itself; asked again it stays ended.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut seen = None;
    loop {
        match look(&shared, seen).await {
            Ok(last) => seen = Some(last),
            Err(error) => tracing::debug!(%error, "the audit could not be read"),
        }
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn look(shared: &Shared, seen: Option<i64>) -> Result<i64, StoreError> {
    let Some(seen) = seen else { return shared.store.last_audited().await };
    let (last, departures) = shared.store.departures_after(seen).await?;
    for (agent, departure, at) in departures {
        let Some(session) = shared.registry.session(agent) else { continue };
        match departure {
            Departure::Removed => session.end(ErrorCode::UnknownAgent),
            // It may have been welcomed again since: only what it came in with before is over.
            Departure::Revoked if session.since <= at => session.end(ErrorCode::Revoked),
            Departure::Revoked => {}
            Departure::Rotation => session.ask_for_rotation(),
        }
    }
    Ok(last)
}
