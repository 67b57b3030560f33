//! The text forms of an agent's Ed25519 identity: what `outpost agent keygen` writes and `hub agent add --public-key`
//! reads. One line each, base64url without padding:
//!
//! ```text
//! opi1.<seed, 32 bytes>          secret, mode 0600
//! opp1.<public key, 32 bytes>    public
//! ```

use ed25519_dalek::{SigningKey, VerifyingKey};

use crate::secret::Secret;

use super::key::{decode32, encode32};

/// A text that is not an identity. The text itself may be a secret and is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityTextError {
    /// Not `opi1.<seed>`.
    #[error("not an identity: expected one line `opi1.<seed>`; make one with `outpost agent keygen --out F`")]
    Seed,
    /// Not `opp1.<public key>`.
    #[error(
        "not a public key: expected one line `opp1.<public key>`, the F.pub that `outpost agent keygen --out F` writes"
    )]
    Public,
}

/// The line of an identity file, without a line end.
pub fn seed_to_line(key: &SigningKey) -> Secret<String> {
    let seed = Secret::new(encode32(Secret::new(key.to_bytes()).expose()));
    Secret::new(format!("opi1.{}", seed.expose()))
}

/// The key in the line of an identity file.
///
/// # Errors
/// Where it is not one.
pub fn seed_from_line(line: &str) -> Result<SigningKey, IdentityTextError> {
    let text = line.trim_end_matches(['\r', '\n']).strip_prefix("opi1.");
    let seed = text.and_then(decode32).map(Secret::new).ok_or(IdentityTextError::Seed)?;
    Ok(SigningKey::from_bytes(seed.expose()))
}

/// The line of a public key file, without a line end.
pub fn public_to_line(key: &VerifyingKey) -> String {
    format!("opp1.{}", encode32(key.as_bytes()))
}

/// The key in the line of a public key file.
///
/// # Errors
/// Where it is not one, not a point of the curve, or a weak one that verifies anything.
pub fn public_from_line(line: &str) -> Result<VerifyingKey, IdentityTextError> {
    let text = line.trim_end_matches(['\r', '\n']).strip_prefix("opp1.");
    let bytes = text.and_then(decode32).ok_or(IdentityTextError::Public)?;
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak()).ok_or(IdentityTextError::Public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_survive_and_are_not_mixed_up() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let seed = seed_to_line(&key);
        let seed = seed.expose();
        let public = public_to_line(&key.verifying_key());
        assert_eq!(seed_from_line(&format!("{seed}\n")).unwrap().to_bytes(), [7; 32]);
        assert_eq!(public_from_line(&public).unwrap(), key.verifying_key());
        assert_eq!(seed_from_line(&public).unwrap_err(), IdentityTextError::Seed);
        assert_eq!(public_from_line(seed).unwrap_err(), IdentityTextError::Public);
        assert_eq!(public_from_line(&public[..public.len() - 1]).unwrap_err(), IdentityTextError::Public);
        assert_eq!(seed_from_line("").unwrap_err(), IdentityTextError::Seed);
    }
}
