//! The keys of `[hub]` about TLS. What the files hold is looked at when the agent starts.

use crate::net::tls::client::{ClientFiles, Settings};

use super::raw::RawHub;
use super::{ConfigError, Origin};

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
