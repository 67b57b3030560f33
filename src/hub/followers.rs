//! Who follows a log or a stream of the hub's own, and how many at once: all of them up to a bound, and those of one token up to
//! a share, so that no token takes all the places.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::TokenId;
use crate::limit;

use super::callers::Caller;

/// All followers of one hub.
#[derive(Debug, Clone, Default)]
pub(super) struct Followers(Arc<Mutex<Counts>>);

/// Each has at most `limit::FOLLOWERS_MAX` entries: one without a follower goes.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// By token; `None` is the first one.
    each: HashMap<Option<TokenId>, usize>,
}

/// One follower's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    followers: Followers,
    token: Option<TokenId>,
}

/// There is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("{} followers are served already, as many as this hub serves", limit::FOLLOWERS_MAX)]
    Hub,
    #[error(
        "this token follows {} logs and streams already, as many as one may",
        limit::FOLLOWERS_OF_A_TOKEN_MAX
    )]
    Token,
}

impl Followers {
    /// A place for somebody with this token.
    pub(super) fn seat(&self, caller: &Caller) -> Result<Seat, Full> {
        let mut counts = self.counts();
        if counts.all >= limit::FOLLOWERS_MAX {
            return Err(Full::Hub);
        }
        let own = counts.each.entry(caller.id).or_default();
        if *own >= limit::FOLLOWERS_OF_A_TOKEN_MAX {
            return Err(Full::Token);
        }
        *own = own.saturating_add(1);
        counts.all = counts.all.saturating_add(1);
        drop(counts);
        Ok(Seat { followers: self.clone(), token: caller.id })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.counts().all
    }

    /// Whether anybody gets a place now.
    pub(super) fn has_room(&self) -> bool {
        self.len() < limit::FOLLOWERS_MAX
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.followers.counts();
        counts.all = counts.all.saturating_sub(1);
        if let Some(own) = counts.each.get_mut(&self.token) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.each.remove(&self.token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::token::Scope;

    fn with_token(number: u8) -> Caller {
        let id = Some(TokenId::from_bytes([number; 16]));
        Caller { name: format!("t{number}"), scope: Scope::Read, id }
    }

    #[test]
    fn one_token_has_its_share_and_all_together_the_hubs_places() {
        let followers = Followers::default();
        let (greedy, modest) = (with_token(1), with_token(2));
        let mut seats: Vec<_> =
            (0..limit::FOLLOWERS_OF_A_TOKEN_MAX).map(|_| followers.seat(&greedy).unwrap()).collect();
        assert_eq!(followers.seat(&greedy).unwrap_err(), Full::Token);
        assert!(followers.has_room());
        drop(seats.pop());
        seats.push(followers.seat(&greedy).unwrap());
        let mut number = 2;
        while followers.has_room() {
            let caller = with_token(number);
            match followers.seat(&caller) {
                Ok(seat) => seats.push(seat),
                Err(full) => {
                    assert_eq!(full, Full::Token);
                    number += 1;
                }
            }
        }
        assert_eq!(seats.len(), limit::FOLLOWERS_MAX);
        assert_eq!(followers.seat(&with_token(99)).unwrap_err(), Full::Hub);
        seats.clear();
        assert!(followers.counts().all == 0 && followers.counts().each.is_empty());
        followers.seat(&modest).unwrap();
    }
}
