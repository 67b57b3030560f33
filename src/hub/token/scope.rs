//! What a token may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a token may do; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See agents, jobs, logs and records.
    Read,
    /// Submit and cancel jobs.
    Submit,
    /// Everything: agents, labels, tokens, bundles, the audit.
    Admin,
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the scope must be read, submit or admin")]
pub struct ParseScopeError;

impl Scope {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Submit, Self::Admin];

    /// Its name in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Admin => "admin",
        }
    }

    /// Whether what needs `needed` may be done with this.
    pub fn covers(self, needed: Self) -> bool {
        self >= needed
    }
}

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, ParseScopeError> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or(ParseScopeError)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_itself_and_what_is_less() {
        for (number, scope) in Scope::ALL.into_iter().enumerate() {
            assert_eq!(scope.name().parse(), Ok(scope));
            for (other, needed) in Scope::ALL.into_iter().enumerate() {
                assert_eq!(scope.covers(needed), other <= number, "{scope} for {needed}");
            }
        }
        assert!("Admin".parse::<Scope>().is_err());
    }
}
