//! `hub agent invite`: a token on stdout, and what to do with it on stderr, so that it can go straight into a file.

use std::time::Duration;

use crate::cli::Global;
use crate::cli::exit::CliError;
use crate::cli::terminal::note_line;
use crate::id::AgentName;
use crate::limit;
use crate::wire::message::SignatureMode;

use super::{Place, print, print_line, signature, text_of, within};

/// `hub agent invite`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// 1 to 63 of a-z, 0-9 and `-`. One that is known, revoked or not, comes back as the same agent
    pub name: AgentName,
    /// How long the token may be used, at most 30d
    #[arg(long, value_name = "D", default_value = "24h", value_parser = expires)]
    pub expires: Duration,
    /// Whether it must sign with its Ed25519 key: none, optional or required [default: required, as it gets one]
    #[arg(long, value_name = "MODE", value_parser = signature)]
    pub signature: Option<SignatureMode>,
    /// Which hub
    #[command(flatten)]
    pub place: Place,
}

fn expires(text: &str) -> Result<Duration, String> {
    within(text, limit::INVITE_EXPIRY_MAX)
}

/// Prints a token.
///
/// # Errors
/// With cli.md's exit codes.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let invited = args.place.open()?.invite(&args.name, args.signature, args.expires)?;
    if global.json {
        return print(&invited);
    }
    print_line(&text_of(&invited, "token")?)?;
    note_line(&format!(
        "The token above lets one machine enrol as {}, once. There: outpost agent enroll --hub URL --token-file -",
        args.name
    ));
    Ok(())
}
