//! A named token's text: `oat1.ID.SECRET`, with 32 hexadecimal digits and base64url of 32 bytes.
//!
//! The beginning lets a scanner find one that was published by mistake. The id finds the row; only the secret opens
//! anything, and of it nothing but SHA-256 is kept.

use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::id::TokenId;
use crate::secret::Secret;
use crate::wire::key::{decode32, encode32};

const PREFIX: &str = "oat1.";

/// A token as its owner has it.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// Which row it is.
    pub id: TokenId,
    secret: Secret,
}

/// A text that is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no token that `outpost hub token add` made")]
pub struct ParseTokenError;

impl ApiToken {
    /// A token of these random bytes.
    pub const fn new(id: TokenId, secret: Secret) -> Self {
        Self { id, secret }
    }

    /// What recognises it.
    pub fn digest(&self) -> Secret {
        Secret::new(Sha256::digest(self.secret.expose()).into())
    }

    /// The line that is shown once.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(format!("{PREFIX}{}.{}", self.id, encode32(self.secret.expose())))
    }
}

impl FromStr for ApiToken {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let (id, secret) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.')).ok_or(ParseTokenError)?;
        let id = id.parse().map_err(|_| ParseTokenError)?;
        decode32(secret).map(|secret| Self { id, secret: Secret::new(secret) }).ok_or(ParseTokenError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_parses_as_it_was_shown_and_in_no_other_form() {
        let token = ApiToken::new(TokenId::from_bytes([7; 16]), Secret::new([9; 32]));
        let text = token.to_text();
        let text = text.expose();
        let parsed: ApiToken = text.parse().unwrap();
        assert!(parsed.id == token.id && parsed.digest() == token.digest());
        for wrong in [
            &text[1..],
            &text[..text.len() - 1],
            &text.to_uppercase(),
            &format!("{text}A"),
            "",
            "oat1..",
            "opa1.x.y",
        ] {
            assert!(wrong.parse::<ApiToken>().is_err(), "{wrong}");
        }
    }
}
