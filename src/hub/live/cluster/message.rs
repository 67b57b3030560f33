//! What nodes send each other through Redis. What is published goes out as other brokers have it:
//! `{"origin_id", "topic", "payload"}`; the rest has a channel of its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::hub::live::registry::Word;
use crate::limit;

/// A payload for all subscribers of a topic.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Publication<'a> {
    /// The node that it was published at.
    pub(super) origin_id: std::borrow::Cow<'a, str>,
    pub(super) topic: String,
    #[serde(borrow)]
    pub(super) payload: &'a RawValue,
}

/// What one node tells the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) origin_id: String,
    #[serde(flatten)]
    pub(super) news: News,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum News {
    /// It is there now, and asks who else is.
    Hello,
    /// It is still there.
    Beat,
    /// It goes.
    Bye,
    /// Messages of its own did not reach the others.
    Gap,
    /// What is said of a topic now.
    Word {
        topic: String,
        word: String,
        ttl_ms: u64,
        /// The last field: Redis fills it in.
        generation: String,
    },
}

impl Notice {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A word, as Redis and notices have it.
pub(super) const fn name_of(word: Word) -> &'static str {
    match word {
        Word::Open => "open",
        Word::Gone => "none",
        Word::Token => "token",
    }
}

/// `None` where somebody else wrote it.
pub(super) fn word_of(name: &str) -> Option<Word> {
    [Word::Open, Word::Gone, Word::Token].into_iter().find(|word| name_of(*word) == name)
}

/// How long a topic is registered, as another node has it.
pub(super) fn ttl(ms: u64) -> Duration {
    Duration::from_millis(ms).min(limit::LIVE_TOPIC_TTL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_form_of_other_brokers_and_payloads_their_bytes() {
        let payload: &RawValue = serde_json::from_str(r#"{ "a":1.0, "a": 2}"#).unwrap();
        let message = Publication { origin_id: "n1".into(), topic: "a\"b".to_owned(), payload };
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(text, r#"{"origin_id":"n1","topic":"a\"b","payload":{ "a":1.0, "a": 2}}"#);
        let other = r#"{"topic":"t","payload": [1.0] ,"origin_id":"\u0041","more":1}"#;
        let read: Publication<'_> = serde_json::from_str(other).unwrap();
        assert_eq!((&*read.origin_id, read.topic.as_str(), read.payload.get()), ("A", "t", "[1.0]"));
    }

    #[test]
    fn notices_are_read_back_and_end_with_the_generation_that_redis_fills_in() {
        let (topic, word) = ("a\"".to_owned(), "token".to_owned());
        let said = News::Word { topic, word, ttl_ms: 7, generation: String::new() };
        for news in [News::Hello, News::Beat, News::Bye, News::Gap, said] {
            let notice = Notice { origin_id: "n1".to_owned(), news };
            let text = notice.to_bytes();
            assert_eq!(serde_json::from_slice::<Notice>(&text).unwrap(), notice);
            if let News::Word { .. } = notice.news {
                assert!(text.ends_with(br#""generation":""}"#), "{}", String::from_utf8_lossy(&text));
            }
        }
        for word in [Word::Token, Word::Open, Word::Gone] {
            assert_eq!(word_of(name_of(word)), Some(word));
        }
        assert_eq!(word_of("1"), None);
    }
}
