//! Exit codes after sysexits, and the error that ends a command with one.

use std::fmt;

#[cfg(any(feature = "agent", feature = "hub"))]
use crate::net::dial::DialError;
#[cfg(any(feature = "agent", feature = "hub"))]
use crate::net::http::ExchangeError;
#[cfg(any(feature = "agent", feature = "hub"))]
use crate::net::tls::client::TlsError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// As wished.
    Ok = 0,
    /// What was asked for failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 64,
    /// The hub or agent does not answer.
    Unavailable = 69,
    /// A folder is locked, foreign or of a newer format.
    Folder = 73,
    /// Reading or writing failed.
    Io = 74,
    /// Try later.
    TempFail = 75,
    /// Refused by the other end.
    Refused = 77,
    /// The configuration is wrong.
    Config = 78,
}

#[cfg(any(feature = "agent", feature = "hub"))]
impl Exit {
    /// How a command ends that got no answer of a hub: one that is not believed may be there, and asking again is of no use.
    pub(super) fn of_exchange(error: &ExchangeError) -> Self {
        match error {
            ExchangeError::Dial(DialError::Tls(TlsError::Settings(_))) => Self::Config,
            ExchangeError::Dial(DialError::Tls(error)) if error.code().is_some() => Self::Refused,
            ExchangeError::Dial(DialError::TlsPort { .. } | DialError::ProxySetting(_)) => Self::Config,
            ExchangeError::Dial(_) | ExchangeError::Broken(_) | ExchangeError::Late(_) => Self::Unavailable,
            ExchangeError::Source(error) if error.kind() != std::io::ErrorKind::InvalidData => Self::Io,
            ExchangeError::Source(_) | ExchangeError::TooLong { .. } | ExchangeError::Unsendable(_) => {
                Self::Failed
            }
        }
    }
}

/// Ends a command: what went wrong and what to do, one line for a person.
#[derive(Debug)]
pub struct CliError {
    /// The exit code.
    pub exit: Exit,
    /// The line on stderr, after `outpost: `.
    pub message: String,
}

impl CliError {
    /// An error that ends the command with `exit`.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}
