//! What fuzz/ calls. There only in builds for fuzzing.

#![allow(clippy::missing_panics_doc, reason = "a broken promise is a panic")]

use crate::limit;

use super::{RedisUrl, Scalar, ttl, yaml};

/// A broker's file: settings within their bounds, or what is wrong in one printable line that begins with where.
pub fn yaml(text: &str) {
    match yaml::parse(text) {
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("line ") && !said.chars().any(char::is_control), "{said:?}");
        }
        Ok(settings) => {
            let Ok(Some(live)) = settings.check() else { return };
            assert!(live.secret.expose().chars().count() >= limit::LIVE_SECRET_CHARS_MIN);
            assert!((limit::LIVE_TOPIC_TTL_MIN..=limit::LIVE_TOPIC_TTL_MAX).contains(&live.topic_ttl));
            assert!(live.origins.len() <= limit::LIVE_ORIGINS_MAX);
        }
    }
    let _ttl = ttl::parse(&Scalar::Text(text.to_owned()));
    if let Ok(url) = text.parse::<RedisUrl>() {
        assert!(!format!("{url:?}{}", url.name()).contains(char::is_control), "{url:?}");
    }
}
