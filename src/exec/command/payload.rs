//! What an `exec` job's payload says, and what of it this agent lets through.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

use crate::job::Secrets;
use crate::limit;
use crate::unit;

use super::super::handler::InvalidPayload;
use super::super::user::Account;
use super::ExecSettings;

/// The payload as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    script: Option<String>,
    #[serde(default)]
    interpreter: Option<Vec<String>>,
    #[serde(default)]
    cwd: Option<PathBuf>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "size")]
    pub(super) output_max: Option<u64>,
    #[serde(default)]
    pub(super) nice: Option<u8>,
}

/// A number of bytes, or a text like `10MiB`.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "output_max is a number of bytes or a text like `10MiB`")]
    enum Size {
        Bytes(u64),
        Text(String),
    }
    match Option::<Size>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Size::Bytes(bytes)) => Ok(Some(bytes)),
        Some(Size::Text(text)) => {
            unit::bytes(&text).map(Some).map_err(|error| de::Error::custom(format!("output_max: {error}")))
        }
    }
}

fn wrong<T>(field: &str, reason: impl Into<String>) -> Result<T, InvalidPayload> {
    Err(InvalidPayload::new(format!("payload.{field}"), reason))
}

impl Payload {
    pub(super) fn parse(value: &serde_json::Value) -> Result<Self, InvalidPayload> {
        Self::deserialize(value).map_err(|error| InvalidPayload::new("payload", error.to_string()))
    }

    /// Everything that can be said without starting anything.
    pub(super) fn check(&self, settings: &ExecSettings) -> Result<(), InvalidPayload> {
        self.argv()?;
        for (name, value) in &self.env {
            if let Some(reason) = settings.env_allow.refusal(name) {
                return wrong(&format!("env.{}", name.escape_debug()), reason);
            }
            let bytes = name.len().saturating_add(value.len()).saturating_add(1);
            check_text(&format!("env.{name}"), value, bytes)?;
        }
        if let Some(cwd) = &self.cwd {
            check_folder(cwd, &settings.roots)?;
        }
        self.account(settings)?;
        if let Some(nice) = self.nice.filter(|nice| *nice > 19) {
            return wrong("nice", format!("{nice} is not from 0 (as the agent) to 19 (last of all)"));
        }
        match self.output_max {
            Some(0) => wrong("output_max", "is zero; leave it out for the agent's own"),
            Some(bytes) if bytes > limit::JOB_OUTPUT_BOUND => {
                wrong("output_max", format!("{bytes} is above {} bytes", limit::JOB_OUTPUT_BOUND))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the secrets can be variables beside those that the payload sets.
    pub(super) fn check_secrets(
        &self,
        secrets: &Secrets,
        settings: &ExecSettings,
    ) -> Result<(), InvalidPayload> {
        for (name, value) in secrets.iter() {
            let field = format!("secrets.{name}");
            if let Some(reason) = settings.env_allow.refusal(name) {
                return Err(InvalidPayload::new(field, reason));
            }
            if self.env.contains_key(name) {
                return Err(InvalidPayload::new(field, "payload.env sets it too; name it once"));
            }
            if value.expose().contains('\0') {
                return Err(InvalidPayload::new(field, "holds a NUL, which no process can be given"));
            }
        }
        Ok(())
    }

    /// The command, or the script as its interpreter's last argument.
    pub(super) fn argv(&self) -> Result<(String, Vec<String>), InvalidPayload> {
        let (field, mut argv) = match (&self.command, &self.script) {
            (Some(command), None) => ("command", command.clone()),
            (None, Some(script)) => ("script", self.interpreted(script)),
            (Some(_), Some(_)) => return wrong("script", "there is a command already; name one of them"),
            (None, None) => return wrong("command", "is missing; name a command or a script"),
        };
        if self.command.is_some() && self.interpreter.is_some() {
            return wrong("interpreter", "is for a script; a command names its own program");
        }
        for argument in &argv {
            check_text(field, argument, argument.len())?;
        }
        if argv.first().is_none_or(String::is_empty) {
            let field = if self.command.is_some() { "command" } else { "interpreter" };
            return wrong(field, "names no program");
        }
        Ok((argv.remove(0), argv))
    }

    fn interpreted(&self, script: &str) -> Vec<String> {
        let mut argv = self.interpreter.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned()]);
        // A shell by its name alone; others say how they take a text: `perl -e`, `node -e`.
        if argv.len() == 1 {
            argv.push("-c".to_owned());
        }
        if !argv.is_empty() {
            argv.push(script.to_owned());
        }
        argv
    }

    /// Who it runs as; `None` for the agent's own user.
    pub(super) fn account(&self, settings: &ExecSettings) -> Result<Option<Account>, InvalidPayload> {
        let Some(name) = self.user.as_ref().or(settings.user.as_ref()) else { return Ok(None) };
        Account::find(name).map_err(|error| InvalidPayload::new("payload.user", error.to_string()))
    }

    /// Where it runs: its `cwd`, else the first of the roots, else `/`. Links are followed, so that none leads out.
    pub(super) fn folder(&self, roots: &[PathBuf]) -> Result<PathBuf, InvalidPayload> {
        let cwd = self.cwd.as_ref().or(roots.first()).cloned().unwrap_or_else(|| PathBuf::from("/"));
        let real = match cwd.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return wrong("cwd", format!("{} does not exist", cwd.display()));
            }
            Err(error) => return wrong("cwd", format!("{} cannot be entered: {error}", cwd.display())),
        };
        let inside = roots.iter().any(|root| root.canonicalize().is_ok_and(|root| real.starts_with(root)));
        if !roots.is_empty() && !inside {
            return outside(&cwd, roots);
        }
        // Where it matters, the folder that was judged: a link may be another one by the time the process starts.
        Ok(if roots.is_empty() { cwd } else { real })
    }
}

fn check_text(field: &str, text: &str, bytes: usize) -> Result<(), InvalidPayload> {
    if text.contains('\0') {
        return wrong(field, "holds a NUL, which no process can be given");
    }
    if bytes > limit::ARGUMENT_BYTES_MAX {
        let max = limit::ARGUMENT_BYTES_MAX;
        return wrong(
            field,
            format!("has {bytes} bytes in one piece, a process can be given {max}; use a file"),
        );
    }
    Ok(())
}

fn check_folder(cwd: &Path, roots: &[PathBuf]) -> Result<(), InvalidPayload> {
    let shown = cwd.display();
    if !cwd.is_absolute() {
        return wrong("cwd", format!("`{shown}` is not an absolute path"));
    }
    if cwd.as_os_str().as_encoded_bytes().contains(&0) {
        return wrong("cwd", "holds a NUL, which no path does");
    }
    let upward = cwd.components().any(|component| component == Component::ParentDir);
    if !roots.is_empty() && (upward || !roots.iter().any(|root| cwd.starts_with(root))) {
        return outside(cwd, roots);
    }
    Ok(())
}

fn outside<T>(cwd: &Path, roots: &[PathBuf]) -> Result<T, InvalidPayload> {
    let roots: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    wrong("cwd", format!("{} is not inside the agent's roots: {}", cwd.display(), roots.join(", ")))
}

#[cfg(test)]
mod tests;
