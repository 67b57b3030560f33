//! Fetches tokens while the agent runs, and hands out the one that is good.
//!
//! Never in anybody's way: an attempt that finds no token presents the bearer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::agent::identity::{self, IdentityFiles};
use crate::agent::state::State;
use crate::id::KeyId;
use crate::limit;
use crate::net::dial::Dialer;
use crate::net::http::{self, Target};
use crate::obs::clock::boot_now;
use crate::secret::Secret;
use crate::wire::TOKEN_PATH;

use super::Tokens;

/// The timers' clock stops in suspend, the deadlines' does not: look at least this often.
const LOOK: Duration = Duration::from_secs(10);

/// The token of one agent, and where it comes from.
#[derive(Debug)]
pub(in crate::agent) struct Keeper {
    tokens: Mutex<Tokens>,
    wake: Notify,
    dialer: Dialer,
    /// The hub whose turn it is.
    target: Mutex<Target>,
    files: IdentityFiles,
    state: State,
}

/// A token as it came.
struct Fetched {
    key_id: KeyId,
    token: Secret<String>,
    lifetime: Duration,
}

impl Keeper {
    pub(in crate::agent) fn new(dialer: Dialer, target: Target, files: IdentityFiles, state: State) -> Self {
        let tokens = Mutex::new(Tokens::new(boot_now()));
        Self { tokens, wake: Notify::new(), dialer, target: Mutex::new(target), files, state }
    }

    /// Tokens come from where the link leads.
    pub(in crate::agent) fn follow(&self, target: Target) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        // A panic elsewhere leaves a whole token or none behind.
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token of this key, where there is a good one.
    pub(in crate::agent) fn usable(&self, key_id: &KeyId) -> Option<Secret<String>> {
        let token = self.tokens().usable(boot_now(), key_id);
        if token.is_none() {
            // It may be time to fetch one.
            self.wake.notify_one();
        }
        token
    }

    /// A hub that proved to be the right one took the bearer after it had refused the token.
    pub(in crate::agent) fn refused(&self) {
        self.tokens().refused(boot_now());
    }

    /// Runs until it is stopped.
    pub(in crate::agent) async fn run(&self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            let wait = self.tokens().fetch_at().since(boot_now());
            if !wait.is_zero() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(wait.min(LOOK)) => {}
                }
                continue;
            }
            let asked = boot_now();
            let fetched = tokio::select! {
                () = stop.cancelled() => return,
                fetched = self.fetch() => fetched,
            };
            let error = match fetched {
                Ok(Fetched { key_id, token, lifetime }) => {
                    self.tokens().fetched(asked, key_id, token, lifetime);
                    self.state.count(|counters| counters.tokens = counters.tokens.saturating_add(1));
                    failing = false;
                    continue;
                }
                Err(error) => error,
            };
            self.tokens().failed(boot_now());
            if failing {
                tracing::debug!(%error, "still no token");
            } else {
                tracing::warn!(%error, "no token; the bearer serves instead, and the hub is asked again each minute");
            }
            failing = true;
        }
    }

    /// Asks once.
    async fn fetch(&self) -> Result<Fetched, String> {
        let key = identity::load(&self.files).map_err(|error| error.to_string())?.key;
        let bearer = key.bearer().to_text();
        let patience = limit::DIAL_STALL_TIMEOUT;
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = http::post(&self.dialer, &target, TOKEN_PATH, Some(&bearer), &json!({}), patience).await;
        let mut answer = answer.map_err(|error| error.to_string())?.json;
        let url = target.base();
        let token = match answer.get_mut("token").map(Value::take) {
            Some(Value::String(token)) => Secret::new(token),
            _ => return Err(format!("the answer of {url} has no token")),
        };
        let usable = token.expose().len() <= limit::JWT_BYTES_MAX
            && token.expose().bytes().all(|byte| byte.is_ascii_graphic());
        let seconds = answer.get("expires_in_s").and_then(Value::as_u64);
        match seconds {
            Some(seconds) if usable => {
                Ok(Fetched { key_id: key.key_id, token, lifetime: Duration::from_secs(seconds) })
            }
            _ => Err(format!("the token of {url} is none, or says no time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::id::{AgentId, HubId};
    use crate::net::dial::{Route, Security};
    use crate::wire::key::{AgentKey, KeyFile};

    /// A line may take five seconds each way, and the token is fetched beside what else it carries.
    #[tokio::test(start_paused = true)]
    async fn a_hub_that_says_nothing_to_the_bearer_is_waited_for_as_long_as_a_slow_line_needs() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles {
            key_file: folder.path().join("agent.key"),
            identity_file: None,
            identity_default: folder.path().join("agent.identity"),
        };
        let key = KeyFile {
            hub_id: HubId::from_bytes([1; 16]),
            agent_id: AgentId::from_bytes([2; 16]),
            key_id: "k1".parse().unwrap(),
            key: AgentKey::new([3; 32]),
        };
        std::fs::write(&files.key_file, key.to_line().expose()).unwrap();
        let route = Route { host: "127.0.0.1".to_owned(), port, security: Security::Plain };
        let target = Target::new(route, &format!("http://127.0.0.1:{port}"));
        let keeper = Keeper::new(Dialer::default(), target, files, State::default());
        let asking = tokio::time::Instant::now();
        let Err(error) = keeper.fetch().await else { panic!("a token of nobody") };
        let silence = limit::DIAL_STALL_TIMEOUT;
        assert_eq!(asking.elapsed(), silence);
        assert!(error.contains(&format!("no byte moved for {} s", silence.as_secs())), "{error}");
    }
}
