//! What workers send and what subscribers get. A payload is never decoded and written again: its bytes are taken out of the
//! request and put into the frame, whatever their spaces, the spelling of their numbers, the order of their keys, and keys
//! that occur twice.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::wire::json_object;

/// What comes before a payload.
const HEAD: &str = r#"{"type":"push","#;
/// And right before it.
const KEY: &str = r#""payload":"#;

/// The body of a request to the internal listener. Keys of other names are left alone.
#[derive(Deserialize)]
pub(super) struct Body<'a> {
    pub(super) topic: Option<String>,
    #[serde(default, deserialize_with = "json_object::field")]
    pub(super) meta: Option<Meta>,
    /// `null` is a payload; only one that is not there is none.
    #[serde(borrow, default, deserialize_with = "there")]
    pub(super) payload: Option<&'a RawValue>,
}

/// What is said of a topic.
#[derive(Deserialize, Default)]
pub(super) struct Meta {
    pub(super) require_token: Option<bool>,
}

fn there<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Body<'a> {
    /// `None` where the bytes are no JSON object, or a key has a value of the wrong type.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        json_object::parse(bytes).ok()
    }
}

/// What those who asked for numbers are told where nobody knows what they missed.
pub(super) const GAP: &str = r#"{"type":"gap"}"#;

/// A payload on its way to subscribers.
#[derive(Clone, Copy)]
pub(super) struct Push<'a>(&'a RawValue);

impl<'a> Push<'a> {
    pub(super) const fn new(payload: &'a RawValue) -> Self {
        Self(payload)
    }

    /// As it is.
    pub(super) fn plain(self) -> String {
        frame("", self.0)
    }

    /// With its number; the same for all.
    pub(super) fn numbered(self, number: u64) -> String {
        frame(&format!("\"offset\":{number},"), self.0)
    }
}

fn frame(number: &str, payload: &RawValue) -> String {
    let mut text = String::with_capacity(HEAD.len() + number.len() + KEY.len() + payload.get().len() + 1);
    for piece in [HEAD, number, KEY, payload.get(), "}"] {
        text.push_str(piece);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pushed(body: &str) -> Option<String> {
        Body::parse(body.as_bytes())?.payload.map(|payload| Push::new(payload).plain())
    }

    #[test]
    fn a_payload_is_passed_on_to_the_byte() {
        for payload in [
            r#"{ "b" :1,"a":	2 , "b":3}"#,
            "1.0",
            "-0",
            "1e400",
            "123456789012345678901234567890.10",
            r#""\u0041\/ü\ud800""#,
            "null",
            "[\n]",
            "\"\u{1f980}\"",
        ] {
            let body = format!("{{\"topic\":\"a\", \"payload\" : {payload} }}");
            let expected = format!(r#"{{"type":"push","payload":{payload}}}"#);
            assert_eq!(pushed(&body).as_deref(), Some(expected.as_str()));
        }
    }

    #[test]
    fn a_payload_that_is_null_is_one_and_one_that_is_not_there_is_none() {
        assert!(Body::parse(br#"{"topic":"a","payload":null}"#).unwrap().payload.is_some());
        assert!(Body::parse(br#"{"topic":"a"}"#).unwrap().payload.is_none());
        let body = Body::parse(br#"{"topic":null,"meta":null,"other":[1]}"#).unwrap();
        assert!(body.topic.is_none() && body.meta.is_none());
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for body in [
            &b""[..],
            b"[]",
            b"[\"a\",{\"require_token\":false}]",
            b"{\"topic\":\"a\",\"meta\":[false]}",
            b"\"topic\"",
            b"{",
            b"{\"topic\":1}",
            b"{\"topic\":\"a\",\"payload\":}",
            b"{\"topic\":\"a\",\"payload\":nul}",
            b"{\"topic\":\"a\",\"payload\":01}",
            b"{\"topic\":\"a\",\"meta\":{\"require_token\":\"yes\"}}",
            b"{\"topic\":\"a\"} x",
            b"{\"topic\":\"a\",\"topic\":\"b\"}",
            b"{\"topic\":\"a\",\"payload\":\"\xff\"}",
        ] {
            assert!(Body::parse(body).is_none(), "{}", String::from_utf8_lossy(body));
        }
        let deep = format!("{{\"topic\":\"a\",\"payload\":{}", "[".repeat(500_000));
        assert!(Body::parse(deep.as_bytes()).is_none(), "and no stack is used up");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _refused_or_not = Body::parse(&bytes);
        }
    }
}
