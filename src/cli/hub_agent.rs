//! `hub agent add|list|show|remove`: through the hub's API, or straight in its database with `--data`.
//!
//! Named neither, the API is taken where ./outpost-hub/admin.token opens it, else the folder ./outpost-hub.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use serde_json::{Value, json};

use crate::hub::store::{Creation, Particulars, Store, StoreError};
use crate::hub::view;
use crate::id::AgentName;
use crate::obs::folder;
use crate::secret::Secret;
use crate::wire::identity::public_from_line;
use crate::wire::key::encode32;
use crate::wire::message::SignatureMode;

use super::Global;
use super::exit::{CliError, Exit};
use super::hub_run::store_exit;
use super::remote::{Remote, RemoteArgs};

/// Where a hub's data is unless told otherwise.
const DATA: &str = "./outpost-hub";

/// `hub agent`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with the hub's agents.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add an agent and write its key file
    Add {
        /// 1 to 63 of a-z, 0-9 and `-`
        name: AgentName,
        /// The key file, 0600, never overwritten [default: ./NAME.key]
        #[arg(long, value_name = "FILE")]
        key_out: Option<PathBuf>,
        /// Bind the Ed25519 key in this file (`outpost agent keygen` writes it)
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
        /// Whether it must sign with its Ed25519 key: none, optional or required [default: as the hub's settings say]
        #[arg(long, value_name = "MODE", value_parser = signature)]
        signature: Option<SignatureMode>,
        /// Which hub
        #[command(flatten)]
        place: Place,
    },
    /// List the agents
    List {
        /// Which hub
        #[command(flatten)]
        place: Place,
    },
    /// Show what the hub saw of an agent
    Show {
        /// Its name
        name: AgentName,
        /// Which hub
        #[command(flatten)]
        place: Place,
    },
    /// Remove an agent; its key opens nothing any more
    Remove {
        /// Its name
        name: AgentName,
        /// Which hub
        #[command(flatten)]
        place: Place,
    },
}

/// Which hub.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Place {
    /// The hub's folder: work in its database, running or not
    #[arg(long, value_name = "DIR", conflicts_with_all = ["hub", "token_file"])]
    pub data: Option<PathBuf>,
    /// Its API
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Does it.
///
/// # Errors
/// With cli.md's exit codes.
pub(super) fn run(args: Args, global: &Global) -> Result<(), CliError> {
    match args.command {
        Command::Add { name, key_out, public_key, signature, place } => {
            let public_key = public_key.as_deref().map(read_public_key).transpose()?;
            let with = Particulars { public_key, signature };
            let path = key_out.unwrap_or_else(|| PathBuf::from(format!("./{name}.key")));
            add(&name, &path, with, &place, global)
        }
        Command::List { place } => {
            let list = place.open()?.list()?;
            for agent in list {
                if global.json {
                    print(&agent)?;
                } else {
                    let text = |key: &str| agent.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
                    let link = match agent.get("connected").and_then(Value::as_bool) {
                        Some(true) => "connected",
                        Some(false) => "not connected",
                        None => "-",
                    };
                    print_line(&format!("{}\t{}\t{}\t{link}", text("name"), text("state"), text("id")))?;
                }
            }
            Ok(())
        }
        Command::Show { name, place } => {
            let view = place.open()?.show(&name)?;
            if global.json { print(&view) } else { print_line(&format!("{view:#}")) }
        }
        Command::Remove { name, place } => {
            place.open()?.remove(&name)?;
            if global.json {
                print(&json!({"removed": name.as_str()}))
            } else {
                print_line(&format!("{name} is removed; its key opens nothing any more"))
            }
        }
    }
}

fn add(
    name: &AgentName,
    path: &Path,
    with: Particulars,
    place: &Place,
    global: &Global,
) -> Result<(), CliError> {
    let hub = place.open()?;
    // Before the agent is made: a key that cannot be written would be lost.
    let wrong = |error: std::io::Error| {
        let message = match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                format!(
                    "{} is there already and is not overwritten; choose another with --key-out",
                    path.display()
                )
            }
            _ => format!("the key file {}: {error}", path.display()),
        };
        CliError::new(Exit::Io, message)
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(wrong)?;
    let issued = hub.add(name, with);
    let written = issued.and_then(|(id, key)| {
        write_key(path, &mut file, key.expose()).map_err(wrong)?;
        Ok(id)
    });
    let id = match written {
        Ok(id) => id,
        Err(error) => {
            if let Err(left) = std::fs::remove_file(path) {
                tracing::warn!(%left, path = %path.display(), "the empty key file is left behind");
            }
            return Err(error);
        }
    };
    if global.json {
        return print(&json!({"name": name.as_str(), "id": id, "key_file": path.display().to_string()}));
    }
    print_line(&format!(
        "{name} is added; its key is in {}. Carry it to the machine, then:",
        path.display()
    ))?;
    print_line(&format!("  outpost agent run --hub URL --key-file {}", path.display()))
}

fn write_key(path: &Path, file: &mut File, line: &str) -> std::io::Result<()> {
    writeln!(file, "{line}")?;
    file.sync_all()?;
    folder::sync_name(path)
}

fn signature(text: &str) -> Result<SignatureMode, String> {
    SignatureMode::from_name(text).ok_or_else(|| "it must be none, optional or required".to_owned())
}

/// One line: 32 bytes as base64url, base64 or hexadecimal digits.
fn read_public_key(path: &Path) -> Result<VerifyingKey, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::new(Exit::Io, format!("the public key {}: {error}", path.display())))?;
    public_from_line(&text)
        .map_err(|error| CliError::new(Exit::Failed, format!("the public key {}: {error}", path.display())))
}

/// A hub, one way or the other.
enum Target {
    Remote(Remote),
    Database(Box<Database>),
}

struct Database {
    runtime: tokio::runtime::Runtime,
    store: Store,
}

/// A hub that was found.
pub(super) enum Found {
    /// Its API.
    Remote(Remote),
    /// Its folder.
    Folder(PathBuf),
}

impl Place {
    /// The hub that is meant.
    ///
    /// # Errors
    /// Where the token file that was named cannot be read.
    pub(super) fn find(&self) -> Result<Found, CliError> {
        if let Some(data) = &self.data {
            return Ok(Found::Folder(data.clone()));
        }
        let remote = self.remote.clone().with_environment(super::variable);
        if !remote.is_default() {
            return Remote::new(&remote).map(Found::Remote);
        }
        let works = Remote::new(&remote).and_then(|remote| remote.get("/v1/status", &[]).map(|_| remote));
        Ok(works.map_or_else(|_| Found::Folder(PathBuf::from(DATA)), Found::Remote))
    }

    fn open(&self) -> Result<Target, CliError> {
        match self.find()? {
            Found::Remote(remote) => Ok(Target::Remote(remote)),
            Found::Folder(data) => Database::open(&data).map(|database| Target::Database(Box::new(database))),
        }
    }
}

impl Database {
    fn open(data: &Path) -> Result<Self, CliError> {
        let runtime = super::runtime()?;
        let (store, _writer) = runtime.block_on(Store::open(data, Creation::Refused)).map_err(store_error)?;
        Ok(Self { runtime, store })
    }
}

impl Target {
    /// The new agent's id and the line of its key file.
    fn add(&self, name: &AgentName, with: Particulars) -> Result<(String, Secret<String>), CliError> {
        match self {
            Self::Database(hub) => {
                let issued =
                    hub.runtime.block_on(hub.store.add_agent_with(name, with)).map_err(store_error)?;
                Ok((issued.id.to_string(), issued.key_file.to_line()))
            }
            Self::Remote(remote) => {
                let key = with.public_key.map(|key| encode32(&key.to_bytes()));
                let mode = with.signature.map(SignatureMode::name);
                let body = json!({"name": name.as_str(), "public_key": key, "signature": mode});
                let answer = remote.post("/v1/agents", &body)?;
                let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
                text("id")
                    .zip(text("key").map(Secret::new))
                    .ok_or_else(|| CliError::new(Exit::Failed, "the hub's answer has no key"))
            }
        }
    }

    fn list(&self) -> Result<Vec<Value>, CliError> {
        match self {
            Self::Database(hub) => {
                let rows = hub.runtime.block_on(hub.store.agents()).map_err(store_error)?;
                Ok(rows.iter().map(|row| view::agent_line(row, None)).collect())
            }
            Self::Remote(remote) => {
                let mut answer = remote.get("/v1/agents", &[])?;
                let agents = answer.get_mut("agents").and_then(Value::as_array_mut).map(std::mem::take);
                Ok(agents.unwrap_or_default())
            }
        }
    }

    fn show(&self, name: &AgentName) -> Result<Value, CliError> {
        match self {
            Self::Database(hub) => hub
                .runtime
                .block_on(async {
                    let row = hub.store.agent(name).await?;
                    view::agent(&hub.store, &row, None).await
                })
                .map_err(store_error),
            Self::Remote(remote) => remote.get(&format!("/v1/agents/{name}"), &[]),
        }
    }

    fn remove(&self, name: &AgentName) -> Result<(), CliError> {
        match self {
            Self::Database(hub) => {
                hub.runtime.block_on(hub.store.remove_agent(name)).map(|_| ()).map_err(store_error)
            }
            Self::Remote(remote) => remote.delete(&format!("/v1/agents/{name}")).map(|_| ()),
        }
    }
}

pub(super) fn store_error(error: StoreError) -> CliError {
    CliError::new(store_exit(&error), error)
}

fn print(value: &Value) -> Result<(), CliError> {
    print_line(&value.to_string())
}

fn print_line(line: &str) -> Result<(), CliError> {
    writeln!(std::io::stdout().lock(), "{line}")
        .map_err(|error| CliError::new(Exit::Io, format!("stdout: {error}")))
}
