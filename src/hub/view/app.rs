//! Apps and their lines.

use serde::Serialize;

use crate::hub::logbus::{AppState, Found, Line};

/// The apps that have lines now.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AppsView {
    /// By name.
    pub apps: Vec<AppView>,
}

/// An app, and what its ring has.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AppView {
    app: String,
    lines: usize,
    bytes: usize,
    /// Number of the oldest line.
    first: i64,
    /// Number of the newest line.
    last: i64,
    /// When that came.
    last_received_at_ms: i64,
}

/// Lines of one or several apps.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AppLogView {
    /// In the order in which the hub stored them.
    lines: Vec<AppLineView>,
    /// Whether lines behind `since` may be missing: they fell out of the ring, or were dropped.
    gap: bool,
    /// What to go on from (`since`).
    next: i64,
}

/// One line.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AppLineView {
    /// Its number, over all apps in the order in which the hub stored them.
    seq: i64,
    app: String,
    /// Null where the agent was removed.
    agent: Option<String>,
    /// The job that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u32>,
    /// Its number in the job's run.
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    /// `stdout` or `stderr`, of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'static str>,
    /// When it was written, corrected to the hub's clock where the offset is known.
    at_ms: u64,
    /// When it came.
    received_at_ms: i64,
    /// Without escape sequences and control characters.
    text: String,
    /// The line was longer. Of a job's output the next piece is the next line of its stream.
    cut: bool,
}

/// What was dropped.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct DroppedView {
    /// Lines that there were.
    pub dropped: usize,
}

/// The apps that have lines.
pub fn apps(apps: Vec<AppState>) -> AppsView {
    let view = |state: AppState| AppView {
        app: state.app.into_string(),
        lines: state.lines,
        bytes: state.bytes,
        first: state.first,
        last: state.last,
        last_received_at_ms: state.received_at,
    };
    AppsView { apps: apps.into_iter().map(view).collect() }
}

/// A range of lines.
pub fn log(found: &Found) -> AppLogView {
    AppLogView {
        lines: found.lines.iter().map(|each| line(each)).collect(),
        gap: found.gap,
        next: found.next,
    }
}

/// One line.
pub fn line(line: &Line) -> AppLineView {
    AppLineView {
        seq: line.seq,
        app: line.app.to_string(),
        agent: line.agent.as_deref().map(str::to_owned),
        job_id: line.job.map(|place| place.job.to_string()),
        run: line.job.map(|place| place.run),
        n: line.job.map(|place| place.number),
        stream: line.job.map(|place| place.stream.name()),
        at_ms: line.at.0,
        received_at_ms: line.received_at,
        text: line.text.clone(),
        cut: line.cut,
    }
}
