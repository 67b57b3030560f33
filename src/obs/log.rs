//! Structured logs on stderr.
//!
//! The packages below us never log under info, whatever the filter says: tungstenite shows the whole upgrade request,
//! credential included, at trace level.

use std::io::IsTerminal;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Starts logging to stderr; a second call changes nothing.
pub fn start(level: LevelFilter, format: Format) {
    let filter = filter(level);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry();
    let started = match format {
        Format::Text => registry.with(layer.with_filter(filter)).try_init(),
        Format::Json => registry.with(layer.json().with_filter(filter)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}

fn filter(level: LevelFilter) -> FilterFn<impl Fn(&tracing::Metadata<'_>) -> bool> {
    filter_fn(move |metadata| allowed(level, metadata.target(), *metadata.level()))
}

fn allowed(filter: LevelFilter, target: &str, level: Level) -> bool {
    let ours = target == "outpost" || target.starts_with("outpost::");
    level <= filter && (ours || level <= Level::INFO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_below_us_never_log_under_info() {
        assert!(allowed(LevelFilter::TRACE, "outpost::agent", Level::TRACE));
        assert!(!allowed(LevelFilter::TRACE, "tungstenite::handshake", Level::DEBUG));
        assert!(!allowed(LevelFilter::TRACE, "outpostal", Level::DEBUG));
        assert!(allowed(LevelFilter::TRACE, "sqlx", Level::INFO));
        assert!(!allowed(LevelFilter::WARN, "outpost", Level::INFO));
    }
}
