//! Which agents are meant, by their labels. The language is that of Kubernetes' label selectors, equality and sets:
//!
//! ```text
//! selector    = requirement { "," requirement }                 all of them hold
//! requirement = name ( "=" | "==" ) value | name "!=" value     != holds where the label is not there, too
//!             | name "in" "(" value { "," value } ")"
//!             | name "notin" "(" value { "," value } ")"        likewise
//!             | name | "!" name                                 it is there, it is not
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::limit;

use super::{LabelName, LabelValue, Labels, ParseLabelError};

/// A text that is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSelectorError {
    /// It would mean every agent.
    #[error("the selector is empty; name at least one label")]
    Empty,
    /// Too long, or too much of it.
    #[error("the selector has more than {bytes} bytes, {requirements} requirements or {values} values in one of them", bytes = limit::SELECTOR_BYTES_MAX, requirements = limit::SELECTOR_REQUIREMENTS_MAX, values = limit::SELECTOR_VALUES_MAX)]
    TooLong,
    /// A part of it.
    #[error(
        "`{0}` in the selector is none of name=value, name!=value, name in (a,b), name notin (a,b), name, !name"
    )]
    Requirement(String),
    /// A name or a value.
    #[error(transparent)]
    Label(#[from] ParseLabelError),
}

/// Which agents are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(LabelName, BTreeSet<LabelValue>),
    NotIn(LabelName, BTreeSet<LabelValue>),
    There(LabelName),
    NotThere(LabelName),
}

impl Selector {
    /// Whether an agent with these labels is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(name, values) => labels.value(name).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(name, values) => {
                labels.value(name).is_none_or(|value| !values.contains(value))
            }
            Requirement::There(name) => labels.value(name).is_some(),
            Requirement::NotThere(name) => labels.value(name).is_none(),
        })
    }
}

impl FromStr for Selector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, ParseSelectorError> {
        if text.trim().is_empty() {
            return Err(ParseSelectorError::Empty);
        }
        if text.len() > limit::SELECTOR_BYTES_MAX {
            return Err(ParseSelectorError::TooLong);
        }
        let mut requirements = Vec::new();
        for part in parts(text) {
            if requirements.len() >= limit::SELECTOR_REQUIREMENTS_MAX {
                return Err(ParseSelectorError::TooLong);
            }
            requirements.push(requirement(part.trim())?);
        }
        Ok(Self(requirements))
    }
}

/// Between commas, but for those in parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|letter| {
        match letter {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        letter == ',' && !inside
    })
    .collect()
}

fn requirement(text: &str) -> Result<Requirement, ParseSelectorError> {
    let one = |value: &str| -> Result<_, ParseSelectorError> { Ok(BTreeSet::from([value.trim().parse()?])) };
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Requirement::NotThere(name.trim().parse()?));
    }
    if let Some((name, value)) = text.split_once("!=") {
        return Ok(Requirement::NotIn(name.trim().parse()?, one(value)?));
    }
    if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Requirement::In(name.trim().parse()?, one(value)?));
    }
    let Some((head, rest)) = text.split_once('(') else {
        let mut words = text.split_whitespace();
        return match (words.next(), words.next()) {
            (Some(name), None) => Ok(Requirement::There(name.parse()?)),
            _ => Err(unreadable(text)),
        };
    };
    let values = set(rest.strip_suffix(')').ok_or_else(|| unreadable(text))?)?;
    let mut words = head.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(name), Some("in"), None) => Ok(Requirement::In(name.parse()?, values)),
        (Some(name), Some("notin"), None) => Ok(Requirement::NotIn(name.parse()?, values)),
        _ => Err(unreadable(text)),
    }
}

fn set(text: &str) -> Result<BTreeSet<LabelValue>, ParseSelectorError> {
    let mut values = BTreeSet::new();
    for (count, value) in text.split(',').enumerate() {
        if count >= limit::SELECTOR_VALUES_MAX {
            return Err(ParseSelectorError::TooLong);
        }
        values.insert(value.trim().parse()?);
    }
    Ok(values)
}

fn unreadable(text: &str) -> ParseSelectorError {
    ParseSelectorError::Requirement(text.chars().take(80).collect())
}

/// In one form, however it was written: the same selector again is the same text.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            let (name, word, values) = match requirement {
                Requirement::There(name) => {
                    write!(f, "{name}")?;
                    continue;
                }
                Requirement::NotThere(name) => {
                    write!(f, "!{name}")?;
                    continue;
                }
                Requirement::In(name, values) => (name, "in", values),
                Requirement::NotIn(name, values) => (name, "notin", values),
            };
            write!(f, "{name} {word} (")?;
            for (index, value) in values.iter().enumerate() {
                write!(f, "{}{value}", if index > 0 { "," } else { "" })?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let mut labels = Labels::default();
        pairs.iter().for_each(|(name, value)| labels.set(name.parse().unwrap(), value.parse().unwrap()));
        labels
    }

    #[test]
    fn equality_and_sets_choose_as_in_kubernetes() {
        let shop = labels(&[("site", "eu-1"), ("role", "till"), ("example.org/tier", "")]);
        for (selector, expected) in [
            ("site=eu-1", true),
            ("site == eu-1", true),
            ("site=eu-2", false),
            ("site!=eu-2", true),
            ("site!=eu-1", false),
            ("absent!=x", true),
            ("absent notin (x,y)", true),
            ("absent=x", false),
            ("site in (eu-2, eu-1)", true),
            ("site in (eu-2)", false),
            ("site notin (eu-1)", false),
            ("site", true),
            ("absent", false),
            ("!absent", true),
            ("! site", false),
            ("example.org/tier=", true),
            ("site=eu-1,role!=door,tier notin (a,b),!absent", true),
            ("site=eu-1,role=door", false),
        ] {
            assert_eq!(selector.parse::<Selector>().unwrap().matches(&shop), expected, "{selector}");
        }
    }

    #[test]
    fn one_selector_has_one_text() {
        for (written, shown) in [
            ("a=b", "a in (b)"),
            (" a ==b , c!=d ", "a in (b),c notin (d)"),
            ("e in (y,x, x),!g,h", "e in (x,y),!g,h"),
            ("e notin ()", "e notin ()"),
        ] {
            let selector: Selector = written.parse().unwrap();
            assert_eq!(selector.to_string(), shown);
            assert_eq!(shown.parse(), Ok(selector));
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_bounded() {
        for wrong in [
            "a=b,",
            ",",
            "a in b",
            "a in (b",
            "a on (b)",
            "a b",
            "in (b)",
            "a=b=c",
            "a=(b)",
            "a in (b) c",
            "!",
            "a>1",
        ] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
        assert_eq!(" ".parse::<Selector>(), Err(ParseSelectorError::Empty));
        let many = vec!["a"; limit::SELECTOR_REQUIREMENTS_MAX + 1].join(",");
        assert_eq!(many.parse::<Selector>(), Err(ParseSelectorError::TooLong));
        let values = vec!["a"; limit::SELECTOR_VALUES_MAX + 1].join(",");
        assert_eq!(format!("a in ({values})").parse::<Selector>(), Err(ParseSelectorError::TooLong));
        let long = "a".repeat(limit::SELECTOR_BYTES_MAX + 1);
        assert_eq!(long.parse::<Selector>(), Err(ParseSelectorError::TooLong));
    }
}
