//! Replaces secrets in a job's output by `***`.
//!
//! A stream is masked before it is cut into lines and whatever the reads were: the end of what was read is held back
//! where it may be the beginning of a secret. Where secrets overlap, the one that begins first and of these the longest
//! is replaced.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::job::Secrets;
use crate::secret::Secret;

/// What stands where a secret stood.
const MASK: &[u8] = b"***";

/// The values that a job's output must not show. `Debug` prints none; wiped when the last clone goes.
#[derive(Clone, Default)]
pub struct Masks {
    /// Longest first, none empty.
    secrets: Arc<[Secret<Vec<u8>>]>,
}

impl Masks {
    /// These values; empty ones are nothing to hide.
    pub fn new(secrets: impl IntoIterator<Item = Secret<Vec<u8>>>) -> Self {
        let mut secrets: Vec<_> = secrets.into_iter().filter(|secret| !secret.expose().is_empty()).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self { secrets: secrets.into() }
    }

    /// What a job's own secrets are.
    pub fn of(secrets: &Secrets) -> Self {
        Self::new(secrets.iter().map(|(_name, value)| Secret::new(value.expose().clone().into_bytes())))
    }

    /// The text without secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
        }
    }

    /// The bytes without secrets.
    pub(super) fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut masked = Vec::with_capacity(bytes.len());
        self.replace(bytes, &mut masked, AtEnd::Complete);
        Cow::Owned(masked)
    }

    /// Appends the masked bytes and returns how many were consumed.
    fn replace(&self, bytes: &[u8], masked: &mut Vec<u8>, end: AtEnd) -> usize {
        let mut rest = bytes;
        while let Some((first, behind)) = rest.split_first() {
            match self.at(rest, end) {
                Found::Secret(length) => {
                    masked.extend_from_slice(MASK);
                    rest = rest.get(length..).unwrap_or_default();
                }
                Found::Maybe => break,
                Found::Nothing => {
                    masked.push(*first);
                    rest = behind;
                }
            }
        }
        bytes.len().saturating_sub(rest.len())
    }

    fn at(&self, rest: &[u8], end: AtEnd) -> Found {
        for secret in self.secrets.iter().map(Secret::expose) {
            if rest.starts_with(secret) {
                return Found::Secret(secret.len());
            }
            if end == AtEnd::MoreFollows && secret.starts_with(rest) {
                return Found::Maybe;
            }
        }
        Found::Nothing
    }
}

impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masks({} secrets)", self.secrets.len())
    }
}

/// What may lie behind the bytes at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtEnd {
    MoreFollows,
    Complete,
}

enum Found {
    /// One of this length begins here.
    Secret(usize),
    /// One may begin here: the bytes at hand do not tell.
    Maybe,
    Nothing,
}

/// Masks one stream.
#[derive(Debug)]
pub(super) struct Masker {
    masks: Masks,
    /// May be the beginning of a secret; shorter than the longest one.
    held: Secret<Vec<u8>>,
}

impl Masker {
    pub(super) fn new(masks: Masks) -> Self {
        Self { masks, held: Secret::default() }
    }

    /// What of the stream can be shown after these bytes were read.
    pub(super) fn feed<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.masks.secrets.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let held = self.held.expose_mut();
        held.extend_from_slice(bytes);
        let mut masked = Vec::with_capacity(held.len());
        let consumed = self.masks.replace(held, &mut masked, AtEnd::MoreFollows);
        held.drain(..consumed);
        Cow::Owned(masked)
    }

    /// The stream has ended: what was held back.
    pub(super) fn end(&mut self) -> Vec<u8> {
        let mut masked = Vec::new();
        self.masks.replace(self.held.expose(), &mut masked, AtEnd::Complete);
        self.held = Secret::default();
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(masks: &Masks, text: &str, piece: usize) -> String {
        let mut masker = Masker::new(masks.clone());
        let mut shown = Vec::new();
        for bytes in text.as_bytes().chunks(piece) {
            shown.extend_from_slice(&masker.feed(bytes));
        }
        shown.extend(masker.end());
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn a_secret_is_found_however_it_was_read() {
        let secrets = ["hunter2", "hunter2-and-more", "aab", "two\nlines", ""];
        let masks = Masks::new(secrets.map(|text| Secret::new(text.as_bytes().to_vec())));
        let cases = [
            ("nothing here, hunter too", "nothing here, hunter too"),
            ("x hunter2 y hunter2", "x *** y ***"),
            ("hunter2-and-more and hunter2-and-less", "*** and ***-and-less"),
            ("aaab aab", "a*** ***"),
            ("a two\nlines b two\nline", "a *** b two\nline"),
            ("huntehunter2", "hunte***"),
        ];
        for (text, expected) in cases {
            for piece in 1..=text.len() {
                assert_eq!(masked(&masks, text, piece), expected, "{text} by {piece}");
            }
            assert_eq!(masks.text(text), expected);
        }
    }

    #[test]
    fn without_secrets_nothing_is_copied_or_held_back() {
        let mut masker = Masker::new(Masks::new([Secret::new(Vec::new())]));
        assert!(matches!(masker.feed(b"***"), Cow::Borrowed(b"***")));
        assert_eq!(masker.end(), b"");
    }

    #[test]
    fn masks_are_never_printed() {
        let masks = Masks::new([Secret::new(b"hunter2".to_vec())]);
        assert_eq!(format!("{masks:?}"), "Masks(1 secrets)");
        let mut masker = Masker::new(masks);
        assert_eq!(&*masker.feed(b"hunter"), b"");
        assert!(!format!("{masker:?}").contains("104"), "held bytes are shown");
    }
}
