//! See `hub::live::fuzzing`.

use bytes::BytesMut;

use crate::hub::live::topic::{Owner, Topic};

use super::listener::workers;
use super::message::{Notice, Publication};
use super::resp;

/// All that is whole, written down; and whether what comes then is no reply.
pub(in crate::hub::live) fn replies(buffer: &mut BytesMut) -> (Vec<String>, bool) {
    let mut replies = Vec::new();
    loop {
        match resp::take(buffer) {
            Ok(Some(reply)) => replies.push(format!("{reply:?}")),
            Ok(None) => return (replies, false),
            Err(_) => return (replies, true),
        }
    }
}

/// A message of another node: its payload's bytes are those that came.
pub fn message(text: &[u8]) {
    let Ok(message) = serde_json::from_slice::<Publication<'_>>(text) else { return };
    let payload = message.payload.get();
    assert!(text.windows(payload.len()).any(|window| window == payload.as_bytes()), "made up: {payload}");
    if let Some(topic) = workers(&message.topic) {
        assert_is_workers(&topic);
    }
    let again = serde_json::to_vec(&message).unwrap();
    let read: Publication<'_> = serde_json::from_slice(&again).unwrap();
    assert_eq!((read.topic, read.payload.get()), (message.topic, payload));
}

/// What another node tells.
pub fn notice(text: &[u8]) {
    let Ok(notice) = serde_json::from_slice::<Notice>(text) else { return };
    let again = serde_json::to_vec(&notice).unwrap();
    assert_eq!(serde_json::from_slice::<Notice>(&again).unwrap(), notice);
}

fn assert_is_workers(topic: &Topic) {
    assert_eq!(topic.owner(), Owner::Workers, "{topic}");
}
