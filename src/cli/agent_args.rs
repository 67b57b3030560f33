//! What `agent run` and `agent enroll` are told alike: where the hubs are, whom to believe and what to show, and where the
//! agent's files are. An enrolment that was told so leaves its files where an agent that is told the same finds them.

use std::path::PathBuf;

use crate::agent::config::Flags;
use crate::net::proxy::Proxy;
use crate::secret::Secret;

use super::shell;

/// The flags of both; each has a variable and a key in the file of `--config`.
#[derive(Debug, clap::Args)]
pub(super) struct AgentArgs {
    /// The hub's address; several are asked in turn.
    #[arg(long, value_name = "URL")]
    pub hub: Vec<String>,
    /// The HTTP proxy towards every hub, http://[USER:PASSWORD@]HOST[:PORT], or none (default: the environment).
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// The data folder (default ./outpost-agent).
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The agent's key, as `outpost hub agent add` or an enrolment writes it (default DATA/agent.key).
    #[arg(long, value_name = "F")]
    pub key_file: Option<PathBuf>,
    /// The agent's Ed25519 identity, as `outpost agent keygen` or an enrolment writes it (default DATA/agent.identity).
    #[arg(long, value_name = "F")]
    pub identity_file: Option<PathBuf>,
    /// Allows plain text to private addresses, or with =any to everywhere.
    #[arg(long, value_name = "any", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_insecure: Option<String>,
    /// The hub's authority, in place of the system's (default: the invite's, then DATA/hub-ca.pem where that is there).
    #[arg(long, value_name = "F")]
    pub ca: Option<PathBuf>,
    /// The certificate shown to a hub that asks for one.
    #[arg(long, value_name = "F")]
    pub client_cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "F")]
    pub client_key: Option<PathBuf>,
}

impl AgentArgs {
    /// As the settings take them.
    pub(super) fn flags(&self) -> Flags {
        Flags {
            data: self.data.clone(),
            socket: None,
            hubs: self.hub.clone(),
            proxy: self.proxy.clone().map(Secret::new),
            key_file: self.key_file.clone(),
            identity_file: self.identity_file.clone(),
            allow_insecure: self.allow_insecure.clone(),
            no_link: false,
            ca: self.ca.clone(),
            client_cert: self.client_cert.clone(),
            client_key: self.client_key.clone(),
        }
    }

    /// The flags again, as a shell takes them, each with a space before it; but a proxy's URL that has a password in it.
    pub(super) fn words(&self) -> String {
        let mut words = String::new();
        let mut add = |flag: &str, value: &str| {
            words.push_str(&format!(" {flag} {}", shell::word(value)));
        };
        self.hub.iter().for_each(|hub| add("--hub", hub));
        if let Some(proxy) = self.proxy.as_ref().filter(|_| !self.has_secret()) {
            add("--proxy", proxy);
        }
        for (flag, path) in [
            ("--data", &self.data),
            ("--key-file", &self.key_file),
            ("--identity-file", &self.identity_file),
            ("--ca", &self.ca),
            ("--client-cert", &self.client_cert),
            ("--client-key", &self.client_key),
        ] {
            if let Some(path) = path {
                add(flag, &path.to_string_lossy());
            }
        }
        match self.allow_insecure.as_deref() {
            None => {}
            Some("true") => words.push_str(" --allow-insecure"),
            Some(other) => words.push_str(&format!(" --allow-insecure={}", shell::word(other))),
        }
        words
    }

    /// Whether one of the flags holds a password, which is not to be printed.
    pub(super) fn has_secret(&self) -> bool {
        self.proxy
            .as_deref()
            .and_then(|url| Proxy::parse(url).ok())
            .is_some_and(|proxy| proxy.has_credentials())
    }
}
