//! `outpost config check FILE`: reads a config file as the agent or the hub would, without starting anything.

use std::path::{Path, PathBuf};

use super::exit::{CliError, Exit};
use super::{Global, print_line, terminal};

/// Checks a config file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An agent's or a hub's file, its keys say which; or a live broker's, whose name ends in .yaml or .yml.
    pub file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Agent,
    Hub,
    /// A broker by itself.
    Live,
}

/// Keys and sections only one side has.
const AGENT_KEYS: [&str; 8] =
    ["socket", "link", "hub", "reconnect", "session", "outbox", "jobs", "heartbeat"];
const HUB_KEYS: [&str; 12] = [
    "listen",
    "agent_listen",
    "public_urls",
    "store",
    "tls",
    "auth",
    "limits",
    "quota",
    "relay",
    "trusted_proxies",
    "retention",
    "live",
];

/// Checks the file.
///
/// # Errors
/// 78 with file, key and what to do.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let side = side(&args.file)?;
    let (name, warnings) = match side {
        Side::Agent => agent(&args.file).map(|warnings| ("agent", warnings)),
        Side::Hub => hub(&args.file).map(|warnings| ("hub", warnings)),
        Side::Live => live(&args.file).map(|warnings| ("live", warnings)),
    }?;
    if global.json {
        let line = serde_json::json!({"file": args.file, "side": name, "valid": true, "warnings": warnings});
        return print_line(&line.to_string());
    }
    warnings.iter().for_each(terminal::note);
    print_line(&format!("{}: a valid {name} config", args.file.display()))
}

fn side(file: &Path) -> Result<Side, CliError> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if ["yaml", "yml"].iter().any(|yaml| ending.eq_ignore_ascii_case(yaml)) {
        return Ok(Side::Live);
    }
    let wrong = |reason: String| CliError::new(Exit::Config, format!("{}: {reason}", file.display()));
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("cannot be read ({error}); check the path")))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong(format!("is not TOML: {}; correct it", error.message())))?;
    let has = |keys: &[&str]| keys.iter().any(|key| table.contains_key(*key));
    let name = file.file_name().map(|name| name.to_string_lossy().contains("hub"));
    Ok(match (has(&AGENT_KEYS), has(&HUB_KEYS)) {
        (true, false) => Side::Agent,
        (false, true) => Side::Hub,
        // Nothing but keys that both have, or a mixture: the file's name decides.
        (true, true) | (false, false) if name == Some(true) => Side::Hub,
        (true, true) | (false, false) => Side::Agent,
    })
}

/// What is not wrong and yet to be told.
#[cfg(feature = "agent")]
fn agent(file: &Path) -> Result<Vec<String>, CliError> {
    let config =
        crate::agent::config::Config::check_file(file).map_err(|error| CliError::new(Exit::Config, error))?;
    // As a start does: what these files hold is part of the config.
    let tls = crate::net::tls::client::ClientTls::new(&config.tls)
        .map_err(|error| CliError::new(Exit::Config, format!("{}: {error}", file.display())))?;
    Ok(config.warnings.into_iter().chain(tls.damage().map(|damage| damage.to_string())).collect())
}

#[cfg(not(feature = "agent"))]
fn agent(file: &Path) -> Result<Vec<String>, CliError> {
    Err(without(file, "agent"))
}

#[cfg(feature = "hub")]
fn hub(file: &Path) -> Result<Vec<String>, CliError> {
    // The environment belongs to a run, not to the file.
    let config = crate::hub::config::Config::load(Some(file), |_name| None)
        .map_err(|error| CliError::new(Exit::Config, error))?;
    if let Some(files) = config.tls {
        crate::net::tls::server::ServerTls::load(files)
            .map_err(|error| CliError::new(Exit::Config, format!("{}: [tls] {error}", file.display())))?;
    }
    Ok(config.live.map(|live| live.notices).unwrap_or_default())
}

#[cfg(not(feature = "hub"))]
fn hub(file: &Path) -> Result<Vec<String>, CliError> {
    Err(without(file, "hub"))
}

/// A broker's file in YAML; in TOML it is a hub's.
#[cfg(feature = "hub")]
fn live(file: &Path) -> Result<Vec<String>, CliError> {
    let loaded = crate::hub::config::LiveConfig::load(file, |_name| None);
    let (config, _none) = loaded.map_err(|error| CliError::new(Exit::Config, error))?;
    Ok(config.notices)
}

#[cfg(not(feature = "hub"))]
fn live(file: &Path) -> Result<Vec<String>, CliError> {
    Err(without(file, "hub"))
}

#[cfg(not(all(feature = "agent", feature = "hub")))]
fn without(file: &Path, side: &str) -> CliError {
    let message =
        format!("{} is a {side} config, and this program was built without the {side}", file.display());
    CliError::new(Exit::Failed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_say_whose_file_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, expected) in [
            ("a.toml", "[hub]\nurls = []\n", Side::Agent),
            ("b.toml", "listen = \"127.0.0.1:1\"\n", Side::Hub),
            ("hub.toml", "data = \"x\"\n", Side::Hub),
            ("c.toml", "", Side::Agent),
            ("live.yaml", "ws_port: 1\n", Side::Live),
            ("hub.YML", "", Side::Live),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(side(&path).unwrap(), expected, "{name}");
        }
        let path = folder.path().join("d.toml");
        std::fs::write(&path, "data = \n").unwrap();
        let error = side(&path).unwrap_err();
        assert_eq!(error.exit, Exit::Config);
        assert!(error.message.contains("d.toml"), "{error}");
    }
}
