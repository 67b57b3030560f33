//! `job submit`: hands a job to the hub, which keeps it until the agent has it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::id::AgentName;
use crate::job::{JobSpec, JobState};
use crate::time::millis;
use crate::wire::operator::OperatorSignature;
use crate::{limit, unit};

use super::exit::{CliError, Exit};
use super::remote::RemoteArgs;
use super::{Global, job, print_line};

/// Hand a job to an agent
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which agent runs it
    #[arg(long, value_name = "NAME")]
    pub agent: AgentName,
    /// The whole spec as JSON: a file, or - for stdin; nothing else then says what to run
    #[arg(long, value_name = "FILE", conflicts_with_all =
        ["kind", "timeout", "expires_in", "on_crash", "env", "cwd", "command"])]
    pub spec: Option<PathBuf>,
    /// An operator's signature over the spec, as `outpost job sign` writes one
    #[arg(long, value_name = "FILE", requires = "spec")]
    pub sig: Option<PathBuf>,
    /// Which handler of the agent runs it
    #[arg(long, default_value = "exec")]
    pub kind: String,
    /// How long it may run [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = unit::duration)]
    pub timeout: Option<Duration>,
    /// Not to be started later than this after the hub took it [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = unit::duration)]
    pub expires_in: Option<Duration>,
    /// What the agent does about it after a crash: report or rerun [default: report]
    #[arg(long, value_name = "WHAT", value_parser = ["report", "rerun"])]
    pub on_crash: Option<String>,
    /// Sets a variable of its environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// The folder it runs in
    #[arg(long, value_name = "FOLDER")]
    pub cwd: Option<String>,
    /// Stands for this submission: repeated with the same spec it gives the same job
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Wait until the job is over; exit 0 only where it succeeded
    #[arg(long)]
    pub wait: bool,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
    /// Which hub
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Submits the job, and waits where asked to.
///
/// # Errors
/// Where the spec is wrong, the hub is away or refuses, or the job that was waited for did not succeed.
pub(super) fn run(args: Args, global: &Global) -> Result<(), CliError> {
    let spec = match &args.spec {
        Some(path) => read(path)?,
        None => compose(&args)?.to_string().into_bytes(),
    };
    JobSpec::parse(&spec).map_err(|error| CliError::new(Exit::Failed, error))?;
    let signature = args.sig.as_deref().map(read_signature).transpose()?;
    let remote = args.remote.connect()?;
    let key = args.idempotency_key.as_deref().map(|key| ("Idempotency-Key", key));
    let signature = signature.as_deref().map(|signature| ("X-Outpost-Signature", signature));
    let headers: Vec<_> = key.into_iter().chain(signature).collect();
    let query = [("agent", args.agent.to_string())];
    let submitted = remote.post_bytes("/v1/jobs", &query, &headers, &spec)?;
    let job = job::id_of(&submitted)?;
    if !args.wait {
        return if global.json {
            print_line(&submitted.to_string())
        } else {
            print_line(&format!("job {job} is submitted; `outpost job show {job}` says where it is"))
        };
    }
    let ended = job::wait_final(&remote, job)?;
    job::print_result(&ended, global)?;
    match job::status(&ended) {
        Some(JobState::Succeeded) => Ok(()),
        status => {
            let message = format!("job {job} ended as {}", status.map_or("?", JobState::name));
            Err(CliError::new(Exit::Failed, message))
        }
    }
}

/// A signature's text; what it signs is not looked at, for the keys are the agents'.
fn read_signature(path: &Path) -> Result<String, CliError> {
    let wrong = |exit, error: &dyn std::fmt::Display| {
        CliError::new(exit, format!("the signature {}: {error}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(Exit::Io, &error))?;
    let signature: OperatorSignature = text.parse().map_err(|error| wrong(Exit::Failed, &error))?;
    Ok(signature.to_string())
}

/// A spec from a file or stdin, a little more than the longest there is.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed =
        |error: std::io::Error| CliError::new(Exit::Io, format!("the spec {}: {error}", path.display()));
    let most = u64::try_from(limit::JOB_SPEC_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut spec = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(most).read_to_end(&mut spec).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(most).read_to_end(&mut spec).map_err(failed)?;
    }
    Ok(spec)
}

fn compose(args: &Args) -> Result<Value, CliError> {
    if args.kind == "exec" && args.command.is_empty() {
        let message = "nothing to run: put the command behind `--`, or give --spec FILE";
        return Err(CliError::new(Exit::Usage, message));
    }
    let mut payload = Map::new();
    if !args.command.is_empty() {
        payload.insert("command".to_owned(), json!(args.command));
    }
    if let Some(cwd) = &args.cwd {
        payload.insert("cwd".to_owned(), json!(cwd));
    }
    if !args.env.is_empty() {
        let env: Map<_, _> = args.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        payload.insert("env".to_owned(), Value::Object(env));
    }
    let mut spec = Map::new();
    spec.insert("kind".to_owned(), json!(args.kind));
    spec.insert("payload".to_owned(), Value::Object(payload));
    if let Some(timeout) = args.timeout {
        spec.insert("timeout".to_owned(), json!(format!("{}ms", millis(timeout))));
    }
    if let Some(expires_in) = args.expires_in {
        // Not a point in time: the same command again is the same spec.
        spec.insert("expires_in".to_owned(), json!(format!("{}ms", millis(expires_in))));
    }
    if let Some(on_crash) = &args.on_crash {
        spec.insert("on_crash".to_owned(), json!(on_crash));
    }
    Ok(Value::Object(spec))
}

fn variable(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "must be NAME=VALUE".to_owned())
}
