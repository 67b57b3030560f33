//! A hub's address, from what the operator wrote to what is dialled.

use crate::net::dial::{Endpoint, Route, Security};
use crate::wire::url::{AllowInsecure, HubUrl};

use super::config::Hub;

/// Checks an address by the URL rule of `wire/url.rs`.
///
/// # Errors
/// One line that says what is wrong and what to write instead.
pub(super) fn hub(url: &str, allow_insecure: Option<&str>) -> Result<Hub, String> {
    let allow = AllowInsecure::setting(allow_insecure).map_err(|error| error.to_string())?;
    let parsed = HubUrl::parse(url, allow).map_err(|error| error.to_string())?;
    let (security, scheme) =
        if parsed.scheme_is_tls() { (Security::Tls, "wss") } else { (Security::Plain, "ws") };
    let warning = parsed.is_exposed().then(|| {
        format!("the link to {parsed} is not encrypted: who can listen on the way can read every record")
    });
    Ok(Hub {
        url: parsed.to_string(),
        canonical: parsed.canonical(),
        endpoint: Endpoint {
            route: Route { host: parsed.host(), port: parsed.port(), security },
            connect_url: format!("{scheme}://{}{}", parsed.authority(), parsed.connect_path()),
        },
        api: parsed.http_base(),
        allow_insecure: allow,
        warning,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_requests_go_where_the_link_goes() {
        for url in ["http://[::1]:8440/outpost/", "ws://[::1]:8440/outpost/v1/agents/connect"] {
            assert_eq!(hub(url, None).unwrap().api, "http://[::1]:8440/outpost");
        }
    }

    #[test]
    fn an_address_becomes_what_is_dialled() {
        let hub = hub("http://[::1]:8440/outpost/", None).unwrap();
        assert_eq!(hub.endpoint.route.host, "::1");
        assert_eq!(hub.endpoint.route.port, 8440);
        assert_eq!(hub.canonical, "http://[::1]:8440/outpost");
        assert_eq!(hub.endpoint.connect_url, "ws://[::1]:8440/outpost/v1/agents/connect");
        assert_eq!(hub.warning, None);
    }

    #[test]
    fn plain_text_leaves_loopback_only_where_it_is_allowed() {
        assert!(hub("http://10.0.0.1", None).unwrap_err().contains("allow_insecure = true"));
        assert!(hub("http://10.0.0.1", Some("true")).unwrap().warning.is_some());
        assert!(hub("http://hub.example", Some("true")).is_err());
        assert!(hub("http://hub.example", Some("any")).unwrap().warning.is_some());
        assert!(hub("http://127.0.0.1", Some("perhaps")).unwrap_err().contains("perhaps"));
    }

    #[test]
    fn https_and_wss_are_dialled_over_tls() {
        for url in ["https://hub.example", "wss://hub.example"] {
            let endpoint = hub(url, None).unwrap().endpoint;
            assert_eq!((endpoint.route.security, endpoint.route.port), (Security::Tls, 443));
            assert_eq!(endpoint.connect_url, "wss://hub.example/v1/agents/connect");
        }
    }
}
