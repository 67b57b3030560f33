//! What a bundle says about itself.

use bytes::BufMut;

use crate::id::{AgentId, BundleId, HubId, KeyId, StreamId};
use crate::limit;

use super::BundleError;
use super::field::{Fields, put_key_id, put_stream};

/// The header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The hub it is for.
    pub hub_id: HubId,
    /// Whose records it holds.
    pub agent_id: AgentId,
    /// Which bundle.
    pub bundle: BundleId,
    /// Which of the agent's keys the MACs are made with.
    pub key_id: KeyId,
    /// How many chunks follow, at least 1.
    pub chunks: u32,
    /// What they cover, by lane and epoch; at most `limit::STREAMS_MAX`.
    pub ranges: Vec<Range>,
}

/// Consecutive numbers of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The stream.
    pub stream: StreamId,
    /// First number.
    pub first: u64,
    /// Last number.
    pub last: u64,
    /// The record CRC of number `first - 1`, where the agent knows it, else 0.
    pub crc_before: u32,
}

impl Header {
    /// Its bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + 29 * self.ranges.len());
        out.put_slice(self.hub_id.as_bytes());
        out.put_slice(self.agent_id.as_bytes());
        out.put_slice(self.bundle.as_bytes());
        put_key_id(&self.key_id, &mut out);
        out.put_u32(self.chunks);
        out.put_u32(u32::try_from(self.ranges.len()).unwrap_or(u32::MAX));
        for range in &self.ranges {
            put_stream(range.stream, &mut out);
            out.put_u64(range.first);
            out.put_u64(range.last);
            out.put_u32(range.crc_before);
        }
        out
    }

    /// The header in these bytes.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        let wrong = |what: &str| BundleError::Header(what.to_owned());
        let mut fields = Fields(bytes);
        let header = Self::read(&mut fields).ok_or_else(|| wrong("a field is cut off or malformed"))?;
        if !fields.0.is_empty() {
            return Err(wrong("bytes follow its ranges"));
        }
        if header.chunks == 0 || header.ranges.is_empty() {
            return Err(wrong("it holds nothing"));
        }
        let sound = |range: &Range| {
            range.first > 0 && range.first <= range.last && range.last <= limit::RECORD_NUMBER_MAX
        };
        if let Some(range) = header.ranges.iter().find(|range| !sound(range)) {
            let Range { stream, first, last, .. } = range;
            return Err(BundleError::Header(format!("{stream} from {first} to {last} is no range")));
        }
        if !header.ranges.is_sorted_by(|left, right| left.stream < right.stream) {
            return Err(wrong("its ranges are not in order"));
        }
        Ok(header)
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let hub_id = HubId::from_bytes(fields.take()?);
        let agent_id = AgentId::from_bytes(fields.take()?);
        let bundle = BundleId::from_bytes(fields.take()?);
        let key_id = fields.key_id()?;
        let chunks = fields.u32()?;
        let count = fields.u32()? as usize;
        if count > limit::STREAMS_MAX {
            return None;
        }
        let mut ranges = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = fields.stream()?;
            let (first, last, crc_before) = (fields.u64()?, fields.u64()?, fields.u32()?);
            ranges.push(Range { stream, first, last, crc_before });
        }
        Some(Self { hub_id, agent_id, bundle, key_id, chunks, ranges })
    }
}
