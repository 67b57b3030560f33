//! Calls to a hub's API: where it is, whom to believe there, the token, and its errors as exit codes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use crate::net::dial::{Dialer, Route, Security};
use crate::net::http::{self, Answer, Ask, ExchangeError, JSON, Outgoing, Target};
use crate::net::patience::Patience;
use crate::net::proxy::Proxies;
use crate::net::tls::client::{ClientTls, Settings};
use crate::obs::secret_file;
use crate::secret::Secret;
use crate::wire::url::{AllowInsecure, HubUrl};

use super::exit::{CliError, Exit};

/// Where the hub listens unless told otherwise.
const HUB: &str = "http://127.0.0.1:8440";
/// The admin token of a hub started in this folder.
const TOKEN_FILE: &str = "./outpost-hub/admin.token";
/// The silence is longer than the hub keeps a request waiting; the whole is a page of records on a slow link.
const PATIENCE: Patience = Patience { silence: Duration::from_secs(30), whole: Duration::from_secs(600) };
/// The hub reads a bundle whole before it answers; one of 16 GiB takes days on a slow link.
const BUNDLE_PATIENCE: Patience =
    Patience { silence: Duration::from_secs(3600), whole: Duration::from_secs(30 * 24 * 3600) };
/// An answer may be this long: a page of records in JSON's worst case.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Which hub is asked.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct RemoteArgs {
    /// The hub's URL [env: OUTPOST_HUB] [default: http://127.0.0.1:8440]
    #[arg(long, value_name = "URL")]
    pub hub: Option<String>,
    /// The file with the admin token [env: OUTPOST_TOKEN_FILE] [default: ./outpost-hub/admin.token]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The authority that an https hub's certificate must lead to [env: OUTPOST_CA] [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Allows plain text, the token with it, to private addresses, or with =any to everywhere [env:
    /// OUTPOST_ALLOW_INSECURE]
    #[arg(long, value_name = "any", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_insecure: Option<String>,
}

impl RemoteArgs {
    /// What the flags leave open, as the environment has it. Not left to the parser: there a variable would count as a
    /// flag, and clash with `--data`.
    pub(super) fn with_environment(self, variable: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            hub: self.hub.or_else(|| variable("OUTPOST_HUB")),
            token_file: self.token_file.or_else(|| variable("OUTPOST_TOKEN_FILE").map(PathBuf::from)),
            ca: self.ca.or_else(|| variable("OUTPOST_CA").map(PathBuf::from)),
            allow_insecure: self.allow_insecure.or_else(|| variable("OUTPOST_ALLOW_INSECURE")),
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
    dialer: Dialer,
    target: Target,
    token: Secret<String>,
}

impl Remote {
    /// Reads the token and the authority; connects nowhere yet. `args` as [`RemoteArgs::with_environment`] gives them.
    ///
    /// # Errors
    /// Where a file cannot be read, or the URL cannot be used: plain text with the admin token goes no further than it may.
    pub(super) fn new(args: &RemoteArgs) -> Result<Self, CliError> {
        let config = |error: &dyn std::fmt::Display| CliError::new(Exit::Config, error);
        let hub = args.hub.as_deref().unwrap_or(HUB);
        let allow = AllowInsecure::setting(args.allow_insecure.as_deref()).map_err(|error| config(&error))?;
        let url = HubUrl::parse(hub, allow).map_err(|error| config(&format!("--hub {error}")))?;
        if url.is_exposed() {
            warn(&format!(
                "the link to {url} is not encrypted: who can listen on the way gets the admin token"
            ));
        }
        let security = if url.scheme_is_tls() { Security::Tls } else { Security::Plain };
        let tls = match security {
            Security::Tls => {
                let settings = Settings { ca_file: args.ca.clone(), ..Settings::default() };
                Some(ClientTls::new(&settings).map_err(|error| config(&error))?)
            }
            Security::Plain => None,
        };
        let route = Route { host: url.host(), port: url.port(), security };
        let proxies = Proxies::new(None, super::variable).map_err(|error| config(&error))?;
        proxies.check(&route, allow).map_err(|error| config(&error))?;
        let file = args.token_file.as_deref().unwrap_or(Path::new(TOKEN_FILE));
        let token = secret_file::read(file).map_err(|error| {
            let message = format!(
                "the admin token {}: {error}; `outpost hub run` writes it, --token-file names another",
                file.display()
            );
            CliError::new(Exit::Io, message)
        })?;
        Ok(Self {
            dialer: Dialer { tls, proxies, ..Dialer::default() },
            target: Target::new(route, &url.http_base()),
            token: Secret::new(token.expose().trim().to_owned()),
        })
    }

    /// GET `path` with `query`.
    ///
    /// # Errors
    /// 69 where no hub answers, 77 where it refuses the token or is not the one to believe, 1 for everything it refuses
    /// otherwise.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, CliError> {
        self.ask(Method::GET, &with_query(path, query), &[], (Outgoing::default(), None))
    }

    /// POST `body` to `path`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.ask(Method::POST, path, &[], (Outgoing::json(body), Some(JSON)))
    }

    /// POST the bytes of a JSON document as they are.
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
        let body = Outgoing::Whole(bytes::Bytes::copy_from_slice(body));
        self.ask(Method::POST, &with_query(path, query), headers, (body, Some(JSON)))
    }

    /// POST what `body` gives, however long that takes.
    ///
    /// # Errors
    /// As [`Self::get`]; 74 where `body` cannot be read, 1 where it says by the kind `InvalidData` that it is damaged.
    pub(super) fn post_reader(
        &self,
        path: &str,
        body: Box<dyn std::io::Read + Send>,
    ) -> Result<Value, CliError> {
        // A wrong token is told before anything is sent: a hub that refuses hangs up on the rest.
        self.get("/v1/status", &[])?;
        let body = (Outgoing::Reader(body), Some("application/octet-stream"));
        self.exchange(Ask { patience: BUNDLE_PATIENCE, ..ask(Method::POST, path, &[], body) })
    }

    /// DELETE `path`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn delete(&self, path: &str) -> Result<Value, CliError> {
        self.ask(Method::DELETE, path, &[], (Outgoing::default(), None))
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: (Outgoing, Option<&'static str>),
    ) -> Result<Value, CliError> {
        self.exchange(ask(method, path, headers, body))
    }

    fn exchange(&self, ask: Ask<'_>) -> Result<Value, CliError> {
        let ask = Ask { bearer: Some(&self.token), ..ask };
        let answer = http::wait_for(http::exchange(&self.dialer, &self.target, ask))
            .map_err(|error| CliError::new(Exit::Io, format!("starting the runtime: {error}")))?;
        self.read(&answer.map_err(|error| self.failed(error))?)
    }

    fn failed(&self, error: ExchangeError) -> CliError {
        let base = self.target.base();
        match (Exit::of_exchange(&error), error) {
            (exit @ Exit::Unavailable, error) => {
                let message = format!(
                    "no hub answers at {base}: {error}; is `outpost hub run` running? --hub names another"
                );
                CliError::new(exit, message)
            }
            (exit, ExchangeError::Source(error)) => CliError::new(exit, error),
            (exit, error) => CliError::new(exit, format!("{base}: {error}")),
        }
    }

    fn read(&self, answer: &Answer) -> Result<Value, CliError> {
        let status = answer.status;
        let body: Value = serde_json::from_slice(&answer.body).map_err(|error| {
            let base = self.target.base();
            let message = format!("{base} answered {status} and no JSON ({error}); is it an outpost hub?");
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

fn ask<'a>(
    method: Method,
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: (Outgoing, Option<&'static str>),
) -> Ask<'a> {
    Ask { method, path, bearer: None, headers, body, answer_bytes_max: ANSWER_BYTES_MAX, patience: PATIENCE }
}

fn warn(line: &str) {
    use std::io::Write as _;
    // Nothing is left to tell it to where stderr is closed.
    let _ = writeln!(std::io::stderr(), "outpost: {line}");
}

/// The path with its query.
fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let mut text = path.to_owned();
    for (index, (key, value)) in query.iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_carries_every_text() {
        let query = [("from", "logs/1/2".to_owned()), ("name", "a b&c=ü".to_owned())];
        assert_eq!(with_query("/v1/x", &query), "/v1/x?from=logs%2F1%2F2&name=a%20b%26c%3D%C3%BC");
        assert_eq!(with_query("/v1/x", &[]), "/v1/x");
    }
}
