//! Where Redis is: `redis://[[user]:password@]host[:port][/database]`, `rediss` over TLS.

use crate::limit;
use crate::net::dial::{Route, Security};
use crate::net::proxy::decoded;
use crate::secret::Secret;
use crate::wire::url::{AllowInsecure, Host};

/// The port of Redis.
const PORT_DEFAULT: u16 = 6379;

/// A text that is no URL of Redis. It may hold a password and is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a URL like redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss://, user and password percent-encoded"
)]
pub struct ParseRedisUrlError;

/// A Redis server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    host: Host,
    port: u16,
    security: Security,
    user: Option<Secret<String>>,
    password: Option<Secret<String>>,
    database: u16,
}

impl RedisUrl {
    pub(super) fn route(&self) -> Route {
        Route { host: self.host.to_string(), port: self.port, security: self.security }
    }

    /// Host and port, for people.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host.bracketed(), self.port)
    }

    pub(super) const fn user(&self) -> Option<&Secret<String>> {
        self.user.as_ref()
    }

    pub(super) const fn password(&self) -> Option<&Secret<String>> {
        self.password.as_ref()
    }

    pub(super) const fn database(&self) -> u16 {
        self.database
    }

    /// Whether everything crosses networks in plain text that are not private.
    pub fn is_exposed(&self) -> bool {
        self.security == Security::Plain && self.host.check_plain(AllowInsecure::Private).is_err()
    }

    /// Whether the text it was read from holds a password.
    pub const fn has_password(&self) -> bool {
        self.password.is_some()
    }
}

impl std::str::FromStr for RedisUrl {
    type Err = ParseRedisUrlError;

    fn from_str(text: &str) -> Result<Self, ParseRedisUrlError> {
        let wrong = ParseRedisUrlError;
        let text = Some(text.trim()).filter(|text| text.len() <= limit::PROXY_URL_BYTES_MAX).ok_or(wrong)?;
        let (scheme, rest) = text.split_once("://").ok_or(wrong)?;
        let security = match scheme {
            "redis" => Security::Plain,
            "rediss" => Security::Tls,
            _ => return Err(wrong),
        };
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| wrong)?,
        };
        let (host, port) = Host::with_port(authority).map_err(|_| wrong)?;
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (text_of(user)?, text_of(password)?),
            None => (None, None),
        };
        // A user without a password logs nobody in.
        if user.is_some() && password.is_none() {
            return Err(wrong);
        }
        Ok(Self { host, port: port.unwrap_or(PORT_DEFAULT), security, user, password, database })
    }
}

/// `None` where it is empty.
fn text_of(encoded: &str) -> Result<Option<Secret<String>>, ParseRedisUrlError> {
    let bytes = decoded(encoded).ok_or(ParseRedisUrlError)?;
    let text = str::from_utf8(&bytes).map_err(|_| ParseRedisUrlError)?;
    Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_their_passwords_not_shown() {
        let url: RedisUrl = "redis://ann:p%40ss%3Aword@[::1]:7000/3".parse().unwrap();
        assert_eq!((url.name().as_str(), url.database()), ("[::1]:7000", 3));
        let text = |secret: Option<&Secret<String>>| secret.unwrap().expose().clone();
        assert_eq!((text(url.user()), text(url.password())), ("ann".to_owned(), "p@ss:word".to_owned()));
        assert!(!format!("{url:?}").contains("p@ss"), "{url:?}");
        let url: RedisUrl = "rediss://:secret@redis.example".parse().unwrap();
        assert_eq!((url.route().port, url.route().security, url.user()), (6379, Security::Tls, None));
        assert!(url.has_password() && !url.is_exposed());
        assert!("redis://redis.example".parse::<RedisUrl>().unwrap().is_exposed());
        assert!(!"redis://10.0.0.1/".parse::<RedisUrl>().unwrap().is_exposed());
    }

    #[test]
    fn what_is_no_url_is_refused_without_its_text() {
        for text in [
            "",
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis://a b",
            "redis://h:0",
            "redis://h:x",
            "redis://h/x",
            "redis://h/70000",
            "redis://pass%zz:word@h",
            "redis://ann@h",
            "redis://:a/b@h",
        ] {
            let error = text.parse::<RedisUrl>().unwrap_err().to_string();
            assert!(!error.contains("word@") && !error.contains("ann"), "{text}: {error}");
        }
    }
}
