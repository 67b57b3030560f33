//! Calls to a hub's API: where it is, the token, and its errors as exit codes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::obs::secret_file;
use crate::secret::Secret;

use super::exit::{CliError, Exit};

/// Where the hub listens unless told otherwise.
const HUB: &str = "http://127.0.0.1:8440";
/// The admin token of a hub started in this folder.
const TOKEN_FILE: &str = "./outpost-hub/admin.token";
/// An answer may take this long.
const TIMEOUT: Duration = Duration::from_secs(30);
/// An answer may be this long: a page of records in JSON's worst case.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Which hub is asked.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct RemoteArgs {
    /// The hub's URL [env: OUTPOST_HUB] [default: http://127.0.0.1:8440]
    #[arg(long, value_name = "URL")]
    pub hub: Option<String>,
    /// The file with the admin token [env: OUTPOST_TOKEN_FILE] [default: ./outpost-hub/admin.token]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl RemoteArgs {
    /// What the flags leave open, as the environment has it. Not left to the parser: there a variable would count as a
    /// flag, and clash with `--data`.
    pub(super) fn with_environment(self, variable: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            hub: self.hub.or_else(|| variable("OUTPOST_HUB")),
            token_file: self.token_file.or_else(|| variable("OUTPOST_TOKEN_FILE").map(PathBuf::from)),
        }
    }

    /// The hub that flags and environment name.
    ///
    /// # Errors
    /// As [`Remote::new`].
    pub(super) fn connect(&self) -> Result<Remote, CliError> {
        Remote::new(&self.clone().with_environment(super::variable))
    }

    /// Whether neither flag nor environment names a hub.
    pub(super) fn is_default(&self) -> bool {
        self.hub.is_none() && self.token_file.is_none()
    }
}

/// A hub's API.
pub(super) struct Remote {
    agent: ureq::Agent,
    base: String,
    authorization: Secret<String>,
}

impl Remote {
    /// Reads the token; connects nowhere yet. `args` as [`RemoteArgs::with_environment`] gives them.
    ///
    /// # Errors
    /// Where the token file cannot be read.
    pub(super) fn new(args: &RemoteArgs) -> Result<Self, CliError> {
        let file = args.token_file.as_deref().unwrap_or(Path::new(TOKEN_FILE));
        let token = secret_file::read(file).map_err(|error| {
            let message = format!(
                "the admin token {}: {error}; `outpost hub run` writes it, --token-file names another",
                file.display()
            );
            CliError::new(Exit::Io, message)
        })?;
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build();
        let base = args.hub.as_deref().unwrap_or(HUB).trim_end_matches('/').to_owned();
        Ok(Self {
            agent: config.into(),
            base,
            authorization: Secret::new(format!("Bearer {}", token.expose().trim())),
        })
    }

    /// GET `path` with `query`.
    ///
    /// # Errors
    /// 69 where no hub answers, 77 where it refuses the token, 1 for everything it refuses otherwise.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, CliError> {
        let mut request = self.agent.get(self.url(path)).header("Authorization", self.authorization.expose());
        for (key, value) in query {
            request = request.query(key, value);
        }
        self.read(request.call())
    }

    /// POST `body` to `path`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.authorization.expose());
        self.read(request.send_json(body))
    }

    /// POST bytes as they are.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn post_bytes(
        &self,
        path: &str,
        query: &[(&str, String)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Value, CliError> {
        let mut request = self
            .agent
            .post(self.url(path))
            .header("Authorization", self.authorization.expose())
            .header("Content-Type", "application/json");
        for (key, value) in query {
            request = request.query(key, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.read(request.send(body))
    }

    /// POST what `body` gives, however long that takes.
    ///
    /// # Errors
    /// As [`Self::get`]; an error of `body` that its kind `InvalidData` marks as its own is told as it is.
    pub(super) fn post_reader(&self, path: &str, body: &mut dyn std::io::Read) -> Result<Value, CliError> {
        // A wrong token is told before anything is sent: a hub that refuses hangs up on the rest.
        self.get("/v1/status", &[])?;
        let request = self
            .agent
            .post(self.url(path))
            .config()
            .timeout_global(None)
            .build()
            .header("Authorization", self.authorization.expose())
            .header("Content-Type", "application/octet-stream");
        match request.send(ureq::SendBody::from_reader(body)) {
            Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(CliError::new(Exit::Failed, error))
            }
            answer => self.read(answer),
        }
    }

    /// DELETE `path`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn delete(&self, path: &str) -> Result<Value, CliError> {
        let request = self.agent.delete(self.url(path)).header("Authorization", self.authorization.expose());
        self.read(request.call())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn read(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, CliError> {
        let away = |error: ureq::Error| {
            let message = format!(
                "no hub answers at {}: {error}; is `outpost hub run` running? --hub names another",
                self.base
            );
            CliError::new(Exit::Unavailable, message)
        };
        let mut answer = answer.map_err(away)?;
        let status = answer.status().as_u16();
        let body: Value =
            answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_json().map_err(|error| {
                let message =
                    format!("{} answered {status} and no JSON ({error}); is it an outpost hub?", self.base);
                CliError::new(Exit::Failed, message)
            })?;
        if status < 300 {
            return Ok(body);
        }
        let message = body.get("message").and_then(Value::as_str).unwrap_or("no reason given");
        let exit = match status {
            401 | 403 => Exit::Refused,
            429 | 503 => Exit::TempFail,
            _ => Exit::Failed,
        };
        Err(CliError::new(exit, message))
    }
}
