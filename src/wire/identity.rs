//! An agent's Ed25519 identity: the key a hub's registry binds to it, and the text forms, what `outpost agent keygen`
//! writes and `hub agent add --public-key` reads. One line each, base64url without padding:
//!
//! ```text
//! opi1.<seed, 32 bytes>          secret, mode 0600
//! opp1.<public key, 32 bytes>    public
//! ```

use ed25519_dalek::{Signature, SigningKey, VerifyingKey};

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

/// The public key that a registry binds to an agent: its signature is required, always.
///
/// A registry can be damaged or changed by hand. What is there and is no key, or a weak one, is still bound: it must not
/// make the agent one without an identity, so it is kept as a key under which nothing verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundKey(Option<VerifyingKey>);

impl BoundKey {
    /// What a registry holds; of any length.
    pub fn from_registry(bytes: &[u8]) -> Self {
        let key = bytes.try_into().ok().and_then(|bytes| VerifyingKey::from_bytes(bytes).ok());
        Self(key.filter(|key| !key.is_weak()))
    }

    /// Whether anything can verify under it.
    pub const fn is_usable(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this is the key's signature over `message`; strictly, so that no weak point passes.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.0.is_some_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

impl From<VerifyingKey> for BoundKey {
    fn from(key: VerifyingKey) -> Self {
        Self::from_registry(key.as_bytes())
    }
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
    use ed25519_dalek::Signer as _;

    use super::*;

    #[test]
    fn what_is_bound_and_no_key_verifies_nothing() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let signature = key.sign(b"text").to_bytes();
        assert!(BoundKey::from(key.verifying_key()).verifies(b"text", &signature));
        assert!(!BoundKey::from(key.verifying_key()).verifies(b"test", &signature));
        let public = key.verifying_key().to_bytes();
        let long = [public.as_slice(), &[0]].concat();
        // The neutral element: R neutral and S = 0 are a signature of anything under it, where it is not refused.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut forged = [0; 64];
        forged[0] = 1;
        for bytes in [&[], &public[..31], &long, &neutral, &[0; 32]] {
            let bound = BoundKey::from_registry(bytes);
            assert!(!bound.is_usable(), "{bytes:?}");
            assert!(!bound.verifies(b"text", &signature) && !bound.verifies(b"text", &forged), "{bytes:?}");
        }
    }

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
