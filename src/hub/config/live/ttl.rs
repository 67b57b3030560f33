//! How long topics are registered, as other brokers' files have it, too: `24h`, `1h30m`, `24h0m0s`; a number is of seconds.

use std::time::Duration;

use crate::unit::{self, Scalar};

/// `None` where it is no duration.
pub(super) fn parse(value: &Scalar) -> Option<Duration> {
    if let Some(seconds) = value.count() {
        return Some(Duration::from_secs(seconds));
    }
    let Scalar::Text(text) = value else { return None };
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    loop {
        // A part is a number and what follows it, up to the next number.
        let letters = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let end = rest.get(letters..)?.find(|letter: char| letter.is_ascii_digit());
        let end = end.map_or(rest.len(), |end| letters.saturating_add(end));
        let (part, behind) = rest.split_at_checked(end)?;
        sum = sum.checked_add(unit::duration(part).ok()?)?;
        if behind.is_empty() {
            return Some(sum);
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them_too() {
        let parsed = |text: &str| parse(&Scalar::Text(text.to_owned())).map(|time| time.as_secs());
        for (text, seconds) in [
            ("24h", 86_400),
            ("24h0m0s", 86_400),
            ("1h30m", 5400),
            ("30d", 2_592_000),
            ("3600", 3600),
            ("0s", 0),
        ] {
            assert_eq!(parsed(text), Some(seconds), "{text}");
        }
        assert_eq!(parse(&Scalar::Number(60)), Some(Duration::from_secs(60)));
        for text in ["", "h", "24", "1.5h", "24h x", "-1h", "1h-2m", "18446744073709551615d1d"] {
            assert!(text == "24" || parsed(text).is_none(), "{text}");
        }
    }
}
