//! Where a command finds the agent: its socket while it runs, its folder while it is stopped.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::agent::StartError;
use crate::agent::config::{Config, ConfigError, Flags};
use crate::agent::intake::SocketError;
use crate::agent::intake::client::{self, ClientError, Failure, Request};
use crate::agent::outbox_folder;
use crate::outbox::{AppendError, OpenError, Options, Outbox, StoreError};

use super::exit::{CliError, Exit};
use super::{Global, variable};

/// `--data` and `--socket`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Place {
    /// The agent's data folder (default ./outpost-agent).
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The agent's Unix socket (default DATA/agent.sock).
    #[arg(long, value_name = "P")]
    pub socket: Option<PathBuf>,
}

/// A running agent, or the folder of a stopped one.
pub(super) enum Found {
    Running(UnixStream),
    Stopped(Box<Config>),
}

/// Looks for the agent. With `--socket` only a running one will do.
pub(super) fn find(place: &Place, global: &Global) -> Result<Found, CliError> {
    let flags =
        Flags { data: place.data.clone(), socket: place.socket.clone(), no_link: true, ..Flags::default() };
    let config = Config::load(global.config.as_deref(), variable, &flags).map_err(config_error)?;
    if place.socket.is_some()
        && let Err(error) = crate::agent::intake::check_path(&config.socket)
    {
        return Err(CliError::new(Exit::Config, error));
    }
    match client::connect(&config.socket) {
        Ok(stream) => Ok(Found::Running(stream)),
        Err(error) if place.socket.is_some() => Err(client_error(&error)),
        // A folder that was named may be made; the default one must be there, or a slip of the working directory
        // would swallow records.
        Err(_) if place.data.is_some() || outbox_folder(&config.data).exists() => {
            Ok(Found::Stopped(Box::new(config)))
        }
        Err(error) => Err(client_error(&error)),
    }
}

/// The outbox of a stopped agent.
pub(super) fn open(config: &Config) -> Result<Outbox, CliError> {
    crate::obs::folder::make(&config.data).map_err(|error| {
        CliError::new(Exit::Io, format!("cannot make the data folder {}: {error}", config.data.display()))
    })?;
    let options = Options { agent: None, ..config.outbox.clone() };
    Outbox::open(&outbox_folder(&config.data), options).map_err(|error| open_error(&error))
}

/// The outbox of a stopped agent, which must exist.
pub(super) fn open_existing(config: &Config) -> Result<Outbox, CliError> {
    let folder = outbox_folder(&config.data);
    if !folder.exists() {
        let message = format!("{} is not there; name the agent's folder with --data DIR", folder.display());
        return Err(CliError::new(Exit::Io, message));
    }
    open(config)
}

/// Works on the outbox of a stopped agent, which must exist, and closes it in any case.
pub(super) fn with_existing<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Outbox) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let outbox = open_existing(config)?;
    super::runtime()?.block_on(async move {
        let result = work(&outbox).await;
        let closed = outbox.close().await.map_err(|error| store_error(&error));
        let done = result?;
        closed.map(|()| done)
    })
}

/// What a running agent answers.
pub(super) fn ask<T: DeserializeOwned>(stream: UnixStream, request: &Request) -> Result<T, CliError> {
    let body = client::ask(stream, request, |_row| {}).map_err(|error| client_error(&error))?;
    serde_json::from_slice(&body).map_err(not_understood)
}

pub(super) fn config_error(error: ConfigError) -> CliError {
    CliError::new(Exit::Config, error)
}

pub(super) fn open_error(error: &OpenError) -> CliError {
    let exit = match error {
        OpenError::Locked { .. } | OpenError::Foreign { .. } | OpenError::NewerFormat { .. } => Exit::Folder,
        OpenError::KeyUnset { .. }
        | OpenError::KeyFileMissing { .. }
        | OpenError::WrongKey { .. }
        | OpenError::KeyFileOpen { .. }
        | OpenError::KeyFileMalformed { .. } => Exit::Config,
        OpenError::EpochsUsedUp { .. } | OpenError::Io { .. } | OpenError::Store(_) => Exit::Io,
    };
    CliError::new(exit, error)
}

pub(super) fn store_error(error: &StoreError) -> CliError {
    CliError::new(Exit::Io, error)
}

pub(super) fn append_error(error: &AppendError, accepted: u64) -> CliError {
    let exit = match error {
        AppendError::LaneFull { .. } | AppendError::OutboxFull { .. } | AppendError::DiskFull { .. } => {
            Exit::TempFail
        }
        AppendError::Degraded { .. } | AppendError::Closed => Exit::Io,
        AppendError::Empty
        | AppendError::RecordTooLarge { .. }
        | AppendError::SourceTooLong { .. }
        | AppendError::CallTooLarge { .. } => Exit::Failed,
    };
    CliError::new(exit, format!("{error}; {accepted} records before are durable"))
}

pub(super) fn start_error(error: &StartError) -> CliError {
    match error {
        StartError::Outbox(error) => open_error(error),
        StartError::Socket(SocketError::InUse { .. }) => CliError::new(Exit::Folder, error),
        StartError::Socket(SocketError::TooLong { .. } | SocketError::Occupied { .. }) => {
            CliError::new(Exit::Config, error)
        }
        StartError::Tls(_) => CliError::new(Exit::Config, error),
        // Only programs that embed an agent have handlers.
        StartError::HandlerName(_) | StartError::Handlers(_) => CliError::new(Exit::Config, error),
        StartError::Data { .. }
        | StartError::Store(_)
        | StartError::Socket(SocketError::Io { .. })
        | StartError::Metrics(_) => CliError::new(Exit::Io, error),
    }
}

/// The exit code of a failure that has this name on the socket.
pub(super) fn failure_exit(code: &str) -> Exit {
    match code {
        "lane_full" | "disk_full" | "stopping" => Exit::TempFail,
        "degraded" | "store" => Exit::Io,
        "foreign" => Exit::Folder,
        "no_identity" => Exit::Config,
        "bad_acks" => Exit::Refused,
        _ => Exit::Failed,
    }
}

pub(super) fn client_error(error: &ClientError) -> CliError {
    match error {
        ClientError::NoAgent { .. } | ClientError::Broken { .. } | ClientError::Silent => {
            CliError::new(Exit::Unavailable, error)
        }
        ClientError::Refused(Failure { code, message, accepted }) => {
            let exit = failure_exit(code);
            match accepted.accepted {
                0 => CliError::new(exit, message),
                accepted => CliError::new(exit, format!("{message}; {accepted} records before are durable")),
            }
        }
        ClientError::Output(_) => CliError::new(Exit::Io, error),
        ClientError::Input { .. } | ClientError::Answer(_) => CliError::new(Exit::Failed, error),
    }
}

pub(super) fn not_understood(error: serde_json::Error) -> CliError {
    CliError::new(
        Exit::Failed,
        format!(
            "the agent's answer is not understood ({error}); do agent and command have the same version?"
        ),
    )
}
