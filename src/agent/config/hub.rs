//! Where the hub is, and the way there: `[hub] urls`, `allow_insecure` and `proxy`.

use crate::limit;
use crate::net::dial::{Endpoint, Security};
use crate::net::http::Target;
use crate::net::proxy::Proxies;
use crate::wire::url::AllowInsecure;

use super::raw::Raw;
use super::{Config, ConfigError, Origin};
use crate::agent::address;

/// A checked hub address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    /// As it was given, for status.
    pub url: String,
    /// The one way to write that, which goes under the signature of an upgrade.
    pub canonical: String,
    /// What is dialled.
    pub endpoint: Endpoint,
    /// `http://` and what the paths of plain requests stand behind.
    pub api: String,
    /// How far plain text may go.
    pub allow_insecure: AllowInsecure,
    /// Whether each start must warn that the link is open to others.
    pub warning: Option<String>,
}

impl Hub {
    /// Where requests outside of the session go.
    pub fn target(&self) -> Target {
        Target::new(self.endpoint.route.clone(), &self.api)
    }
}

impl Config {
    pub(super) fn check_hubs(
        &mut self,
        raw: &Raw,
        origin: &Origin<'_>,
        environment: &impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        for url in raw.hub.urls.as_deref().unwrap_or_default() {
            self.add_hub(url, raw.hub.allow_insecure.as_deref(), origin)?;
        }
        let setting = raw.hub.proxy.as_ref().map(|proxy| proxy.expose().as_str());
        let proxies = Proxies::new(setting, environment);
        self.proxies = proxies.map_err(|error| origin.wrong("hub.proxy", error.to_string()))?;
        self.check_way(origin)
    }

    pub(super) fn add_hub(
        &mut self,
        url: &str,
        allow_insecure: Option<&str>,
        origin: &Origin<'_>,
    ) -> Result<(), ConfigError> {
        let wrong = |reason: String| origin.wrong("hub.urls", reason);
        let hub = address::hub(url, allow_insecure).map_err(wrong)?;
        if self.hubs.iter().any(|known| known.canonical == hub.canonical) {
            return Err(wrong(format!("{} is named twice; remove one", hub.url)));
        }
        if self.hubs.len() >= limit::HUBS_MAX {
            return Err(wrong(format!("more than {} addresses; remove some", limit::HUBS_MAX)));
        }
        self.hubs.push(hub);
        Ok(())
    }

    /// Whether each hub can be reached as it is to be: a proxy must not carry plain text to where it may not go.
    pub(super) fn check_way(&mut self, origin: &Origin<'_>) -> Result<(), ConfigError> {
        let wrong = |error: crate::net::proxy::ProxyUrlError| origin.wrong("hub.proxy", error.to_string());
        for hub in &mut self.hubs {
            let Some(proxy) = self.proxies.of(&hub.endpoint.route).map_err(wrong)? else { continue };
            if hub.endpoint.route.security == Security::Tls {
                continue;
            }
            proxy.check_plain(hub.allow_insecure).map_err(wrong)?;
            if proxy.check_plain(AllowInsecure::No).is_err() {
                hub.warning.get_or_insert_with(|| {
                    let (hub, proxy) = (&hub.url, proxy.name());
                    format!("the link to {hub} is not encrypted on its way to the proxy {proxy} and beyond: who can listen there can read every record")
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
