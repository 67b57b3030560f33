//! `[relay]`: which agent may send to which other, and how fast. Off until there is a rule.

use std::num::NonZeroU32;
use std::str::FromStr;

use serde::Deserialize;

use crate::id::AgentName;
use crate::limit;
use crate::unit::Scalar;

use super::{ConfigError, bound, wrong};

/// What agents may send to each other through this hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// Who may send to whom; without a rule nobody may. At most `limit::RELAY_RULES_MAX`.
    pub allow: Vec<RelayRule>,
    /// Messages a second of one agent, and as many at once; at most `limit::RELAY_RATE_MAX`.
    pub rate: NonZeroU32,
    /// Payload bytes of one message, at most `limit::RELAY_BYTES_MAX`; a frame has to hold it, too.
    pub bytes: u32,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            rate: NonZeroU32::new(limit::RELAY_RATE).unwrap_or(NonZeroU32::MIN),
            bytes: u32::try_from(limit::RELAY_BYTES_MAX).unwrap_or(u32::MAX),
        }
    }
}

impl RelayConfig {
    /// Whether a rule lets the one send to the other.
    pub fn allows(&self, from: &AgentName, to: &AgentName) -> bool {
        self.allow.iter().any(|rule| rule.from.matches(from) && rule.to.matches(to))
    }

    /// Whether everything is within its bounds.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let rules = self.allow.len();
        if rules > limit::RELAY_RULES_MAX {
            return Err(wrong("relay.allow", &format!("{rules} rules"), "a list of at most 1024 rules"));
        }
        bound::RELAY_RATE.check(u64::from(self.rate.get()))?;
        bound::RELAY.check(u64::from(self.bytes))
    }
}

/// Who may send to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayRule {
    /// Who sends.
    pub from: NamePattern,
    /// To whom.
    pub to: NamePattern,
}

/// Names of agents; `*` stands for any letters, none among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a pattern of agents' names: 1 to 63 of a-z, 0-9, `-` and `*`")]
pub struct ParsePatternError(String);

impl FromStr for NamePattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, ParsePatternError> {
        let letters = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'*'));
        if letters && (1..=63).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParsePatternError(text.chars().take(70).collect()))
        }
    }
}

impl NamePattern {
    /// Whether the name is one of these.
    pub fn matches(&self, name: &AgentName) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = name.as_str().strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        // Each piece at its first place: that leaves most to those after it.
        for piece in pieces {
            let Some(at) = rest.find(piece) else { return false };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }
}

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RelayFile {
    allow: Option<Vec<RuleFile>>,
    rate: Option<Scalar>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    from: String,
    to: String,
}

impl RelayFile {
    pub(super) fn overlay_environment(
        &mut self,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        self.rate = variable("OUTPOST_RELAY_RATE").map(Scalar::Text).or(self.rate.take());
        if let Some(list) = variable("OUTPOST_RELAY_ALLOW") {
            let rules = list.split(',').map(str::trim).filter(|rule| !rule.is_empty());
            let rule = |text: &str| {
                let (from, to) = text.split_once(':').ok_or_else(|| {
                    wrong("relay.allow", text, "rules like edge-*:control, separated by commas")
                })?;
                Ok(RuleFile { from: from.to_owned(), to: to.to_owned() })
            };
            self.allow = Some(rules.map(rule).collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    /// `bytes` is `relay` of the section `[limits]`.
    pub(super) fn check(&self, bytes: u32) -> Result<RelayConfig, ConfigError> {
        let defaults = RelayConfig::default();
        let pattern = |text: &str| {
            let expected = "a pattern of agents' names: 1 to 63 of a-z, 0-9, `-` and `*`";
            text.parse().map_err(|_| wrong("relay.allow", text, expected))
        };
        let rule = |rule: &RuleFile| Ok(RelayRule { from: pattern(&rule.from)?, to: pattern(&rule.to)? });
        let rate = |value: &Scalar| {
            let rate = bound::RELAY_RATE.read(value.count(), &value.to_string())?;
            Ok(u32::try_from(rate).ok().and_then(NonZeroU32::new).unwrap_or(defaults.rate))
        };
        Ok(RelayConfig {
            allow: self.allow.iter().flatten().map(rule).collect::<Result<_, ConfigError>>()?,
            rate: self.rate.as_ref().map_or(Ok(defaults.rate), rate)?,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests;
