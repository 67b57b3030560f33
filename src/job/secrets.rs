//! The secrets of a job: names and values that its handler is given and that nobody is shown.
//!
//! A wrong value is never repeated in an error, of whatever type it is: errors travel to logs and to the hub.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::limit;
use crate::secret::Secret;

/// The field `secrets` of a spec. `Debug` prints the names alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, Secret<String>>);

impl Secrets {
    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&Secret<String>> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret<String>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with them.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.0.len() > limit::JOB_SECRETS_MAX {
            return Err(format!("has {} entries, the limit is {}", self.0.len(), limit::JOB_SECRETS_MAX));
        }
        for (name, value) in self.iter() {
            let bytes = value.expose().len();
            if !is_name(name) {
                let shown: String = name.chars().take(80).collect();
                return Err(format!(
                    "`{}` is no name: 1 to {} of A-Z, a-z, 0-9 and `_`, not beginning with a digit",
                    shown.escape_debug(),
                    limit::JOB_SECRET_NAME_BYTES_MAX
                ));
            }
            if bytes == 0 {
                return Err(format!("`{name}` is empty; leave it out"));
            }
            if bytes > limit::JOB_SECRET_BYTES_MAX {
                let max = limit::JOB_SECRET_BYTES_MAX;
                return Err(format!(
                    "`{name}` has {bytes} bytes, the limit is {max}; put it into a file on the agent"
                ));
            }
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    (1..=limit::JOB_SECRET_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any: asked for a map, the parser itself would repeat what it found instead.
        deserializer.deserialize_any(Names)
    }
}

struct Names;

const NOT_NAMES: &str = "secrets: must be an object of names and texts";

impl<'de> Visitor<'de> for Names {
    type Value = Secrets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the secrets: an object of names and texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secrets, A::Error> {
        let mut secrets = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let shown: String = name.chars().take(80).collect();
            let shown = shown.escape_debug();
            let Value::String(value) = map.next_value()? else {
                return Err(A::Error::custom(format!("secrets: the value of `{shown}` is not a text")));
            };
            if secrets.insert(name, Secret::new(value)).is_some() {
                return Err(A::Error::custom(format!("secrets: `{shown}` is there twice")));
            }
        }
        Ok(Secrets(secrets))
    }

    fn visit_unit<E: Error>(self) -> Result<Secrets, E> {
        Ok(Secrets::default())
    }

    fn visit_str<E: Error>(self, _text: &str) -> Result<Secrets, E> {
        Err(E::custom(NOT_NAMES))
    }

    fn visit_bool<E: Error>(self, _value: bool) -> Result<Secrets, E> {
        Err(E::custom(NOT_NAMES))
    }

    fn visit_i64<E: Error>(self, _value: i64) -> Result<Secrets, E> {
        Err(E::custom(NOT_NAMES))
    }

    fn visit_u64<E: Error>(self, _value: u64) -> Result<Secrets, E> {
        Err(E::custom(NOT_NAMES))
    }

    fn visit_f64<E: Error>(self, _value: f64) -> Result<Secrets, E> {
        Err(E::custom(NOT_NAMES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobSpec;

    fn parse(secrets: &str) -> Result<Secrets, String> {
        let spec = format!(r#"{{"kind": "exec", "secrets": {secrets}}}"#);
        JobSpec::parse(spec.as_bytes()).map(|spec| spec.secrets).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_shown_and_values_never() {
        let secrets = parse(r#"{"TOKEN": "hunter2", "_b1": "two\nlines"}"#).unwrap();
        assert_eq!(secrets.get("TOKEN").unwrap().expose(), "hunter2");
        assert_eq!(secrets.get("_b1").unwrap().expose(), "two\nlines");
        assert_eq!(secrets.iter().count(), 2);
        let shown = format!("{secrets:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
        for none in ["null", "{}"] {
            assert!(parse(none).unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        let long = format!(r#"{{"A": "{}"}}"#, "hunter2".repeat(limit::JOB_SECRET_BYTES_MAX));
        let pairs: Vec<_> = (0..=limit::JOB_SECRETS_MAX).map(|n| format!(r#""A{n}": "hunter2""#)).collect();
        let many = format!("{{{}}}", pairs.join(","));
        let cases = [
            (r#""hunter2""#, "must be an object"),
            ("99887766", "must be an object"),
            ("-99887766", "must be an object"),
            ("99887766.5", "must be an object"),
            ("true", "must be an object"),
            (r#"["hunter2"]"#, "an object of names and texts"),
            (r#"{"A": 99887766}"#, "`A` is not a text"),
            (r#"{"A": ["hunter2"]}"#, "`A` is not a text"),
            (r#"{"A": {"hunter2": "hunter2"}}"#, "`A` is not a text"),
            (r#"{"A": "hunter2", "A": "hunter2"}"#, "`A` is there twice"),
            (r#"{"A": ""}"#, "`A` is empty"),
            (r#"{"": "hunter2"}"#, "`` is no name"),
            (r#"{"1A": "hunter2"}"#, "`1A` is no name"),
            (r#"{"A-B": "hunter2"}"#, "`A-B` is no name"),
            (r#"{"A=B": "hunter2"}"#, "`A=B` is no name"),
            (long.as_str(), "has"),
            (many.as_str(), "the limit is"),
        ];
        for (secrets, expected) in cases {
            let error = parse(secrets).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(error.contains("secrets"), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("99887766"), "{error}");
        }
    }
}
