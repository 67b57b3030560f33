//! `POST /v1/bundles`: the body is a bundle, as long as it likes up to a limit; the answer carries the acks.
//!
//! One at a time: another one waits with its body unread, so that two never fill the disk together.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use futures_util::StreamExt as _;

use crate::hub::import::{self, ImportError, Spool};
use crate::hub::{Shared, view};
use crate::limit;

use super::{Answer, Failure};

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new().route("/v1/bundles", post(take).layer(DefaultBodyLimit::disable()))
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let (status, name) = error.code();
        if status >= 500 {
            tracing::error!(%error, "a bundle could not be taken in");
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, name, message: error.to_string() }
    }
}

async fn take(State(shared): State<Arc<Shared>>, body: Body) -> Answer {
    let _one_at_a_time = shared.importing.lock().await;
    let spool = spool(&shared, body).await?;
    let imported = import::import(&shared.store, spool).await?;
    shared.counters.bundles_in.add(1);
    shared.counters.records_in.add(imported.records);
    tracing::info!(agent = %imported.agent, bundle = %imported.bundle, records = imported.records,
        gaps = imported.gaps, known = imported.known, "a bundle was taken in");
    Ok(Json(view::import(&imported)))
}

async fn spool(shared: &Shared, body: Body) -> Result<Spool, ImportError> {
    let mut spool = Spool::create(&shared.config.data)?;
    let mut stream = body.into_data_stream();
    let next = |late| ImportError::Sender(format!("nothing came for {late:?}"));
    while let Some(chunk) = tokio::time::timeout(limit::IMPORT_STALL_TIMEOUT, stream.next())
        .await
        .map_err(|_| next(limit::IMPORT_STALL_TIMEOUT))?
    {
        let chunk = chunk.map_err(|error| ImportError::Sender(error.to_string()))?;
        // Into the page cache: short, and not worth a thread of its own.
        spool.push(&chunk)?;
    }
    Ok(spool)
}
