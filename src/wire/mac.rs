//! HMAC-SHA256 with a precomputed key state, cloned per message.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// Bytes of a MAC.
pub const MAC_BYTES: usize = 32;

/// A key ready to sign and verify; the two key blocks are hashed once, here.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// Prepares `key`.
    pub fn new(key: &Secret) -> Self {
        Self::from_bytes(key.expose())
    }

    /// Prepares a secret text of any length that other programs have, too.
    pub fn from_bytes(key: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let state = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        Self(state)
    }

    /// The MAC of `bytes`.
    pub fn sign(&self, bytes: &[u8]) -> [u8; MAC_BYTES] {
        let mut state = self.0.clone();
        state.update(bytes);
        state.finalize().into_bytes().into()
    }

    /// Whether `mac` is the MAC of `bytes`; constant time.
    pub fn verify(&self, bytes: &[u8], mac: &[u8]) -> bool {
        self.verify_parts(&[bytes], mac)
    }

    /// Whether `mac` is the MAC of the parts one after the other; constant time.
    pub fn verify_parts(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        let mut state = self.0.clone();
        parts.iter().for_each(|part| state.update(part));
        state.verify_slice(mac).is_ok()
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_mac_counts() {
        let key = MacKey::new(&Secret::new([1; 32]));
        let mac = key.sign(b"frame");
        assert!(key.verify(b"frame", &mac));
        for bit in 0..MAC_BYTES * 8 {
            let mut other = mac;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(b"frame", &other), "bit {bit}");
        }
        assert!(!key.verify(b"frame", &mac[..31]));
        assert!(!key.verify(b"frame", &[]));
    }
}
