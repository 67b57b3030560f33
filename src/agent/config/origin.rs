//! Where settings come from, for what is said of wrong ones, and the values that several sections have in common.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use crate::job::spec::is_kind;
use crate::limit;
use crate::unit::{self, Scalar};

use super::ConfigError;

/// Where the library's users write it.
pub(super) const LIBRARY: Origin<'_> = Origin { file: None, flags: false };

/// Where a wrong value may have come from, for its message.
pub(super) struct Origin<'a> {
    pub(super) file: Option<&'a Path>,
    pub(super) flags: bool,
}

impl Origin<'_> {
    pub(super) fn wrong(&self, key: &str, reason: impl Into<String>) -> ConfigError {
        let origin = match (self.file, self.flags) {
            (Some(file), _) => file.display().to_string(),
            (None, true) => "command line".to_owned(),
            (None, false) => "settings".to_owned(),
        };
        ConfigError::Value { origin, key: key.to_owned(), reason: reason.into() }
    }

    pub(super) fn time(
        &self,
        key: &str,
        text: &Option<String>,
        value: &mut Duration,
    ) -> Result<(), ConfigError> {
        if let Some(text) = text {
            *value = unit::duration(text).map_err(|error| self.wrong(key, error.to_string()))?;
            if value.is_zero() {
                return Err(self.wrong(key, "must not be zero"));
            }
        }
        Ok(())
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(
        &self,
        key: &str,
        value: Option<&Scalar>,
        most: u32,
    ) -> Result<Option<NonZeroU32>, ConfigError> {
        let Some(value) = value else { return Ok(None) };
        let number = value.count().and_then(|number| u32::try_from(number).ok());
        let fits = number.filter(|number| *number <= most).and_then(NonZeroU32::new);
        fits.map(Some).ok_or_else(|| self.wrong(key, format!("must be a whole number from 1 to {most}")))
    }

    pub(super) fn size(&self, key: &str, value: Option<&Scalar>) -> Result<Option<u64>, ConfigError> {
        value.map(|value| value.bytes().map_err(|error| self.wrong(key, error.to_string()))).transpose()
    }

    pub(super) fn address(&self, key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
        let wrong = |_| self.wrong(key, format!("`{text}` is not an address and port like 127.0.0.1:9440"));
        text.parse().map_err(wrong)
    }

    pub(super) fn kinds(&self, kinds: &[String]) -> Result<BTreeSet<String>, ConfigError> {
        if kinds.len() > limit::JOB_KINDS_MAX {
            let reason = format!("{} kinds, the limit is {}", kinds.len(), limit::JOB_KINDS_MAX);
            return Err(self.wrong("jobs.kinds", reason));
        }
        match kinds.iter().find(|kind| !is_kind(kind)) {
            Some(kind) => {
                Err(self
                    .wrong("jobs.kinds", format!("`{kind}` is not 1 to 64 of a-z, 0-9, `.`, `_` and `-`")))
            }
            None => Ok(kinds.iter().cloned().collect()),
        }
    }
}
