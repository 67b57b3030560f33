//! The `outpost` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(outpost::cli::main() as u8)
}
