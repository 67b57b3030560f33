//! The hub's URL: which texts are one, where the upgrade goes, and where plain text is allowed to go.
//!
//! ```text
//! http | https | ws | wss :// host [: port] [/prefix]      no credentials, query or fragment
//! ```
//! The upgrade's path is the prefix followed by [`CONNECT_PATH`], which is not doubled where the prefix ends with it.
//! Plain text goes to loopback always, elsewhere only as far as [`AllowInsecure`] says.

mod host;

use std::fmt;

use super::CONNECT_PATH;
pub(crate) use host::Host;

/// How far plain text (http, ws) may go beyond loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllowInsecure {
    /// Not at all.
    #[default]
    No,
    /// To address literals of RFC 1918, fc00::/7 and 100.64.0.0/10.
    Private,
    /// To everywhere.
    Any,
}

impl AllowInsecure {
    /// As the setting of that name is written.
    ///
    /// # Errors
    /// Where it is none of true, false and any.
    pub fn setting(text: Option<&str>) -> Result<Self, UrlError> {
        match text {
            None | Some("false") => Ok(Self::No),
            Some("true") => Ok(Self::Private),
            Some("any") => Ok(Self::Any),
            Some(other) => Err(UrlError::Allowance(other.chars().take(40).collect())),
        }
    }
}

/// A text that is not a usable hub URL. The text is not shown whole: it may hold a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No `://`.
    #[error("the hub URL has no scheme; write it as https://host[:port][/prefix]")]
    NoScheme,
    /// Not http, https, ws or wss.
    #[error("the hub URL's scheme `{0}` is not supported; use https, wss, http or ws")]
    Scheme(String),
    /// `user@` or `user:password@`.
    #[error("the hub URL holds credentials before `@`; remove them, the agent's key file authenticates it")]
    Credentials,
    /// Nothing, or something that is neither a name nor an address.
    #[error("the hub URL's host `{0}` is not a name or an address")]
    Host(String),
    /// Not 1 to 65535.
    #[error("the hub URL's port `{0}` is not a number from 1 to 65535")]
    Port(String),
    /// `?` or `#`.
    #[error("the hub URL has a query or fragment; remove everything from `?` or `#` on")]
    Query,
    /// White space, control or non-ASCII characters.
    #[error("the hub URL's path has characters that do not belong in a URL; percent-encode them")]
    Path,
    /// Not how far plain text may go.
    #[error("allow_insecure = `{0}` is not true, false or \"any\"")]
    Allowance(String),
    /// Plain text to where it may not go.
    #[error(
        "plain text to `{host}` is not allowed; use https, or set allow_insecure = {wanted} if that network is trusted"
    )]
    Insecure {
        /// Where to.
        host: String,
        /// The setting that would allow it.
        wanted: &'static str,
    },
}

/// Where the hub is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubUrl {
    scheme: Scheme,
    host: Host,
    port: Option<u16>,
    prefix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
    Ws,
    Wss,
}

impl HubUrl {
    /// The URL in `text`, where plain text may go there.
    ///
    /// # Errors
    /// Where it is not a URL of the form above, or plain text where it may not go.
    pub fn parse(text: &str, allow: AllowInsecure) -> Result<Self, UrlError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(UrlError::NoScheme)?;
        let scheme = Scheme::parse(scheme)?;
        if rest.contains(['?', '#']) {
            return Err(UrlError::Query);
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (host, port) = Host::with_port(authority)?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
            return Err(UrlError::Path);
        }
        let path = path.trim_end_matches('/');
        let prefix = path.strip_suffix(CONNECT_PATH).unwrap_or(path).trim_end_matches('/');
        let url = Self { scheme, host, port, prefix: prefix.to_owned() };
        url.check_insecure(allow)?;
        Ok(url)
    }

    /// Whether TLS is spoken.
    pub fn scheme_is_tls(&self) -> bool {
        matches!(self.scheme, Scheme::Https | Scheme::Wss)
    }

    /// The name or address, an IPv6 address without brackets.
    pub fn host(&self) -> String {
        self.host.to_string()
    }

    /// The port, by default 443 or 80.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.scheme_is_tls() { 443 } else { 80 })
    }

    /// The Host header: host, and the port where the URL names one.
    pub fn authority(&self) -> String {
        let host = self.host.bracketed();
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// Path of the upgrade.
    pub fn connect_path(&self) -> String {
        format!("{}{CONNECT_PATH}", self.prefix)
    }

    /// The base URL, without a slash at its end.
    pub fn base(&self) -> String {
        format!("{}://{}{}", self.scheme.name(), self.authority(), self.prefix)
    }

    /// The one way to write where this leads: http or https, without the port where it is the usual one. What an agent
    /// signs as `X-Outpost-URL`, and a hub compares with its own.
    pub fn canonical(&self) -> String {
        let usual = if self.scheme_is_tls() { 443 } else { 80 };
        Self { port: self.port.filter(|port| *port != usual), ..self.clone() }.http_base()
    }

    /// The base for plain requests, whichever scheme was written.
    pub fn http_base(&self) -> String {
        let scheme = if self.scheme_is_tls() { Scheme::Https } else { Scheme::Http };
        format!("{}://{}{}", scheme.name(), self.authority(), self.prefix)
    }

    /// Whether plain text goes beyond loopback: worth a warning at each start.
    pub fn is_exposed(&self) -> bool {
        !self.scheme_is_tls() && !self.host.is_loopback()
    }

    fn check_insecure(&self, allow: AllowInsecure) -> Result<(), UrlError> {
        if self.scheme_is_tls() { Ok(()) } else { self.host.check_plain(allow) }
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base())
    }
}

impl Scheme {
    fn parse(text: &str) -> Result<Self, UrlError> {
        [Self::Http, Self::Https, Self::Ws, Self::Wss]
            .into_iter()
            .find(|scheme| scheme.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UrlError::Scheme(text.chars().take(40).collect()))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

#[cfg(test)]
mod tests;
