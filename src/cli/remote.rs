//! Calls to a hub's API: where it is, whom to believe there, the token, and its errors as exit codes.

mod args;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use crate::limit;
use crate::net::dial::{DialError, Dialer, Route, Security};
use crate::net::http::{self, Answer, Ask, Event, Events, ExchangeError, JSON, Outgoing, Target};
use crate::net::patience::Patience;
use crate::net::proxy::Proxies;
use crate::obs::secret_file;
use crate::secret::Secret;
use crate::wire::url::{AllowInsecure, HubUrl};

use super::exit::{CliError, Exit};
use super::terminal::note;
pub(super) use args::RemoteArgs;

/// Where the hub listens unless told otherwise.
const HUB: &str = "http://127.0.0.1:8440";
/// The admin token of a hub started in this folder.
const TOKEN_FILE: &str = "./outpost-hub/admin.token";
/// The silence is longer than the hub keeps a request waiting; the whole is a page of records on a slow link.
const PATIENCE: Patience = Patience { silence: Duration::from_secs(30), whole: Duration::from_secs(600) };
/// The hub reads a bundle whole before it answers; one of 16 GiB takes days on a slow link.
const BUNDLE_PATIENCE: Patience =
    Patience { silence: Duration::from_secs(3600), whole: Duration::from_secs(30 * 24 * 3600) };
/// The hub says something each `limit::FOLLOW_HEARTBEAT`; a log is followed for as long as its job takes.
const FOLLOW_PATIENCE: Patience =
    Patience { silence: limit::FOLLOW_HEARTBEAT.saturating_mul(3), whole: limit::JOB_DURATION_MAX };
/// An answer may be this long: a page of records in JSON's worst case.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A hub's API.
pub(super) struct Remote {
    dialer: Dialer,
    target: Target,
    token: Secret<String>,
    ca: Option<PathBuf>,
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
            note(format_args!(
                "the link to {url} is not encrypted: who can listen on the way gets the admin token"
            ));
        }
        let security = if url.scheme_is_tls() { Security::Tls } else { Security::Plain };
        let tls = match security {
            Security::Tls => Some(args.tls()?),
            // They would protect nothing while somebody relies on them.
            Security::Plain if args.names_tls() => {
                return Err(config(&format!(
                    "--ca, --client-cert and --client-key (OUTPOST_CA, OUTPOST_CLIENT_CERT, OUTPOST_CLIENT_KEY) are for a hub with TLS, and {url} is none: give its URL with --hub https://..., or leave them out"
                )));
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
            ca: args.ca.clone(),
        })
    }

    /// Its URL.
    pub(super) fn base(&self) -> &str {
        self.target.base()
    }

    /// The file of the authority that its certificate leads to, where one was named.
    pub(super) fn authority(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// GET `path` with `query`.
    ///
    /// # Errors
    /// 69 where no hub answers, 77 where it refuses the token or is not the one to believe, 1 for everything it refuses
    /// otherwise.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, CliError> {
        self.ask(Method::GET, &with_query(path, query), &[], (Outgoing::default(), None))
    }

    /// GET `path` with `query`, as server-sent events behind the one with the id `last`: each is handed to `take`, until it
    /// has enough or the stream ends. `None` comes before them: the hub answers, and may have nothing to tell for long.
    ///
    /// # Errors
    /// As [`Self::get`]; what came before was taken.
    pub(super) fn events(
        &self,
        path: &str,
        query: &[(&str, String)],
        last: Option<&str>,
        mut take: impl FnMut(Option<Event>) -> ControlFlow<()>,
    ) -> Result<(), CliError> {
        let mut events = Events::default();
        let (mut failed, mut answered) = (None, false);
        let path = with_query(path, query);
        let last = last.map(|last| ("Last-Event-ID", last));
        let ask = Ask {
            bearer: Some(&self.token),
            patience: FOLLOW_PATIENCE,
            ..ask(Method::GET, &path, last.as_slice(), (Outgoing::default(), None))
        };
        let heard = http::wait_for(http::listen(&self.dialer, &self.target, ask, |bytes| {
            if let Err(error) = events.push(bytes) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            if !std::mem::replace(&mut answered, true) && take(None).is_break() {
                return ControlFlow::Break(());
            }
            std::iter::from_fn(|| events.next_event()).map(Some).try_for_each(&mut take)
        }))
        .map_err(|error| CliError::new(Exit::Io, format!("starting the runtime: {error}")))?;
        if let Some(error) = failed {
            return Err(CliError::new(Exit::Failed, error));
        }
        let answer = heard.map_err(|error| self.failed(error))?;
        if answer.status == 200 { Ok(()) } else { self.read(&answer).map(drop) }
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

    /// PATCH `path` with `body`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn patch(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.ask(Method::PATCH, path, &[], (Outgoing::json(body), Some(JSON)))
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
        let exit = Exit::of_exchange(&error);
        match error {
            ExchangeError::Dial(DialError::Connect { .. })
            | ExchangeError::Broken(_)
            | ExchangeError::Late(_) => {
                let message = format!(
                    "no hub answers at {base}: {error}; is `outpost hub run` running? --hub names another"
                );
                CliError::new(exit, message)
            }
            ExchangeError::Dial(_) if exit == Exit::Unavailable => {
                CliError::new(exit, format!("no hub answers at {base}: {error}"))
            }
            ExchangeError::Source(error) => CliError::new(exit, error),
            error => CliError::new(exit, format!("{base}: {error}")),
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
