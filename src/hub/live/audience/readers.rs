//! Who the subscribers are, counted. Pure.

use std::collections::HashMap;

use crate::limit;
use crate::wire::browser_token::UserId;

/// Who a subscriber is, for counting.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::hub::live) enum Reader {
    /// Somebody, on however many sockets.
    User(String),
    /// Each of them is another.
    Anonymous,
}

impl Reader {
    /// By a token: names count by their text, numbers below 1 are nobody.
    pub(in crate::hub::live) fn of(user_id: &UserId) -> Self {
        let number = match user_id {
            UserId::Number(number) => Some(*number),
            UserId::Text(text) => text.parse().ok(),
        };
        match (number, user_id) {
            (Some(number), _) if number > 0 => Self::User(number.to_string()),
            (None, UserId::Text(name)) if !name.is_empty() => Self::User(name.clone()),
            (Some(_) | None, _) => Self::Anonymous,
        }
    }
}

/// No room for another subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {limit} subscribers, no more are let in", limit = limit::LIVE_SUBSCRIBERS_MAX)]
pub(in crate::hub::live) struct Full;

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hub::live) struct Count {
    pub(in crate::hub::live) readers: u64,
    pub(in crate::hub::live) sockets: u64,
}

/// All who are there.
#[derive(Debug, Default)]
pub(super) struct Readers {
    sockets: HashMap<String, u64>,
    anonymous: u64,
    all: u64,
}

impl Readers {
    pub(super) fn count(&self) -> Count {
        let users = u64::try_from(self.sockets.len()).unwrap_or(u64::MAX);
        Count { readers: users.saturating_add(self.anonymous), sockets: self.all }
    }

    pub(super) fn enter(&mut self, reader: &Reader) -> Result<(), Full> {
        if self.all >= u64::try_from(limit::LIVE_SUBSCRIBERS_MAX).unwrap_or(u64::MAX) {
            return Err(Full);
        }
        self.all += 1;
        match reader {
            Reader::User(name) => *self.sockets.entry(name.clone()).or_default() += 1,
            Reader::Anonymous => self.anonymous += 1,
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, reader: &Reader) {
        self.all = self.all.saturating_sub(1);
        match reader {
            Reader::Anonymous => self.anonymous = self.anonymous.saturating_sub(1),
            Reader::User(name) => {
                let left = self.sockets.get(name).copied().unwrap_or_default().saturating_sub(1);
                if left == 0 {
                    self.sockets.remove(name);
                } else {
                    self.sockets.insert(name.clone(), left);
                }
            }
        }
    }
}
