//! A bundle: the unacked records of one agent as one file, for a site that never gets a link, and the ack file that
//! comes back. Pure: state and byte slices; who reads and writes files is the shell. docs/bundle.md is the letter.
//!
//! ```text
//! bundle  = "OPBUNDLE" | version u32 | frame ...                 numbers are big-endian
//! frame   = index u32 | kind u8 | length u32 | content | MAC[32]        content at most 1 MiB
//!
//! index 0           kind 1   header: hub id[16] agent id[16] bundle id[16] | key id (length u8, text) | chunks u32
//!                            | ranges u32 | (lane u8, epoch u64, first u64, last u64, crc before u32) ...
//! index 1 ...       kind 2   chunk: entries (wire::entry), Records or Gap; the last one has kind 3
//! index chunks + 1  kind 4   end: empty, or the Ed25519 signature[64] of the agent's identity
//!
//! MAC       = HMAC-SHA256(HKDF(mac_root, "outpost/v1 bundle" || bundle id), everything of the frame before it)
//! signature = Ed25519(SHA-512("outpost/v1 bundle\0" | 1 as u32 | hub id | agent id | bundle id | SHA-256(all before)))
//! ```
//! Invariants:
//! * The entries cover each range of the header exactly: in the header's order, from `first` to `last`, without a hole.
//!   A number stands in a Records or in a Gap, never in both.
//! * Index and kind are under the MAC: frames that are swapped, repeated, cut off or taken from another bundle are found.
//! * Nothing of a bundle may be used before its end was verified; [`Reader`] only says so at the end.
//! * Frames are bounded, so is the memory of either side, whatever the bundle's size.

mod acks;
mod coverage;
mod field;
mod frame;
mod header;
mod plan;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use acks::{Acks, AcksError};
pub use header::{Header, Range};
pub use plan::{Held, Plan, PlanError, Span, cut_gap};
pub use reader::{Event, Reader};
pub use writer::Writer;

/// Version of the bundle and of the ack file.
pub const VERSION: u32 = 1;
/// A bundle begins with this.
pub const MAGIC: [u8; 8] = *b"OPBUNDLE";

/// Why a file is not a sound bundle, or why one cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Something else.
    #[error("not a bundle: it does not begin with OPBUNDLE; `outpost outbox export FILE` writes one")]
    NotABundle,
    /// Written by a newer program.
    #[error("the bundle has version {found}, this program knows up to {known}: install a newer one")]
    Newer {
        /// Its version.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// It ends too early.
    #[error("the bundle is cut off at frame {index}: copy it again")]
    Truncated {
        /// The frame that is not whole.
        index: u32,
    },
    /// More follows where it must end.
    #[error("bytes follow the end of the bundle: it is damaged or forged, export it again")]
    Trailing,
    /// A frame that may not stand here.
    #[error("frame {index} of the bundle is {what}: it is damaged or forged, export it again")]
    Frame {
        /// Where.
        index: u32,
        /// What it is.
        what: &'static str,
    },
    /// A frame's MAC is wrong.
    #[error(
        "frame {index} of the bundle does not verify: it is damaged or forged, or the agent's key is another"
    )]
    Mac {
        /// Where.
        index: u32,
    },
    /// The hub knows a public key of this agent, and the bundle is not signed.
    #[error("the bundle is not signed, and agent {0} has an identity: export it with the identity file set")]
    Unsigned(crate::id::AgentId),
    /// The signature does not verify.
    #[error(
        "the bundle's signature is not one of agent {0}'s identity: it is forged, or the identity was replaced"
    )]
    Signature(crate::id::AgentId),
    /// The header is outside its bounds.
    #[error("the bundle's header: {0}")]
    Header(String),
    /// The content of a chunk is outside its bounds.
    #[error("chunk {index} of the bundle: {detail}")]
    Entry {
        /// Where.
        index: u32,
        /// What is wrong.
        detail: String,
    },
    /// The chunks are not what the header says.
    #[error("the bundle's chunks do not match its header: {0}")]
    Coverage(String),
}
