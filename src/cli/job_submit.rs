//! `job submit`: hands a job to the hub, which keeps it until the agent has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::hub::labels::Selector;
use crate::id::{AgentName, AppName, JobId};
use crate::job::{JobSpec, JobState};
use crate::secret::Secret;
use crate::time::millis;
use crate::wire::operator::OperatorSignature;
use crate::{limit, unit};

use super::exit::{CliError, Exit};
use super::job::Patience;
use super::job_follow::{self, Part};
use super::job_logs::Printer;
use super::remote::{Remote, RemoteArgs};
use super::{Global, job, print_line};

/// Hand a job to an agent
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which agent runs it; repeated, each of them does
    #[arg(long, value_name = "NAME", required_unless_present = "select", conflicts_with = "select")]
    pub agent: Vec<AgentName>,
    /// Every agent with such labels runs it: NAME=VALUE, NAME!=VALUE, NAME in (A,B), NAME notin (A,B), NAME, !NAME, with
    /// commas between them
    #[arg(long, value_name = "LABELS")]
    pub select: Option<Selector>,
    /// The whole spec as JSON: a file, or - for stdin; nothing else then says what to run
    #[arg(long, value_name = "FILE", conflicts_with_all =
        ["kind", "app", "timeout", "expires_in", "on_crash", "env", "secret", "cwd", "command"])]
    pub spec: Option<PathBuf>,
    /// An operator's signature over the spec, as `outpost job sign` writes one
    #[arg(long, value_name = "FILE", requires = "spec")]
    pub sig: Option<PathBuf>,
    /// Which handler of the agent runs it
    #[arg(long, default_value = "exec")]
    pub kind: String,
    /// The app that its output is log lines of: those of all agents come together under its name
    #[arg(long, value_name = "NAME")]
    pub app: Option<AppName>,
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
    /// Gives it a secret: the value is what FILE holds, or stdin (-), without one line end; a variable of its environment
    #[arg(long, value_name = "NAME=FILE", value_parser = secret)]
    pub secret: Vec<(String, PathBuf)>,
    /// The folder it runs in
    #[arg(long, value_name = "FOLDER")]
    pub cwd: Option<String>,
    /// Stands for this submission: repeated with the same spec it gives the same job
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Wait until the job is over; exit 0 only where it succeeded
    #[arg(long)]
    pub wait: bool,
    /// Print its output as it comes, then wait as --wait does
    #[arg(long)]
    pub follow: bool,
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
        None => compose(&args)?,
    };
    JobSpec::parse(spec.expose()).map_err(|error| CliError::new(Exit::Failed, error))?;
    let signature = args.sig.as_deref().map(read_signature).transpose()?;
    let target = target(&args)?;
    let remote = args.remote.connect()?;
    let key = args.idempotency_key.as_deref().map(|key| ("Idempotency-Key", key));
    let signature = signature.as_deref().map(|signature| ("X-Outpost-Signature", signature));
    let headers: Vec<_> = key.into_iter().chain(signature).collect();
    let submitted = remote.post_bytes("/v1/jobs", &[target], &headers, spec.expose())?;
    let jobs = match submitted.get("jobs").and_then(Value::as_array) {
        Some(jobs) => jobs.iter().map(job::id_of).collect::<Result<Vec<_>, _>>()?,
        None => vec![job::id_of(&submitted)?],
    };
    if args.follow {
        jobs.iter().try_for_each(|job| follow(&remote, *job, global))?;
    }
    if args.wait || args.follow {
        return wait(&remote, &jobs, global);
    }
    if global.json {
        return print_line(&submitted.to_string());
    }
    jobs.iter().try_for_each(|job| {
        print_line(&format!("job {job} is submitted; `outpost job show {job}` says where it is"))
    })
}

/// For whom, as the API asks for it.
fn target(args: &Args) -> Result<(&'static str, String), CliError> {
    match (&args.select, args.agent.as_slice()) {
        (Some(selector), _) => Ok(("selector", selector.to_string())),
        (None, [agent]) => Ok(("agent", agent.to_string())),
        (None, agents) => list(agents).map(|list| ("agents", list)),
    }
}

/// The agents, as far as a request carries their names.
fn list(agents: &[AgentName]) -> Result<String, CliError> {
    let list = agents.iter().map(AgentName::as_str).collect::<Vec<_>>().join(",");
    if list.len() <= limit::AGENTS_LIST_BYTES_MAX {
        return Ok(list);
    }
    let message = format!(
        "the {} agents' names are {} bytes together, and a request carries {}; label them (`outpost hub agent label`) and use --select",
        agents.len(),
        list.len(),
        limit::AGENTS_LIST_BYTES_MAX
    );
    Err(CliError::new(Exit::Usage, message))
}

/// Prints one job's output; that of several comes one job after the other.
fn follow(remote: &Remote, job: JobId, global: &Global) -> Result<(), CliError> {
    let mut printer = Printer::new(std::io::stdout().lock(), global.json);
    job_follow::follow(remote, job, &Part::default(), &mut printer, Patience::with_a_hub())?;
    printer.end().map_err(|error| CliError::new(Exit::Io, format!("stdout: {error}")))
}

/// Waits for all of them; all have to succeed.
fn wait(remote: &Remote, jobs: &[JobId], global: &Global) -> Result<(), CliError> {
    let mut failed = Vec::new();
    for job in jobs {
        let ended = job::wait_final(remote, *job)?;
        job::print_result(&ended, global)?;
        let status = job::status(&ended);
        if status != Some(JobState::Succeeded) {
            failed.push(format!("job {job} ended as {}", status.map_or("?", JobState::name)));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(CliError::new(Exit::Failed, failed.join("; "))) }
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
pub(super) fn read(path: &Path) -> Result<Secret<Vec<u8>>, CliError> {
    read_bounded(path, limit::JOB_SPEC_BYTES_MAX)
        .map_err(|error| CliError::new(Exit::Io, format!("the spec {}: {error}", path.display())))
}

fn read_bounded(path: &Path, bytes_max: usize) -> std::io::Result<Secret<Vec<u8>>> {
    if path.as_os_str() == "-" {
        return Secret::read(std::io::stdin().lock(), bytes_max);
    }
    Secret::read(std::fs::File::open(path)?, bytes_max)
}

/// The secrets' names and values.
fn secrets(args: &Args) -> Result<BTreeMap<&str, Secret<String>>, CliError> {
    let mut secrets = BTreeMap::new();
    let mut stdin_taken = false;
    for (name, path) in &args.secret {
        let wrong = |exit, text: String| {
            Err(CliError::new(exit, format!("--secret {name}={}: {text}", path.display())))
        };
        if path.as_os_str() == "-" && std::mem::replace(&mut stdin_taken, true) {
            return wrong(Exit::Usage, "stdin is read for another secret already".to_owned());
        }
        // A line end more than the longest value there is.
        let value = match read_bounded(path, limit::JOB_SECRET_BYTES_MAX.saturating_add(2)) {
            Ok(value) => value,
            Err(error) => return wrong(Exit::Io, error.to_string()),
        };
        let Some(mut value) = value.into_text() else {
            return wrong(Exit::Failed, "is not a text; encode it, as base64 does".to_owned());
        };
        let text = value.expose();
        let text =
            text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        let bytes = text.len();
        value.expose_mut().truncate(bytes);
        if secrets.insert(name.as_str(), value).is_some() {
            return wrong(Exit::Usage, "the name is there twice".to_owned());
        }
    }
    Ok(secrets)
}

/// A spec as it is written here: members in this order, so that the same command again is the same spec.
#[derive(Serialize)]
struct Composed<'a> {
    kind: &'a str,
    payload: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    /// Not a point in time: the same command again is the same spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_crash: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<&'a str, &'a str>,
}

fn compose(args: &Args) -> Result<Secret<Vec<u8>>, CliError> {
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
    let secrets = secrets(args)?;
    let duration = |duration: Duration| format!("{}ms", millis(duration));
    let composed = Composed {
        kind: &args.kind,
        payload: Value::Object(payload),
        app: args.app.as_ref().map(AppName::as_str),
        timeout: args.timeout.map(duration),
        expires_in: args.expires_in.map(duration),
        on_crash: args.on_crash.as_deref(),
        secrets: secrets.iter().map(|(name, value)| (*name, value.expose().as_str())).collect(),
    };
    let mut spec = Secret::new(Vec::with_capacity(limit::JOB_SPEC_BYTES_MAX));
    let written = serde_json::to_writer(spec.expose_mut(), &composed);
    written.map_err(|error| CliError::new(Exit::Failed, error))?;
    Ok(spec)
}

fn variable(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "must be NAME=VALUE".to_owned())
}

fn secret(text: &str) -> Result<(String, PathBuf), String> {
    text.split_once('=')
        .filter(|(name, file)| !name.is_empty() && !file.is_empty())
        .map(|(name, file)| (name.to_owned(), PathBuf::from(file)))
        .ok_or_else(|| {
            "must be NAME=FILE, or NAME=- for stdin; the value itself would be seen by others".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_agents_that_no_request_carries_is_refused_before_one_is_made() {
        let agents = |count: usize| -> Vec<AgentName> {
            (0..count).map(|number| format!("edge-of-the-world-{number:03}").parse().unwrap()).collect()
        };
        // 21 letters and a comma each.
        let most = (limit::AGENTS_LIST_BYTES_MAX + 1) / 22;
        assert!(list(&agents(most)).unwrap().len() <= limit::AGENTS_LIST_BYTES_MAX);
        let error = list(&agents(most + 1)).unwrap_err();
        assert!(matches!(error.exit, Exit::Usage) && error.to_string().contains("--select"), "{error}");
    }
}
