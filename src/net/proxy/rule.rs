//! Which proxy a route takes.
//!
//! | set | means |
//! |---|---|
//! | a URL | that proxy, for every hub, NO_PROXY or not |
//! | `none` | no proxy, whatever the environment says |
//! | nothing | the environment, as curl reads it |
//!
//! The environment: `https_proxy` or `HTTPS_PROXY` for hubs behind TLS, `http_proxy` (small letters only: the other is what
//! a CGI request may set) for plain ones, else `all_proxy` or `ALL_PROXY`; small letters first, an empty one counts as
//! missing. `no_proxy` or `NO_PROXY` names what is reached without. Loopback always is.

use crate::net::dial::{Route, Security};
use crate::wire::url::{AllowInsecure, Host};

use super::exception::Exceptions;
use super::url::{Proxy, ProxyUrlError};

/// The setting that turns proxies off.
const NONE: &str = "none";

/// Which proxy a route takes. By default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Rule);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Rule {
    #[default]
    None,
    Always(Proxy),
    Environment(Box<Environment>),
}

/// An unusable variable is an error only for a route that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Environment {
    tls: Option<Result<Proxy, ProxyUrlError>>,
    plain: Option<Result<Proxy, ProxyUrlError>>,
    exceptions: Exceptions,
}

impl Proxies {
    /// From the setting, or else from the environment.
    ///
    /// # Errors
    /// Where the setting names no proxy.
    pub fn new(
        setting: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ProxyUrlError> {
        let rule = match setting.map(str::trim) {
            Some(NONE) => Rule::None,
            Some(url) => Rule::Always(Proxy::parse(url)?),
            None => Rule::Environment(Box::new(Environment::read(environment))),
        };
        Ok(Self(rule))
    }

    /// The proxy of a route.
    ///
    /// # Errors
    /// Where the environment has something unusable for it.
    pub fn of(&self, route: &Route) -> Result<Option<&Proxy>, ProxyUrlError> {
        match &self.0 {
            Rule::None => Ok(None),
            Rule::Always(proxy) => Ok(Some(proxy)),
            Rule::Environment(environment) => environment.of(route),
        }
    }

    /// Whether what goes this way may be read by the proxy that carries it, where one does.
    ///
    /// # Errors
    /// Where the environment has something unusable, or plain text would go to where it may not.
    pub fn check(&self, route: &Route, allow: AllowInsecure) -> Result<(), ProxyUrlError> {
        match (route.security, self.of(route)?) {
            (Security::Plain, Some(proxy)) => proxy.check_plain(allow),
            (Security::Plain, None) | (Security::Tls, _) => Ok(()),
        }
    }
}

impl Environment {
    fn read(environment: impl Fn(&str) -> Option<String>) -> Self {
        let text = |names: &[&'static str]| {
            let found = names.iter().find_map(|name| Some((*name, environment(name)?)));
            found.filter(|(_, text)| !text.trim().is_empty())
        };
        let first = |names: &[&'static str]| {
            let (name, text) = names.iter().find_map(|name| text(&[*name]))?;
            Some(Proxy::parse(&text).map_err(|error| error.of(name)))
        };
        let exceptions = ["no_proxy", "NO_PROXY"].iter().find_map(|name| text(&[*name]));
        Self {
            tls: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            plain: first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            exceptions: exceptions.map(|(_, text)| Exceptions::parse(&text)).unwrap_or_default(),
        }
    }

    fn of(&self, route: &Route) -> Result<Option<&Proxy>, ProxyUrlError> {
        // A host with colons is an IPv6 address, which the parser knows in brackets.
        let host = if route.host.contains(':') { format!("[{}]", route.host) } else { route.host.clone() };
        let here = Host::parse(&host).is_ok_and(|host| host.is_loopback());
        if here || self.exceptions.covers(&route.host, route.port) {
            return Ok(None);
        }
        let proxy = match route.security {
            Security::Tls => &self.tls,
            Security::Plain => &self.plain,
        };
        proxy.as_ref().map(|proxy| proxy.as_ref().map_err(Clone::clone)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: &str, security: Security) -> Route {
        let port = if security == Security::Tls { 443 } else { 80 };
        Route { host: host.to_owned(), port, security }
    }

    /// The proxy that an environment has for a hub behind TLS, and for a plain one.
    fn found(variables: &[(&str, &str)], host: &str) -> [Option<String>; 2] {
        let environment = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let proxies = Proxies::new(None, environment).unwrap();
        [Security::Tls, Security::Plain]
            .map(|security| proxies.of(&route(host, security)).unwrap().map(Proxy::name))
    }

    fn some(name: &str) -> Option<String> {
        Some(format!("{name}:1"))
    }

    #[test]
    fn the_environment_is_read_as_curl_does() {
        let hub = "hub.example";
        for (variables, expected) in [
            (&[][..], [None, None]),
            (&[("https_proxy", "a:1"), ("HTTPS_PROXY", "b:1")][..], [some("a"), None]),
            (&[("https_proxy", ""), ("HTTPS_PROXY", "b:1")], [some("b"), None]),
            (&[("http_proxy", "a:1")], [None, some("a")]),
            (&[("HTTP_PROXY", "a:1")], [None, None]),
            (&[("ALL_PROXY", "a:1")], [some("a"), some("a")]),
            (&[("all_proxy", "a:1"), ("ALL_PROXY", "b:1"), ("HTTPS_PROXY", "c:1")], [some("c"), some("a")]),
            (&[("ALL_PROXY", "a:1"), ("NO_PROXY", "example")], [None, None]),
            (&[("ALL_PROXY", "a:1"), ("NO_PROXY", "example"), ("no_proxy", "other")], [some("a"), some("a")]),
            (&[("ALL_PROXY", "a:1"), ("NO_PROXY", "hub.example:443")], [None, some("a")]),
        ] {
            assert_eq!(found(variables, hub), expected, "{variables:?}");
        }
    }

    #[test]
    fn the_environment_never_leads_loopback_through_a_proxy() {
        for host in ["localhost", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(found(&[("ALL_PROXY", "a:1")], host), [None, None], "{host}");
        }
    }

    #[test]
    fn a_setting_is_for_every_hub_and_none_is_for_no_hub() {
        let environment = |_: &str| Some("environment:1".to_owned());
        let always = Proxies::new(Some("http://set:1"), environment).unwrap();
        for host in ["localhost", "hub.example"] {
            assert_eq!(always.of(&route(host, Security::Tls)).unwrap().map(Proxy::name), some("set"));
        }
        let none = Proxies::new(Some("none"), environment).unwrap();
        assert_eq!(none.of(&route("hub.example", Security::Tls)), Ok(None));
        assert_eq!(Proxies::default().of(&route("hub.example", Security::Tls)), Ok(None));
    }

    #[test]
    fn an_unusable_variable_is_named_where_a_hub_needs_it() {
        let environment = |name: &str| (name == "ALL_PROXY").then(|| "socks5://u:hunter2@proxy:1".to_owned());
        let proxies = Proxies::new(None, environment).unwrap();
        assert_eq!(proxies.of(&route("localhost", Security::Tls)), Ok(None));
        let error = proxies.of(&route("hub.example", Security::Tls)).unwrap_err().to_string();
        assert!(
            error.starts_with("ALL_PROXY: the proxy http://***@proxy has the scheme `socks5`"),
            "{error}"
        );
        assert!(!format!("{error}{proxies:?}").contains("hunter2"));
    }
}
