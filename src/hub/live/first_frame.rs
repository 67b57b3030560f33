//! What a subscriber's first frame opens. Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::time::HubTime;
use crate::wire::browser_token::{self, TokenError};
use crate::wire::json_object;
use crate::wire::mac::MacKey;

use super::audience::{Proof, Reader};
use super::registry::Access;
use super::topic::Topic;

/// What a subscriber is told once it is one.
pub(super) const AUTH_OK: &str = r#"{"type":"auth_ok"}"#;

/// Who has been let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) reader: Reader,
    pub(super) proof: Proof,
    /// When the token ends, in seconds since 1970.
    pub(super) expires_s: Option<u64>,
}

/// Why a subscriber has to go. The code is what programs look at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// The first frame is none, or did not come in time.
    #[error("the first frame must be {{\"type\":\"auth\",\"token\":...}}, within 10 s")]
    NoFrame,
    /// Nothing was shown at a topic that wants a token.
    #[error("this topic wants a token")]
    NoToken,
    /// It does not open the topic.
    #[error("{0}")]
    Token(TokenError),
    /// A token was shown that is no text.
    #[error("the token is not a text")]
    NotText,
    /// The topic wants a token since it was registered anew.
    #[error("this topic wants a token by now")]
    Unwelcome,
    /// The hub's token that it was bought with is expired or revoked.
    #[error("the hub's token that this one was made with is not good any more")]
    Unbought,
    /// There is no such agent or job, or not any more.
    #[error("there is no such agent or job")]
    Gone,
    /// What was shown is not good any more.
    #[error("the token's time is over: connect again with a new one")]
    Expired,
}

impl Refused {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoFrame | Self::NoToken => "auth_required",
            Self::Token(_) | Self::NotText | Self::Unwelcome | Self::Unbought => "unauthorized",
            Self::Gone => "not_found",
            Self::Expired => "auth_expired",
        }
    }

    /// The frame that says so.
    pub(super) fn to_frame(&self) -> String {
        json!({"type": "error", "code": self.code(), "message": self.to_string()}).to_string()
    }
}

#[derive(Deserialize)]
struct Auth {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    token: Value,
}

/// The token of a first frame.
///
/// # Errors
/// `NoFrame` where it is none; inside of it, why no token was shown.
pub(super) fn shown(frame: &str) -> Result<Result<String, Refused>, Refused> {
    let auth: Auth = json_object::parse(frame.as_bytes()).map_err(|_| Refused::NoFrame)?;
    if auth.kind != "auth" {
        return Err(Refused::NoFrame);
    }
    Ok(match auth.token {
        Value::Null => Err(Refused::NoToken),
        Value::String(text) if text.is_empty() => Err(Refused::NoToken),
        Value::String(text) => Ok(text),
        _ => Err(Refused::NotText),
    })
}

/// Judges the first frame at `topic`.
pub(super) fn judge(
    frame: &str,
    topic: &Topic,
    access: Access,
    secret: &MacKey,
    now: HubTime,
) -> Result<Admitted, Refused> {
    let shown = shown(frame)?
        .and_then(|text| browser_token::verify(&text, secret, topic.as_str(), now).map_err(Refused::Token));
    match (access, shown) {
        (Access::Token, Err(refused)) => Err(refused),
        // Who shows a good one where none is wanted may stay when one is, and no longer than it is good.
        (Access::Token | Access::Open, Ok(claims)) => Ok(Admitted {
            reader: Reader::of(&claims.user_id),
            proof: Proof::Token,
            expires_s: Some(claims.expires_s),
        }),
        // Any token is taken, also none.
        (Access::Open, Err(_)) => {
            Ok(Admitted { reader: Reader::Anonymous, proof: Proof::None, expires_s: None })
        }
    }
}

/// Whether a later frame asks for the status.
pub(super) fn asks_for_status(frame: &str) -> bool {
    #[derive(Deserialize)]
    struct Ask {
        #[serde(rename = "type")]
        kind: String,
    }
    json_object::parse::<Ask>(frame.as_bytes()).is_ok_and(|ask| ask.kind == "status")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::wire::browser_token::{Claims, Grant, UserId};

    use super::*;

    const NOW: HubTime = HubTime(1_800_000_000_000);

    fn secret() -> MacKey {
        MacKey::from_bytes(b"a worker secret of 32 characters")
    }

    fn token(topic: &str, expires_s: u64) -> String {
        let claims = Claims { user_id: UserId::Number(7), expires_s, grant: Grant::Topic(topic.to_owned()) };
        browser_token::mint(&claims, &secret()).unwrap()
    }

    fn judged(frame: &str, access: Access) -> Result<Admitted, &'static str> {
        let topic = "app.1".parse().unwrap();
        judge(frame, &topic, access, &secret(), NOW).map_err(|refused| refused.code())
    }

    fn auth(token: &str) -> String {
        format!(r#"{{"type":"auth","token":"{token}"}}"#)
    }

    #[test]
    fn a_topic_that_wants_a_token_takes_its_own_alone() {
        let good = judged(&auth(&token("app.1", 1_800_000_060)), Access::Token).unwrap();
        let seven = Reader::User("7".to_owned());
        assert_eq!(good, Admitted { reader: seven, proof: Proof::Token, expires_s: Some(1_800_000_060) });
        for (token, code) in [
            (token("app.2", 1_800_000_060), "unauthorized"),
            (token("app.1", 1_800_000_000), "unauthorized"),
            ("x".to_owned(), "unauthorized"),
            (String::new(), "auth_required"),
        ] {
            assert_eq!(judged(&auth(&token), Access::Token), Err(code), "{token}");
        }
        assert_eq!(judged(r#"{"type":"auth"}"#, Access::Token), Err("auth_required"));
        assert_eq!(judged(r#"{"type":"auth","token":null}"#, Access::Token), Err("auth_required"));
        assert_eq!(judged(r#"{"type":"auth","token":7}"#, Access::Token), Err("unauthorized"));
    }

    #[test]
    fn a_topic_that_wants_none_takes_any_and_knows_who_shows_a_good_one() {
        let open = |frame: &str| judged(frame, Access::Open);
        let anonymous = Ok(Admitted { reader: Reader::Anonymous, proof: Proof::None, expires_s: None });
        for frame in
            [r#"{"type":"auth"}"#, r#"{"type":"auth","token":{}}"#, &auth("x"), &auth(&token("b", 1))]
        {
            assert_eq!(open(frame), anonymous, "{frame}");
        }
        let frame = auth(&token("app.1", 1_800_000_060));
        assert_eq!(open(&frame), judged(&frame, Access::Token));
    }

    #[test]
    fn what_is_no_first_frame_is_refused_at_every_topic() {
        assert!(!asks_for_status(r#"["status"]"#));
        for frame in [
            "",
            "auth",
            "{}",
            "[]",
            r#"["auth",null]"#,
            r#"["auth"]"#,
            r#"{"type":"status"}"#,
            r#"{"type":1}"#,
            r#"{"token":"x"}"#,
        ] {
            assert_eq!(judged(frame, Access::Open), Err("auth_required"), "{frame}");
            assert_eq!(judged(frame, Access::Token), Err("auth_required"), "{frame}");
        }
        assert!(asks_for_status(r#"{"type":"status","more":1}"#) && !asks_for_status(r#"{"type":"Status"}"#));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_opens_nothing(text in ".{0,200}") {
            prop_assert!(judged(&text, Access::Token).is_err());
            prop_assert!(!asks_for_status(&text));
        }
    }
}
