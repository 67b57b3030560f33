//! Options of the outboxes under test: lanes that are small, or that refuse where they would evict.

use outpost::id::Lane;
use outpost::outbox::OnFull;
use outpost::outbox::Options;

/// Bytes after which events and logs begin generations at every turn, and are full now and then.
pub(crate) const SMALL: [(Lane, u64); 2] = [(Lane::Events, 2 << 20), (Lane::Logs, 3 << 20)];

/// Lanes of these bytes; events refuse when they are full, logs do `logs`.
pub(crate) fn options(bytes: &[(Lane, u64)], logs: OnFull) -> Options {
    let mut options = Options::default();
    options.lanes.of_mut(Lane::Events).on_full = OnFull::Refuse;
    options.lanes.of_mut(Lane::Logs).on_full = logs;
    for (lane, bytes) in bytes {
        options.lanes.of_mut(*lane).max_bytes = *bytes;
    }
    options
}
