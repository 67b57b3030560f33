//! Secret bytes and texts: never printed, wiped on drop, compared in constant time. The one type for all of them.
//!
//! What is made of a secret is one too: a function that writes a key as a line returns a `Secret<String>`. There is no
//! `Display`; whoever needs the content says [`Secret::expose`], and hands it to a cipher, a file or a socket.

use std::fmt;
use std::io::{self, Read};

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A secret: 32 bytes of key unless said otherwise, or a text (`Secret<String>`) or bytes of any length
/// (`Secret<Vec<u8>>`). `Debug` prints `Secret(..)`.
#[derive(Clone, Default)]
pub struct Secret<T: Zeroize = [u8; 32]>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the content over.
    pub fn new(content: T) -> Self {
        Self(Zeroizing::new(content))
    }

    /// The content, for a cipher, a file or a socket. Never for a log.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The content, to be written to. What grows is to have its room from the start: what it outgrows is not wiped.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl Secret<Vec<u8>> {
    /// Reads at most `bytes_max`, and one more where there are more: the length says so.
    ///
    /// # Errors
    /// What the reader says.
    pub fn read(reader: impl Read, bytes_max: usize) -> io::Result<Self> {
        let most = bytes_max.saturating_add(1);
        // One more still, so that the end is found without a larger vector.
        let mut secret = Self::new(Vec::with_capacity(most.saturating_add(1)));
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        reader.take(most).read_to_end(secret.expose_mut())?;
        Ok(secret)
    }

    /// The same as a text; `None` where it is not UTF-8.
    pub fn into_text(mut self) -> Option<Secret<String>> {
        let bytes = std::mem::take(self.expose_mut());
        match String::from_utf8(bytes) {
            Ok(text) => Some(Secret::new(text)),
            Err(error) => {
                drop(Self::new(error.into_bytes()));
                None
            }
        }
    }
}

impl AsRef<[u8]> for Secret<Vec<u8>> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    /// Constant time for secrets of one length; lengths are no secret.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new([7; 32])), "Secret(..)");
        assert_eq!(format!("{:#?}", Some(Secret::new("hunter2".to_owned()))), "Some(\n    Secret(..),\n)");
        assert_eq!(format!("{:?}", Secret::new(vec![7])), "Secret(..)");
    }

    #[test]
    fn secrets_compare_by_every_byte() {
        let mut other = [7; 32];
        assert_eq!(Secret::new([7; 32]), Secret::new(other));
        other[31] = 8;
        assert_ne!(Secret::new([7; 32]), Secret::new(other));
        let text = |text: &str| Secret::new(text.to_owned());
        assert_eq!(text("hunter2"), text("hunter2"));
        assert_ne!(text("hunter2"), text("hunter"));
        assert_ne!(text("hunter2"), text("hunter3"));
    }

    #[test]
    fn what_is_read_is_bounded_and_never_moved() {
        for length in [0, 1, 99, 100] {
            let secret = Secret::read(vec![b'x'; length].as_slice(), 100).unwrap();
            assert_eq!(secret.expose().len(), length);
            assert!(secret.expose().capacity() < 110, "it grew");
            assert_eq!(secret.into_text().unwrap().expose(), &"x".repeat(length));
        }
        assert_eq!(Secret::read([b'x'; 500].as_slice(), 100).unwrap().expose().len(), 101);
        assert_eq!(Secret::new(vec![0xff]).into_text(), None);
    }
}
