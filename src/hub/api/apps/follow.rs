//! `GET /v1/apps/APP/logs/follow` and `GET /v1/logs/follow`: lines of apps as server-sent events, as they come.
//!
//! ```text
//! id: 4711                                  a line's number; with it in Last-Event-ID the next answer begins behind it
//! event: line                               or `gap`, without an id: lines behind `since` may be missing here
//! data: {"seq":4711,"app":"web","agent":"edge-1","at_ms":...,"received_at_ms":...,"text":"...","cut":false}
//! ```
//! A heartbeat has the number of the newest line of all apps, so that who was told nothing for long still knows its place.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::json;

use crate::hub::admission::Place;
use crate::hub::api::endpoint::Acting;
use crate::hub::api::events::{self, End, Followed, Outlet};
use crate::hub::api::input::{Asked, query};
use crate::hub::api::problem::Problem;
use crate::hub::logbus::Range;
use crate::hub::store::Changed;
use crate::hub::tail::Moved;
use crate::hub::{Shared, view};
use crate::id::AppName;
use crate::limit;

use super::{app_name, app_names, number};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(in crate::hub::api) struct FollowQuery {
    /// Lines behind this number, where no Last-Event-ID says more. Where both are absent, all there are.
    #[cfg_attr(test, param(minimum = 0))]
    since: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(in crate::hub::api) struct FollowMergedQuery {
    /// Of these apps, with commas between them; where absent, of all.
    #[cfg_attr(test, param(pattern = "^[a-z0-9][a-z0-9-]{0,62}(,[a-z0-9][a-z0-9-]{0,62}){0,7}$"))]
    apps: Option<String>,
    /// Lines behind this number, where no Last-Event-ID says more. Where both are absent, all there are.
    #[cfg_attr(test, param(minimum = 0))]
    since: Option<u64>,
}

/// The lines of an app as server-sent events: `line` events, and `gap` where lines may be missing.
#[cfg_attr(test, utoipa::path(get, path = "/v1/apps/{app}/logs/follow", tag = "apps",
    params(("app" = String, Path), FollowQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that came", pattern = "^[0-9]{0,18}$")),
    responses((status = 200, description = "events until the hub stops", body = crate::hub::api::openapi::AppLogEvent,
            content_type = "text/event-stream"),
        (status = 400, description = "bad_request"), (status = 429, description = "too_many_followers"))))]
pub(in crate::hub::api) async fn follow(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Extension(connection): Extension<Place>,
    Path(app): Path<String>,
    asked: Asked<FollowQuery>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let (app, FollowQuery { since }) = (app_name(&app)?, query(asked)?);
    let followed = FollowedApps::new(&shared, Some(BTreeSet::from([app])), since, &headers)?;
    events::follow(&shared, acting.0, connection, followed)
}

/// The lines of several apps as server-sent events, in the order in which the hub stored them.
#[cfg_attr(test, utoipa::path(get, path = "/v1/logs/follow", tag = "apps",
    params(FollowMergedQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that came", pattern = "^[0-9]{0,18}$")),
    responses((status = 200, description = "events until the hub stops", body = crate::hub::api::openapi::AppLogEvent,
            content_type = "text/event-stream"),
        (status = 400, description = "bad_request"), (status = 429, description = "too_many_followers"))))]
pub(in crate::hub::api) async fn follow_merged(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Extension(connection): Extension<Place>,
    asked: Asked<FollowMergedQuery>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let FollowMergedQuery { apps, since } = query(asked)?;
    let followed = FollowedApps::new(&shared, app_names(apps.as_deref())?, since, &headers)?;
    events::follow(&shared, acting.0, connection, followed)
}

struct FollowedApps {
    shared: Arc<Shared>,
    range: Range,
    place: i64,
    changed: Changed,
}

impl FollowedApps {
    fn new(
        shared: &Arc<Shared>,
        apps: Option<BTreeSet<AppName>>,
        since: Option<u64>,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let wrong = |_| Problem::bad_request("Last-Event-ID: must be a line's number");
        let last = events::last_event_id(headers)?;
        let last = last.map(|text| text.parse::<u64>().map_err(wrong)).transpose()?;
        let since = last.or(since).map(number);
        let count_max = usize::try_from(limit::FOLLOW_CHUNK_LINES).unwrap_or(usize::MAX);
        // Before anything is looked at: what comes later rings.
        let changed = shared.logbus.watch();
        let range = Range { apps, since, count_max, bytes_max: limit::FOLLOW_CHUNK_BYTES };
        Ok(Self { shared: Arc::clone(shared), range, place: since.unwrap_or_default(), changed })
    }
}

impl Followed for FollowedApps {
    fn name(&self) -> String {
        match &self.range.apps {
            None => "all apps".to_owned(),
            Some(apps) => apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(","),
        }
    }

    async fn changed(&mut self) {
        self.changed.changed().await;
    }

    async fn advance(&mut self, out: &mut Outlet) -> Result<Moved, End> {
        let told = self.range.since.is_some();
        let range = Range { since: Some(self.place), ..self.range.clone() };
        let found = self.shared.logbus.lines(&range);
        let mut events = BytesMut::new();
        // Who named no number has not been told of any line that could be missing.
        if found.gap && told {
            let data = json!({"since": self.place});
            events.put_slice(format!("event: gap\ndata: {data}\n\n").as_bytes());
        }
        for line in &found.lines {
            let data = view::json(&view::app::line(line));
            events.put_slice(format!("id: {}\nevent: line\ndata: {data}\n\n", line.seq).as_bytes());
        }
        self.range.since = Some(found.next);
        self.place = found.next;
        if events.is_empty() {
            return Ok(Moved::No);
        }
        out.send(events.freeze()).await?;
        Ok(Moved::Yes)
    }

    fn heartbeat(&self) -> Bytes {
        format!("id: {}\n: still here\n\n", self.place).into()
    }
}
