//! Commands that are printed for a person to run: words as a shell takes them.

/// One word of a command: as it is where a shell takes it for that, else in quotes.
pub(super) fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_@%+=:,./-[]".contains(letter);
    // Brackets are an IPv6 address only within a URL; elsewhere they may match a file's name.
    let bare = !text.is_empty() && text.chars().all(plain) && (!text.contains('[') || text.contains("://["));
    if bare { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A path as one word.
pub(super) fn path(path: &std::path::Path) -> String {
    word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_each_word_for_what_it_was() {
        let texts = [
            "",
            "plain/path-1.pem",
            "two words",
            "it's",
            "$HOME `x` \"y\" ~ *",
            "https://[::1]:8440",
            "a[b]",
        ];
        for text in texts {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", word(text))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
        assert_eq!(word("https://hub.example:8440"), "https://hub.example:8440");
        assert_eq!(word("https://[::1]:8440"), "https://[::1]:8440");
        assert_eq!(word("a[b]"), "'a[b]'");
    }
}
