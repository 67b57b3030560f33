//! A stranger's text as a log line may have it: nobody writes lines, or fields, of their own into it.

use std::fmt::{self, Write as _};

use crate::limit;

/// Shows at most [`limit::LIVE_LABEL_CHARS_MAX`] letters; what is not printable ASCII, as an escape. A text that is more than
/// one plain word stands in quotation marks, with those inside of it escaped.
pub(super) struct Label<'a>(pub(super) &'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/@%+-".contains(&byte));
        if !plain || self.0.is_empty() {
            f.write_char('"')?;
        }
        let mut letters = self.0.chars();
        for letter in letters.by_ref().take(limit::LIVE_LABEL_CHARS_MAX) {
            match letter {
                ' '..='~' if !matches!(letter, '"' | '\\') => f.write_char(letter)?,
                other => other.escape_default().fmt(f)?,
            }
        }
        if letters.next().is_some() {
            f.write_str("...")?;
        }
        if plain && !self.0.is_empty() { Ok(()) } else { f.write_char('"') }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_be_forged() {
        let forged = "1.2.3.4\r\n2026-01-01 ERROR all is lost\u{1b}[2K\u{202e}\0";
        let shown = Label(forged).to_string();
        assert_eq!(shown, r#""1.2.3.4\r\n2026-01-01 ERROR all is lost\u{1b}[2K\u{202e}\u{0}""#);
        assert_eq!(Label(&"ü".repeat(65)).to_string(), format!("\"{}...\"", r"\u{fc}".repeat(64)));
        assert_eq!(Label(&"x".repeat(64)).to_string(), "x".repeat(64));
    }

    #[test]
    fn a_field_cannot_be_forged() {
        for (forged, shown) in [
            ("9.9.9.9 refusal=none", r#""9.9.9.9 refusal=none""#),
            (r#"" refusal="none"#, r#""\" refusal=\"none""#),
            (r#"\" x=1"#, r#""\\\" x=1""#),
            ("a=b", r#""a=b""#),
            ("", r#""""#),
            ("app.1/b:c@d%20+-_", "app.1/b:c@d%20+-_"),
        ] {
            assert_eq!(Label(forged).to_string(), shown);
        }
    }
}
