//! docs/protocol.md and the code say the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use outpost::wire::error::{ErrorCode, Retry};

fn table() -> String {
    let mut table =
        "| number | name | close | HTTP | retry | meaning |\n|---|---|---|---|---|---|\n".to_owned();
    for code in ErrorCode::ALL {
        let http = match code.http_status() {
            0 => "-".to_owned(),
            status => status.to_string(),
        };
        let retry = match code.retry() {
            Retry::Soon => "soon",
            Retry::Capped => "capped",
        };
        let (number, name, close, text) = (code.number(), code.name(), code.close_code(), code.text());
        writeln!(table, "| {number} | `{name}` | {close} | {http} | {retry} | {text} |").unwrap();
    }
    table
}

#[test]
fn the_error_table_of_the_docs_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let text = fs::read_to_string(path).unwrap();
    let written: String = text
        .lines()
        .skip_while(|line| !line.starts_with("| number | name |"))
        .take_while(|line| line.starts_with('|'))
        .map(|line| format!("{line}\n"))
        .collect();
    let expected = table();
    assert!(written == expected, "docs/protocol.md should have this table:\n\n{expected}");
}
