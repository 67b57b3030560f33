//! The short-lived token that an agent's bearer buys: a JWT (RFC 7519) of one form only, signed with HS256.
//!
//! ```text
//! base64url({"alg":"HS256","kid":"<key>","typ":"JWT"}) . base64url(claims) . base64url(HMAC-SHA256 of the two)
//! claims {"aud":"<hub id>","sub":"<agent id>","key_id":"<the agent's key>","iat":seconds,"exp":seconds}
//! signing key = HKDF(hub.key, info "outpost/v1 jwt" || hub_id)
//! kid         = first 8 bytes of HKDF(signing key, info "outpost/v1 jwt kid"), in hex
//! ```
//! The MAC is checked before anything is decoded, over the text as it came, so what is parsed is what this hub wrote. One
//! `kid` stands for one key and one algorithm: a header that names another of either is refused, `none` with them. A
//! token says who asked and until when; whether that agent and its key are still welcome is asked of the store.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::id::{AgentId, HubId, KeyId};
use crate::limit;
use crate::secret::Secret;
use crate::time::HubTime;

use super::key::{decode32, derive};
use super::mac::MacKey;

/// Why a text is not a token of this hub. Nothing of it is shown: it is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts of base64url, or longer than any token is.
    #[error("not a token of the form header.claims.signature; fetch a new one")]
    Malformed,
    /// The MAC does not verify.
    #[error("the token is not signed by this hub; fetch a new one")]
    Forged,
    /// Another key or algorithm.
    #[error("the token's header names another key or algorithm than this hub signs with; fetch a new one")]
    Header,
    /// The claims are not those of a token.
    #[error("the token's claims are not those of this hub's tokens; fetch a new one")]
    Claims,
    /// For another hub.
    #[error("the token is for another hub; fetch one from this hub")]
    Audience,
    /// Its time is over.
    #[error("the token expired {0} s ago; fetch a new one")]
    Expired(u64),
    /// It begins further ahead than clocks may differ.
    #[error("the token begins {0} s from now; check the hub's clock")]
    Early(u64),
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who bought it.
    pub agent_id: AgentId,
    /// With which key.
    pub key_id: KeyId,
    /// When, to the second.
    pub issued_at: HubTime,
    /// From when on it opens nothing, to the second.
    pub expires_at: HubTime,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    aud: &'a str,
    sub: &'a str,
    key_id: &'a str,
    iat: u64,
    exp: u64,
}

const ALGORITHM: &str = "HS256";
const TYPE: &str = "JWT";

/// A hub's key for tokens.
#[derive(Debug, Clone)]
pub struct JwtKey {
    mac: MacKey,
    kid: String,
    hub_id: HubId,
}

impl JwtKey {
    /// The key that follows from the hub's own.
    pub fn new(hub_key: &Secret, hub_id: HubId) -> Self {
        let key = derive(hub_key, &[], &[b"outpost/v1 jwt", hub_id.as_bytes()]);
        let name = derive(&key, &[], &[b"outpost/v1 jwt kid"]);
        let kid = hex::encode(name.expose().first_chunk::<8>().unwrap_or(&[0; 8]));
        Self { mac: MacKey::new(&key), kid, hub_id }
    }

    /// The token that says this.
    pub fn sign(&self, claims: &Claims) -> Secret<String> {
        let header = Header { alg: ALGORITHM, kid: &self.kid, typ: TYPE };
        let body = Body {
            aud: &self.hub_id.to_string(),
            sub: &claims.agent_id.to_string(),
            key_id: claims.key_id.as_str(),
            iat: claims.issued_at.0 / 1000,
            exp: claims.expires_at.0 / 1000,
        };
        let signed = format!("{}.{}", part(&header), part(&body));
        let mac = URL_SAFE_NO_PAD.encode(self.mac.sign(signed.as_bytes()));
        Secret::new(format!("{signed}.{mac}"))
    }

    /// What a token says that this hub signed and whose time is not over.
    ///
    /// # Errors
    /// See [`JwtError`].
    pub fn verify(&self, token: &str, now: HubTime) -> Result<Claims, JwtError> {
        if token.len() > limit::JWT_BYTES_MAX {
            return Err(JwtError::Malformed);
        }
        let (signed, mac) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, body) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        let mac = decode32(mac).ok_or(JwtError::Malformed)?;
        if !self.mac.verify(signed.as_bytes(), &mac) {
            return Err(JwtError::Forged);
        }
        let header = decoded(header).ok_or(JwtError::Header)?;
        let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| JwtError::Header)?;
        if header.alg != ALGORITHM || header.kid != self.kid || header.typ != TYPE {
            return Err(JwtError::Header);
        }
        let body = decoded(body).ok_or(JwtError::Claims)?;
        let body: Body<'_> = serde_json::from_slice(&body).map_err(|_| JwtError::Claims)?;
        self.check(&body, now.0 / 1000)
    }

    fn check(&self, body: &Body<'_>, now: u64) -> Result<Claims, JwtError> {
        if body.aud != self.hub_id.to_string() {
            return Err(JwtError::Audience);
        }
        if body.exp <= now {
            return Err(JwtError::Expired(now.abs_diff(body.exp)));
        }
        if body.iat > now.saturating_add(limit::CLOCK_SKEW_MAX.as_secs()) {
            return Err(JwtError::Early(body.iat.abs_diff(now)));
        }
        let time = |seconds: u64| seconds.checked_mul(1000).map(HubTime).ok_or(JwtError::Claims);
        Ok(Claims {
            agent_id: body.sub.parse().map_err(|_| JwtError::Claims)?,
            key_id: body.key_id.parse().map_err(|_| JwtError::Claims)?,
            issued_at: time(body.iat)?,
            expires_at: time(body.exp)?,
        })
    }
}

fn part(value: &impl Serialize) -> String {
    // Texts and numbers always have a JSON form.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn decoded(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: HubId = HubId::from_bytes([1; 16]);
    const NOW: HubTime = HubTime(1_800_000_000_000);

    fn key() -> JwtKey {
        JwtKey::new(&Secret::new([9; 32]), HUB)
    }

    fn sign(key: &JwtKey) -> String {
        key.sign(&claims()).expose().clone()
    }

    fn claims() -> Claims {
        Claims {
            agent_id: AgentId::from_bytes([2; 16]),
            key_id: "k1".parse().unwrap(),
            issued_at: NOW,
            expires_at: HubTime(NOW.0 + 900_000),
        }
    }

    /// A token with this header and body under the right key.
    fn made(header: &str, body: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(body));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key().mac.sign(signed.as_bytes())))
    }

    fn body(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let token = sign(&key());
        let body = decoded(token.split('.').nth(1).unwrap()).unwrap();
        let mut body = serde_json::from_slice(&body).unwrap();
        change(&mut body);
        body.to_string()
    }

    fn header() -> String {
        format!(r#"{{"alg":"HS256","kid":"{}","typ":"JWT"}}"#, key().kid)
    }

    #[test]
    fn a_token_opens_until_its_last_second() {
        let token = sign(&key());
        assert_eq!(key().verify(&token, NOW), Ok(claims()));
        assert_eq!(key().verify(&token, HubTime(NOW.0 + 899_999)), Ok(claims()));
        assert_eq!(key().verify(&token, HubTime(NOW.0 + 900_000)), Err(JwtError::Expired(0)));
        assert_eq!(key().verify(&token, HubTime(NOW.0 - 300_000)), Ok(claims()));
        assert_eq!(key().verify(&token, HubTime(NOW.0 - 301_000)), Err(JwtError::Early(301)));
    }

    #[test]
    fn every_character_of_a_token_counts() {
        let token = sign(&key());
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(key().verify(&other, NOW).is_err(), "character {at}");
        }
        for end in 0..token.len() {
            assert!(key().verify(&token[..end], NOW).is_err(), "cut to {end}");
        }
    }

    #[test]
    fn another_hubs_key_or_another_hub_with_the_same_key_signs_nothing_for_this_one() {
        for other in [
            JwtKey::new(&Secret::new([8; 32]), HUB),
            JwtKey::new(&Secret::new([9; 32]), HubId::from_bytes([7; 16])),
        ] {
            assert_eq!(key().verify(&sign(&other), NOW), Err(JwtError::Forged));
        }
    }

    #[test]
    fn no_other_algorithm_key_or_form_is_taken_even_under_the_right_mac() {
        let right = body(|_| {});
        assert_eq!(key().verify(&made(&header(), &right), NOW), Ok(claims()));
        for header in [
            header().replace("HS256", "none"),
            header().replace("HS256", "HS512"),
            header().replace(&key().kid, "0011223344556677"),
            header().replace("JWT", "JWE"),
            header().replace('}', r#","crit":["x"]}"#),
            r#"{"alg":"HS256"}"#.to_owned(),
            String::new(),
        ] {
            assert_eq!(key().verify(&made(&header, &right), NOW), Err(JwtError::Header), "{header}");
        }
        let unsigned = made(&header().replace("HS256", "none"), &right);
        let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
        assert_eq!(key().verify(&unsigned, NOW), Err(JwtError::Malformed));
    }

    #[test]
    fn claims_that_are_not_a_tokens_are_refused() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, JwtError); 7] = [
            (|body| body["aud"] = "ff".repeat(16).into(), JwtError::Audience),
            (|body| body["sub"] = "someone".into(), JwtError::Claims),
            (|body| body["key_id"] = "K 1".into(), JwtError::Claims),
            (|body| body["exp"] = u64::MAX.into(), JwtError::Claims),
            (|body| body["exp"] = "soon".into(), JwtError::Claims),
            (|body| body["admin"] = true.into(), JwtError::Claims),
            (|body| drop(body.as_object_mut().unwrap().remove("sub")), JwtError::Claims),
        ];
        for (change, expected) in cases {
            let body = body(change);
            assert_eq!(key().verify(&made(&header(), &body), NOW), Err(expected), "{body}");
        }
        let long = "x".repeat(limit::JWT_BYTES_MAX + 1);
        assert_eq!(key().verify(&long, NOW), Err(JwtError::Malformed));
    }
}
