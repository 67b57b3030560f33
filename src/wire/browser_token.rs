//! What lets a browser read one live topic until a time: a text that whoever shares the secret can mint.
//!
//! ```text
//! token  = hex(claims) "." hex(HMAC-SHA256(secret text, hex(claims)))       lower case; the MAC is over the hex text
//! claims = JSON: user_id (text or whole number), expires (whole seconds since 1970), and one of
//!          topic (that exact topic) or session_id (the topic `session.<session_id>`)
//! ```
//! An empty topic or session_id is none. Claims of other names are left alone: the secret vouches for the rest. Nothing is decoded before the MAC holds, and the
//! MAC is compared in constant time; a token is good for the one topic it names, and not at its `expires` any more. It is
//! not bound to a connection: who sees it can use it until then.

use serde::{Deserialize, Serialize};

use crate::id::HubId;
use crate::limit;
use crate::secret::Secret;
use crate::time::HubTime;

use super::json_object;
use super::key::derive;
use super::mac::{MAC_BYTES, MacKey};

/// What comes before a session's id in the name of its topic.
const SESSION_TOPIC: &str = "session.";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who reads.
    pub user_id: UserId,
    /// From this second on (since 1970) it is of no use.
    pub expires_s: u64,
    /// What may be read.
    pub grant: Grant,
}

/// Who reads: programs that mint tokens number their users or name them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UserId {
    /// A name, or a number as a text.
    Text(String),
    /// A number.
    Number(i64),
}

/// What may be read with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// The topic of this name.
    Topic(String),
    /// The topic of the session with this id.
    Session(String),
}

/// A token that opens nothing. The token itself may be good elsewhere and is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than any that is minted.
    #[error("a token of {0} bytes, the limit is {limit}", limit = limit::BROWSER_TOKEN_BYTES_MAX)]
    TooLong(usize),
    /// Not two hexadecimal texts, the second of 64 digits.
    #[error("not a token of the form hex(claims).hex(hmac), in lower case")]
    Shape,
    /// Another secret, or changed.
    #[error("the token does not verify: it was changed, or minted with another secret")]
    Mac,
    /// Vouched for, and not understood.
    #[error("the token's claims: {0}")]
    Claims(String),
    /// Its time is over.
    #[error("the token expired {0} s ago: mint a new one")]
    Expired(u64),
    /// Good, for something else.
    #[error("the token is for another topic")]
    OtherTopic,
}

#[derive(Serialize, Deserialize)]
struct Json {
    user_id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    expires: u64,
}

impl Grant {
    /// Whether this is the topic.
    pub fn covers(&self, topic: &str) -> bool {
        match self {
            Self::Topic(name) => name == topic,
            Self::Session(id) => topic.strip_prefix(SESSION_TOPIC) == Some(id),
        }
    }
}

/// What signs the tokens of a hub's own streams: it follows from the hub's key and is in no other program.
///
/// ```text
/// HKDF(hub.key, info "outpost/v1 streams" || hub_id)
/// ```
pub fn own_key(hub_key: &Secret, hub_id: HubId) -> MacKey {
    MacKey::new(&derive(hub_key, &[], &[b"outpost/v1 streams", hub_id.as_bytes()]))
}

/// A token that says this.
///
/// # Errors
/// [`TokenError::TooLong`], or [`TokenError::Claims`] where nothing is named: [`verify`] would not take it.
pub fn mint(claims: &Claims, secret: &MacKey) -> Result<String, TokenError> {
    let Claims { user_id, expires_s, grant } = claims;
    let (topic, session_id) = match grant.clone() {
        Grant::Topic(name) => (Some(name), None),
        Grant::Session(id) => (None, Some(id)),
    };
    if topic.as_ref().or(session_id.as_ref()).is_none_or(String::is_empty) {
        return Err(unnamed());
    }
    let json = Json { user_id: user_id.clone(), topic, session_id, expires: *expires_s };
    let json = serde_json::to_vec(&json).map_err(|error| TokenError::Claims(error.to_string()))?;
    let claims = hex::encode(json);
    let mac = hex::encode(secret.sign(claims.as_bytes()));
    check_length(format!("{claims}.{mac}"))
}

/// What the token says, where it was minted with this secret, for this topic, and its time is not over.
///
/// # Errors
/// Why it opens nothing; arbitrary text never panics.
pub fn verify(token: &str, secret: &MacKey, topic: &str, now: HubTime) -> Result<Claims, TokenError> {
    let token = check_length(token)?;
    let (text, mac) = token.split_once('.').ok_or(TokenError::Shape)?;
    let mac = lower_hex(mac).filter(|mac| mac.len() == MAC_BYTES).ok_or(TokenError::Shape)?;
    if !secret.verify(text.as_bytes(), &mac) {
        return Err(TokenError::Mac);
    }
    let claims = parse(&lower_hex(text).ok_or(TokenError::Shape)?)?;
    let now_s = now.0 / 1000;
    if now_s >= claims.expires_s {
        return Err(TokenError::Expired(now_s.saturating_sub(claims.expires_s)));
    }
    if !claims.grant.covers(topic) {
        return Err(TokenError::OtherTopic);
    }
    Ok(claims)
}

fn parse(json: &[u8]) -> Result<Claims, TokenError> {
    let json: Json = json_object::parse(json).map_err(|error| TokenError::Claims(error.to_string()))?;
    // Programs that cannot leave a field out leave it empty.
    let named = |name: Option<String>| name.filter(|name| !name.is_empty());
    let grant = match (named(json.topic), named(json.session_id)) {
        (Some(name), None) => Grant::Topic(name),
        (None, Some(id)) => Grant::Session(id),
        (None, None) | (Some(_), Some(_)) => return Err(unnamed()),
    };
    Ok(Claims { user_id: json.user_id, expires_s: json.expires, grant })
}

fn unnamed() -> TokenError {
    TokenError::Claims("one of topic and session_id is wanted".to_owned())
}

fn check_length<T: AsRef<str>>(token: T) -> Result<T, TokenError> {
    let length = token.as_ref().len();
    if length > limit::BROWSER_TOKEN_BYTES_MAX { Err(TokenError::TooLong(length)) } else { Ok(token) }
}

/// One text for each token: upper-case digits would be a second.
fn lower_hex(text: &str) -> Option<Vec<u8>> {
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    hex::decode(text).ok().filter(|_| lower)
}

#[cfg(test)]
mod tests;
