//! Which hub is meant: its API, or its folder.

use std::path::PathBuf;

use crate::cli::exit::CliError;
use crate::cli::remote::{Remote, RemoteArgs};
use crate::cli::variable;
use crate::hub::config::DATA_DEFAULT;

use super::target::{Database, Target};

/// Which hub.
#[derive(Debug, Clone, Default, clap::Args)]
pub(in crate::cli) struct Place {
    /// The hub's folder: work in its database, running or not
    #[arg(long, value_name = "DIR", conflicts_with_all = ["hub", "token_file", "ca", "client_cert", "client_key", "allow_insecure"])]
    pub data: Option<PathBuf>,
    /// Its API
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// A hub that was found.
pub(in crate::cli) enum Found {
    /// Its API.
    Remote(Remote),
    /// Its folder.
    Folder(PathBuf),
}

impl Place {
    /// The hub that is meant.
    ///
    /// # Errors
    /// Where the token file that was named cannot be read.
    pub(in crate::cli) fn find(&self) -> Result<Found, CliError> {
        if let Some(data) = &self.data {
            return Ok(Found::Folder(data.clone()));
        }
        let remote = self.remote.clone().with_environment(variable);
        if !remote.is_default() {
            return Remote::new(&remote).map(Found::Remote);
        }
        let works = Remote::new(&remote).and_then(|remote| remote.get("/v1/status", &[]).map(|_| remote));
        Ok(works.map_or_else(|_| Found::Folder(PathBuf::from(DATA_DEFAULT)), Found::Remote))
    }

    pub(in crate::cli) fn open(&self) -> Result<Target, CliError> {
        match self.find()? {
            Found::Remote(remote) => Ok(Target::Remote(remote)),
            Found::Folder(data) => Database::open(&data).map(|database| Target::Database(Box::new(database))),
        }
    }
}
