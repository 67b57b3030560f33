//! The flags and variables that name a hub.

use std::path::PathBuf;

use crate::cli::exit::{CliError, Exit};
use crate::cli::terminal::note;
use crate::cli::variable;
use crate::net::tls::client::{ClientFiles, ClientTls, Settings};
use crate::obs::secret_file;

use super::Remote;

/// Which hub is asked.
#[derive(Debug, Clone, Default, clap::Args)]
pub(in crate::cli) struct RemoteArgs {
    /// The hub's URL [env: OUTPOST_HUB] [default: http://127.0.0.1:8440]
    #[arg(long, value_name = "URL")]
    pub hub: Option<String>,
    /// The file with the admin token [env: OUTPOST_TOKEN_FILE] [default: ./outpost-hub/admin.token]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The authority that an https hub's certificate must lead to [env: OUTPOST_CA] [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to an https hub that asks for one [env: OUTPOST_CLIENT_CERT]
    #[arg(long, value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
    /// Its private key [env: OUTPOST_CLIENT_KEY]
    #[arg(long, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Allows plain text, the token with it, to private addresses, or with =any to everywhere [env:
    /// OUTPOST_ALLOW_INSECURE]
    #[arg(long, value_name = "any", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_insecure: Option<String>,
}

impl RemoteArgs {
    /// What the flags leave open, as the environment has it. Not left to the parser: there a variable would count as a
    /// flag, and clash with `--data`.
    pub(in crate::cli) fn with_environment(self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let path = |flag: Option<PathBuf>, name: &str| flag.or_else(|| variable(name).map(PathBuf::from));
        Self {
            hub: self.hub.or_else(|| variable("OUTPOST_HUB")),
            token_file: path(self.token_file, "OUTPOST_TOKEN_FILE"),
            ca: path(self.ca, "OUTPOST_CA"),
            client_cert: path(self.client_cert, "OUTPOST_CLIENT_CERT"),
            client_key: path(self.client_key, "OUTPOST_CLIENT_KEY"),
            allow_insecure: self.allow_insecure.or_else(|| variable("OUTPOST_ALLOW_INSECURE")),
        }
    }

    /// The hub that flags and environment name.
    ///
    /// # Errors
    /// As [`Remote::new`].
    pub(in crate::cli) fn connect(&self) -> Result<Remote, CliError> {
        Remote::new(&self.clone().with_environment(variable))
    }

    /// Whether neither flag nor environment says anything of a hub.
    pub(in crate::cli) fn is_default(&self) -> bool {
        self.hub.is_none() && self.token_file.is_none() && !self.names_tls()
    }

    pub(super) fn names_tls(&self) -> bool {
        self.ca.is_some() || self.client_cert.is_some() || self.client_key.is_some()
    }

    /// What TLS has to go by.
    pub(super) fn tls(&self) -> Result<ClientTls, CliError> {
        let config = |error: &dyn std::fmt::Display| CliError::new(Exit::Config, error);
        let client = match (&self.client_cert, &self.client_key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(ClientFiles { cert: cert.clone(), key: key.clone() }),
            (Some(_), None) => {
                return Err(config(
                    &"--client-cert goes with its key; give --client-key (OUTPOST_CLIENT_KEY)",
                ));
            }
            (None, Some(_)) => {
                return Err(config(
                    &"--client-key goes with its certificate; give --client-cert (OUTPOST_CLIENT_CERT)",
                ));
            }
        };
        if let Some(exposure) = client.as_ref().and_then(|client| secret_file::exposure(&client.key)) {
            note(exposure);
        }
        let settings = Settings { ca_file: self.ca.clone(), client, ..Settings::default() };
        ClientTls::new(&settings).map_err(|error| config(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_a_variable_that_it_wins_over() {
        let environment = |name: &str| Some(format!("of {name}"));
        let all = RemoteArgs::default().with_environment(environment);
        let path = |name: &str| Some(PathBuf::from(format!("of {name}")));
        assert_eq!(
            (all.hub.as_deref(), all.token_file),
            (Some("of OUTPOST_HUB"), path("OUTPOST_TOKEN_FILE"))
        );
        assert_eq!((all.ca, all.client_cert), (path("OUTPOST_CA"), path("OUTPOST_CLIENT_CERT")));
        assert_eq!(all.client_key, path("OUTPOST_CLIENT_KEY"));
        assert_eq!(all.allow_insecure.as_deref(), Some("of OUTPOST_ALLOW_INSECURE"));
        let flag = RemoteArgs { ca: Some(PathBuf::from("flag")), ..RemoteArgs::default() };
        assert_eq!(flag.with_environment(environment).ca, Some(PathBuf::from("flag")));
        assert!(RemoteArgs::default().is_default());
        assert!(!RemoteArgs { client_key: path("x"), ..RemoteArgs::default() }.is_default());
    }
}
