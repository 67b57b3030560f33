//! The `[log]` section.

use crate::obs::log::Format;

use super::raw::Raw;
use super::{Config, ConfigError, Origin};

impl Config {
    pub(super) fn check_log(&mut self, raw: &Raw, origin: &Origin<'_>) -> Result<(), ConfigError> {
        self.log_format = match raw.log.format.as_deref() {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => {
                return Err(origin.wrong("log.format", format!("`{other}` is not `text` or `json`")));
            }
        };
        self.log_level = match raw.log.level.as_deref() {
            None => None,
            Some(text @ ("off" | "error" | "warn" | "info" | "debug" | "trace")) => text.parse().ok(),
            Some(other) => {
                let reason = format!("`{other}` is not off, error, warn, info, debug or trace");
                return Err(origin.wrong("log.level", reason));
            }
        };
        Ok(())
    }
}
