//! What operators label agents with, and selectors over that ([`Selector`]).
//!
//! Labels are the hub's alone: an agent cannot give itself one, for a label decides who gets jobs and their secrets.
//!
//! A label's name and value are 1 to 63 (a value: 0 to 63) of letters, digits, `-`, `_`, `.`, and begin and end with a letter
//! or a digit; a name may have one `/`, as in `example.org/role`.

mod selector;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub use selector::{ParseSelectorError, Selector};

use crate::limit;

/// A text that is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a label's {what}: up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends"
)]
pub struct ParseLabelError {
    text: String,
    what: &'static str,
}

impl ParseLabelError {
    fn new(text: &str, what: &'static str) -> Self {
        Self { text: text.chars().take(40).collect(), what }
    }
}

/// A label's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelName(String);

/// A label's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelValue(String);

fn is_word(text: &str) -> bool {
    let at_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= limit::LABEL_BYTES_MAX
        && at_end(text.bytes().next())
        && at_end(text.bytes().next_back())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl LabelName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LabelValue {
    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabelName {
    type Err = ParseLabelError;

    fn from_str(text: &str) -> Result<Self, ParseLabelError> {
        let mut words = text.splitn(2, '/');
        if text.len() <= limit::LABEL_BYTES_MAX && words.all(is_word) {
            return Ok(Self(text.to_owned()));
        }
        Err(ParseLabelError::new(text, "name"))
    }
}

impl FromStr for LabelValue {
    type Err = ParseLabelError;

    fn from_str(text: &str) -> Result<Self, ParseLabelError> {
        if text.is_empty() || is_word(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(ParseLabelError::new(text, "value"))
    }
}

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for LabelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The labels of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<LabelName, LabelValue>);

/// What is to become of some labels of an agent; those that are not named stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelChanges(pub BTreeMap<LabelName, Option<LabelValue>>);

impl Labels {
    /// The value under a name.
    pub fn value(&self, name: &LabelName) -> Option<&LabelValue> {
        self.0.get(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As JSON has them.
    pub fn texts(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// One more, or another value for one.
    pub fn set(&mut self, name: LabelName, value: LabelValue) {
        self.0.insert(name, value);
    }
}

impl LabelChanges {
    /// `NAME=VALUE` sets a label, `NAME-` takes it away; as JSON a text or null.
    ///
    /// # Errors
    /// Where a name or a value is no label's, or is named twice.
    pub fn parse<'a>(
        changes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, ParseLabelError> {
        let mut parsed = BTreeMap::new();
        for (name, value) in changes {
            let value = value.map(str::parse).transpose()?;
            if parsed.insert(name.parse()?, value).is_some() {
                return Err(ParseLabelError::new(name, "name that is there once"));
            }
        }
        Ok(Self(parsed))
    }

    /// The same as [`Self::parse`], from a command line's words.
    ///
    /// # Errors
    /// Likewise.
    pub fn of_words(words: &[String]) -> Result<Self, ParseLabelError> {
        let split = |word: &'_ String| -> Result<(String, Option<String>), ParseLabelError> {
            if let Some((name, value)) = word.split_once('=') {
                return Ok((name.to_owned(), Some(value.to_owned())));
            }
            let name =
                word.strip_suffix('-').ok_or_else(|| ParseLabelError::new(word, "NAME=VALUE or NAME-"))?;
            Ok((name.to_owned(), None))
        };
        let pairs: Vec<_> = words.iter().map(split).collect::<Result<_, _>>()?;
        Self::parse(pairs.iter().map(|(name, value)| (name.as_str(), value.as_deref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_words_with_at_most_one_slash_in_the_name() {
        let longest = "x".repeat(limit::LABEL_BYTES_MAX);
        for name in ["a", "role", "example.org/role", "A_b-c.9", &longest] {
            assert_eq!(name.parse::<LabelName>().unwrap().as_str(), name);
        }
        let long = format!("{longest}x");
        for name in ["", "-a", "a-", "a/", "/a", "a/b/c", "a b", "a=b", "\u{e9}", "a\nb", &long] {
            assert!(name.parse::<LabelName>().is_err(), "{name:?}");
        }
        assert!("".parse::<LabelValue>().is_ok() && "eu-1".parse::<LabelValue>().is_ok());
        for value in ["-", "a,b", "a/b", "(x)", &long] {
            assert!(value.parse::<LabelValue>().is_err(), "{value:?}");
        }
    }

    #[test]
    fn changes_are_read_from_words() {
        let words = |words: &[&str]| {
            LabelChanges::of_words(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        let LabelChanges(changes) = words(&["site=eu", "old-", "empty="]).unwrap();
        let texts: Vec<_> = changes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_ref().map(LabelValue::as_str)))
            .collect();
        assert_eq!(texts, [("empty", Some("")), ("old", None), ("site", Some("eu"))]);
        for wrong in [&["site"][..], &["a=b", "a-"], &["a=b c"], &["=b"]] {
            assert!(words(wrong).is_err(), "{wrong:?}");
        }
    }
}
