//! Tokens for own streams: browser tokens (`wire/browser_token`) of the hub's own secret.
//!
//! `user_id` names the API's token that it was bought with: once that one is expired or revoked, this opens nothing more, and
//! what it opened ends. The first token is named by a fingerprint, as it can be replaced by another.

use std::time::Duration;

use crate::hub::callers::Caller;
use crate::hub::live::Topic;
use crate::hub::live::first_frame::{self, Refused};
use crate::hub::{Shared, hub_time};
use crate::time::{HubTime, millis};
use crate::wire::browser_token::{self, Claims, Grant, TokenError, UserId};

/// A token that is to be made.
pub(in crate::hub) struct Selling<'a> {
    pub(in crate::hub) topic: &'a Topic,
    /// Who asks.
    pub(in crate::hub) buyer: &'a Caller,
    pub(in crate::hub) ttl: Duration,
}

impl Selling<'_> {
    /// The token, and when its time is over: a whole second.
    ///
    /// # Errors
    /// Where it would be too long; no stream's name makes it so.
    pub(in crate::hub) fn mint(self, shared: &Shared) -> Result<(String, HubTime), TokenError> {
        // Not a part of a second less than was asked for.
        let expires_s = hub_time().0.saturating_add(millis(self.ttl)).div_ceil(1000);
        let claims = Claims {
            user_id: UserId::Text(shared.callers.name_of(self.buyer)),
            expires_s,
            grant: Grant::Topic(self.topic.as_str().to_owned()),
        };
        let token = browser_token::mint(&claims, &shared.stream_key)?;
        Ok((token, HubTime(expires_s.saturating_mul(1000))))
    }
}

/// Who has been let in.
pub(super) struct Pass {
    /// Whose token of the API it was bought with.
    pub(super) buyer: Caller,
    /// When it ends, in seconds since 1970.
    pub(super) expires_s: u64,
}

/// Judges the first frame at an own stream.
pub(super) fn judge(shared: &Shared, frame: &str, topic: &Topic) -> Result<Pass, Refused> {
    let (shown, now) = (first_frame::shown(frame)??, hub_time());
    let claims =
        browser_token::verify(&shown, &shared.stream_key, topic.as_str(), now).map_err(Refused::Token)?;
    let UserId::Text(buyer) = &claims.user_id else { return Err(Refused::Unbought) };
    let buyer = shared.callers.named(buyer, now).ok_or(Refused::Unbought)?;
    Ok(Pass { buyer, expires_s: claims.expires_s })
}
