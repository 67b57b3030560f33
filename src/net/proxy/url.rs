//! A proxy's URL: `http://[user:password@]host[:port]`, user and password percent-encoded, port 80 unless it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::limit;
use crate::secret::Secret;
use crate::wire::url::{AllowInsecure, Host, UrlError};

/// The port of `http`.
const PORT_DEFAULT: u16 = 80;

/// A text that is no proxy's URL. Of the text only what stands behind the last `@` is shown, up to the port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}the proxy {shown} {fault}; write it as http://[USER:PASSWORD@]HOST[:PORT]", from.map_or(String::new(), |from| format!("{from}: ")))]
pub struct ProxyUrlError {
    from: Option<&'static str>,
    shown: String,
    fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("is longer than {} bytes", limit::PROXY_URL_BYTES_MAX)]
    Long,
    #[error("has the scheme `{0}`, and only http is spoken to a proxy")]
    Scheme(String),
    #[error("has a host that is not a name or an address")]
    Host,
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    #[error("has something behind its port")]
    Path,
    #[error(
        "has a user or password that is not percent-encoded as in a URL (`@` is %40, `:` is %3A, `/` is %2F, `%` is %25)"
    )]
    Encoding,
    #[error("may not have plain text sent to it; give it an address on this machine, or {0}")]
    Insecure(String),
}

impl ProxyUrlError {
    /// The same, in this variable.
    pub(super) fn of(self, variable: &'static str) -> Self {
        Self { from: Some(variable), ..self }
    }
}

/// A proxy, and what it wants to see before it opens a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    host: Host,
    port: u16,
    /// The text behind `Basic `.
    credentials: Option<Secret<String>>,
}

impl Proxy {
    /// Reads a URL; without a scheme it is one of http.
    ///
    /// # Errors
    /// Where it is none, without showing what may be a password.
    pub fn parse(text: &str) -> Result<Self, ProxyUrlError> {
        let text = text.trim();
        parse(text).map_err(|fault| ProxyUrlError { from: None, shown: shown(text), fault })
    }

    /// Whether plain text for a hub may be handed to it.
    ///
    /// # Errors
    /// Where it lies beyond what is allowed.
    pub fn check_plain(&self, allow: AllowInsecure) -> Result<(), ProxyUrlError> {
        let fault = |error| match error {
            UrlError::Insecure { wanted, .. } => {
                Fault::Insecure(format!("set allow_insecure = {wanted} if that network is trusted"))
            }
            _ => Fault::Host,
        };
        let refused = |error| ProxyUrlError { from: None, shown: self.name(), fault: fault(error) };
        self.host.check_plain(allow).map_err(refused)
    }

    /// Name or address, without brackets.
    pub fn host(&self) -> String {
        self.host.to_string()
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, for people.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host.bracketed(), self.port)
    }

    /// Whether its URL names a user, with a password or without.
    pub const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// What it is shown of us, behind `Basic `.
    pub(super) const fn credentials(&self) -> Option<&Secret<String>> {
        self.credentials.as_ref()
    }
}

fn parse(text: &str) -> Result<Proxy, Fault> {
    if text.len() > limit::PROXY_URL_BYTES_MAX {
        return Err(Fault::Long);
    }
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        // What stands before `://` may be a password with `://` in it: only a word is shown.
        Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            return Err(Fault::Scheme(scheme.chars().take(16).collect()));
        }
        Some(_) => return Err(Fault::Encoding),
        None => text,
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let (authority, behind) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if !matches!(behind, "" | "/") {
        return Err(Fault::Path);
    }
    let (host, port) = Host::with_port(authority).map_err(|error| match error {
        UrlError::Port(_) => Fault::Port,
        _ => Fault::Host,
    })?;
    let credentials = user.map(credentials).transpose()?;
    Ok(Proxy { host, port: port.unwrap_or(PORT_DEFAULT), credentials })
}

/// What is surely no password: the part behind the last `@`, up to the port; without an `@`, a host that is one.
fn shown(text: &str) -> String {
    let (hidden, rest) = match text.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", text.split_once("://").map_or(text, |(_, rest)| rest)),
    };
    let end = rest.rfind(']').map_or(0, |at| at.saturating_add(1));
    let end = rest
        .get(end..)
        .and_then(|tail| tail.find([':', '/', '?', '#']))
        .map_or(rest.len(), |at| at.saturating_add(end));
    let host = rest.get(..end).unwrap_or_default();
    match Host::parse(host) {
        Ok(host) => format!("http://{hidden}{}", host.bracketed()),
        Err(_) => "URL".to_owned(),
    }
}

/// `user:password`, decoded, as RFC 7617 wants it.
fn credentials(text: &str) -> Result<Secret<String>, Fault> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let decoded = |text| decoded(text).ok_or(Fault::Encoding);
    let (user, password) = (decoded(user)?, decoded(password)?);
    if user.contains(&b':') {
        return Err(Fault::Encoding);
    }
    let mut both = Zeroizing::new(Vec::with_capacity(text.len().saturating_add(1)));
    both.extend_from_slice(&user);
    both.push(b':');
    both.extend_from_slice(&password);
    Ok(Secret::new(STANDARD.encode(&*both)))
}

/// The bytes of a percent-encoded user or password; `None` where it is not encoded as in a URL, or holds control characters.
pub(crate) fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let value = high.zip(low).map(|(high, low)| high.saturating_mul(16).saturating_add(low));
                value.and_then(|value| u8::try_from(value).ok())?
            }
            b'/' | b'?' | b'#' | b'@' => return None,
            other => other,
        };
        if byte.is_ascii_control() {
            return None;
        }
        bytes.push(byte);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Option<String>) {
        let proxy = Proxy::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let decode =
            |text: &Secret<String>| String::from_utf8(STANDARD.decode(text.expose()).unwrap()).unwrap();
        (proxy.name(), proxy.credentials().map(decode))
    }

    #[test]
    fn a_proxy_is_a_host_a_port_and_perhaps_a_user() {
        for (text, name, credentials) in [
            ("http://proxy.example:3128", "proxy.example:3128", None),
            ("HTTP://Proxy.Example", "proxy.example:80", None),
            ("proxy:8080/", "proxy:8080", None),
            ("http://[fd00::1]:3128", "[fd00::1]:3128", None),
            ("http://10.0.0.1", "10.0.0.1:80", None),
            ("http://user:password@proxy:1", "proxy:1", Some("user:password")),
            ("user@proxy:1", "proxy:1", Some("user:")),
            ("http://u%73er:p%40ss%3A%2f%25@proxy:1", "proxy:1", Some("user:p@ss:/%")),
            ("http://user:a:b@proxy:1", "proxy:1", Some("user:a:b")),
            ("http://m%C3%BCller:x@proxy:1", "proxy:1", Some("m\u{fc}ller:x")),
        ] {
            assert_eq!(parsed(text), (name.to_owned(), credentials.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn a_slip_is_named_and_no_part_of_a_password_is() {
        for (text, says) in [
            ("http://agent:hunter2@proxy:31x28", "http://***@proxy has a port"),
            ("http://agent:hunter2@proxy:0", "http://***@proxy has a port"),
            ("http://agent:hun/ter2@proxy:3128", "http://***@proxy has a user or password"),
            ("http://agent:hun%ter2@proxy:3128", "http://***@proxy has a user or password"),
            ("http://agent:hunter2%0d%0aX@proxy:3128", "has a user or password"),
            ("http://ag%3Aent:hunter2@proxy:3128", "has a user or password"),
            ("http:/agent:hunter2@proxy:3128", "http://***@proxy has a user or password"),
            ("hunter2:@://proxy:3128", "the proxy URL has"),
            ("socks5://agent:hunter2@proxy:1080", "the scheme `socks5`, and only http"),
            ("https://agent:hunter2@proxy:443", "the scheme `https`"),
            ("htp://proxy:3128", "http://proxy has the scheme `htp`"),
            ("http://agent:hunter2proxy:3128", "http://agent has a port"),
            ("http://agent:hunter2@:3128", "the proxy URL has a host"),
            ("http://agent:hunter2@pro xy:3128", "the proxy URL has a host"),
            ("http://agent:hunter2@127.1:3128", "the proxy URL has a host"),
            ("http://agent:hunter2@proxy:3128/path", "http://***@proxy has something behind its port"),
            ("http://proxy:3128?hunter2", "http://proxy has something behind"),
            ("", "the proxy URL has a host"),
        ] {
            let error = Proxy::parse(text).unwrap_err();
            let text_of = error.to_string();
            assert!(text_of.contains(says), "{text}: {text_of}");
            for part in ["hunter", "hun", "ter2"] {
                assert!(!text_of.contains(part) && !format!("{error:?}").contains(part), "{text_of}");
            }
        }
        let long = format!("http://{}@proxy", "x".repeat(limit::PROXY_URL_BYTES_MAX));
        assert!(Proxy::parse(&long).unwrap_err().to_string().contains("longer than 2048"));
    }

    #[test]
    fn plain_text_goes_to_a_proxy_only_where_it_may_go_at_all() {
        let check = |text, allow| Proxy::parse(text).unwrap().check_plain(allow);
        assert!(check("http://127.0.0.1:3128", AllowInsecure::No).is_ok());
        assert!(check("http://10.0.0.1:3128", AllowInsecure::Private).is_ok());
        let error = check("http://u:hunter2@proxy:3128", AllowInsecure::Private).unwrap_err().to_string();
        assert!(error.contains("proxy:3128 may not") && error.contains("\"any\""), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_proxy_is_printed_without_its_password() {
        let proxy = Proxy::parse("http://agent:hunter2@proxy:1").unwrap();
        let shown = format!("{proxy:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(&STANDARD.encode("agent:hunter2")), "{shown}");
    }
}
