//! `outpost agent enroll`: makes the agent's identity and gets its key for an invite.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::agent::config::{Config, Flags};
use crate::agent::enroll::{self, EnrollError};
use crate::agent::identity::IdentityError;
use crate::limit;
use crate::net::http::HttpError;
use crate::obs::secret_file;
use crate::secret::Secret;
use crate::wire::invite::Invite;

use super::agent_args::AgentArgs;
use super::exit::{CliError, Exit};
use super::{Global, folder, print_line, shell, terminal, variable};

/// Enrols this machine with an invite.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file with the invite that `outpost hub agent invite` printed; - for standard input.
    #[arg(long, value_name = "F")]
    pub token_file: PathBuf,
    /// Hubs, identity and folder.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// Enrols.
///
/// # Errors
/// 69 where no hub answers, 77 where it refuses or is not the one to believe, 78 for a setting, 73 for the folder of another
/// agent, 74 for I/O.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let asked = Variables::default();
    // The link is begun by whoever starts the agent; the settings are those it will have.
    let flags = Flags { no_link: true, ..args.agent.flags() };
    let config = Config::load(global.config.as_deref(), |name| asked.get(name), &flags)
        .map_err(folder::config_error)?;
    let invite = read(&args.token_file)?;
    let exposed = config.hubs.iter().filter_map(|hub| hub.warning.as_ref());
    config.warnings.iter().chain(exposed).for_each(terminal::note);
    let enrolled = enroll::enroll(&config, &invite).map_err(|error| CliError::new(exit(&error), error))?;
    if global.json {
        let line = serde_json::json!({
            "name": enrolled.name, "id": enrolled.agent_id.to_string(),
            "key_file": enrolled.key_file, "identity_file": enrolled.identity_file,
        });
        return print_line(&line.to_string());
    }
    print_line(&format!("this machine is {} now; start it:", enrolled.name))?;
    let file =
        global.config.as_ref().map_or(String::new(), |file| format!(" --config {}", shell::path(file)));
    print_line(&format!("  outpost agent run{file}{}", args.agent.words()))?;
    if args.agent.has_secret() {
        print_line(
            "It needs the proxy, too, whose password is not repeated here: set OUTPOST_HUB_PROXY for it, or `proxy` under [hub] in a file of mode 0600 for --config.",
        )?;
    }
    match asked.found() {
        names if names.is_empty() => Ok(()),
        names => print_line(&format!("It needs the variables that are set here, too: {}.", names.join(", "))),
    }
}

/// The environment, and which of its variables were there.
#[derive(Default)]
struct Variables(RefCell<BTreeSet<String>>);

impl Variables {
    fn get(&self, name: &str) -> Option<String> {
        let value = variable(name)?;
        self.0.borrow_mut().insert(name.to_owned());
        Some(value)
    }

    /// Their names; no value, which may be a secret.
    fn found(self) -> Vec<String> {
        self.0.into_inner().into_iter().collect()
    }
}

fn read(path: &Path) -> Result<Invite, CliError> {
    let wrong =
        |error: std::io::Error| CliError::new(Exit::Io, format!("the invite {}: {error}", path.display()));
    let text = if path.as_os_str() == "-" {
        let read = Secret::read(std::io::stdin().lock(), limit::SECRET_FILE_BYTES_MAX).map_err(wrong)?;
        read.into_text().unwrap_or_default()
    } else {
        secret_file::read(path).map_err(wrong)?
    };
    text.expose().parse().map_err(|error| CliError::new(Exit::Failed, format!("{}: {error}", path.display())))
}

fn exit(error: &EnrollError) -> Exit {
    match error {
        EnrollError::NoHub
        | EnrollError::NeedsTls
        | EnrollError::OtherAuthority { .. }
        | EnrollError::Tls(_) => Exit::Config,
        EnrollError::File { .. }
        | EnrollError::Runtime(_)
        | EnrollError::Identity(IdentityError::Unreadable { .. }) => Exit::Io,
        EnrollError::OtherKey { .. } => Exit::Folder,
        // What the first one comes to is told first.
        EnrollError::Away(hubs) => hubs.first().map_or(Exit::Unavailable, of_hub),
        EnrollError::Http(error) => of_hub(error),
        EnrollError::Identity(IdentityError::Key { .. } | IdentityError::Identity { .. })
        | EnrollError::NotAHub { .. }
        | EnrollError::WrongHub(_) => Exit::Failed,
    }
}

fn of_hub(error: &HttpError) -> Exit {
    match error {
        HttpError::Away { reason, .. } => Exit::of_exchange(reason),
        HttpError::Refused { refusal, .. } => match refusal.status {
            408 | 429 | 500.. => Exit::TempFail,
            _ => Exit::Refused,
        },
        HttpError::NotAHub { .. } => Exit::Failed,
    }
}
