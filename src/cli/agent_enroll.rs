//! `outpost agent enroll`: makes the agent's identity and gets its key for an invite.

use std::path::{Path, PathBuf};

use crate::agent::config::DATA_DEFAULT;
use crate::agent::enroll::{self, EnrollError, Request};
use crate::agent::identity::IdentityError;
use crate::limit;
use crate::net::http::HttpError;
use crate::net::proxy::Proxies;
use crate::net::tls::client::ClientFiles;
use crate::obs::secret_file;
use crate::secret::Secret;
use crate::wire::invite::Invite;

use super::exit::{CliError, Exit};
use super::{Global, print_line, variable};

/// Enrols this machine with an invite.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The hub's address.
    #[arg(long, value_name = "URL")]
    pub hub: String,
    /// The file with the invite that `outpost hub agent invite` printed; - for standard input.
    #[arg(long, value_name = "F")]
    pub token_file: PathBuf,
    /// The data folder (default ./outpost-agent).
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The authority that the hub's certificate must lead to [default: the invite's, else the system's]
    #[arg(long, value_name = "F")]
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to a hub that asks for one.
    #[arg(long, value_name = "F", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "F", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// The HTTP proxy towards the hub, http://[USER:PASSWORD@]HOST[:PORT], or none (default: the environment).
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Allows plain text to private addresses, or with =any to everywhere.
    #[arg(long, value_name = "any", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_insecure: Option<String>,
}

/// Enrols.
///
/// # Errors
/// 69 where no hub answers, 77 where it refuses or is not the one to believe, 78 for an address or authority, 73 for the folder of another agent, 74 for I/O.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let invite = read(&args.token_file)?;
    let data = args.data.clone().unwrap_or_else(|| PathBuf::from(DATA_DEFAULT));
    let request = Request {
        hub: &args.hub,
        allow_insecure: args.allow_insecure.as_deref(),
        invite: &invite,
        data: &data,
        ca_file: args.ca.as_deref(),
        proxies: proxies(args)?,
        client: args
            .client_cert
            .clone()
            .zip(args.client_key.clone())
            .map(|(cert, key)| ClientFiles { cert, key }),
    };
    let enrolled = enroll::enroll(&request).map_err(|error| CliError::new(exit(&error), error))?;
    if global.json {
        let line = serde_json::json!({
            "name": enrolled.name, "id": enrolled.agent_id.to_string(),
            "key_file": enrolled.key_file, "identity_file": enrolled.identity_file,
        });
        return print_line(&line.to_string());
    }
    print_line(&format!("this machine is {} now; start it:", enrolled.name))?;
    let client = match (&args.client_cert, &args.client_key) {
        (Some(cert), Some(key)) => {
            format!(" --client-cert {} --client-key {}", cert.display(), key.display())
        }
        _ => String::new(),
    };
    print_line(&format!("  outpost agent run --hub {} --data {}{client}", args.hub, data.display()))
}

fn proxies(args: &Args) -> Result<Proxies, CliError> {
    let setting = args.proxy.clone().or_else(|| variable("OUTPOST_HUB_PROXY"));
    Proxies::new(setting.as_deref(), variable).map_err(|error| CliError::new(Exit::Config, error))
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
        EnrollError::Address(_)
        | EnrollError::NeedsTls
        | EnrollError::FlagsNeedTls
        | EnrollError::OtherAuthority { .. }
        | EnrollError::Proxy(_)
        | EnrollError::Tls(_) => Exit::Config,
        EnrollError::File { .. }
        | EnrollError::Runtime(_)
        | EnrollError::Identity(IdentityError::Unreadable { .. }) => Exit::Io,
        EnrollError::OtherKey { .. } => Exit::Folder,
        EnrollError::Http(HttpError::Away { reason, .. }) => Exit::of_exchange(reason),
        EnrollError::Http(HttpError::Refused { refusal, .. }) => match refusal.status {
            408 | 429 | 500.. => Exit::TempFail,
            _ => Exit::Refused,
        },
        EnrollError::Identity(IdentityError::Key { .. } | IdentityError::Identity { .. })
        | EnrollError::Http(HttpError::NotAHub { .. })
        | EnrollError::NotAHub { .. }
        | EnrollError::WrongHub(_) => Exit::Failed,
    }
}
