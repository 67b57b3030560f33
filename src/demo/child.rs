//! Child processes of this same binary: short commands, and what they print.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::DemoError;

/// This binary, as a program to start.
#[derive(Debug, Clone)]
pub(super) struct Program(PathBuf);

impl Program {
    /// The binary that is running.
    pub(super) fn current() -> Result<Self, DemoError> {
        std::env::current_exe().map(Self).map_err(DemoError::io("finding this program's own file"))
    }

    /// A command of this binary that dies with us, reads nothing, and sees no configuration but its arguments.
    pub(super) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.0);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OUTPOST_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs a command to its end with `input` on its standard input; its standard output.
    pub(super) async fn output(&self, arguments: &[&OsStr], input: Vec<u8>) -> Result<String, DemoError> {
        let name = describe(arguments);
        let failed = || DemoError::io(format!("running `outpost {name}`"));
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().map_err(failed())?;
        let stdin = child.stdin.take();
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // A command that ends early says why by itself.
                let _ = stdin.write_all(&input).await;
            }
        };
        let (_, output) = tokio::join!(feed, child.wait_with_output());
        let output = output.map_err(failed())?;
        if !output.status.success() {
            return Err(DemoError::Command {
                command: name,
                status: output.status.to_string(),
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        String::from_utf8(output.stdout)
            .map_err(|_| DemoError::Output { command: name, line: "bytes that are not UTF-8".to_owned() })
    }
}

/// The first words of a command, for messages.
pub(super) fn describe(arguments: &[&OsStr]) -> String {
    let words: Vec<_> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy())
        .take_while(|word| !word.starts_with('-'))
        .collect();
    words.join(" ")
}
