//! An operator's signature: what a hub cannot make, over what an agent is told to run and how it is told to be set.
//!
//! ```text
//! signature = Ed25519 over "outpost/v1 job\0"    || the bytes of a job's spec
//!             Ed25519 over "outpost/v1 config\0" || the bytes of a config document
//! text      = ops1.<signature, 64 bytes, base64url without padding>
//! ```
//! The labels end in NUL and none begins another, so that a signature over one kind of thing is none over another. It is
//! checked over the bytes as they came, and those bytes are what is parsed: there is no form to agree on. For whom and for
//! how long something is signed stands in the bytes themselves.
//!
//! The keys have the text forms of [`super::identity`]: an operator's key is made and kept as an agent's identity is.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::limit;

use super::identity::{public_from_line, public_to_line};

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The spec of a job.
    Job,
    /// The document of a config snapshot.
    Config,
}

impl Subject {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Job => b"outpost/v1 job\0",
            Self::Config => b"outpost/v1 config\0",
        }
    }

    fn message(self, bytes: &[u8]) -> Vec<u8> {
        [self.label(), bytes].concat()
    }
}

/// An operator's signature. It is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorSignature([u8; 64]);

/// A text that is not a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an operator's signature: expected `ops1.<signature>`; make one with `outpost job sign --key F SPEC`"
)]
pub struct SignatureTextError;

/// Why something signed is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// There is no signature.
    #[error("it is not signed, and this agent takes only what an operator signed; use `outpost job sign`")]
    Unsigned,
    /// There is one, and it is wrong.
    #[error(
        "its signature verifies under none of this agent's {keys} operator keys; sign these exact bytes with one of them"
    )]
    Foreign {
        /// How many keys the agent has.
        keys: usize,
    },
}

/// Why a list of keys is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorKeysError {
    /// None.
    #[error("names no key; leave it out to take what is not signed")]
    Empty,
    /// Too many.
    #[error("names {count} keys, the limit is {max}; remove those that sign no more", max = limit::OPERATOR_KEYS_MAX)]
    TooMany {
        /// How many.
        count: usize,
    },
    /// One is not a key.
    #[error("number {place}: {source}")]
    Key {
        /// From 1.
        place: usize,
        /// Why.
        source: super::identity::IdentityTextError,
    },
}

impl OperatorSignature {
    /// Takes 64 bytes over.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// The bytes as a message carries them: none where there is no signature.
    pub(super) fn to_wire(signature: Option<&Self>) -> Bytes {
        signature.map_or_else(Bytes::new, |signature| Bytes::copy_from_slice(&signature.0))
    }

    /// What a message carries; `None` where it has no bytes.
    ///
    /// # Errors
    /// How many bytes there are instead of 64.
    pub(super) fn from_wire(bytes: &[u8]) -> Result<Option<Self>, usize> {
        match bytes.len() {
            0 => Ok(None),
            length => bytes.try_into().map(|bytes| Some(Self(bytes))).map_err(|_| length),
        }
    }

    /// Signs bytes as they are.
    pub fn sign(subject: Subject, key: &SigningKey, bytes: &[u8]) -> Self {
        Self(key.sign(&subject.message(bytes)).to_bytes())
    }
}

impl fmt::Display for OperatorSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ops1.{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for OperatorSignature {
    type Err = SignatureTextError;

    /// A line end behind it is not looked at.
    fn from_str(text: &str) -> Result<Self, SignatureTextError> {
        let text = text.trim_end_matches(['\r', '\n']).strip_prefix("ops1.").ok_or(SignatureTextError)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SignatureTextError)?;
        bytes.try_into().map(Self).map_err(|_| SignatureTextError)
    }
}

/// The keys whose signatures an agent believes: at least one, at most `limit::OPERATOR_KEYS_MAX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorKeys(Vec<VerifyingKey>);

impl OperatorKeys {
    /// The keys of these texts.
    ///
    /// # Errors
    /// Where there are none, too many, or one is not a key.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, OperatorKeysError> {
        match texts.len() {
            0 => return Err(OperatorKeysError::Empty),
            count if count > limit::OPERATOR_KEYS_MAX => return Err(OperatorKeysError::TooMany { count }),
            _ => {}
        }
        let keys = (1..).zip(texts).map(|(place, text)| {
            public_from_line(text.as_ref()).map_err(|source| OperatorKeysError::Key { place, source })
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Their texts.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(public_to_line)
    }

    /// Checks what came with `signature`.
    ///
    /// # Errors
    /// Where there is none, or none of the keys made it.
    pub fn verify(
        &self,
        subject: Subject,
        bytes: &[u8],
        signature: Option<&OperatorSignature>,
    ) -> Result<(), OperatorError> {
        let signature = Signature::from_bytes(&signature.ok_or(OperatorError::Unsigned)?.0);
        let message = subject.message(bytes);
        let made = |key: &VerifyingKey| key.verify_strict(&message, &signature).is_ok();
        if self.0.iter().any(made) { Ok(()) } else { Err(OperatorError::Foreign { keys: self.0.len() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &[u8] = br#"{"kind": "exec", "payload": {"command": ["true"]}}"#;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn keys(seeds: &[u8]) -> OperatorKeys {
        let texts: Vec<_> = seeds.iter().map(|seed| public_to_line(&key(*seed).verifying_key())).collect();
        OperatorKeys::parse(&texts).unwrap()
    }

    #[test]
    fn any_of_the_keys_may_have_signed_and_no_other() {
        let signature = OperatorSignature::sign(Subject::Job, &key(2), SPEC);
        let verify = |keys: &OperatorKeys| keys.verify(Subject::Job, SPEC, Some(&signature));
        assert_eq!(verify(&keys(&[1, 2])), Ok(()));
        assert_eq!(verify(&keys(&[1, 3])), Err(OperatorError::Foreign { keys: 2 }));
        assert_eq!(keys(&[2]).verify(Subject::Job, SPEC, None), Err(OperatorError::Unsigned));
    }

    #[test]
    fn a_signature_over_one_kind_of_thing_is_none_over_another() {
        let signature = OperatorSignature::sign(Subject::Config, &key(1), SPEC);
        assert_eq!(keys(&[1]).verify(Subject::Config, SPEC, Some(&signature)), Ok(()));
        keys(&[1]).verify(Subject::Job, SPEC, Some(&signature)).unwrap_err();
        // Nor is one that was made without a label.
        let bare = OperatorSignature(key(1).sign(SPEC).to_bytes());
        keys(&[1]).verify(Subject::Job, SPEC, Some(&bare)).unwrap_err();
    }

    #[test]
    fn no_bit_of_spec_or_signature_may_change() {
        let signature = OperatorSignature::sign(Subject::Job, &key(1), SPEC);
        let verify = |spec: &[u8], signature: [u8; 64]| {
            keys(&[1]).verify(Subject::Job, spec, Some(&OperatorSignature(signature)))
        };
        for bit in 0..SPEC.len() * 8 {
            let mut spec = SPEC.to_vec();
            spec[bit / 8] ^= 1 << (bit % 8);
            verify(&spec, signature.0).unwrap_err();
        }
        for bit in 0..512 {
            let mut changed = signature.0;
            changed[bit / 8] ^= 1 << (bit % 8);
            verify(SPEC, changed).unwrap_err();
        }
        verify(&SPEC[..SPEC.len() - 1], signature.0).unwrap_err();
        verify(&[SPEC, b" "].concat(), signature.0).unwrap_err();
        verify(SPEC, signature.0).unwrap();
    }

    #[test]
    fn texts_survive_and_wrong_ones_are_named() {
        let signature = OperatorSignature::sign(Subject::Job, &key(1), SPEC);
        let text = signature.to_string();
        assert_eq!(format!("{text}\n").parse(), Ok(signature));
        for wrong in
            ["", "ops1.", &text[1..], &text[..text.len() - 1], &format!("{text}A"), &format!("{text}=")]
        {
            assert_eq!(wrong.parse::<OperatorSignature>(), Err(SignatureTextError), "{wrong}");
        }
        assert_eq!(OperatorSignature::from_wire(&[]), Ok(None));
        assert_eq!(OperatorSignature::from_wire(&[0; 63]), Err(63));
        let public = public_to_line(&key(1).verifying_key());
        assert_eq!(OperatorKeys::parse::<&str>(&[]), Err(OperatorKeysError::Empty));
        let many = vec![public.clone(); limit::OPERATOR_KEYS_MAX + 1];
        assert_eq!(OperatorKeys::parse(&many), Err(OperatorKeysError::TooMany { count: many.len() }));
        let error = OperatorKeys::parse(&[public.as_str(), "opi1.x"]).unwrap_err().to_string();
        assert!(error.starts_with("number 2: not a public key"), "{error}");
        assert_eq!(keys(&[1]).texts().collect::<Vec<_>>(), [public]);
    }
}
