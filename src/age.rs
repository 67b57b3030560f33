//! The age file format, version 1, with X25519 recipients: what `age` and `rage` read and write (age-encryption.org/v1).
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 <ephemeral share>              for each recipient
//! <file key, wrapped>
//! --- <HMAC-SHA256 of everything up to here>
//! nonce[16] | chunk ...                    64 KiB each, ChaCha20-Poly1305, counted, the last one marked
//! ```
//! Of the format's recipients only X25519 is written and opened, others are passed over; no armor, no passphrases.
//! Pure: randomness and bytes are arguments. The reasons for not using a package are in ARCHITECTURE.md.

mod decrypt;
mod encrypt;
mod header;
mod key;
mod stream;
#[cfg(test)]
mod tests;

pub use decrypt::Decrypt;
pub use encrypt::{Encrypt, Seed};
pub use key::{Identity, Recipient, identities};

/// An encrypted file begins with this.
pub const MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// A file in ASCII armor begins with this.
pub const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// Why a key or an encrypted file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    /// Not `age1...`.
    #[error("`{0}` is not an age recipient (age1 and 58 more characters); `age-keygen` prints one")]
    Recipient(String),
    /// No `AGE-SECRET-KEY-1...`. The text may be a secret and is not shown.
    #[error("no age identity (a line AGE-SECRET-KEY-1...); `age-keygen -o F` writes one")]
    Identity,
    /// Not encrypted with age.
    #[error("not a file in the age format")]
    NotAge,
    /// The header is cut off, too long or not of this version.
    #[error("the header of the encrypted file is damaged, or of a kind this program does not know")]
    Header,
    /// None of the identities is one of its recipients.
    #[error("the file is encrypted to somebody else: none of its {0} recipients is this identity")]
    NoMatch(usize),
    /// The header was changed.
    #[error("the header of the encrypted file does not verify: it is damaged or forged")]
    HeaderMac,
    /// It ends before its first chunk.
    #[error("the encrypted file is cut off")]
    Truncated,
    /// A chunk was changed, moved or cut off.
    #[error("chunk {0} of the encrypted file does not decrypt: it is damaged, cut off or forged")]
    Chunk(u64),
}
