//! Durations and sizes as people write them: `250ms`, `30s`, `15m`, `24h`, `30d`; `4096`, `64KiB`, `2MiB`, `1GiB`.
//!
//! Whole numbers only: `1.5h` is `90m`. Every duration needs its unit; a size without one is in bytes.

use std::time::Duration;

use serde::Deserialize;

/// A quantity in a config file: `64` or `"64MiB"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scalar {
    Number(u64),
    Text(String),
}

impl Scalar {
    /// As a whole number without a unit.
    pub(crate) fn count(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    /// As a size.
    ///
    /// # Errors
    /// As [`bytes`].
    pub(crate) fn bytes(&self) -> Result<u64, ParseUnitError> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => bytes(text),
        }
    }
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// A text that is not the quantity it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseUnitError {
    text: String,
    expected: &'static str,
}

impl ParseUnitError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(40).collect(), expected }
    }
}

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// Where the number or the unit is missing or unknown, or the product does not fit.
pub fn duration(text: &str) -> Result<Duration, ParseUnitError> {
    let wrong = || ParseUnitError::new(text, "a duration (a whole number and ms, s, m, h or d, like `30s`)");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let millis_each: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(millis_each).map(Duration::from_millis).ok_or_else(wrong)
}

/// A size in bytes: a whole number and nothing, `B`, `KiB`, `MiB` or `GiB`.
///
/// # Errors
/// Where the number is missing, the unit is unknown, or the product does not fit.
pub fn bytes(text: &str) -> Result<u64, ParseUnitError> {
    let wrong = || ParseUnitError::new(text, "a size (a whole number and B, KiB, MiB or GiB, like `64MiB`)");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let bytes_each: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(bytes_each).ok_or_else(wrong)
}

/// The number and what follows it; blanks around and between do no harm.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration(" 30 s ").unwrap(), Duration::from_secs(30));
        assert_eq!(duration("15m").unwrap(), Duration::from_secs(900));
        assert_eq!(duration("24h").unwrap(), Duration::from_secs(86_400));
        assert_eq!(duration("30d").unwrap(), Duration::from_secs(2_592_000));
        for wrong in ["", "30", "s", "-1s", "1.5h", "1 fortnight", "+1s", "18446744073709551615d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        let error = duration("30").unwrap_err().to_string();
        assert!(error.contains("`30`") && error.contains("like `30s`"), "{error}");
    }

    #[test]
    fn sizes_are_bytes_unless_they_say_otherwise() {
        assert_eq!(bytes("4096").unwrap(), 4096);
        assert_eq!(bytes("7B").unwrap(), 7);
        assert_eq!(bytes("64KiB").unwrap(), 65_536);
        assert_eq!(bytes("2 MiB").unwrap(), 2_097_152);
        assert_eq!(bytes("1GiB").unwrap(), 1_073_741_824);
        for wrong in ["", "MiB", "1MB", "1k", "-1", "0x10", "1TiB", "18446744073709551615KiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
