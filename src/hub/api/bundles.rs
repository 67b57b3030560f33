//! `POST /v1/bundles`: the body is a bundle, as long as it likes up to a limit; the answer carries the acks.
//!
//! One at a time: another one waits with its body unread, so that two never fill the disk together.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use futures_util::StreamExt as _;

use crate::hub::import::{self, ImportError, Spool};
use crate::hub::token::Scope;
use crate::hub::view::ImportView;
use crate::hub::{Shared, view};
use crate::limit;

use super::Answer;
use super::endpoint::{Access, Acting, Endpoint, Verb};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::new(Verb::Post, "/v1/bundles", Access::Token(Scope::Admin), take).with_stream()]
}

/// Takes in what an agent without a link exported.
#[cfg_attr(test, utoipa::path(post, path = "/v1/bundles", tag = "agents",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "all of it is stored; the acks go back", body = ImportView),
        (status = 400, description = "bad_bundle, newer_bundle, cut_off"),
        (status = 403, description = "not_verified, other_hub, unknown_agent, key_unknown, revoked"),
        (status = 409, description = "earlier_bundle_missing, rolled_back"),
        (status = 413, description = "too_large"), (status = 503, description = "storage_full, store"))))]
pub(super) async fn take(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    body: Body,
) -> Answer<ImportView> {
    let _one_at_a_time = shared.importing.lock().await;
    let spool = spool(&shared, body).await?;
    let imported = import::import(&acting.store(&shared), spool).await?;
    shared.counters.bundles_in.add(1);
    shared.counters.records_in.add(imported.records);
    tracing::info!(agent = %imported.agent, bundle = %imported.bundle, records = imported.records,
        gaps = imported.gaps, known = imported.known, by = %acting.0.name, "a bundle was taken in");
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
