//! The keys of `[hub]` about TLS. What the files hold is looked at when the agent starts.

use crate::net::dial::Security;
use crate::net::tls::client::{ClientFiles, Settings};

use super::raw::RawHub;
use super::{Config, ConfigError, Origin};

pub(super) fn check(settings: &mut Settings, raw: &RawHub, origin: &Origin<'_>) -> Result<(), ConfigError> {
    settings.ca_file.clone_from(&raw.ca_file);
    settings.client = match (&raw.client_cert, &raw.client_key) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some(ClientFiles { cert: cert.clone(), key: key.clone() }),
        (Some(_), None) => {
            return Err(origin.wrong("hub.client_key", "is missing; a client certificate goes with its key"));
        }
        (None, Some(_)) => {
            return Err(origin.wrong("hub.client_cert", "is missing; a client key goes with its certificate"));
        }
    };
    Ok(())
}

/// Where no hub is behind TLS, a setting of TLS would protect nothing while somebody relies on it.
pub(super) fn check_use(config: &Config, origin: &Origin<'_>) -> Result<(), ConfigError> {
    let plain = |hub: &super::Hub| hub.endpoint.route.security == Security::Plain;
    if config.hubs.is_empty() || !config.hubs.iter().all(plain) {
        return Ok(());
    }
    let (key, flags) = match (&config.tls.ca_file, &config.tls.client) {
        (Some(_), _) => ("hub.ca_file", "--ca"),
        (None, Some(_)) => ("hub.client_cert", "--client-cert and --client-key"),
        (None, None) => return Ok(()),
    };
    let reason = format!(
        "is for a hub with TLS, and every hub's URL begins with http:// or ws://; write https://, or leave it out ({flags})"
    );
    Err(origin.wrong(key, reason))
}
