//! Which of two words about a topic is the later one, though they were said at different nodes.

use std::fmt;
use std::str::FromStr;

/// The highest number: Redis counts in floating point.
const ORDERED_MAX: u64 = 1 << 52;

/// When something was said of a topic. Redis numbers what it is told while it is there; a node that is away from it counts
/// beside the number it knows. So what Redis was told meanwhile is always later than what was said away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in crate::hub::live) struct Generation {
    /// Redis' number.
    ordered: u64,
    /// How often something was said away from Redis since.
    away: u64,
}

/// A text that is no generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a generation is two numbers with a dot between")]
pub(in crate::hub::live) struct ParseGenerationError;

impl Generation {
    /// Of what is said away from Redis after this.
    pub(super) const fn next_away(self) -> Self {
        Self { ordered: self.ordered, away: self.away.saturating_add(1) }
    }

    /// Redis' number.
    pub(in crate::hub::live) const fn ordered(self) -> u64 {
        self.ordered
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.ordered, self.away)
    }
}

impl FromStr for Generation {
    type Err = ParseGenerationError;

    fn from_str(text: &str) -> Result<Self, ParseGenerationError> {
        let (ordered, away) = text.split_once('.').ok_or(ParseGenerationError)?;
        let number = |text: &str| {
            text.parse().ok().filter(|number| *number <= ORDERED_MAX).ok_or(ParseGenerationError)
        };
        Ok(Self { ordered: number(ordered)?, away: number(away)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_was_told_is_later_than_what_was_said_away_from_it() {
        let generation = |text: &str| text.parse::<Generation>().unwrap();
        let known = generation("6.0");
        let away = known.next_away().next_away();
        assert_eq!(away.to_string(), "6.2");
        assert!(known < away && away < generation("7.0") && generation("9.0") < generation("10.0"));
        for text in ["", "6", "6.", ".1", "-1.0", "6.0.0", "4503599627370497.0", "1e3.0"] {
            assert_eq!(text.parse::<Generation>(), Err(ParseGenerationError), "{text}");
        }
    }
}
