//! Numbers and ids in their order.

use bytes::BufMut;

use crate::id::{Epoch, KeyId, StreamId};
use crate::outbox::block;

/// What is still to be read.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn key_id(&mut self) -> Option<KeyId> {
        let length = self.byte()?;
        std::str::from_utf8(self.bytes(length.into())?).ok()?.parse().ok()
    }

    pub(super) fn stream(&mut self) -> Option<StreamId> {
        let lane = block::lane_from_code(self.byte()?)?;
        Some(StreamId { lane, epoch: Epoch::from_u64(self.u64()?) })
    }
}

pub(super) fn put_key_id(key_id: &KeyId, out: &mut Vec<u8>) {
    // At most 32 characters.
    out.put_u8(u8::try_from(key_id.as_str().len()).unwrap_or(u8::MAX));
    out.put_slice(key_id.as_str().as_bytes());
}

pub(super) fn put_stream(stream: StreamId, out: &mut Vec<u8>) {
    out.put_u8(block::lane_code(stream.lane));
    out.put_u64(stream.epoch.as_u64());
}
