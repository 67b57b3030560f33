//! Who the agent is: its key file, the key it had before, and, where it has one, its Ed25519 identity.
//!
//! ```text
//! agent.key            what the next session is opened with
//! agent.key.previous   what the session ran with in which agent.key came; good until the hub has seen the new one, and
//!                      again where the hub was restored from before
//! ```
//! A new key takes the old one's place only after that one is safe beside it. None of the files is needed to start: an
//! agent without a usable key takes records and looks again.

use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;

use crate::obs::secret_file;
use crate::secret::Secret;
use crate::wire::identity::{IdentityTextError, seed_from_line};
use crate::wire::key::{KeyError, KeyFile};

/// Where it is written who the agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The agent's key. It need not exist yet.
    pub key_file: PathBuf,
    /// The Ed25519 identity, where one is named.
    pub identity_file: Option<PathBuf>,
    /// The one that is taken where none is named and this is there: `outpost agent enroll` makes it.
    pub identity_default: PathBuf,
}

/// Who the agent is.
#[derive(Debug)]
pub struct Identity {
    /// Hub, agent and shared key.
    pub key: KeyFile,
    /// The key before, of the same agent and hub.
    pub previous: Option<KeyFile>,
    /// Signs challenges.
    pub signing: Option<SigningKey>,
}

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; issue a key with `outpost hub agent add NAME --key-out F` and put it there", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not an agent key.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// Not an Ed25519 identity.
    #[error("{}: {source}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// Why.
        source: IdentityTextError,
    },
}

/// Reads the key file and the identity file. Both are small; blocks shortly.
///
/// # Errors
/// See [`IdentityError`]; worth another look later.
pub fn load(files: &IdentityFiles) -> Result<Identity, IdentityError> {
    let path = &files.key_file;
    let key = key(path)?;
    let signing = match &files.identity_file {
        Some(path) => Some(signing(path)?),
        None if files.identity_default.exists() => Some(signing(&files.identity_default)?),
        None => None,
    };
    let previous = previous(path, &key);
    Ok(Identity { key, previous, signing })
}

/// The key of a key file.
///
/// # Errors
/// Where it cannot be read or is none.
pub fn key(path: &Path) -> Result<KeyFile, IdentityError> {
    line(path)?.expose().parse().map_err(|source| IdentityError::Key { path: path.to_owned(), source })
}

/// The Ed25519 key of an identity file.
///
/// # Errors
/// Where it cannot be read or is none.
pub fn signing(path: &Path) -> Result<SigningKey, IdentityError> {
    seed_from_line(line(path)?.expose())
        .map_err(|source| IdentityError::Identity { path: path.to_owned(), source })
}

/// Where the key before the one in `key_file` is.
pub fn previous_path(key_file: &Path) -> PathBuf {
    let mut name = key_file.as_os_str().to_owned();
    name.push(".previous");
    PathBuf::from(name)
}

/// Puts `new` in the place of the key file, after `ran_with`, the key that is known to be good, is safe beside it. Durable
/// when it returns; after a crash in between both names hold a whole key. Blocks shortly.
///
/// # Errors
/// Where the disk refuses: then what was there is still there.
pub fn replace_key(key_file: &Path, ran_with: &KeyFile, new: &KeyFile) -> io::Result<()> {
    put(&previous_path(key_file), ran_with)?;
    put(key_file, new)
}

/// Writes a key file.
///
/// # Errors
/// Where the disk refuses.
pub fn put(path: &Path, key: &KeyFile) -> io::Result<()> {
    let line = Secret::new(format!("{}\n", key.to_line().expose()));
    secret_file::write(path, line.expose().as_bytes())
}

/// The key before, where it is one of this agent. One that cannot be used is none: the present key decides.
fn previous(key_file: &Path, key: &KeyFile) -> Option<KeyFile> {
    let path = previous_path(key_file);
    if !path.exists() {
        return None;
    }
    match self::key(&path) {
        Ok(previous) if previous.hub_id == key.hub_id && previous.agent_id == key.agent_id => {
            (previous != *key).then_some(previous)
        }
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(%error, "the previous key is of no use");
            None
        }
    }
}

/// Warns of files that others can read. They are used all the same: an agent far away must not be locked out by a copy's
/// rights.
pub fn warn_of(files: &IdentityFiles) {
    let identity = files.identity_file.as_ref().unwrap_or(&files.identity_default);
    let previous = previous_path(&files.key_file);
    [&files.key_file, &previous, identity].into_iter().for_each(|path| secret_file::warn_of(path));
}

fn line(path: &Path) -> Result<Secret<String>, IdentityError> {
    secret_file::read(path).map_err(|source| IdentityError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AgentId, HubId};
    use crate::wire::identity::seed_to_line;
    use crate::wire::key::AgentKey;

    fn files(folder: &Path) -> IdentityFiles {
        IdentityFiles {
            key_file: folder.join("agent.key"),
            identity_file: None,
            identity_default: folder.join("agent.identity"),
        }
    }

    fn key(agent: u8, id: &str) -> KeyFile {
        KeyFile {
            hub_id: HubId::from_bytes([1; 16]),
            agent_id: AgentId::from_bytes([agent; 16]),
            key_id: id.parse().unwrap(),
            key: AgentKey::new([3; 32]),
        }
    }

    #[test]
    fn a_new_key_takes_the_place_of_the_old_one_which_stays_beside_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        put(&files.key_file, &key(2, "k1")).unwrap();
        assert_eq!(load(&files).unwrap().previous, None);
        replace_key(&files.key_file, &key(2, "k1"), &key(2, "k2")).unwrap();
        let loaded = load(&files).unwrap();
        assert_eq!((loaded.key, loaded.previous), (key(2, "k2"), Some(key(2, "k1"))));
        for file in [&files.key_file, &previous_path(&files.key_file)] {
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        // The session that ran with the key before leaves that one: the present one was never seen to be good.
        replace_key(&files.key_file, &key(2, "k1"), &key(2, "k3")).unwrap();
        let loaded = load(&files).unwrap();
        assert_eq!((loaded.key, loaded.previous), (key(2, "k3"), Some(key(2, "k1"))));
    }

    #[test]
    fn a_previous_key_that_cannot_be_used_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        put(&files.key_file, &key(2, "k2")).unwrap();
        let previous = previous_path(&files.key_file);
        // Cut between the two steps of a rotation: both are the same.
        put(&previous, &key(2, "k2")).unwrap();
        assert_eq!(load(&files).unwrap().previous, None);
        put(&previous, &key(7, "k1")).unwrap();
        assert_eq!(load(&files).unwrap().previous, None, "another agent's");
        std::fs::write(&previous, "opk1.half").unwrap();
        assert_eq!(load(&files).unwrap().previous, None, "damaged");
        put(&previous, &key(2, "k1")).unwrap();
        assert_eq!(load(&files).unwrap().previous, Some(key(2, "k1")));
    }

    #[test]
    fn files_are_read_and_wrong_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path());
        let missing = load(&files).unwrap_err().to_string();
        assert!(missing.contains("agent.key") && missing.contains("hub agent add"), "{missing}");
        std::fs::write(&files.key_file, "nonsense\n").unwrap();
        assert!(matches!(load(&files), Err(IdentityError::Key { .. })));
        let key = key(2, "k1");
        std::fs::write(&files.key_file, format!("{}\n", key.to_line().expose())).unwrap();
        assert_eq!(load(&files).unwrap().key, key);
        let identity = folder.path().join("identity");
        std::fs::write(&identity, format!("{}\n", seed_to_line(&SigningKey::from_bytes(&[9; 32])).expose()))
            .unwrap();
        std::fs::copy(&identity, &files.identity_default).unwrap();
        assert_eq!(load(&files).unwrap().signing.unwrap().to_bytes(), [9; 32], "where none is named");
        files.identity_file = Some(identity.clone());
        assert_eq!(load(&files).unwrap().signing.unwrap().to_bytes(), [9; 32]);
        std::fs::write(&identity, vec![b'x'; 5000]).unwrap();
        assert!(load(&files).unwrap_err().to_string().contains("5000 bytes"));
    }
}
