//! The hub's URL: which texts are one, where the upgrade goes, and where plain text is allowed to go.
//!
//! ```text
//! http | https | ws | wss :// host [: port] [/prefix]      no credentials, query or fragment
//! ```
//! The upgrade's path is the prefix followed by [`CONNECT_PATH`], which is not doubled where the prefix ends with it.
//! Plain text goes to loopback always, elsewhere only as far as [`AllowInsecure`] says.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::CONNECT_PATH;

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

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Name(String),
    Address(IpAddr),
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
        let (host, port) = split_port(authority)?;
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
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        }
    }

    /// The port, by default 443 or 80.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.scheme_is_tls() { 443 } else { 80 })
    }

    /// The Host header: host, and the port where the URL names one.
    pub fn authority(&self) -> String {
        let host = match &self.host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Host::Address(IpAddr::V4(_)) | Host::Name(_) => self.host(),
        };
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
        if !self.is_exposed() {
            return Ok(());
        }
        let private = self.host.is_private();
        match allow {
            AllowInsecure::Any => Ok(()),
            AllowInsecure::Private if private => Ok(()),
            AllowInsecure::No | AllowInsecure::Private => Err(UrlError::Insecure {
                host: self.host(),
                wanted: if private { "true" } else { "\"any\"" },
            }),
        }
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

impl Host {
    fn parse(text: &str) -> Result<Self, UrlError> {
        let wrong = || UrlError::Host(text.chars().take(40).collect());
        if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return Ipv6Addr::from_str(inner)
                .map(|address| Self::Address(address.into()))
                .map_err(|_| wrong());
        }
        if let Ok(address) = Ipv4Addr::from_str(text) {
            return Ok(Self::Address(address.into()));
        }
        // What ends in a number is read as an IPv4 address by some resolvers (127.1, 0x7f.1): refused.
        let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next().unwrap_or_default();
        let numeric =
            last.bytes().all(|byte| byte.is_ascii_digit()) || last.to_ascii_lowercase().starts_with("0x");
        let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if text.is_empty() || text.len() > 253 || text.starts_with(['.', '-']) || numeric || !valid {
            return Err(wrong());
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Address(address) => plain(*address).is_loopback(),
        }
    }

    fn is_private(&self) -> bool {
        match self {
            Self::Name(_) => false,
            Self::Address(address) => match plain(*address) {
                IpAddr::V4(address) => {
                    let [a, b, ..] = address.octets();
                    address.is_private() || (a == 100 && b & 0xC0 == 64)
                }
                IpAddr::V6(address) => address.is_unique_local(),
            },
        }
    }
}

/// An IPv4 address in IPv6 clothes (::ffff:a.b.c.d) counts as what it is.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn split_port(authority: &str) -> Result<(Host, Option<u16>), UrlError> {
    // The colons inside of [..] are no port separators.
    let after_bracket = authority.rfind(']').unwrap_or(0);
    let Some(colon) = authority.get(after_bracket..).and_then(|rest| rest.find(':')) else {
        return Ok((Host::parse(authority)?, None));
    };
    let (host, port) = authority.split_at(after_bracket.saturating_add(colon));
    let port = port.strip_prefix(':').unwrap_or(port);
    let number = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok()).flatten();
    match number {
        Some(1..) => Ok((Host::parse(host)?, number)),
        Some(0) | None => Err(UrlError::Port(port.chars().take(40).collect())),
    }
}

#[cfg(test)]
mod tests;
