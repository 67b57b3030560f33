//! An invite: the one line an operator gives to whoever sets an agent up, and what the agent signs to use it.
//!
//! ```text
//! opt1.<hub id>.<secret, 32 bytes>[.<SHA-256 of the hub's CA certificate>]
//! ```
//! The hub keeps the SHA-256 of the secret only. The first public key that claims the token is the agent's from then on;
//! the signature shows that the claimer has its other half, and is bound to this hub and this token.

use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256, Sha512};

use crate::id::{HubId, KeyId};
use crate::secret::Secret;

use super::key::{AgentKey, decode32, derive, encode32};

/// A text that is not an invite. The text itself is a secret and is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Not of that form.
    #[error(
        "not an invite: expected one line `opt1.<hub id>.<secret>`, whole, as `outpost hub agent invite` printed it"
    )]
    NotAnInvite,
    /// One of its fields does not parse.
    #[error("the invite's {0} is malformed, perhaps cut off; copy the whole line again")]
    Field(&'static str),
}

/// A token that lets one agent enrol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The hub that it is for.
    pub hub_id: HubId,
    /// Who has it may enrol.
    pub secret: Secret,
    /// What the hub's certificate must lead to, where it is for TLS.
    pub ca: Option<[u8; 32]>,
}

impl Invite {
    /// The line, without a line end. A secret.
    pub fn to_line(&self) -> Secret<String> {
        let ca = self.ca.map_or(String::new(), |ca| format!(".{}", encode32(&ca)));
        let secret = Secret::new(encode32(self.secret.expose()));
        Secret::new(format!("opt1.{}.{}{ca}", self.hub_id, secret.expose()))
    }

    /// What the hub keeps of it.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.secret.expose()).into()
    }

    /// Signs the use of the token with the agent's identity.
    pub fn sign(&self, identity: &SigningKey) -> [u8; 64] {
        identity.sign(&self.enroll_digest(&identity.verifying_key())).to_bytes()
    }

    /// Whether the one who uses the token has the other half of the public key.
    pub fn verify(&self, public_key: &VerifyingKey, signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        public_key.verify_strict(&self.enroll_digest(public_key), &signature).is_ok()
    }

    /// What is signed: labelled, of fixed length and hashed, as a Challenge is.
    fn enroll_digest(&self, public_key: &VerifyingKey) -> [u8; 64] {
        let mut hash = Sha512::new();
        hash.update(b"outpost/v1 enroll\0");
        hash.update(self.hub_id.as_bytes());
        hash.update(self.digest());
        hash.update(public_key.as_bytes());
        hash.finalize().into()
    }
}

/// Who uses which token.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// [`Invite::digest`].
    pub token: &'a [u8; 32],
    /// The claimer's.
    pub public_key: &'a VerifyingKey,
}

impl Claim<'_> {
    /// The agent key that the claim is worth: the same each time, for the hub that has this `hub.key`.
    pub fn agent_key(&self, hub_key: &Secret, key_id: &KeyId) -> AgentKey {
        let info =
            [b"outpost/v1 enrolled key\0".as_slice(), self.public_key.as_bytes(), key_id.as_str().as_bytes()];
        AgentKey::new(*derive(hub_key, self.token, &info).expose())
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let mut fields = text.trim().split('.');
        let mut next = || fields.next().ok_or(InviteError::NotAnInvite);
        if next()? != "opt1" {
            return Err(InviteError::NotAnInvite);
        }
        let hub_id = next()?.parse().map_err(|_| InviteError::Field("hub id"))?;
        let secret = decode32(next()?).ok_or(InviteError::Field("secret (32 bytes, base64url)"))?;
        let ca = match fields.next() {
            None => None,
            Some(ca) => Some(decode32(ca).ok_or(InviteError::Field("CA hash (32 bytes, base64url)"))?),
        };
        match fields.next() {
            None => Ok(Self { hub_id, secret: Secret::new(secret), ca }),
            Some(_) => Err(InviteError::NotAnInvite),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(hub: u8, secret: u8) -> Invite {
        Invite { hub_id: HubId::from_bytes([hub; 16]), secret: Secret::new([secret; 32]), ca: None }
    }

    #[test]
    fn an_invite_survives_its_line() {
        let plain = invite(1, 2);
        let pinned = Invite { ca: Some([9; 32]), ..plain.clone() };
        for invite in [plain, pinned] {
            assert_eq!(format!("{}\n", invite.to_line().expose()).parse::<Invite>(), Ok(invite));
        }
    }

    #[test]
    fn whatever_is_cut_off_an_invite_it_is_none() {
        let line = Invite { ca: Some([9; 32]), ..invite(1, 2) }.to_line().expose().clone();
        let whole_without_ca = invite(1, 2).to_line().expose().len();
        for end in (0..line.len()).filter(|end| *end != whole_without_ca) {
            let error = line[..end].parse::<Invite>().unwrap_err().to_string();
            assert!(!error.contains(&line[40..50]), "{error}");
        }
        assert_eq!(format!("{line}.x").parse::<Invite>(), Err(InviteError::NotAnInvite));
        assert!(!format!("{:?}", invite(1, 2)).contains(&line[37..60]));
    }

    #[test]
    fn a_signature_is_good_for_this_hub_token_and_key_alone() {
        let (own, other) = (SigningKey::from_bytes(&[5; 32]), SigningKey::from_bytes(&[6; 32]));
        let signature = invite(1, 2).sign(&own);
        assert!(invite(1, 2).verify(&own.verifying_key(), &signature));
        assert!(!invite(3, 2).verify(&own.verifying_key(), &signature), "another hub");
        assert!(!invite(1, 3).verify(&own.verifying_key(), &signature), "another token");
        assert!(!invite(1, 2).verify(&other.verifying_key(), &signature), "another key");
    }
}
