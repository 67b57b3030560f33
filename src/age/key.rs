//! Recipients and identities: X25519 keys in Bech32.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::secret::Secret;

use super::AgeError;

const RECIPIENT: Hrp = Hrp::parse_unchecked("age");
const IDENTITY: Hrp = Hrp::parse_unchecked("age-secret-key-");
/// Identities of one file that are tried.
const IDENTITIES_MAX: usize = 64;

/// Whom a file is encrypted to: `age1...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient(pub(super) PublicKey);

/// Who can open it: `AGE-SECRET-KEY-1...`.
#[derive(Clone)]
pub struct Identity(pub(super) StaticSecret);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl Identity {
    /// The identity with these random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(StaticSecret::from(bytes))
    }

    /// The recipient that this identity opens for.
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&self.0))
    }

    /// Its text form.
    pub fn to_text(&self) -> Secret<String> {
        let text = bech32::encode_upper::<Bech32>(IDENTITY, self.0.as_bytes());
        Secret::new(text.unwrap_or_default())
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = bech32::encode::<Bech32>(RECIPIENT, self.0.as_bytes()).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl FromStr for Recipient {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        let shown = || AgeError::Recipient(text.chars().take(40).collect());
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let key = PublicKey::from(*decode(text, RECIPIENT).filter(|_| lower).ok_or_else(shown)?.expose());
        // One of low order agrees on the same key with everybody.
        let sound = StaticSecret::from([1; 32]).diffie_hellman(&key).was_contributory();
        if sound { Ok(Self(key)) } else { Err(shown()) }
    }
}

impl FromStr for Identity {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        let upper = !text.bytes().any(|byte| byte.is_ascii_lowercase());
        let key = decode(text, IDENTITY).filter(|_| upper).ok_or(AgeError::Identity)?;
        Ok(Self(StaticSecret::from(*key.expose())))
    }
}

fn decode(text: &str, prefix: Hrp) -> Option<Secret> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok().filter(|checked| checked.hrp() == prefix)?;
    let mut key = Secret::new([0; 32]);
    let mut bytes = checked.byte_iter();
    for byte in key.expose_mut() {
        *byte = bytes.next()?;
    }
    bytes.next().is_none().then_some(key)
}

/// The identities in a file: one a line, empty lines and those that begin with `#` are passed over.
///
/// # Errors
/// There is none, or a line is none.
pub fn identities(text: &str) -> Result<Vec<Identity>, AgeError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let found: Vec<Identity> = lines.take(IDENTITIES_MAX).map(str::parse).collect::<Result<_, _>>()?;
    if found.is_empty() { Err(AgeError::Identity) } else { Ok(found) }
}
