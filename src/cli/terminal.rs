//! What a command writes on its two outputs, line by line; the one place of the command line that does.
//!
//! Much of it was written by others: a hub that may not be the right one, whoever answers in its place, an agent's job. A
//! terminal acts on control characters, so none but the tab reaches it: each is written as JSON does, `\u001b`. Inside
//! the objects of `--json` that is the same text. Payloads of records are the exception: a file or a pipe gets each byte.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _, Write};

use crate::plain;

use super::exit::{CliError, Exit};

/// Prints a line on stdout, at once.
///
/// # Errors
/// 74 where nobody takes it.
pub(super) fn print_line(line: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", escaped(line))
        .and_then(|()| stdout.flush())
        .map_err(|error| CliError::new(Exit::Io, format!("writing to stdout: {error}")))
}

/// The same of several lines.
///
/// # Errors
/// As [`print_line`].
pub(super) fn print_lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Result<(), CliError> {
    lines.into_iter().try_for_each(|line| print_line(line.as_ref()))
}

/// Prints a payload and a line end on stdout, at once.
///
/// # Errors
/// As [`print_line`].
#[cfg(feature = "agent")]
pub(super) fn print_payload(payload: &str) -> Result<(), CliError> {
    let shown = Reader::of_stdout().payload(payload.as_bytes());
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&shown)
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush())
        .map_err(|error| CliError::new(Exit::Io, format!("writing to stdout: {error}")))
}

/// Tells a person something beside the output, on stderr.
pub(super) fn note(text: impl Display) {
    note_line(&format!("outpost: {text}"));
}

/// The same without the program's name.
pub(super) fn note_line(line: &str) {
    // Nothing is left to tell it to where stderr is closed.
    let _ = writeln!(io::stderr(), "{}", escaped(line));
}

/// The line without anything that a terminal acts upon or that reorders what is read.
pub(super) fn escaped(line: &str) -> Cow<'_, str> {
    if !line.contains(acts) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    for letter in line.chars() {
        if acts(letter) {
            // A String takes everything.
            let _ = write!(out, "\\u{:04x}", u32::from(letter));
        } else {
            out.push(letter);
        }
    }
    Cow::Owned(out)
}

/// Control characters but the tab, line ends of Unicode, and what turns the direction of writing. All have four digits.
const fn acts(letter: char) -> bool {
    match letter {
        '\t' => false,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => false,
    }
}

/// Who reads payloads on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A person, before a terminal that acts on what it gets.
    Terminal,
    /// A program or a file.
    Program,
}

impl Reader {
    /// Who reads this process's stdout.
    pub(super) fn of_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Terminal } else { Self::Program }
    }

    /// A payload as this reader gets it.
    pub(super) fn payload(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Terminal => Cow::Owned(plain::strip(bytes)),
            Self::Program => Cow::Borrowed(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_upon_passes() {
        for (line, expected) in [
            ("plain\ttext \u{fc}\u{2713}", "plain\ttext \u{fc}\u{2713}"),
            ("\u{1b}]0;title\u{7}\u{1b}[2Jx", "\\u001b]0;title\\u0007\\u001b[2Jx"),
            ("one\r\noutpost: two\0", "one\\u000d\\u000aoutpost: two\\u0000"),
            ("\u{9b}31m\u{7f}\u{202e}\u{2028}", "\\u009b31m\\u007f\\u202e\\u2028"),
        ] {
            assert_eq!(escaped(line), expected, "{line:?}");
        }
    }

    #[test]
    fn an_object_says_the_same_as_before() {
        let object = serde_json::json!({"text": "\u{1b}[2J\u{9b}1m\u{7f}\u{202e}\n"});
        let line = object.to_string();
        let printed = escaped(&line);
        assert!(!printed.contains(acts), "{printed}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), object);
    }

    #[test]
    fn a_payload_is_whole_for_a_program_and_harmless_for_a_person() {
        let payload = b"a\x1b[2Jb\xff\r";
        assert_eq!(Reader::Program.payload(payload), payload.as_slice());
        assert_eq!(Reader::Terminal.payload(payload), b"ab\xff".as_slice());
    }
}
