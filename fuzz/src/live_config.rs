//! A broker's config in YAML: read, or refused with a line and without a value of it.

use outpost::hub::config::fuzzing;

/// The file.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        fuzzing::yaml(text);
    }
}
