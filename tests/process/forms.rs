//! The forms in which a secret would be seen: as it is, in hexadecimal digits, in base64, or as a list of numbers.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// One secret in all its forms.
pub(crate) struct Hidden {
    name: &'static str,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Hidden {
    /// A text.
    pub(crate) fn text(name: &'static str, text: &str) -> Self {
        assert!(text.len() >= 8, "{name} is too short to be told from chance");
        Self::bytes(name, text.as_bytes())
    }

    /// A key of 32 bytes that is written in base64url.
    pub(crate) fn key(name: &'static str, text: &str) -> Self {
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
        assert_eq!(bytes.len(), 32, "{name}");
        Self::bytes(name, &bytes)
    }

    pub(crate) fn bytes(name: &'static str, bytes: &[u8]) -> Self {
        let hex = hex::encode(bytes);
        let numbers = format!("{bytes:?}");
        let forms = vec![
            ("as it is", bytes.to_vec()),
            ("in upper hexadecimal digits", hex.to_uppercase().into_bytes()),
            ("in hexadecimal digits", hex.into_bytes()),
            // The last digit of base64 depends on what follows.
            ("in base64", but_the_last(STANDARD_NO_PAD.encode(bytes))),
            ("in base64url", but_the_last(URL_SAFE_NO_PAD.encode(bytes))),
            ("as a list of numbers", numbers.trim_matches(['[', ']']).as_bytes().to_vec()),
        ];
        Self { name, forms }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the content shows it, and how.
    pub(crate) fn found_in(&self, content: &[u8]) -> Option<&'static str> {
        let shows = |form: &[u8]| memchr_find(content, form);
        self.forms.iter().find(|(_, form)| shows(form)).map(|(how, _)| *how)
    }
}

fn but_the_last(text: String) -> Vec<u8> {
    let mut text = text.into_bytes();
    text.pop();
    text
}

/// Files have megabytes: the first byte decides almost everywhere.
fn memchr_find(content: &[u8], form: &[u8]) -> bool {
    let Some(last) = content.len().checked_sub(form.len()) else { return false };
    let first = form[0];
    content[..=last].iter().enumerate().any(|(at, byte)| *byte == first && content[at..].starts_with(form))
}

#[test]
fn a_secret_is_recognised_in_every_form() {
    let hidden = Hidden::bytes("key", &[7, 200, 33, 4, 5, 6, 250, 90, 1, 2, 3]);
    for shown in
        ["07c82104", "07C821040506FA5A010203", "B8ghBAUG-loBAg", "x=[7, 200, 33, 4, 5, 6, 250, 90, 1, 2, 3]"]
    {
        let expected = shown != "07c82104";
        assert_eq!(hidden.found_in(shown.as_bytes()).is_some(), expected, "{shown}");
    }
    assert_eq!(hidden.found_in(b"B8ghBAUG+loBAgM="), Some("in base64"));
    assert_eq!(hidden.found_in(&[0, 7, 200, 33, 4, 5, 6, 250, 90, 1, 2, 3]), Some("as it is"));
    assert_eq!(hidden.found_in(b""), None);
}
