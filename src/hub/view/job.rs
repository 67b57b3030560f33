//! A job and its output.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use crate::hub::store::{JobLine, JobLog, JobRow};

/// A job as the list has it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct JobView {
    /// A lower-case UUID.
    job_id: String,
    /// Null where it was removed.
    agent: Option<String>,
    /// Which handler runs it.
    kind: String,
    /// The app that its output is log lines of.
    app: Option<String>,
    /// Whether an operator's signature came with it.
    signed: bool,
    /// `queued`, `offered`, `accepted`, `running`, `succeeded`, `failed`, `cancelled`, `timed_out`, `interrupted`, `expired`,
    /// `rejected` or `lost`.
    status: &'static str,
    exit_code: Option<i64>,
    signal: Option<i64>,
    reason: Option<String>,
    created_at_ms: i64,
    accepted_at_ms: Option<i64>,
    started_at_ms: Option<i64>,
    finished_at_ms: Option<i64>,
    not_before_ms: Option<i64>,
    expires_at_ms: i64,
    cancel_requested: bool,
    /// Since when its agent is away, while it is not over.
    agent_offline_since_ms: Option<i64>,
    run: i64,
    log_lines: Option<i64>,
    log_bytes: Option<i64>,
    /// Whether every line that will ever come is here.
    logs_complete: bool,
    output_cut: bool,
    pipe_held: bool,
    progress: Option<Progress>,
    /// Of the submission to several agents that it came with.
    group: Option<String>,
    /// Who submitted it, as in the audit; null for jobs of versions before.
    submitted_by: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Progress {
    /// 0 to 1000.
    permille: Option<i64>,
    text: String,
    at_ms: i64,
}

/// A job with its spec, its result and what it left behind.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct WholeJob {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// As it was submitted, but for the values of its secrets; null where it cannot be read.
    #[cfg_attr(test, schema(value_type = Option<Object>))]
    pub spec: Value,
    /// What its handler returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Content>,
    /// What it left behind.
    pub artifacts: Vec<Artifact>,
}

/// Bytes as `text` where they are UTF-8, else as `base64`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Something a job left behind.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Artifact {
    /// What the job calls it.
    pub name: String,
    /// Which run left it.
    pub run: i64,
    /// Where it is among the agent's records: lane/epoch/seq.
    pub record: String,
}

/// A page of jobs, the newest first.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct JobPageView {
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// Where the next page begins; null at the end.
    pub next: Option<String>,
}

/// The jobs of one submission to several agents.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct GroupView {
    /// 32 hexadecimal digits; a filter of the list.
    pub group: String,
    /// One for each agent, in the order of their names.
    pub jobs: Vec<JobView>,
}

/// What a submission made: one job, or a group of them.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[expect(clippy::large_enum_variant, reason = "one is made for a request, and serialized at once")]
pub enum SubmittedView {
    /// For `agent`.
    One(JobView),
    /// For `agents` and `selector`.
    Group(GroupView),
}

/// One line of output.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct LineView {
    /// Its number within its run, over both streams.
    n: i64,
    run: i64,
    /// `stdout` or `stderr`.
    stream: &'static str,
    at_ms: u64,
    #[serde(flatten)]
    content: Content,
    /// The line was too long and goes on in the next one of its stream.
    continues: bool,
}

/// Lines that will not come, or are not here yet.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct MissingView {
    run: i64,
    from: i64,
    to: i64,
}

/// A range of a job's output.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct LogPage {
    lines: Vec<LineView>,
    missing: Vec<MissingView>,
    /// Where the next range begins (`from`).
    next: String,
    /// Whether that was all there will ever be.
    complete: bool,
}

/// A job as the list has it.
pub fn job(row: &JobRow, logs_complete: bool) -> JobView {
    JobView {
        job_id: row.id.to_string(),
        agent: row.agent_name.clone(),
        kind: row.kind.clone(),
        app: row.app.clone(),
        signed: row.signed,
        status: row.status.name(),
        exit_code: row.exit_code,
        signal: row.signal,
        reason: (!row.reason.is_empty()).then(|| row.reason.clone()),
        created_at_ms: row.created_at,
        accepted_at_ms: row.accepted_at,
        started_at_ms: row.started_at,
        finished_at_ms: row.finished_at,
        not_before_ms: row.not_before,
        expires_at_ms: row.expires_at,
        cancel_requested: row.cancel_requested_at.is_some(),
        agent_offline_since_ms: row.offline_since.filter(|_| !row.status.is_final()),
        run: row.run,
        log_lines: row.log_lines,
        log_bytes: row.log_bytes,
        logs_complete,
        output_cut: row.output_cut,
        pipe_held: row.pipe_held,
        progress: row.progress.as_ref().map(|progress| Progress {
            permille: progress.permille,
            text: progress.text.clone(),
            at_ms: progress.at,
        }),
        group: row.group.map(|group| group.to_string()),
        submitted_by: row.submitted_by.clone(),
    }
}

/// A spec as it was submitted, but for the values of its secrets.
pub fn spec(bytes: &[u8]) -> Value {
    // What was submitted was JSON, and is kept as it was.
    let mut spec: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(Value::Object(secrets)) = spec.get_mut("secrets") {
        secrets.values_mut().for_each(|value| *value = Value::from("***"));
    }
    spec
}

impl Content {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { text: Some(text.to_owned()), base64: None },
            Err(_) => Self { text: None, base64: Some(STANDARD.encode(bytes)) },
        }
    }
}

/// One line of a job's output.
pub fn line(line: &JobLine) -> LineView {
    LineView {
        n: line.number,
        run: line.run,
        stream: line.stream.name(),
        at_ms: line.at.0,
        content: Content::of(&line.text),
        continues: line.continues,
    }
}

/// Lines of a run that are not there.
pub fn missing((run, from, to): (i64, i64, i64)) -> MissingView {
    MissingView { run, from, to }
}

/// A range of a job's output; `complete`: whether no more will ever come.
pub fn log(log: &JobLog, complete: bool) -> LogPage {
    LogPage {
        lines: log.lines.iter().map(line).collect(),
        missing: log.missing.iter().copied().map(missing).collect(),
        next: log.next.to_string(),
        complete: complete && log.at_end,
    }
}
