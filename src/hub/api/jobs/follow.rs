//! `GET /v1/jobs/ID/logs/follow`: a job's output as server-sent events, as it comes.
//!
//! ```text
//! id: 1:5                                   line 5 of run 1; with it in Last-Event-ID the next answer begins at line 6
//! event: line                               or `missing`: lines that will not come; or `end`: that was all
//! data: {"n":5,"run":1,"stream":"stdout","at_ms":...,"text":"...","continues":false}
//! ```
//! Each line once and in order, over however many connections: a line whose number is not the next one is waited for until the
//! log is complete.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use bytes::{BufMut as _, BytesMut};
use serde::Deserialize;
use serde_json::json;

use crate::hub::admission::Place;
use crate::hub::api::endpoint::Acting;
use crate::hub::api::events::{self, End, Followed, Outlet};
use crate::hub::api::input::{Asked, query};
use crate::hub::api::problem::Problem;
use crate::hub::store::{Changed, LinePlace};
use crate::hub::tail::{Entry, Moved, Reach, Step, Tail};
use crate::hub::{Shared, hub_time, view};
use crate::id::JobId;

use super::job_id;
use super::log::{place, stream};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(in crate::hub::api) struct FollowQuery {
    /// The first line, where no Last-Event-ID says more: `N` or `RUN:N`.
    #[cfg_attr(test, param(pattern = "^[0-9]{1,18}(:[0-9]{1,18})?$"))]
    from: Option<String>,
    /// Only what was written there.
    #[cfg_attr(test, param(pattern = "^(stdout|stderr)$"))]
    stream: Option<String>,
    /// Only this run.
    run: Option<u32>,
}

/// A job's output as server-sent events, from the beginning or from where an earlier connection ended: `line` events with a
/// line of output, `missing` with run, from and to of lines that will not come, and at the end of the log `end` with the job's
/// status.
#[cfg_attr(test, utoipa::path(get, path = "/v1/jobs/{job}/logs/follow", tag = "jobs",
    params(("job" = String, Path), FollowQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that came",
            pattern = "^([0-9]{1,18}(:[0-9]{1,18})?)?$")),
    responses((status = 200, description = "events until the log is complete, or the hub stops", body = crate::hub::api::openapi::LogEvent,
            content_type = "text/event-stream"),
        (status = 400, description = "bad_request"), (status = 404, description = "no_job"),
        (status = 429, description = "too_many_followers"))))]
pub(in crate::hub::api) async fn follow(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Extension(connection): Extension<Place>,
    Path(job): Path<String>,
    asked: Asked<FollowQuery>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let (job, asked) = (job_id(&job)?, query(asked)?);
    let from = begin(&headers, asked.from.as_deref())?;
    let stream = stream(asked.stream.as_deref())?;
    let agent = shared.store.agent_of_job(job).await?;
    let followed = FollowedLog {
        // Before anything is looked at: what comes later rings.
        changed: shared.store.watch_jobs(agent),
        shared: Arc::clone(&shared),
        job,
        tail: Tail::new(job, from, asked.run.map(i64::from), stream),
    };
    events::follow(&shared, acting.0, connection, followed)
}

/// Behind the last event that came, else where the query says.
fn begin(headers: &HeaderMap, from: Option<&str>) -> Result<LinePlace, Problem> {
    let from = place("from", from.unwrap_or("1"))?;
    let Some(last) = events::last_event_id(headers)? else { return Ok(from) };
    let last = place("Last-Event-ID", last)?;
    Ok(LinePlace { line: last.line.saturating_add(1), ..last })
}

struct FollowedLog {
    shared: Arc<Shared>,
    job: JobId,
    tail: Tail,
    changed: Changed,
}

impl Followed for FollowedLog {
    fn name(&self) -> String {
        format!("job {}", self.job)
    }

    async fn changed(&mut self) {
        self.changed.changed().await;
    }

    async fn advance(&mut self, out: &mut Outlet) -> Result<Moved, End> {
        let step = self.tail.next(&self.shared.store, hub_time()).await.map_err(End::store)?;
        let mut events = render(&step);
        if step.reach == Reach::End {
            let end = json!({"status": step.row.status.name(), "log_lines": step.row.log_lines});
            events.put_slice(format!("event: end\ndata: {end}\n\n").as_bytes());
        }
        if !events.is_empty() {
            out.send(events.freeze()).await?;
        }
        if step.reach == Reach::End { Err(End::Complete) } else { Ok(step.moved) }
    }
}

/// Lines and holes in their order.
fn render(step: &Step) -> BytesMut {
    let mut events = BytesMut::new();
    for entry in step.entries() {
        let event = match entry {
            Entry::Line(line) => {
                let data = view::json(&view::job::line(line));
                format!("id: {}:{}\nevent: line\ndata: {data}\n\n", line.run, line.number)
            }
            Entry::Missing(hole @ (run, _, to)) => {
                let data = view::json(&view::job::missing(hole));
                format!("id: {run}:{to}\nevent: missing\ndata: {data}\n\n")
            }
        };
        events.put_slice(event.as_bytes());
    }
    events
}
