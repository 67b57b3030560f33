//! Users of this machine.

use nix::unistd::User;
use rustix::process::geteuid;

use super::environment::Person;

/// Why a job cannot run as a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UserError {
    #[error("no user `{0}` on this machine")]
    Unknown(String),
    #[error("the agent runs as uid {uid} and cannot become `{name}`; run it as root, or leave the user out")]
    NotRoot { name: String, uid: u32 },
    #[error("the user `{name}` cannot be looked up: {error}")]
    Lookup { name: String, error: nix::Error },
}

/// Somebody a job may run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) person: Person,
}

impl Account {
    /// Looks a user up; `None` where that is the one the agent runs as. Reads the machine's user database, which may
    /// take its time where that is not a file.
    pub(super) fn find(name: &str) -> Result<Option<Self>, UserError> {
        Self::find_as(name, geteuid().as_raw())
    }

    fn find_as(name: &str, own: u32) -> Result<Option<Self>, UserError> {
        if name.is_empty() || name.contains('\0') {
            return Err(UserError::Unknown(name.to_owned()));
        }
        let user = User::from_name(name)
            .map_err(|error| UserError::Lookup { name: name.to_owned(), error })?
            .ok_or_else(|| UserError::Unknown(name.to_owned()))?;
        let uid = user.uid.as_raw();
        if uid == own {
            return Ok(None);
        }
        if own != 0 {
            return Err(UserError::NotRoot { name: name.to_owned(), uid: own });
        }
        let person = Person { name: user.name, home: user.dir.into(), shell: user.shell.into() };
        Ok(Some(Self { uid, gid: user.gid.as_raw(), person }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_needs_root() {
        let root = Account::find_as("root", 0).unwrap();
        assert_eq!(root, None);
        let error = Account::find_as("root", 1000).unwrap_err();
        assert_eq!(error, UserError::NotRoot { name: "root".to_owned(), uid: 1000 });
        let nobody = Account::find_as("nobody", 0).unwrap().unwrap();
        assert_eq!((nobody.uid, nobody.person.name.as_str()), (65_534, "nobody"));
        assert_eq!(Account::find_as("nobody", nobody.uid).unwrap(), None);
    }

    #[test]
    fn an_unknown_user_is_named() {
        for name in ["no-such-user", "", "a\0b", "../root"] {
            assert_eq!(Account::find_as(name, 0), Err(UserError::Unknown(name.to_owned())), "{name}");
        }
    }
}
