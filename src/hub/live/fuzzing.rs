//! What the targets of fuzz/ call: the parsers that bytes of strangers reach, and what must hold whatever these are. There only
//! in builds for fuzzing.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a broken promise is a panic"
)]

use bytes::BytesMut;

use crate::limit;
use crate::time::HubTime;
use crate::wire::mac::MacKey;

use super::cluster::fuzzing as cluster;
use super::first_frame::{self, Admitted};
use super::label::Label;
use super::push::{Body, Push};
use super::registry::Access;
use super::topic::{Owner, Topic};

pub use cluster::{message, notice};

/// A topic as it stands in a query or a request.
pub fn topic(text: &str) -> Option<Topic> {
    let shown = Label(text).to_string();
    assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown:?}");
    assert!(shown.len() <= limit::LIVE_LABEL_CHARS_MAX * r"\u{10ffff}".len() + 3, "{shown}");
    let topic: Topic = text.parse().ok()?;
    assert_eq!(topic.as_str(), text);
    assert!(text.len() <= limit::LIVE_TOPIC_BYTES_MAX && !text.chars().any(char::is_control));
    Some(topic)
}

/// The first frame: opens an open topic or not, and one that wants a token only where somebody minted it.
pub fn first_frame(frame: &str, topic: &Topic, now: HubTime) {
    let key = MacKey::from_bytes(b"the secret that only this target knows of");
    let judge = |access| first_frame::judge(frame, topic, access, &key, now);
    let closed = judge(Access::Token);
    assert!(closed.is_err(), "nobody vouched for {frame}: {closed:?}");
    if let Ok(Admitted { expires_s, .. }) = judge(Access::Open) {
        assert_eq!(expires_s, None);
    }
    if let Err(refused) = closed {
        let told: serde_json::Value = serde_json::from_str(&refused.to_frame()).unwrap();
        assert_eq!((&told["type"], told["code"].as_str()), (&"error".into(), Some(refused.code())));
    }
    let _asks = first_frame::asks_for_status(frame);
}

/// A worker's request: the payload's bytes are those of the request, in each form of the push.
pub fn body(bytes: &[u8]) {
    let Some(Body { topic: name, payload, .. }) = Body::parse(bytes) else { return };
    if let Some(name) = name {
        let _owner: Option<Owner> = topic(&name).map(|topic| topic.owner());
    }
    let Some(payload) = payload else { return };
    let text = payload.get();
    assert!(bytes.windows(text.len()).any(|window| window == text.as_bytes()), "made up: {text}");
    for frame in [Push::new(payload).plain(), Push::new(payload).numbered(u64::MAX)] {
        assert!(frame.strip_suffix('}').unwrap().ends_with(text), "{frame}");
        serde_json::from_str::<&serde_json::value::RawValue>(&frame).unwrap();
    }
}

/// What Redis says, at once and in pieces of `size` bytes: the same, and never more kept than the bound.
pub fn redis(bytes: &[u8], size: usize) {
    let whole = cluster::replies(&mut BytesMut::from(bytes));
    let (mut buffer, mut pieces, mut failed) = (BytesMut::new(), Vec::new(), false);
    for piece in bytes.chunks(size.max(1)) {
        buffer.extend_from_slice(piece);
        let (replies, broken) = cluster::replies(&mut buffer);
        pieces.extend(replies);
        failed = broken;
        if failed {
            break;
        }
    }
    assert_eq!((pieces, failed), whole);
}
