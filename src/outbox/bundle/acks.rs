//! The ack file: what a hub has of an agent after an import, for the way back.
//!
//! ```text
//! "OPBNDACK" | version u32 | hub id[16] | agent id[16] | bundle id[16] | key id (length u8, text) | marks u32
//! | (lane u8, epoch u64, acked u64, crc u32) ... | MAC[32]           numbers are big-endian
//!
//! MAC = HMAC-SHA256(HKDF(mac_root, "outpost/v1 bundle ack" || hub id || agent id), everything before it)
//! ```
//! The marks are cumulative: an old file says less than a newer one, never something else.

use bytes::BufMut;

use crate::id::{AgentId, BundleId, HubId, KeyId};
use crate::limit;
use crate::wire::key::{KeyFile, MacRoot};
use crate::wire::mac::MAC_BYTES;
use crate::wire::message::StreamMark;

use super::VERSION;
use super::field::{Fields, put_key_id, put_stream};

/// An ack file begins with this.
const MAGIC: [u8; 8] = *b"OPBNDACK";

/// What an ack file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acks {
    /// The hub that says it.
    pub hub_id: HubId,
    /// The agent it is for.
    pub agent_id: AgentId,
    /// The bundle that was imported.
    pub bundle: BundleId,
    /// Which of the agent's keys the MAC is made with.
    pub key_id: KeyId,
    /// What the hub has of each stream of the bundle.
    pub marks: Vec<StreamMark>,
}

/// Why an ack file is of no use here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcksError {
    /// Something else.
    #[error(
        "not an ack file: it does not begin with OPBNDACK; `outpost hub import BUNDLE --ack-out F` writes one"
    )]
    NotAcks,
    /// Written by a newer program.
    #[error("the ack file has version {found}, this program knows up to {known}: install a newer one")]
    Newer {
        /// Its version.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// Cut off, or with bytes that do not belong there.
    #[error("the ack file is damaged: copy it again, or import the bundle again for a new one")]
    Damaged,
    /// For another agent.
    #[error("the ack file is for agent {found}, this is {own}: take it there")]
    OtherAgent {
        /// Its agent.
        found: AgentId,
        /// This one.
        own: AgentId,
    },
    /// From another hub.
    #[error("the ack file is from hub {found}, this agent belongs to {own}: import the bundle at that hub")]
    OtherHub {
        /// Its hub.
        found: HubId,
        /// This agent's.
        own: HubId,
    },
    /// Made with a key the agent has no more.
    #[error("the ack file is made with key {found}, this agent has {own}: export and import once more")]
    OtherKey {
        /// Its key.
        found: KeyId,
        /// This agent's.
        own: KeyId,
    },
    /// The MAC is wrong.
    #[error("the ack file does not verify: it is damaged or forged; import the bundle again for a new one")]
    Mac,
}

impl Acks {
    /// Whether these bytes begin as an ack file does.
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// The file.
    pub fn encode(&self, root: &MacRoot) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + 21 * self.marks.len());
        out.put_slice(&MAGIC);
        out.put_u32(VERSION);
        out.put_slice(self.hub_id.as_bytes());
        out.put_slice(self.agent_id.as_bytes());
        out.put_slice(self.bundle.as_bytes());
        put_key_id(&self.key_id, &mut out);
        out.put_u32(u32::try_from(self.marks.len()).unwrap_or(u32::MAX));
        for mark in &self.marks {
            put_stream(mark.stream, &mut out);
            out.put_u64(mark.acked);
            out.put_u32(mark.acked_crc);
        }
        let mac = root.bundle_ack_key(self.hub_id, self.agent_id).sign(&out);
        out.put_slice(&mac);
        out
    }

    /// What the file says to the agent with this key.
    ///
    /// # Errors
    /// See [`AcksError`]; arbitrary bytes never panic.
    pub fn decode(file: &[u8], own: &KeyFile) -> Result<Self, AcksError> {
        let rest = file.strip_prefix(&MAGIC).ok_or(AcksError::NotAcks)?;
        let (version, _) = rest.split_first_chunk().ok_or(AcksError::Damaged)?;
        let found = u32::from_be_bytes(*version);
        if found > VERSION {
            return Err(AcksError::Newer { found, known: VERSION });
        }
        if file.len() > limit::ACK_FILE_BYTES_MAX {
            return Err(AcksError::Damaged);
        }
        let (signed, mac) = file.split_last_chunk::<MAC_BYTES>().ok_or(AcksError::Damaged)?;
        let mut fields = Fields(signed.get(MAGIC.len() + 4..).ok_or(AcksError::Damaged)?);
        let acks = Self::read(&mut fields).filter(|_| fields.0.is_empty()).ok_or(AcksError::Damaged)?;
        if acks.hub_id != own.hub_id {
            return Err(AcksError::OtherHub { found: acks.hub_id, own: own.hub_id });
        }
        if acks.agent_id != own.agent_id {
            return Err(AcksError::OtherAgent { found: acks.agent_id, own: own.agent_id });
        }
        if acks.key_id != own.key_id {
            return Err(AcksError::OtherKey { found: acks.key_id, own: own.key_id.clone() });
        }
        let key = own.key.mac_root().bundle_ack_key(acks.hub_id, acks.agent_id);
        if !key.verify(signed, mac) {
            return Err(AcksError::Mac);
        }
        Ok(acks)
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let hub_id = HubId::from_bytes(fields.take()?);
        let agent_id = AgentId::from_bytes(fields.take()?);
        let bundle = BundleId::from_bytes(fields.take()?);
        let key_id = fields.key_id()?;
        let count = fields.u32()? as usize;
        if count > limit::STREAMS_MAX {
            return None;
        }
        let mut marks = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = fields.stream()?;
            marks.push(StreamMark { stream, acked: fields.u64()?, acked_crc: fields.u32()? });
        }
        Some(Self { hub_id, agent_id, bundle, key_id, marks })
    }
}
