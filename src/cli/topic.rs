//! `topic`: what a worker asks of a broker of live topics, and tokens for those who subscribe.

use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use hyper::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::hub::config::LiveConfig;
use crate::hub::live::{Owner, Topic};
use crate::limit;
use crate::net::dial::{Dialer, Route, Security};
use crate::net::http::{self, Ask, JSON, Outgoing, Target};
use crate::net::patience::Patience;
use crate::net::tls::client::{ClientTls, Settings};
use crate::obs::clock;
use crate::plain;
use crate::secret::Secret;
use crate::time::millis;
use crate::unit;
use crate::wire::browser_token::{self, Claims, Grant, UserId};
use crate::wire::mac::MacKey;
use crate::wire::url::{AllowInsecure, HubUrl};

use super::Global;
use super::exit::{CliError, Exit};
use super::terminal::print_line;
use super::topic_own::HubArgs;

/// Where the internal listener is by default.
const URL: &str = "http://127.0.0.1:9001";
/// The header with the worker secret.
const SECRET_HEADER: &str = "x-worker-secret";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The broker's internal listener [env: OUTPOST_LIVE_URL] [default: what --config says, else http://127.0.0.1:9001]
    #[arg(long, value_name = "URL", global = true)]
    pub url: Option<String>,
    /// The file with the worker secret [env: OUTPOST_LIVE_SECRET_FILE] [default: what the broker's --config FILE says]
    #[arg(long, value_name = "FILE", global = true)]
    pub secret_file: Option<PathBuf>,
    /// Allows plain text, the secret with it, to private addresses, or with =any to everywhere [env:
    /// OUTPOST_ALLOW_INSECURE]
    #[arg(long, value_name = "any", num_args = 0..=1, require_equals = true, default_missing_value = "true", global = true)]
    pub allow_insecure: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a topic, or begin its time anew
    Register {
        /// The topic
        topic: String,
        /// Whoever likes may subscribe, without a token
        #[arg(long)]
        public: bool,
    },
    /// Forget a topic
    Unregister {
        /// The topic
        topic: String,
    },
    /// Send JSON to all who subscribe to a topic
    Publish {
        /// The topic
        topic: String,
        /// What is sent; `-` reads it from stdin
        #[arg(value_name = "JSON|-", allow_hyphen_values = true)]
        payload: String,
    },
    /// Print a token with which one topic may be read; nothing is asked of the broker, but the hub for agent.ID, job.ID,
    /// job.ID.logs and fleet
    Token {
        /// The topic
        topic: String,
        /// Whose it is, as a number above 0; without it, nobody's
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        user: Option<NonZeroU32>,
        /// How long it is good [default: 24h; of the hub's own: 1h, at most 24h]
        #[arg(long, value_name = "DURATION")]
        ttl: Option<String>,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Print how the broker is, as JSON
    Status,
}

/// Who is asked, and with what.
struct Broker {
    dialer: Dialer,
    target: Target,
    secret: Secret<String>,
}

/// Does what was asked.
///
/// # Errors
/// 64 for a topic, JSON or duration that is none, 69 where the broker does not answer, 77 where it refuses, 78 without a
/// secret.
pub(super) fn run(args: Args, global: &Global) -> Result<(), CliError> {
    let Args { url, secret_file, allow_insecure, mut command } = args;
    if let Command::Token { topic, user, ttl, hub } = &mut command {
        let topic = named(topic)?;
        if topic.owner() == Owner::Outpost {
            let hub = std::mem::take(hub);
            return hub.token(&topic, *user, ttl.as_deref(), allow_insecure, global.json);
        }
    }
    let (url, secret) = settings(url, secret_file, global)?;
    let broker = || Broker::new(&url, allow_insecure.clone(), secret.clone());
    match command {
        Command::Register { topic, public } => {
            let topic = named(&topic)?;
            let body = json!({"topic": topic.as_str(), "meta": {"require_token": !public}});
            broker()?.ask(Method::POST, "/internal/register", body.to_string())?;
            done(global, "registered", &topic)
        }
        Command::Unregister { topic } => {
            let topic = named(&topic)?;
            let body = json!({"topic": topic.as_str()});
            broker()?.ask(Method::POST, "/internal/unregister", body.to_string())?;
            done(global, "unregistered", &topic)
        }
        Command::Publish { topic, payload } => {
            let topic = named(&topic)?;
            let body = publication(&topic, payload)?;
            broker()?.ask(Method::POST, "/internal/publish", body)?;
            done(global, "published", &topic)
        }
        Command::Token { topic, user, ttl, hub: _ } => {
            let topic = named(&topic)?;
            let ttl = ttl.map_or(Ok(limit::LIVE_TOKEN_TTL), |text| unit::duration(&text));
            let ttl = ttl.map_err(usage)?;
            if ttl < limit::LIVE_TOKEN_TTL_MIN {
                return Err(usage("a token is good for 1s at least"));
            }
            let token = token(&topic, user, ttl, &secret)?;
            let line = if global.json { json!({"token": token}).to_string() } else { token };
            print_line(&line)
        }
        Command::Status => {
            let status = broker()?.ask(Method::GET, "/internal/status", String::new())?;
            let status: Value = serde_json::from_slice(&status)
                .map_err(|_| CliError::new(Exit::Failed, "what answers there is no broker of live topics"))?;
            print_line(&status.to_string())
        }
    }
}

/// The broker's URL and secret: flags, then the environment, then the config file.
fn settings(
    url: Option<String>,
    file: Option<PathBuf>,
    global: &Global,
) -> Result<(String, Secret<String>), CliError> {
    let wrong = |error| CliError::new(Exit::Config, error);
    let variable = |name: &str| match name {
        "OUTPOST_LIVE_SECRET_FILE" => {
            file.as_ref().map(|file| file.to_string_lossy().into_owned()).or_else(|| super::variable(name))
        }
        _ => super::variable(name),
    };
    let config = match &global.config {
        Some(path) => Some(LiveConfig::load(path, variable).map_err(wrong)?.0),
        None => LiveConfig::of_environment(variable).map_err(wrong)?,
    };
    let config = config.ok_or_else(|| {
        CliError::new(
            Exit::Config,
            "no worker secret: give --secret-file FILE, or the broker's --config FILE",
        )
    })?;
    let given = url.or_else(|| super::variable("OUTPOST_LIVE_URL"));
    let url = given.unwrap_or_else(|| match global.config {
        Some(_) => format!("http://{}", config.internal_from_here()),
        None => URL.to_owned(),
    });
    Ok((url, config.secret))
}

impl Broker {
    /// The secret goes in plain text to this machine only, unless the caller allows more.
    fn new(url: &str, allow: Option<String>, secret: Secret<String>) -> Result<Self, CliError> {
        let config = |error: &dyn std::fmt::Display| CliError::new(Exit::Config, format!("--url: {error}"));
        let allow = allow.or_else(|| super::variable("OUTPOST_ALLOW_INSECURE"));
        let allow = AllowInsecure::setting(allow.as_deref()).map_err(|error| config(&error))?;
        let url = HubUrl::parse(url, allow).map_err(|error| config(&error))?;
        let (security, tls) = if url.scheme_is_tls() {
            (Security::Tls, Some(ClientTls::new(&Settings::default()).map_err(|error| config(&error))?))
        } else {
            (Security::Plain, None)
        };
        let target = Target::new(Route { host: url.host(), port: url.port(), security }, &url.http_base());
        Ok(Self { dialer: Dialer { tls, ..Dialer::default() }, target, secret })
    }

    fn ask(&self, method: Method, path: &str, body: String) -> Result<bytes::Bytes, CliError> {
        let headers = [(SECRET_HEADER, self.secret.expose().as_str())];
        let kind = (method == Method::POST).then_some(JSON);
        let body = (Outgoing::Whole(body.into()), kind);
        let ask = Ask {
            method,
            path,
            bearer: None,
            headers: &headers,
            body,
            answer_bytes_max: limit::HUB_ANSWER_BYTES_MAX,
            patience: Patience { silence: limit::DIAL_STALL_TIMEOUT, whole: limit::HTTP_TIMEOUT },
        };
        let answer = http::wait_for(http::exchange(&self.dialer, &self.target, ask));
        let answer = answer.map_err(|error| CliError::new(Exit::Io, error))?;
        let answer = answer.map_err(|error| {
            let text = format!("no answer from {}: {error}", self.target.base());
            CliError::new(Exit::of_exchange(&error), text)
        })?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let said = answer.body.get(..answer.body.len().min(200)).unwrap_or_default();
        let said = String::from_utf8_lossy(&plain::strip(said)).into_owned();
        let exit = match answer.status {
            400 | 403 => Exit::Refused,
            503 => Exit::TempFail,
            _ => Exit::Failed,
        };
        Err(CliError::new(exit, format!("the broker answered {}: {}", answer.status, said.trim())))
    }
}

fn publication(topic: &Topic, payload: String) -> Result<String, CliError> {
    let payload = if payload == "-" {
        let most = u64::try_from(limit::LIVE_BODY_BYTES_MAX).unwrap_or(u64::MAX);
        let mut text = String::new();
        std::io::stdin()
            .take(most.saturating_add(1))
            .read_to_string(&mut text)
            .map_err(|error| CliError::new(Exit::Io, format!("stdin: {error}")))?;
        text
    } else {
        payload
    };
    let payload: &RawValue = serde_json::from_str(payload.trim())
        .map_err(|error| usage(format!("what is to be published is no JSON: {error}")))?;
    let body = format!(r#"{{"topic":{},"payload":{}}}"#, json!(topic.as_str()), payload.get());
    if body.len() > limit::LIVE_BODY_BYTES_MAX {
        return Err(usage(format!(
            "{} bytes are more than the {} of one request",
            body.len(),
            limit::LIVE_BODY_BYTES_MAX
        )));
    }
    Ok(body)
}

fn token(
    topic: &Topic,
    user: Option<NonZeroU32>,
    ttl: Duration,
    secret: &Secret<String>,
) -> Result<String, CliError> {
    let now_ms = clock::wall_now().0;
    let expires_s = now_ms.saturating_add(millis(ttl)).checked_div(1000).unwrap_or_default();
    let claims = Claims {
        user_id: UserId::Number(user.map_or(0, |user| user.get().into())),
        expires_s,
        grant: Grant::Topic(topic.as_str().to_owned()),
    };
    browser_token::mint(&claims, &MacKey::from_bytes(secret.expose().as_bytes())).map_err(usage)
}

fn named(topic: &str) -> Result<Topic, CliError> {
    topic.parse().map_err(usage)
}

fn usage(error: impl std::fmt::Display) -> CliError {
    CliError::new(Exit::Usage, error)
}

fn done(global: &Global, what: &str, topic: &Topic) -> Result<(), CliError> {
    if global.json { print_line(&json!({what: topic.as_str()}).to_string()) } else { Ok(()) }
}
