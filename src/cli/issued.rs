//! Secrets that a hub gives out once, written where they are to stay.

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::secret::Secret;

use super::exit::CliError;
use super::hub_agent::text_of;
use super::new_file::{NewFile, wrong};

/// Writes the secret that stands under `field` in what `make` gives into a new file, 0600; gives the rest. The file is begun
/// before: a secret that cannot be written would be lost.
///
/// # Errors
/// Something of this name is there, the folder cannot be written, or as `make`.
pub(super) fn into_file(
    path: &Path,
    field: &str,
    make: impl FnOnce() -> Result<Value, CliError>,
) -> Result<Value, CliError> {
    NewFile::refuse_existing(path)?;
    let mut file = NewFile::create(path)?;
    let mut issued = make()?;
    let secret = Secret::new(text_of(&issued, field)?);
    writeln!(file, "{}", secret.expose()).map_err(|error| wrong(path, &error))?;
    file.keep()?;
    if let Some(issued) = issued.as_object_mut() {
        issued.remove(field);
    }
    Ok(issued)
}
