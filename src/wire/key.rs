//! The key schedule: everything that follows from an agent's 32-byte key, and the key file that carries it.
//!
//! ```text
//! bearer_secret = HKDF(agent key, info "outpost/v1 bearer")     sent in the upgrade, the hub keeps its SHA-256
//! mac_root      = HKDF(agent key, info "outpost/v1 mac")        never sent, the hub keeps it sealed
//! challenge key = HKDF(mac_root, salt agent_nonce, info "outpost/v1 challenge" || hub_id || agent_id)
//! session key   = HKDF(mac_root, salt agent_nonce || hub_nonce,
//!                      info "outpost/v1 " || ("a2h" | "h2a") || hub_id || agent_id || session_id || channel_binding)
//! job secrets   = HKDF(mac_root, info "outpost/v1 job secret")   at rest on the agent, never on the wire
//! bundle key    = HKDF(mac_root, info "outpost/v1 bundle" || bundle_id)
//! token key     = HKDF(hub.key, info "outpost/v1 jwt" || hub_id)              the hub's alone; see `wire/jwt.rs`
//! ack file key  = HKDF(mac_root, info "outpost/v1 bundle ack" || hub_id || agent_id)
//! ```
//! HKDF is HKDF-SHA256 with 32 bytes of output, and with the empty salt where none is named.

mod file;
mod rotation;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use sha2::{Digest, Sha256, Sha512};

use crate::id::{AgentId, BundleId, HubId, SessionId};
use crate::secret::Secret;
use crate::time::HubTime;

use super::VERSION;
use super::mac::MacKey;

pub use file::{Bearer, KeyError, KeyFile};
pub use rotation::{RotationContext, RotationHalf};

/// 32 random bytes an agent and its hub share; they cross the wire only at enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentKey(Secret);

/// What authenticates the upgrade request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearerSecret(Secret);

/// The root of every frame's MAC key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacRoot(Secret);

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the agent to the hub.
    AgentToHub,
    /// From the hub to the agent.
    HubToAgent,
}

/// Everything the two session keys depend on besides the MAC root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionContext {
    /// The hub.
    pub hub_id: HubId,
    /// The agent.
    pub agent_id: AgentId,
    /// The session the hub named in its Challenge.
    pub session_id: SessionId,
    /// From the upgrade request.
    pub agent_nonce: [u8; 32],
    /// From the Challenge.
    pub hub_nonce: [u8; 32],
    /// TLS exporter, or zeros.
    pub channel_binding: [u8; 32],
}

impl AgentKey {
    /// Takes 32 random bytes over.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// What authenticates the upgrade.
    pub fn bearer_secret(&self) -> BearerSecret {
        BearerSecret(derive(&self.0, &[], &[b"outpost/v1 bearer"]))
    }

    /// The root of the MAC keys.
    pub fn mac_root(&self) -> MacRoot {
        MacRoot(derive(&self.0, &[], &[b"outpost/v1 mac"]))
    }
}

impl BearerSecret {
    /// What the hub keeps instead of the secret.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose()).into()
    }
}

impl MacRoot {
    /// Takes an unsealed root over.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// The bytes, for sealing only.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The key the Challenge is signed with.
    pub fn challenge_key(&self, agent_nonce: &[u8; 32], hub_id: HubId, agent_id: AgentId) -> MacKey {
        MacKey::new(&derive(
            &self.0,
            agent_nonce,
            &[b"outpost/v1 challenge", hub_id.as_bytes(), agent_id.as_bytes()],
        ))
    }

    /// The key that an agent seals specs with secrets with on its own disk.
    pub fn job_secret_key(&self) -> Secret {
        derive(&self.0, &[], &[b"outpost/v1 job secret"])
    }

    /// The key of one bundle's chunks.
    pub fn bundle_key(&self, bundle: BundleId) -> MacKey {
        MacKey::new(&derive(&self.0, &[], &[b"outpost/v1 bundle", bundle.as_bytes()]))
    }

    /// The key of ack files. Its info is longer than any bundle's, so that no bundle id makes the two the same.
    pub fn bundle_ack_key(&self, hub_id: HubId, agent_id: AgentId) -> MacKey {
        let info: [&[u8]; 3] = [b"outpost/v1 bundle ack", hub_id.as_bytes(), agent_id.as_bytes()];
        MacKey::new(&derive(&self.0, &[], &info))
    }

    /// The key of every frame after the Challenge, in one direction.
    pub fn session_key(&self, direction: Direction, context: &SessionContext) -> MacKey {
        let label: &[u8] = match direction {
            Direction::AgentToHub => b"a2h",
            Direction::HubToAgent => b"h2a",
        };
        let mut salt = [0; 64];
        salt[..32].copy_from_slice(&context.agent_nonce);
        salt[32..].copy_from_slice(&context.hub_nonce);
        MacKey::new(&derive(
            &self.0,
            &salt,
            &[
                b"outpost/v1 ",
                label,
                context.hub_id.as_bytes(),
                context.agent_id.as_bytes(),
                context.session_id.as_bytes(),
                &context.channel_binding,
            ],
        ))
    }
}

/// What an agent's identity key signs: labelled, of fixed length and hashed, so that a hostile hub never gets a
/// signature over bytes of its choosing.
pub fn challenge_digest(context: &SessionContext, hub_time: HubTime) -> [u8; 64] {
    let mut hash = Sha512::new();
    hash.update(b"outpost/v1 challenge\0");
    hash.update(VERSION.to_be_bytes());
    hash.update(context.hub_id.as_bytes());
    hash.update(context.agent_id.as_bytes());
    hash.update(context.session_id.as_bytes());
    hash.update(context.hub_nonce);
    hash.update(context.agent_nonce);
    hash.update(hub_time.0.to_be_bytes());
    hash.update(context.channel_binding);
    hash.finalize().into()
}

/// What an agent's identity key signs at the end of a bundle: labelled, of fixed length and hashed, as a Challenge is.
/// `content` is the SHA-256 of everything before.
pub fn bundle_digest(hub_id: HubId, agent_id: AgentId, bundle: BundleId, content: &[u8; 32]) -> [u8; 64] {
    let mut hash = Sha512::new();
    hash.update(b"outpost/v1 bundle\0");
    hash.update(VERSION.to_be_bytes());
    hash.update(hub_id.as_bytes());
    hash.update(agent_id.as_bytes());
    hash.update(bundle.as_bytes());
    hash.update(content);
    hash.finalize().into()
}

pub(super) fn derive(key: &Secret, salt: &[u8], info: &[&[u8]]) -> Secret {
    let mut output = [0; 32];
    #[expect(clippy::expect_used, reason = "32 bytes are one HKDF block; the bound is 255 blocks")]
    Hkdf::<Sha256>::new(Some(salt), key.expose())
        .expand_multi_info(info, &mut output)
        .expect("32 bytes are within HKDF's bound");
    Secret::new(output)
}

/// Unpadded base64url of 32 bytes, as nonces and keys are written.
pub fn encode32(bytes: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The 32 bytes of an unpadded base64url text.
pub fn decode32(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_file() -> KeyFile {
        KeyFile {
            hub_id: HubId::from_bytes([1; 16]),
            agent_id: AgentId::from_bytes([2; 16]),
            key_id: "k1".parse().unwrap(),
            key: AgentKey::new([3; 32]),
        }
    }

    #[test]
    fn a_key_file_survives_its_line() {
        let file = key_file();
        assert_eq!(format!("{}\n", file.to_line().expose()).parse::<KeyFile>().unwrap(), file);
        let bearer = file.bearer();
        assert_eq!(bearer.to_text().expose().parse::<Bearer>().unwrap(), bearer);
    }

    #[test]
    fn damaged_key_files_name_the_field_and_not_the_key() {
        let line = key_file().to_line();
        let line = line.expose();
        let cut = &line[..line.len() - 1];
        assert_eq!(cut.parse::<KeyFile>(), Err(KeyError::Field("key (32 bytes, base64url)")));
        assert_eq!("".parse::<KeyFile>(), Err(KeyError::NotAKeyFile));
        assert_eq!(format!("{line}.x").parse::<KeyFile>(), Err(KeyError::NotAKeyFile));
        assert_eq!(line.replace("opk1.01", "opk1.0").parse::<KeyFile>(), Err(KeyError::Field("hub id")));
        assert!(!format!("{:?}", key_file()).contains(line.rsplit('.').next().unwrap()));
    }

    #[test]
    fn the_two_directions_have_keys_of_their_own() {
        let root = key_file().key.mac_root();
        let context = SessionContext {
            hub_id: HubId::from_bytes([1; 16]),
            agent_id: AgentId::from_bytes([2; 16]),
            session_id: SessionId::from_bytes([4; 16]),
            agent_nonce: [5; 32],
            hub_nonce: [6; 32],
            channel_binding: [0; 32],
        };
        let up = root.session_key(Direction::AgentToHub, &context).sign(b"x");
        let down = root.session_key(Direction::HubToAgent, &context).sign(b"x");
        assert_ne!(up, down);
    }
}
