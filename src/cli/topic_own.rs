//! `topic token` for one of Outpost's own streams: the hub makes it, with a secret that is nowhere else.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::hub::live::Topic;
use crate::unit;

use super::exit::{CliError, Exit};
use super::remote::RemoteArgs;
use super::terminal::print_line;

/// The hub that is asked. `--allow-insecure` is the command's own.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct HubArgs {
    /// Of agent.ID, job.ID, job.ID.logs and fleet: the hub's URL [env: OUTPOST_HUB] [default: http://127.0.0.1:8440]
    #[arg(long, value_name = "URL")]
    hub: Option<String>,
    /// The file with a token of that hub's API [env: OUTPOST_TOKEN_FILE] [default: ./outpost-hub/admin.token]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The authority that an https hub's certificate must lead to [env: OUTPOST_CA] [default: the system's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The certificate that is shown to an https hub that asks for one [env: OUTPOST_CLIENT_CERT]
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// Its private key [env: OUTPOST_CLIENT_KEY]
    #[arg(long, value_name = "FILE")]
    client_key: Option<PathBuf>,
}

impl HubArgs {
    /// Asks for a token and prints it.
    ///
    /// # Errors
    /// 64 for what makes no sense of an own stream, 69 without a hub, 77 where it refuses, 1 where there is no such agent or job.
    pub(super) fn token(
        self,
        topic: &Topic,
        user: Option<NonZeroU32>,
        ttl: Option<&str>,
        allow_insecure: Option<String>,
        json: bool,
    ) -> Result<(), CliError> {
        let usage = |error: String| CliError::new(Exit::Usage, error);
        if user.is_some() {
            let text =
                format!("--user is for workers' topics; a token for {topic} is of whoever asks the hub");
            return Err(usage(text));
        }
        let ttl = ttl.map(unit::duration).transpose().map_err(|error| usage(error.to_string()))?;
        let Self { hub, token_file, ca, client_cert, client_key } = self;
        let remote = RemoteArgs { hub, token_file, ca, client_cert, client_key, allow_insecure }.connect()?;
        let mut wanted = json!({"topic": topic.as_str()});
        if let (Some(ttl), Some(wanted)) = (ttl, wanted.as_object_mut()) {
            // Not a part of a second less than what was asked for.
            let seconds = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
            wanted.insert("ttl_s".to_owned(), json!(seconds));
        }
        let made = remote.post("/v1/streams/token", &wanted)?;
        if json {
            return print_line(&made.to_string());
        }
        let missing = || CliError::new(Exit::Failed, "the hub's answer has no token");
        print_line(made.get("token").and_then(Value::as_str).ok_or_else(missing)?)
    }
}
