//! Encryption of what is stored: XChaCha20-Poly1305 under a key that lies in a file of its own.
//!
//! ```text
//! sealed   = nonce[24] | ciphertext | tag[16]          the nonce is random; a label binds it to where it stands
//! key file = "opo1." base64url(32 random bytes)        one line
//! ```
//! Only payload and what surrounds it are hidden; numbers, lengths and times of blocks are not.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::secret::Secret;
use crate::wire::key::{decode32, encode32};

/// Random bytes of one nonce.
pub const NONCE_BYTES: usize = 24;
/// What sealing adds.
pub const SEAL_BYTES: usize = NONCE_BYTES + 16;

/// A key that is ready for use.
pub struct Cipher(XChaCha20Poly1305);

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(..)")
    }
}

impl Cipher {
    /// Takes a key over.
    pub fn new(key: &Secret) -> Self {
        Self(XChaCha20Poly1305::new(key.expose().into()))
    }

    /// Seals a value where `label` says. `nonce` is random.
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], label: &[u8], value: &[u8]) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "fails above 256 GiB only; a value has some KiB")]
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), Payload { msg: value, aad: label })
            .expect("a value is far below the cipher's bound");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens a sealed value; `None` where it was sealed with another key or label, or was changed.
    pub fn open(&self, label: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: label }).ok()
    }
}

/// The line of a key file, without a line end.
pub fn key_to_line(key: &Secret) -> Secret<String> {
    let key = Secret::new(encode32(key.expose()));
    Secret::new(format!("opo1.{}", key.expose()))
}

/// The key in the line of a key file.
pub fn key_from_line(line: &str) -> Option<Secret> {
    let text = line.trim_end_matches(['\r', '\n']).strip_prefix("opo1.")?;
    decode32(text).map(Secret::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_place_open_what_was_sealed() {
        let cipher = Cipher::new(&Secret::new([1; 32]));
        let sealed = cipher.seal([2; NONCE_BYTES], b"here", b"value");
        assert_eq!(sealed.len(), 5 + SEAL_BYTES);
        assert_eq!(cipher.open(b"here", &sealed).unwrap(), b"value");
        assert_eq!(cipher.open(b"there", &sealed), None);
        assert_eq!(Cipher::new(&Secret::new([2; 32])).open(b"here", &sealed), None);
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(cipher.open(b"here", &flipped), None, "{at}");
            assert_eq!(cipher.open(b"here", &sealed[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_key_survives_its_line() {
        let key = Secret::new([7; 32]);
        assert_eq!(key_from_line(&format!("{}\n", key_to_line(&key).expose())), Some(key));
        for wrong in ["", "opo1.", "opk1.x", "opo1.AAAA"] {
            assert_eq!(key_from_line(wrong), None, "{wrong}");
        }
    }
}
