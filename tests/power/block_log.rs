//! What a block device was asked to do, in order: the bytes it began with, then every write and every barrier.
//!
//! Each request carries the time at which the device took it, by the clock that the workload reports with. So a position
//! in the log and a report compare: what was reported before the device took request `n` needs none of the requests
//! from `n` on.

use outpost::obs::clock::boot_now;
use outpost::time::BootTime;

/// A device's life so far.
pub(crate) struct BlockLog {
    base: Vec<u8>,
    now: Vec<u8>,
    requests: Vec<Request>,
}

/// One request.
pub(crate) struct Request {
    pub(crate) at: BootTime,
    pub(crate) action: Action,
}

/// What was asked for.
pub(crate) enum Action {
    /// To keep these bytes, some time.
    Write { offset: usize, bytes: Vec<u8> },
    /// To have everything before it on the medium.
    Barrier,
}

impl BlockLog {
    /// A device that holds these bytes.
    pub(crate) fn new(base: Vec<u8>) -> Self {
        Self { now: base.clone(), base, requests: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.now.len()
    }

    /// The bytes before the first request.
    pub(crate) fn base(&self) -> &[u8] {
        &self.base
    }

    /// The bytes after the last request.
    pub(crate) fn now(&self) -> &[u8] {
        &self.now
    }

    pub(crate) fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Bytes from `offset` on, as many as there are up to `length`.
    pub(crate) fn read(&self, offset: usize, length: usize) -> &[u8] {
        let end = offset.saturating_add(length).min(self.now.len());
        self.now.get(offset..end).unwrap_or_default()
    }

    /// Takes a write; `false` where it reaches beyond the device.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let Some(place) = self.now.get_mut(offset..offset.saturating_add(bytes.len())) else { return false };
        place.copy_from_slice(bytes);
        self.push(Action::Write { offset, bytes: bytes.to_vec() });
        true
    }

    pub(crate) fn barrier(&mut self) {
        self.push(Action::Barrier);
    }

    fn push(&mut self, action: Action) {
        self.requests.push(Request { at: boot_now(), action });
    }
}
