//! Who the agent is: its key file and, where it has one, its Ed25519 identity.
//!
//! Neither is needed to start: an agent without a usable key takes records and looks again.

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
    /// The Ed25519 identity, where there is one.
    pub identity_file: Option<PathBuf>,
}

/// Who the agent is.
#[derive(Debug)]
pub struct Identity {
    /// Hub, agent and shared key.
    pub key: KeyFile,
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
    let key =
        line(path)?.expose().parse().map_err(|source| IdentityError::Key { path: path.clone(), source })?;
    let signing = match &files.identity_file {
        None => None,
        Some(path) => Some(
            seed_from_line(line(path)?.expose())
                .map_err(|source| IdentityError::Identity { path: path.clone(), source })?,
        ),
    };
    Ok(Identity { key, signing })
}

/// Warns of files that others can read. They are used all the same: an agent far away must not be locked out by a copy's
/// rights.
pub fn warn_of(files: &IdentityFiles) {
    let IdentityFiles { key_file, identity_file } = files;
    [Some(key_file), identity_file.as_ref()]
        .into_iter()
        .flatten()
        .for_each(|path| secret_file::warn_of(path));
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

    #[test]
    fn files_are_read_and_wrong_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = IdentityFiles { key_file: folder.path().join("agent.key"), identity_file: None };
        let missing = load(&files).unwrap_err().to_string();
        assert!(missing.contains("agent.key") && missing.contains("hub agent add"), "{missing}");
        std::fs::write(&files.key_file, "nonsense\n").unwrap();
        assert!(matches!(load(&files), Err(IdentityError::Key { .. })));
        let key = KeyFile {
            hub_id: HubId::from_bytes([1; 16]),
            agent_id: AgentId::from_bytes([2; 16]),
            key_id: "k1".parse().unwrap(),
            key: AgentKey::new([3; 32]),
        };
        std::fs::write(&files.key_file, format!("{}\n", key.to_line().expose())).unwrap();
        assert_eq!(load(&files).unwrap().key, key);
        let identity = folder.path().join("identity");
        std::fs::write(&identity, format!("{}\n", seed_to_line(&SigningKey::from_bytes(&[9; 32])).expose()))
            .unwrap();
        files.identity_file = Some(identity.clone());
        assert_eq!(load(&files).unwrap().signing.unwrap().to_bytes(), [9; 32]);
        std::fs::write(&identity, vec![b'x'; 5000]).unwrap();
        assert!(load(&files).unwrap_err().to_string().contains("5000 bytes"));
    }
}
