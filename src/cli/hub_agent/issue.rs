//! `hub agent add` and `hub agent rotate`: keys that the hub issues, as files or in the agent's session.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::VerifyingKey;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::cli::exit::{CliError, Exit};
use crate::cli::{issued, shell};
use crate::hub::store::Particulars;
use crate::id::AgentName;
use crate::limit;
use crate::wire::identity::public_from_line;
use crate::wire::message::SignatureMode;

use super::{Place, default_key_path, print, print_line, signature, text_of, within};

/// `hub agent add`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Add {
    /// 1 to 63 of a-z, 0-9 and `-`
    pub name: AgentName,
    /// The key file, 0600, never overwritten [default: ./NAME.key]
    #[arg(long, value_name = "FILE")]
    pub key_out: Option<PathBuf>,
    /// Bind the Ed25519 key in this file (`outpost agent keygen` writes it)
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// Whether it must sign with its Ed25519 key: none, optional or required [default: as the hub's settings say]
    #[arg(long, value_name = "MODE", value_parser = signature)]
    pub signature: Option<SignatureMode>,
    /// Which hub
    #[command(flatten)]
    pub place: Place,
}

/// `hub agent rotate`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rotate {
    /// Its name
    pub name: AgentName,
    /// How long the present key stays good beside a new one that was not used yet
    #[arg(long, value_name = "D", default_value = "30d", value_parser = overlap)]
    pub overlap: Duration,
    /// Write the new key into this file, for a site without a link [default: the agent and the hub agree on one in the
    /// agent's present or next session]
    #[arg(long, value_name = "FILE")]
    pub key_out: Option<PathBuf>,
    /// Which hub
    #[command(flatten)]
    pub place: Place,
}

fn overlap(text: &str) -> Result<Duration, String> {
    within(text, limit::ROTATION_OVERLAP_MAX)
}

/// Adds an agent.
///
/// # Errors
/// With cli.md's exit codes.
pub(super) fn add(args: Add, global: &Global) -> Result<(), CliError> {
    let Add { name, key_out, public_key, signature, place } = args;
    let public_key = public_key.as_deref().map(read_public_key).transpose()?;
    let path = key_out.unwrap_or_else(|| default_key_path(&name));
    let hub = place.open()?;
    let with = Particulars { public_key, signature };
    let id = written(&path, || hub.add(&name, with))?;
    if global.json {
        return print(&json!({"name": name.as_str(), "id": id, "key_file": path.display().to_string()}));
    }
    print_line(&format!(
        "{name} is added; its key is in {}. Carry it to the machine, then:",
        path.display()
    ))?;
    print_line(&format!("  outpost agent run {} --key-file {}", hub.way(), shell::path(&path)))
}

/// Rotates an agent's key.
///
/// # Errors
/// With cli.md's exit codes.
pub(super) fn rotate(args: Rotate, global: &Global) -> Result<(), CliError> {
    let Rotate { name, overlap, key_out, place } = args;
    let hub = place.open()?;
    let Some(path) = key_out else {
        let answer = hub.rotate(&name, overlap)?;
        if global.json {
            return print(&answer);
        }
        return print_line(&format!(
            "{name} gets a new key in its present or next session; `outpost hub agent show {name}` tells when"
        ));
    };
    let id = written(&path, || hub.issue(&name, overlap))?;
    if global.json {
        return print(&json!({"name": name.as_str(), "id": id, "key_file": path.display().to_string()}));
    }
    print_line(&format!(
        "the new key of {name} is in {}; put it in the place of the old one, which goes when this one is used",
        path.display()
    ))
}

/// Writes the key that `issue` gives into a new file; the agent's id.
fn written(path: &Path, issue: impl FnOnce() -> Result<Value, CliError>) -> Result<String, CliError> {
    let issued = issued::into_file(path, "key", issue)?;
    text_of(&issued, "id")
}

fn read_public_key(path: &Path) -> Result<VerifyingKey, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::new(Exit::Io, format!("the public key {}: {error}", path.display())))?;
    public_from_line(&text)
        .map_err(|error| CliError::new(Exit::Failed, format!("the public key {}: {error}", path.display())))
}
