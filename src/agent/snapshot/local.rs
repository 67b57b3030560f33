//! Settings that only the machine's own files, environment and flags decide: what says who may give orders, where the hub
//! is, whom to trust there, where the agent listens, and what may be run how. A config snapshot that names one is refused,
//! whoever signed it.
//!
//! Looked for among the document's keys and those of its sections, by every entry as it stands there: one that is named
//! twice, or written with a dot, is no way around it. What lies deeper (a schedule's job and its payload) is no setting.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Local with everything below them.
const SECTIONS: [&str; 6] = ["data", "socket", "link", "hub", "tls", "metrics"];
/// Local in whichever section they stand.
const KEYS: [&str; 17] = [
    "operator_keys",
    "release_keys",
    "kinds",
    "roots",
    "user",
    "env_allow",
    "urls",
    "url",
    "key_file",
    "identity_file",
    "ca_file",
    "ca_pins",
    "client_cert",
    "client_key",
    "proxy",
    "allow_insecure",
    "jwt",
];

/// The document's first key that only the machine itself may set; `None` where there is none.
///
/// # Errors
/// Where the document is not a JSON object.
pub(super) fn find(document: &[u8]) -> Result<Option<String>, serde_json::Error> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_slice(document);
    json.deserialize_map(Section { above: None, found: &mut found })?;
    json.end()?;
    Ok(found)
}

fn is_local(path: &str) -> bool {
    let mut parts = path.split('.');
    let first = parts.next().unwrap_or_default();
    SECTIONS.contains(&first) || std::iter::once(first).chain(parts.next()).any(|part| KEYS.contains(&part))
}

/// The document itself, or a section of it.
struct Section<'a> {
    above: Option<String>,
    found: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let path = self.above.as_ref().map_or(key.clone(), |above| format!("{above}.{key}"));
            if is_local(&path) {
                self.found.get_or_insert(path);
                map.next_value::<IgnoredAny>()?;
            } else if self.above.is_none() {
                map.next_value_seed(Section { above: Some(path), found: &mut *self.found })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _value: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_settings_are_found_wherever_they_hide() {
        for (document, expected) in [
            (r#"{"jobs": {"operator_keys": []}}"#, "jobs.operator_keys"),
            (r#"{"jobs": {"concurrency": 2, "kinds": ["exec"]}}"#, "jobs.kinds"),
            (r#"{"jobs": {"kinds": []}, "jobs": {}}"#, "jobs.kinds"),
            (r#"{"jobs.roots": ["/"]}"#, "jobs.roots"),
            (r#"{"jo\u0062s": {"us\u0065r": "root"}}"#, "jobs.user"),
            (r#"{"version": 1, "hub": null}"#, "hub"),
            (r#"{"hub.urls": []}"#, "hub.urls"),
            (r#"{"self_update": {"release_keys": []}}"#, "self_update.release_keys"),
            (r#"{"outbox": {"key_file": "/x"}}"#, "outbox.key_file"),
            (r#"{"metrics": {"listen": "0.0.0.0:9440"}}"#, "metrics"),
            (r#"{"operator_keys": 7}"#, "operator_keys"),
        ] {
            assert_eq!(find(document.as_bytes()).unwrap().as_deref(), Some(expected), "{document}");
        }
    }

    #[test]
    fn everything_else_is_for_the_hub_to_set() {
        for document in [
            "{}",
            r#"{"level": 7, "flag": true, "less": -1, "half": 0.5, "none": null, "text": "hub"}"#,
            r#"{"jobs": {"concurrency": 2}, "outbox": {"logs": {"ttl": "1d"}}}"#,
            r#"{"schedules": [{"kind": "exec", "payload": {"user": "backup"}}]}"#,
            r#"{"schedules": {"nightly": {"kind": "exec", "payload": {"user": "backup"}}}}"#,
        ] {
            assert_eq!(find(document.as_bytes()).unwrap(), None, "{document}");
        }
        for document in ["", "7", "[]", "{", "{} {}", "{\"a\": 1,}", "\u{feff}{}"] {
            find(document.as_bytes()).unwrap_err();
        }
    }
}
