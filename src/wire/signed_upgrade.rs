//! The signed upgrade: with it a proxy or a hub refuses early who does not have the agent's Ed25519 key. It never takes
//! the place of the Challenge, which alone is bound to the connection.
//!
//! ```text
//! X-Agent-ID: <agent id>                X-Timestamp: <hub time, milliseconds>    X-Nonce: base64url(16 random bytes)
//! X-Outpost-URL: <the hub as dialled>   X-Signature: base64url(Ed25519 over the digest)
//!
//! digest = SHA-512("outpost/v1 upgrade\0" || field(method) || field(X-Outpost-URL) || field(agent id, 16 bytes)
//!                  || field(timestamp, u64 BE) || field(nonce))            field(x) = length as u32 BE || x
//! ```
//! Labelled, length-prefixed and hashed: a hub never gets a signature over bytes of its choosing, and no two requests
//! have the same digest.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha512};

use crate::id::AgentId;
use crate::time::HubTime;

use super::identity::BoundKey;

/// Who asks.
pub const AGENT_HEADER: &str = "X-Agent-ID";
/// When.
pub const TIMESTAMP_HEADER: &str = "X-Timestamp";
/// Once only.
pub const NONCE_HEADER: &str = "X-Nonce";
/// Whom.
pub const URL_HEADER: &str = "X-Outpost-URL";
/// The proof.
pub const SIGNATURE_HEADER: &str = "X-Signature";

/// The method of every upgrade.
const METHOD: &str = "GET";

/// What the agent vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeClaim {
    /// The hub, as [`super::url::HubUrl::canonical`] writes it.
    pub url: String,
    /// The agent.
    pub agent_id: AgentId,
    /// Hub time as the agent reckons it.
    pub timestamp: HubTime,
    /// Fresh random bytes.
    pub nonce: [u8; 16],
}

/// A claim and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedUpgrade {
    /// What is signed.
    pub claim: UpgradeClaim,
    signature: [u8; 64],
}

/// What is wrong with the headers of a signed upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// None of the headers is there.
    #[error("the upgrade is not signed")]
    Missing,
    /// One of them is missing or malformed.
    #[error("{0} is missing or malformed")]
    Header(&'static str),
}

impl UpgradeClaim {
    /// What is signed.
    pub fn digest(&self) -> [u8; 64] {
        let mut hash = Sha512::new();
        hash.update(b"outpost/v1 upgrade\0");
        let timestamp = self.timestamp.0.to_be_bytes();
        let fields: [&[u8]; 5] =
            [METHOD.as_bytes(), self.url.as_bytes(), self.agent_id.as_bytes(), &timestamp, &self.nonce];
        for field in fields {
            // A header of 4 GiB does not exist.
            hash.update(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            hash.update(field);
        }
        hash.finalize().into()
    }

    /// The claim with the agent's signature.
    pub fn sign(self, key: &SigningKey) -> SignedUpgrade {
        let signature = key.sign(&self.digest()).to_bytes();
        SignedUpgrade { claim: self, signature }
    }
}

impl SignedUpgrade {
    /// Name and text of each header.
    pub fn headers(&self) -> [(&'static str, String); 5] {
        let UpgradeClaim { url, agent_id, timestamp, nonce } = &self.claim;
        [
            (AGENT_HEADER, agent_id.to_string()),
            (TIMESTAMP_HEADER, timestamp.0.to_string()),
            (NONCE_HEADER, URL_SAFE_NO_PAD.encode(nonce)),
            (URL_HEADER, url.clone()),
            (SIGNATURE_HEADER, URL_SAFE_NO_PAD.encode(self.signature)),
        ]
    }

    /// Reads the headers; `header` gives the text of the one with that name.
    ///
    /// # Errors
    /// Where one is missing or malformed, or all are missing.
    pub fn read<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, UpgradeError> {
        let all = [AGENT_HEADER, TIMESTAMP_HEADER, NONCE_HEADER, URL_HEADER, SIGNATURE_HEADER];
        if all.iter().all(|name| header(name).is_none()) {
            return Err(UpgradeError::Missing);
        }
        let text = |name| header(name).ok_or(UpgradeError::Header(name));
        let digits = text(TIMESTAMP_HEADER)?;
        let timestamp = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
        let claim = UpgradeClaim {
            url: text(URL_HEADER)?.to_owned(),
            agent_id: text(AGENT_HEADER)?.parse().map_err(|_| UpgradeError::Header(AGENT_HEADER))?,
            timestamp: HubTime(timestamp.flatten().ok_or(UpgradeError::Header(TIMESTAMP_HEADER))?),
            nonce: bytes(text(NONCE_HEADER)?).ok_or(UpgradeError::Header(NONCE_HEADER))?,
        };
        let signature = bytes(text(SIGNATURE_HEADER)?).ok_or(UpgradeError::Header(SIGNATURE_HEADER))?;
        Ok(Self { claim, signature })
    }

    /// Whether the holder of this identity signed it.
    pub fn is_signed_by(&self, identity: &BoundKey) -> bool {
        identity.verifies(&self.claim.digest(), &self.signature)
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn bound(key: &SigningKey) -> BoundKey {
        BoundKey::from(key.verifying_key())
    }

    fn claim() -> UpgradeClaim {
        UpgradeClaim {
            url: "https://hub.example/outpost".to_owned(),
            agent_id: AgentId::from_bytes([2; 16]),
            timestamp: HubTime(1_800_000_000_000),
            nonce: [3; 16],
        }
    }

    fn read(headers: &BTreeMap<&'static str, String>) -> Result<SignedUpgrade, UpgradeError> {
        SignedUpgrade::read(|name| headers.get(name).map(String::as_str))
    }

    #[test]
    fn what_was_signed_is_read_and_verified() {
        let signed = claim().sign(&key());
        let headers = BTreeMap::from(signed.headers());
        let again = read(&headers).unwrap();
        assert_eq!(again, signed);
        assert!(!again.is_signed_by(&BoundKey::from_registry(&[7; 31])), "one that was damaged");
        assert!(again.is_signed_by(&bound(&key())));
        assert!(!again.is_signed_by(&bound(&SigningKey::from_bytes(&[8; 32]))));
    }

    #[test]
    fn each_field_is_under_the_signature() {
        let signed = claim().sign(&key());
        let changes: [fn(&mut UpgradeClaim); 4] = [
            |claim| claim.url = "https://hub.example/outposT".to_owned(),
            |claim| claim.agent_id = AgentId::from_bytes([4; 16]),
            |claim| claim.timestamp.0 += 1,
            |claim| claim.nonce[15] ^= 1,
        ];
        for change in changes {
            let mut other = signed.clone();
            change(&mut other.claim);
            assert!(!other.is_signed_by(&bound(&key())), "{:?}", other.claim);
        }
    }

    #[test]
    fn a_header_that_is_missing_or_malformed_is_named() {
        let whole = BTreeMap::from(claim().sign(&key()).headers());
        assert_eq!(read(&BTreeMap::new()), Err(UpgradeError::Missing));
        for name in whole.keys().copied() {
            let mut headers = whole.clone();
            headers.remove(name);
            assert_eq!(read(&headers), Err(UpgradeError::Header(name)));
        }
        for (name, text) in [
            (AGENT_HEADER, "edge-1"),
            (TIMESTAMP_HEADER, "+1800000000000"),
            (TIMESTAMP_HEADER, "18446744073709551616"),
            (TIMESTAMP_HEADER, ""),
            (NONCE_HEADER, "AAAA"),
            (SIGNATURE_HEADER, "AAAA"),
        ] {
            let mut headers = whole.clone();
            headers.insert(name, text.to_owned());
            assert_eq!(read(&headers), Err(UpgradeError::Header(name)), "{text}");
        }
    }
}
