//! A job and its output as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::hub::store::{JobLine, JobRow};

/// A job as the list and `show` have it.
pub fn job(row: &JobRow, logs_complete: bool) -> Value {
    let offline_since = row.offline_since.filter(|_| !row.status.is_final());
    let progress = row
        .progress
        .as_ref()
        .map(|progress| json!({"permille": progress.permille, "text": progress.text, "at_ms": progress.at}));
    json!({
        "job_id": row.id.to_string(),
        "agent": row.agent_name,
        "kind": row.kind,
        "signed": row.signed,
        "status": row.status.name(),
        "exit_code": row.exit_code,
        "signal": row.signal,
        "reason": (!row.reason.is_empty()).then_some(&row.reason),
        "created_at_ms": row.created_at,
        "accepted_at_ms": row.accepted_at,
        "started_at_ms": row.started_at,
        "finished_at_ms": row.finished_at,
        "not_before_ms": row.not_before,
        "expires_at_ms": row.expires_at,
        "cancel_requested": row.cancel_requested_at.is_some(),
        "agent_offline_since_ms": offline_since,
        "run": row.run,
        "log_lines": row.log_lines,
        "log_bytes": row.log_bytes,
        "logs_complete": logs_complete,
        "output_cut": row.output_cut,
        "pipe_held": row.pipe_held,
        "progress": progress,
    })
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

/// Bytes as `text` where they are UTF-8, else as `base64`.
pub fn content(object: &mut Map<String, Value>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert("text".to_owned(), json!(text)),
        Err(_) => object.insert("base64".to_owned(), json!(STANDARD.encode(bytes))),
    };
}

/// One line of a job's output.
pub fn line(line: &JobLine) -> Value {
    let mut object = Map::new();
    object.insert("n".to_owned(), json!(line.number));
    object.insert("run".to_owned(), json!(line.run));
    object.insert("stream".to_owned(), json!(line.stream.name()));
    object.insert("at_ms".to_owned(), json!(line.at.0));
    content(&mut object, &line.text);
    object.insert("continues".to_owned(), json!(line.continues));
    Value::Object(object)
}
