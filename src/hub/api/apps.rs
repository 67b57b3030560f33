//! `/v1/apps`: the newest lines of apps, of one or of several.
//!
//! An app is a name: one that has no line has an empty log, so that it can be waited for before it says anything.

pub(super) mod follow;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;

use crate::hub::logbus::Range;
use crate::hub::token::Scope;
use crate::hub::view::app::{AppLogView, AppsView, DroppedView};
use crate::hub::{Shared, view};
use crate::id::AppName;
use crate::limit;

use super::Answer;
use super::endpoint::{Access, Acting, Endpoint, Verb};
use super::input::{Asked, count, query, refused};
use super::jobs::Deadline;
use super::problem::Problem;

/// Lines of an answer where the caller names no limit.
const PAGE: u32 = 1000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let (read, admin) = (Access::Token(Scope::Read), Access::Token(Scope::Admin));
    vec![
        Endpoint::new(Verb::Get, "/v1/apps", read, list),
        Endpoint::new(Verb::Get, "/v1/apps/{app}/logs", read, log).with_parameters(),
        Endpoint::new(Verb::Delete, "/v1/apps/{app}/logs", admin, drop_lines),
        Endpoint::new(Verb::Get, "/v1/apps/{app}/logs/follow", read, follow::follow).with_parameters(),
        Endpoint::new(Verb::Get, "/v1/logs", read, merged).with_parameters(),
        Endpoint::new(Verb::Get, "/v1/logs/follow", read, follow::follow_merged).with_parameters(),
    ]
}

fn app_name(text: &str) -> Result<AppName, Problem> {
    text.parse().map_err(refused)
}

/// Names with commas between them; none given: all apps.
fn app_names(text: Option<&str>) -> Result<Option<BTreeSet<AppName>>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let names = text.split(',').map(app_name).collect::<Result<BTreeSet<_>, _>>()?;
    if names.len() > limit::APPS_ASKED_MAX {
        let (named, most) = (names.len(), limit::APPS_ASKED_MAX);
        return Err(Problem::bad_request(format!(
            "apps: {named} are named, one request takes {most}; leave it out for all"
        )));
    }
    Ok(Some(names))
}

/// Numbers beyond the database's own are none that were given.
fn number(since: u64) -> i64 {
    i64::try_from(since).unwrap_or(i64::MAX)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct LogParameters {
    /// Lines behind this number: an earlier answer's `next`. Where absent, the newest lines.
    #[cfg_attr(test, param(minimum = 0))]
    since: Option<u64>,
    /// Lines of this answer.
    #[cfg_attr(test, param(minimum = 1))]
    limit: Option<u32>,
    /// Seconds to wait at most for a line to come, up to 60.
    wait: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct MergedParameters {
    /// Of these apps, with commas between them; where absent, of all.
    #[cfg_attr(test, param(pattern = "^[a-z0-9][a-z0-9-]{0,62}(,[a-z0-9][a-z0-9-]{0,62}){0,7}$"))]
    apps: Option<String>,
    /// Lines behind this number: an earlier answer's `next`, or any line's `seq`. Where absent, the newest lines.
    #[cfg_attr(test, param(minimum = 0))]
    since: Option<u64>,
    /// Lines of this answer.
    #[cfg_attr(test, param(minimum = 1))]
    limit: Option<u32>,
    /// Seconds to wait at most for a line to come, up to 60.
    wait: Option<u64>,
}

/// The apps that said something in the last hour.
#[cfg_attr(test, utoipa::path(get, path = "/v1/apps", tag = "apps",
    responses((status = 200, description = "by name", body = AppsView))))]
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Answer<AppsView> {
    Ok(Json(view::app::apps(shared.logbus.apps())))
}

/// The newest lines of an app, over all agents; 1000 there are at most, and none older than an hour.
#[cfg_attr(test, utoipa::path(get, path = "/v1/apps/{app}/logs", params(("app" = String, Path), LogParameters), tag = "apps",
    responses((status = 200, description = "the lines there are", body = AppLogView),
        (status = 400, description = "bad_request"))))]
pub(super) async fn log(
    State(shared): State<Arc<Shared>>,
    Path(app): Path<String>,
    asked: Asked<LogParameters>,
) -> Answer<AppLogView> {
    let (app, LogParameters { since, limit, wait }) = (app_name(&app)?, query(asked)?);
    lines(&shared, Some(BTreeSet::from([app])), since, limit, wait).await
}

/// The newest lines of several apps in one order, that in which the hub stored them.
#[cfg_attr(test, utoipa::path(get, path = "/v1/logs", params(MergedParameters), tag = "apps",
    responses((status = 200, description = "the lines there are", body = AppLogView),
        (status = 400, description = "bad_request"))))]
pub(super) async fn merged(
    State(shared): State<Arc<Shared>>,
    asked: Asked<MergedParameters>,
) -> Answer<AppLogView> {
    let MergedParameters { apps, since, limit, wait } = query(asked)?;
    lines(&shared, app_names(apps.as_deref())?, since, limit, wait).await
}

async fn lines(
    shared: &Shared,
    apps: Option<BTreeSet<AppName>>,
    since: Option<u64>,
    limit: Option<u32>,
    wait: Option<u64>,
) -> Answer<AppLogView> {
    let count_max = count(limit, PAGE, limit::APP_LINES_PAGE_MAX)?;
    let count_max = usize::try_from(count_max).unwrap_or(usize::MAX);
    let range = Range { apps, since: since.map(number), count_max, bytes_max: limit::RECORDS_PAGE_BYTES };
    let mut changed = shared.logbus.watch();
    let mut deadline = Deadline::after(wait);
    loop {
        let found = shared.logbus.lines(&range);
        let done = found.gap || !found.lines.is_empty();
        if done || !deadline.wait_for(shared, &mut changed).await {
            return Ok(Json(view::app::log(&found)));
        }
    }
}

/// Drops the lines that there are of an app. The records they came in stay.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/apps/{app}/logs", params(("app" = String, Path)), tag = "apps",
    responses((status = 200, description = "they are gone", body = DroppedView),
        (status = 400, description = "bad_request"))))]
pub(super) async fn drop_lines(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Path(app): Path<String>,
) -> Answer<DroppedView> {
    let app = app_name(&app)?;
    let dropped = shared.logbus.drop_app(&acting.store(&shared), &app).await?;
    tracing::info!(%app, dropped, by = %acting.0.name, "the lines of an app were dropped");
    Ok(Json(DroppedView { dropped }))
}
