//! `job`: what its commands share.

use std::time::Duration;

use serde_json::{Value, json};

use crate::id::JobId;
use crate::job::JobState;
use crate::time::HubTime;

use super::exit::{CliError, Exit};
use super::remote::Remote;
use super::{Global, job_cancel, job_list, job_logs, job_show, job_sign, job_submit, print_line, terminal};

/// Seconds that one request waits at the hub for something to happen.
const WAIT_S: u64 = 20;
/// Between two tries while the hub is away.
const AWAY_PAUSE: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_millis(500) };
/// Tries in a row without an answer before a command that waits gives up: about a minute.
pub(super) const AWAY_TRIES_MAX: u32 = if cfg!(test) { 3 } else { 120 };

/// `job`
#[derive(Debug, clap::Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, and it is taken apart at once")]
pub(super) enum Command {
    Submit(job_submit::Args),
    List(job_list::Args),
    Show(job_show::Args),
    Cancel(job_cancel::Args),
    Logs(job_logs::Args),
    Sign(job_sign::Args),
}

pub(super) fn run(command: Command, global: &Global) -> Result<(), CliError> {
    match command {
        Command::Submit(args) => job_submit::run(args, global),
        Command::List(args) => job_list::run(args, global),
        Command::Show(args) => job_show::run(&args, global),
        Command::Cancel(args) => job_cancel::run(&args, global),
        Command::Logs(args) => job_logs::run(args, global),
        Command::Sign(args) => job_sign::run(&args, global),
    }
}

/// Goes on asking a hub that was there while it is away, as one is that is started again.
#[derive(Debug, Default)]
pub(super) struct Patience {
    reached: bool,
    tries: u32,
}

impl Patience {
    /// GET `path`; waits at the hub for up to [`WAIT_S`]. `None` where the hub is away at present.
    ///
    /// # Errors
    /// Where the hub was never there, is away for too long, or refuses.
    pub(super) fn get(
        &mut self,
        remote: &Remote,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Option<Value>, CliError> {
        let mut query = query.to_vec();
        query.push(("wait", WAIT_S.to_string()));
        match remote.get(path, &query) {
            Ok(answer) => {
                self.reached();
                Ok(Some(answer))
            }
            Err(error) => self.wait_out(error).map(|()| None),
        }
    }

    /// Of a hub that is known to be there.
    pub(super) const fn with_a_hub() -> Self {
        Self { reached: true, tries: 0 }
    }

    /// The hub said something.
    pub(super) fn reached(&mut self) {
        *self = Self::with_a_hub();
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// `error`, where the hub was never there, is away for too long, or refuses.
    pub(super) fn wait_out(&mut self, error: CliError) -> Result<(), CliError> {
        let away = matches!(error.exit, Exit::Unavailable | Exit::TempFail);
        if !self.reached || !away || self.tries >= AWAY_TRIES_MAX {
            return Err(error);
        }
        if self.tries == 0 {
            terminal::note(format_args!("{error}; still waiting"));
        }
        self.tries = self.tries.saturating_add(1);
        std::thread::park_timeout(AWAY_PAUSE);
        Ok(())
    }
}

/// Waits until the job is over; the job.
pub(super) fn wait_final(remote: &Remote, job: JobId) -> Result<Value, CliError> {
    let mut patience = Patience::with_a_hub();
    loop {
        let path = format!("/v1/jobs/{job}");
        let shown = patience.get(remote, &path, &[("until", "final".to_owned())])?;
        if let Some(shown) = shown.filter(|shown| status(shown).is_some_and(JobState::is_final)) {
            return Ok(shown);
        }
    }
}

/// The state in an answer of the API.
pub(super) fn status(job: &Value) -> Option<JobState> {
    job.get("status").and_then(Value::as_str).and_then(JobState::from_name)
}

/// The id in an answer of the API.
pub(super) fn id_of(answer: &Value) -> Result<JobId, CliError> {
    let id = answer.get("job_id").and_then(Value::as_str).and_then(|text| text.parse().ok());
    id.ok_or_else(|| CliError::new(Exit::Failed, "the hub's answer names no job"))
}

/// What `--wait --json` prints: how a job ended.
fn result(job: &Value) -> Value {
    let time = |key: &str| job.get(key).and_then(Value::as_u64).map(|at| HubTime(at).to_string());
    json!({
        "job_id": job["job_id"],
        "agent": job["agent"],
        "kind": job["kind"],
        "status": job["status"],
        "exit_code": job["exit_code"],
        "signal": job["signal"],
        "reason": job["reason"],
        "started_at": time("started_at_ms"),
        "finished_at": time("finished_at_ms"),
        "log_lines": job["log_lines"],
        "logs_complete": job["logs_complete"],
    })
}

/// Prints how a job ended: on stdout, as an object or in a line.
pub(super) fn print_result(job: &Value, global: &Global) -> Result<(), CliError> {
    if global.json { print_line(&result(job).to_string()) } else { print_line(&summary(job)) }
}

/// A job in one line.
pub(super) fn summary(job: &Value) -> String {
    let text = |key: &str| job.get(key).and_then(Value::as_str).unwrap_or("-");
    let mut line = format!("{}\t{}\t{}\t{}", text("job_id"), text("agent"), text("kind"), text("status"));
    if let Some(code) = job["exit_code"].as_i64() {
        line.push_str(&format!("\texit code {code}"));
    }
    if let Some(signal) = job["signal"].as_i64() {
        line.push_str(&format!("\tsignal {signal}"));
    }
    // The agent's reason may be just that.
    if let Some(reason) = job["reason"].as_str().filter(|reason| !line.ends_with(&format!("\t{reason}"))) {
        line.push_str(&format!("\t{}", String::from_utf8_lossy(&crate::plain::strip(reason.as_bytes()))));
    }
    if !job["agent_offline_since_ms"].is_null() {
        line.push_str("\tits agent is away");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_each_thing_once() {
        let mut job = json!({"job_id": "7", "agent": "edge-1", "kind": "exec", "status": "failed", "exit_code": 3,
            "reason": "exit code 3"});
        assert_eq!(summary(&job), "7\tedge-1\texec\tfailed\texit code 3");
        job["reason"] = json!("out of disk\u{1b}[2J");
        assert!(summary(&job).starts_with("7\tedge-1\texec\tfailed\texit code 3\tout of disk"));
        assert!(!summary(&job).contains('\u{1b}'));
    }
}
