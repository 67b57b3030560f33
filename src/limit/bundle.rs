//! Bundles: what a site without a link carries to its hub, and brings back.

use std::time::Duration;

/// Content of one frame of a bundle.
pub const BUNDLE_FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Numbers that one chunk of a bundle covers: as many of the longest parts as fit into a frame.
pub const BUNDLE_CHUNK_RECORDS: u64 = 64;
/// Pieces (records or Gaps) that one chunk of a bundle holds at most.
pub const BUNDLE_ENTRIES_MAX: usize = 256;
/// A bundle as a hub takes it: what is spooled to its disk before it is verified.
pub const BUNDLE_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// An ack file: `STREAMS_MAX` marks and a header.
pub const ACK_FILE_BYTES_MAX: usize = 128 * 1024;
/// Chunks of a bundle that are read ahead of the transaction that stores them.
pub const BUNDLE_READ_AHEAD: usize = 2;
/// The hub's writer gives an import up that brings nothing for this long: its source is a local file.
pub const IMPORT_STALL_TIMEOUT: Duration = Duration::from_secs(60);
