//! Agreeing on an agent's next key inside its session, so that it never crosses the wire.
//!
//! ```text
//! next key = HKDF(X25519(one half, the other's public), salt mac_root,
//!                 info "outpost/v1 rotate" || hub_id || agent_id || length of key_id u8 || key_id || hub public || agent public)
//! ```
//! Who recorded the session and gets the present key later lacks the agreement; who can make the two ends agree on keys
//! of his own lacks the MAC root. A public of low order, which would make the agreement known to everybody, is refused.

use std::fmt;

use x25519_dalek::{PublicKey, StaticSecret};

use crate::id::{AgentId, HubId, KeyId};
use crate::secret::Secret;

use super::{AgentKey, MacRoot, derive};

/// One end's ephemeral half. Good for one agreement.
pub struct RotationHalf(StaticSecret);

/// What the next key depends on besides the agreement.
#[derive(Debug, Clone, Copy)]
pub struct RotationContext<'a> {
    /// The root of the session's keys.
    pub root: &'a MacRoot,
    /// The hub.
    pub hub_id: HubId,
    /// The agent.
    pub agent_id: AgentId,
    /// The next key's id.
    pub key_id: &'a KeyId,
    /// The hub's half.
    pub hub_public: &'a [u8; 32],
    /// The agent's half.
    pub agent_public: &'a [u8; 32],
}

impl RotationHalf {
    /// Takes 32 random bytes over.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(StaticSecret::from(seed))
    }

    /// What the other end is told.
    pub fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    /// The next key, from this half and the other end's public; `None` where that one is of low order.
    pub fn agree(&self, peer: &[u8; 32], context: &RotationContext<'_>) -> Option<AgentKey> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*peer));
        if !shared.was_contributory() {
            return None;
        }
        let shared = Secret::new(shared.to_bytes());
        let key_id = context.key_id.as_str().as_bytes();
        // A key id has at most 32 bytes.
        let length = u8::try_from(key_id.len()).ok()?;
        let info: [&[u8]; 7] = [
            b"outpost/v1 rotate",
            context.hub_id.as_bytes(),
            context.agent_id.as_bytes(),
            &[length],
            key_id,
            context.hub_public,
            context.agent_public,
        ];
        Some(AgentKey(derive(&shared, context.root.expose(), &info)))
    }
}

impl fmt::Debug for RotationHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RotationHalf(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(root: u8, key_id: &str, peer: &[u8; 32], own: u8) -> Option<AgentKey> {
        let (root, key_id) = (MacRoot::new([root; 32]), key_id.parse().unwrap());
        let (hub, agent) = (RotationHalf::new([1; 32]), RotationHalf::new([2; 32]));
        let context = RotationContext {
            root: &root,
            hub_id: HubId::from_bytes([3; 16]),
            agent_id: AgentId::from_bytes([4; 16]),
            key_id: &key_id,
            hub_public: &hub.public(),
            agent_public: &agent.public(),
        };
        RotationHalf::new([own; 32]).agree(peer, &context)
    }

    #[test]
    fn both_ends_agree_and_nobody_without_the_root_does() {
        let (hub, agent) = (RotationHalf::new([1; 32]).public(), RotationHalf::new([2; 32]).public());
        let key = agreed(9, "k2", &agent, 1).unwrap();
        assert_eq!(agreed(9, "k2", &hub, 2), Some(key.clone()));
        for other in [agreed(8, "k2", &hub, 2), agreed(9, "k3", &hub, 2), agreed(9, "k2", &hub, 5)] {
            assert_ne!(other.unwrap(), key);
        }
    }

    #[test]
    fn a_public_of_low_order_is_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        // A point of order 8 (RFC 7748 calls for the check; the list is that of its reference code).
        let eight: [u8; 32] = hex::decode("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
            .unwrap()
            .try_into()
            .unwrap();
        for low in [[0; 32], one, eight] {
            assert_eq!(agreed(9, "k2", &low, 1), None, "{low:?}");
        }
    }
}
