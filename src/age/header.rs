//! The header: who can find the file's key in it.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::secret::Secret;
use crate::wire::mac::MacKey;

use super::{AgeError, Identity, MAGIC, Recipient};

/// Bytes of the key that encrypts the file.
const FILE_KEY_BYTES: usize = 16;
/// That key, wrapped.
const WRAPPED_BYTES: usize = FILE_KEY_BYTES + 16;
/// A header with some hundred recipients.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// One line of it.
pub(super) const HEADER_LINE_BYTES_MAX: u64 = 4096;
/// Columns of a stanza's body; its last line is shorter.
const COLUMNS: usize = 64;
/// Without padding, and only the one spelling of each value.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The header of a file with this key, for one recipient. `ephemeral` is random.
pub(super) fn header(file_key: &FileKey, recipient: &Recipient, ephemeral: &Secret) -> Vec<u8> {
    let ephemeral = StaticSecret::from(*ephemeral.expose());
    let share = PublicKey::from(&ephemeral);
    let shared = ephemeral.diffie_hellman(&recipient.0);
    let wrapped =
        wrap_cipher(shared.as_bytes(), &share, &recipient.0).encrypt(&Nonce::default(), file_key.as_slice());
    let mut header = MAGIC.to_vec();
    let line = format!(
        "-> X25519 {}\n{}\n---",
        BASE64.encode(share.as_bytes()),
        BASE64.encode(wrapped.unwrap_or_default())
    );
    header.extend_from_slice(line.as_bytes());
    let mac = mac_key(file_key).sign(&header);
    header.extend_from_slice(format!(" {}\n", BASE64.encode(mac)).as_bytes());
    header
}

fn wrap_cipher(shared: &[u8; 32], share: &PublicKey, recipient: &PublicKey) -> ChaCha20Poly1305 {
    let salt = [share.as_bytes().as_slice(), recipient.as_bytes()].concat();
    ChaCha20Poly1305::new(derive(shared, &salt, b"age-encryption.org/v1/X25519").expose().into())
}

fn mac_key(file_key: &FileKey) -> MacKey {
    MacKey::new(&derive(file_key, &[], b"header"))
}

pub(super) fn derive(key: &[u8], salt: &[u8], info: &[u8]) -> Secret {
    let mut output = [0; 32];
    #[expect(clippy::expect_used, reason = "32 bytes are one HKDF block; the bound is 255 blocks")]
    Hkdf::<Sha256>::new(Some(salt), key).expand(info, &mut output).expect("32 bytes are within HKDF's bound");
    Secret::new(output)
}

/// What the key of one file is made of.
pub(super) type FileKey = [u8; FILE_KEY_BYTES];

/// A header that is being read, line by line.
#[derive(Debug, Default)]
pub(super) struct HeaderReader {
    bytes: Vec<u8>,
    stanzas: Vec<Stanza>,
    in_body: bool,
}

#[derive(Debug)]
struct Stanza {
    arguments: Vec<String>,
    body: Vec<u8>,
}

impl HeaderReader {
    /// Takes the next line, its `\n` included. The header is complete where this gives a key.
    ///
    /// # Errors
    /// See [`AgeError`].
    pub(super) fn line(
        &mut self,
        line: &[u8],
        identities: &[Identity],
    ) -> Result<Option<Secret<FileKey>>, AgeError> {
        if self.bytes.is_empty() && line != MAGIC {
            return Err(AgeError::NotAge);
        }
        let text = line
            .strip_suffix(b"\n")
            .and_then(|line| std::str::from_utf8(line).ok())
            .ok_or(AgeError::Header)?;
        if self.bytes.len().saturating_add(line.len()) > HEADER_BYTES_MAX {
            return Err(AgeError::Header);
        }
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(line);
            return Ok(None);
        }
        if self.in_body {
            self.body(text)?;
        } else if let Some(arguments) = text.strip_prefix("-> ") {
            let arguments = arguments.split(' ').map(str::to_owned).collect();
            self.stanzas.push(Stanza { arguments, body: Vec::new() });
            self.in_body = true;
        } else {
            let mac = text.strip_prefix("--- ").ok_or(AgeError::Header)?;
            return self.end(mac, identities).map(Some);
        }
        self.bytes.extend_from_slice(line);
        Ok(None)
    }

    fn body(&mut self, text: &str) -> Result<(), AgeError> {
        if text.len() > COLUMNS {
            return Err(AgeError::Header);
        }
        let bytes = BASE64.decode(text).map_err(|_| AgeError::Header)?;
        let stanza = self.stanzas.last_mut().ok_or(AgeError::Header)?;
        stanza.body.extend_from_slice(&bytes);
        self.in_body = text.len() == COLUMNS;
        Ok(())
    }

    fn end(&mut self, mac: &str, identities: &[Identity]) -> Result<Secret<FileKey>, AgeError> {
        self.bytes.extend_from_slice(b"---");
        let mac = BASE64.decode(mac).map_err(|_| AgeError::Header)?;
        for stanza in &self.stanzas {
            let Some(share) = stanza.share()? else { continue };
            for identity in identities {
                let Some(file_key) = stanza.unwrap(&share, identity) else { continue };
                let sound = mac_key(file_key.expose()).verify(&self.bytes, &mac);
                return if sound { Ok(file_key) } else { Err(AgeError::HeaderMac) };
            }
        }
        Err(AgeError::NoMatch(self.stanzas.len()))
    }
}

impl Stanza {
    /// The sender's part of the key agreement; `None` for a recipient of another kind.
    fn share(&self) -> Result<Option<PublicKey>, AgeError> {
        let [kind, share] = self.arguments.as_slice() else { return Ok(None) };
        if kind != "X25519" {
            return Ok(None);
        }
        let share: Option<[u8; 32]> = BASE64.decode(share).ok().and_then(|share| share.try_into().ok());
        let share = share.filter(|_| self.body.len() == WRAPPED_BYTES).ok_or(AgeError::Header)?;
        Ok(Some(PublicKey::from(share)))
    }

    fn unwrap(&self, share: &PublicKey, identity: &Identity) -> Option<Secret<FileKey>> {
        let shared = identity.0.diffie_hellman(share);
        // A share of low order makes a key that everybody knows.
        if !shared.was_contributory() {
            return None;
        }
        let cipher = wrap_cipher(shared.as_bytes(), share, &identity.recipient().0);
        let key = Secret::new(cipher.decrypt(&Nonce::default(), self.body.as_slice()).ok()?);
        key.expose().as_slice().try_into().ok().map(Secret::new)
    }
}
