//! The sending direction: numbers, stamps and signs, as late as possible.

use bytes::BytesMut;

use crate::id::MessageId;
use crate::time::BootTime;
use crate::wire::envelope::{self, Header};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::mac::MacKey;
use crate::wire::message::Message;

use super::clock::HubClock;

#[derive(Debug)]
pub(super) struct Outbound {
    key: MacKey,
    /// Signs every frame after the first, where that has a key of its own.
    then: Option<MacKey>,
    clock: HubClock,
    seq: u64,
    id: MessageId,
    pub(super) bytes_max: usize,
}

impl Outbound {
    pub(super) fn new(key: MacKey, clock: HubClock, id_seed: [u8; 16], bytes_max: usize) -> Self {
        Self { key, then: None, clock, seq: 0, id: MessageId::from_bytes(id_seed), bytes_max }
    }

    /// After the first frame this key signs.
    pub(super) fn then(self, key: MacKey) -> Self {
        Self { then: Some(key), ..self }
    }

    /// Appends the next frame to `out` and gives its id; nothing is appended and no number used where it would be too large.
    pub(super) fn seal(
        &mut self,
        now: BootTime,
        message: Message,
        correlation: MessageId,
        out: &mut BytesMut,
    ) -> Result<MessageId, WireError> {
        let name = message.name();
        let id = self.next_id();
        let header =
            Header { seq: self.seq.saturating_add(1), sent_at: self.clock.now(now), id, correlation };
        let start = out.len();
        envelope::seal(header, message, &self.key, out);
        let length = out.len().saturating_sub(start);
        if length > self.bytes_max {
            out.truncate(start);
            let detail = format!("our own {name} has {length} bytes, the limit is {}", self.bytes_max);
            return Err(WireError::new(ErrorCode::TooLarge, detail));
        }
        self.seq = header.seq;
        if let Some(key) = self.then.take() {
            self.key = key;
        }
        Ok(id)
    }

    fn next_id(&mut self) -> MessageId {
        let id = self.id;
        let (lo, carry) = id.lo.overflowing_add(1);
        self.id = MessageId { hi: id.hi.wrapping_add(u64::from(carry)), lo };
        id
    }
}
