//! Who is let in by what: the `[auth]` section, and the hub's own URLs.

use std::time::Duration;

use serde::Deserialize;

use crate::limit;
use crate::unit;
use crate::wire::message::SignatureMode;
use crate::wire::url::{AllowInsecure, HubUrl};

use super::{Config, ConfigError, bound, wrong};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Auth {
    pub(super) signature: Option<String>,
    pub(super) jwt_ttl: Option<String>,
}

impl Auth {
    pub(super) fn signature(&self) -> Result<SignatureMode, ConfigError> {
        let Some(text) = &self.signature else { return Ok(Config::default().signature) };
        SignatureMode::from_name(text)
            .ok_or_else(|| wrong("auth.signature", text, "none, optional or required"))
    }

    pub(super) fn jwt_ttl(&self) -> Result<Duration, ConfigError> {
        let Some(text) = &self.jwt_ttl else { return Ok(limit::JWT_TTL) };
        bound::JWT_TTL.read(unit::duration(text).ok(), text)
    }
}

/// In the one form they are compared in. Nothing is ever sent there, so plain text is allowed to anywhere.
pub(super) fn public_urls(texts: &[String]) -> Result<Vec<String>, ConfigError> {
    let parse = |text: &String| {
        let url = HubUrl::parse(text, AllowInsecure::Any);
        let url =
            url.map_err(|_| wrong("public_urls", text, "URLs like https://hub.example[:port][/prefix]"));
        Ok(url?.canonical())
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::load;
    use super::*;

    #[test]
    fn a_hubs_urls_are_compared_in_one_form_and_tokens_have_bounds() {
        let text = "public_urls = [\"wss://Hub.Example:443/out/\", \"http://10.0.0.1:80\"]\n[auth]\njwt_ttl = \"5m\"\n";
        let config = load(text, &[]).unwrap();
        assert_eq!(config.public_urls, ["https://hub.example/out", "http://10.0.0.1"]);
        assert_eq!(config.jwt_ttl, Duration::from_secs(300));
        let config = load(text, &[("OUTPOST_PUBLIC_URLS", "https://a:8443, https://b")]).unwrap();
        assert_eq!(config.public_urls, ["https://a:8443", "https://b"]);
        for (variable, value) in [
            ("OUTPOST_AUTH_JWT_TTL", "59s"),
            ("OUTPOST_AUTH_JWT_TTL", "25h"),
            ("OUTPOST_AUTH_SIGNATURE", "perhaps"),
            ("OUTPOST_PUBLIC_URLS", "hub"),
        ] {
            let error = load("", &[(variable, value)]).unwrap_err().to_string();
            assert!(error.contains(value), "{error}");
        }
    }
}
