//! What the agent presents at its next attempt.
//!
//! As a rule: its current key, a token where it holds a good one, and the hub's time as it reckons it itself. A hub's
//! answer before the keys agree is unverified. It changes the next attempt only, which follows at once; nothing of it
//! is stored, and each of the three changes once at most before the usual delay comes again:
//!
//! | answer | the next attempt |
//! |---|---|
//! | 401 `clock` with the hub's time | the same with that time |
//! | any other 401 to a token | the same with the bearer |
//! | `key_unknown` to the bearer of the current key | the previous key, where there is one |

use crate::net::upgrade::Refusal;
use crate::time::{ClockOffset, WallTime};
use crate::wire::error::ErrorCode;
use crate::wire::key::KeyFile;

use super::identity::Identity;

/// Which of the agent's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhichKey {
    Current,
    Previous,
}

/// What proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// A short-lived token of the current key.
    Token,
    /// The key's own bearer.
    Bearer,
}

/// What an attempt is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) key: WhichKey,
    pub(super) proof: Proof,
    /// Hub time less this machine's clock as an unverified hub has it; `None`: as a verified one had it.
    pub(super) clock: Option<ClockOffset>,
}

/// What there is to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Means {
    pub(super) has_previous: bool,
    pub(super) has_token: bool,
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// At once, with this.
    Now(Choice),
    /// As the pace has it, and from the beginning.
    Later,
}

impl Choice {
    /// The rule.
    pub(super) fn first(means: Means) -> Self {
        let proof = if means.has_token { Proof::Token } else { Proof::Bearer };
        Self { key: WhichKey::Current, proof, clock: None }
    }

    /// The key file that is meant.
    pub(super) fn key_of(self, identity: &Identity) -> &KeyFile {
        match (self.key, &identity.previous) {
            (WhichKey::Previous, Some(previous)) => previous,
            (WhichKey::Previous, None) | (WhichKey::Current, _) => &identity.key,
        }
    }

    /// What follows from a refusal that came at `wall`.
    pub(super) fn refused(self, means: Means, refusal: &Refusal, wall: WallTime) -> Next {
        let unwelcome = refusal.status == 401;
        match (refusal.code, self) {
            (Some(ErrorCode::Clock), Self { clock: None, .. }) => {
                refusal.hub_time.map_or(Next::Later, |at| {
                    Next::Now(Self { clock: Some(ClockOffset::between(at, wall)), ..self })
                })
            }
            (Some(ErrorCode::Clock), _) => Next::Later,
            (_, Self { proof: Proof::Token, .. }) if unwelcome => {
                Next::Now(Self { proof: Proof::Bearer, ..self })
            }
            (Some(ErrorCode::KeyUnknown), Self { key: WhichKey::Current, .. })
                if unwelcome && means.has_previous =>
            {
                Next::Now(Self { key: WhichKey::Previous, proof: Proof::Bearer, ..self })
            }
            (_, _) => Next::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::HubTime;

    const BOTH: Means = Means { has_previous: true, has_token: true };
    const WALL: WallTime = WallTime(60_000);

    fn refusal(status: u16, code: ErrorCode) -> Refusal {
        Refusal { by: "hub:443".to_owned(), status, code: Some(code), retry_after: None, hub_time: None }
    }

    fn clock(hub_time: u64) -> Refusal {
        Refusal { hub_time: Some(HubTime(hub_time)), ..refusal(401, ErrorCode::Clock) }
    }

    fn now(next: Next) -> Choice {
        match next {
            Next::Now(choice) => choice,
            Next::Later => panic!("no attempt follows at once"),
        }
    }

    #[test]
    fn a_token_that_is_refused_is_followed_once_by_the_bearer() {
        let first = Choice::first(BOTH);
        assert_eq!(first.proof, Proof::Token);
        let means = Means { has_previous: false, ..BOTH };
        for code in [ErrorCode::Unauthorized, ErrorCode::KeyUnknown, ErrorCode::UnknownAgent] {
            let second = now(first.refused(means, &refusal(401, code), WALL));
            assert_eq!(second, Choice { proof: Proof::Bearer, ..first });
            assert_eq!(second.refused(means, &refusal(401, code), WALL), Next::Later);
        }
        let unnamed = Refusal { code: None, ..refusal(401, ErrorCode::Unauthorized) };
        assert_eq!(now(first.refused(means, &unnamed, WALL)).proof, Proof::Bearer, "a proxy's 401 as well");
    }

    #[test]
    fn only_a_401_changes_the_credential() {
        let first = Choice::first(BOTH);
        let others = [
            (403, ErrorCode::Revoked),
            (503, ErrorCode::Busy),
            (429, ErrorCode::RateLimited),
            (400, ErrorCode::KeyUnknown),
        ];
        for (status, code) in others {
            assert_eq!(first.refused(BOTH, &refusal(status, code), WALL), Next::Later, "{status} {code}");
        }
    }

    #[test]
    fn the_previous_key_is_tried_once_where_the_hub_does_not_know_the_current_one() {
        let first = Choice::first(Means { has_token: false, ..BOTH });
        let unknown = refusal(401, ErrorCode::KeyUnknown);
        let second = now(first.refused(BOTH, &unknown, WALL));
        assert_eq!(second, Choice { key: WhichKey::Previous, ..first });
        assert_eq!(second.refused(BOTH, &unknown, WALL), Next::Later);
        let without = Means { has_previous: false, ..BOTH };
        assert_eq!(first.refused(without, &unknown, WALL), Next::Later);
        assert_eq!(first.refused(BOTH, &refusal(401, ErrorCode::Unauthorized), WALL), Next::Later);
    }

    #[test]
    fn the_hubs_time_is_taken_for_one_attempt_and_once() {
        let first = Choice::first(BOTH);
        let second = now(first.refused(BOTH, &clock(1_800_000_000_000), WALL));
        let offset = ClockOffset(1_800_000_000_000 - 60_000);
        assert_eq!(second, Choice { clock: Some(offset), ..first });
        assert_eq!(second.refused(BOTH, &clock(1_900_000_000_000), WALL), Next::Later);
        assert_eq!(
            first.refused(BOTH, &refusal(401, ErrorCode::Clock), WALL),
            Next::Later,
            "no time, no use"
        );
    }

    #[test]
    fn a_hub_that_refuses_everything_gets_four_attempts_and_no_more() {
        let mut choice = Choice::first(BOTH);
        let mut attempts = 1;
        // The order that prolongs it most, and every other answer again and again.
        let answers = [clock(5), refusal(401, ErrorCode::KeyUnknown), refusal(401, ErrorCode::KeyUnknown)];
        for answer in answers.iter().chain(&answers).chain(&answers) {
            match choice.refused(BOTH, answer, WALL) {
                Next::Now(next) => {
                    attempts += 1;
                    choice = next;
                }
                Next::Later => {}
            }
        }
        assert_eq!(attempts, 4);
    }
}
