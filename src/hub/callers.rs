//! Who asks the API: every good token, in memory, so that no stranger's request costs a look into the database.
//!
//! What this process changes counts at once; what another one does beside it (`hub token revoke --data`) within a second
//! (`departed`).

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use crate::id::TokenId;
use crate::limit;
use crate::time::HubTime;

use super::hub_time;
use super::store::{Actor, Store, StoreError, TokenRow};
use super::token::{AdminToken, ApiToken, FIRST_TOKEN, Scope};

/// All tokens that open something.
#[derive(Debug)]
pub(super) struct Callers {
    first: AdminToken,
    named: RwLock<HashMap<TokenId, TokenRow>>,
    /// Held from before the store is read until what it said is here: an older list never comes after a newer one.
    reading: Mutex<()>,
    /// Rings when there is a new list.
    reloaded: watch::Sender<()>,
}

/// Somebody who showed a good token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The token's name.
    pub(super) name: String,
    /// What it may do.
    pub(super) scope: Scope,
    /// `None`: the first token.
    pub(super) id: Option<TokenId>,
}

impl Caller {
    /// Who has the first token.
    fn first() -> Self {
        Self { name: FIRST_TOKEN.to_owned(), scope: Scope::Admin, id: None }
    }

    /// As what it appears in the audit.
    pub(super) fn actor(&self) -> Actor {
        Actor::Token(self.name.clone())
    }
}

impl Callers {
    pub(super) fn new(first: AdminToken) -> Self {
        Self {
            first,
            named: RwLock::default(),
            reading: Mutex::default(),
            reloaded: watch::Sender::default(),
        }
    }

    /// All tokens that the store has, and the first.
    pub(super) async fn read(first: AdminToken, store: &Store) -> Result<Self, StoreError> {
        let callers = Self::new(first);
        callers.reload(store).await?;
        Ok(callers)
    }

    /// Reads the tokens anew.
    pub(super) async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        self.replace(store.tokens()).await
    }

    async fn replace(
        &self,
        read: impl Future<Output = Result<Vec<TokenRow>, StoreError>>,
    ) -> Result<(), StoreError> {
        let _turn = self.reading.lock().await;
        let tokens = read.await?.into_iter().map(|row| (row.id, row)).collect();
        *self.named.write().unwrap_or_else(PoisonError::into_inner) = tokens;
        self.reloaded.send_replace(());
        Ok(())
    }

    /// Who shows this text. Digests are compared in constant time.
    pub(super) fn who(&self, presented: &str, now: HubTime) -> Option<Caller> {
        if self.first.is(presented) {
            return Some(Caller::first());
        }
        let token: ApiToken = presented.parse().ok()?;
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let row = named.get(&token.id).filter(|row| row.digest == token.digest() && !row.is_expired(now))?;
        Some(Caller { name: row.name.to_string(), scope: row.scope, id: Some(row.id) })
    }

    /// What a token that somebody has shown is called where it must not be taken for another one: its id, or a fingerprint of
    /// the first token.
    pub(super) fn name_of(&self, caller: &Caller) -> String {
        caller.id.map_or_else(|| self.first.fingerprint(), |id| id.to_string())
    }

    /// Whose name that is, where the token is good.
    pub(super) fn named(&self, name: &str, now: HubTime) -> Option<Caller> {
        if name == self.first.fingerprint() {
            return Some(Caller::first());
        }
        let id: TokenId = name.parse().ok()?;
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let row = named.get(&id).filter(|row| !row.is_expired(now))?;
        Some(Caller { name: row.name.to_string(), scope: row.scope, id: Some(id) })
    }

    /// Whether the token is still good that somebody showed a while ago.
    pub(super) fn is_good(&self, caller: &Caller, now: HubTime) -> bool {
        let Some(id) = caller.id else { return true };
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        named.get(&id).is_some_and(|row| !row.is_expired(now))
    }

    /// Completes when the token is not good any more that somebody showed a while ago. Cancel safe.
    pub(super) async fn dismissed(&self, caller: &Caller) {
        let mut reloaded = self.reloaded.subscribe();
        loop {
            let now = hub_time();
            if !self.is_good(caller, now) {
                return;
            }
            tokio::select! {
                biased;
                // The sender is here.
                _ = reloaded.changed() => {}
                () = tokio::time::sleep(self.left_of(caller, now)) => {}
            }
        }
    }

    /// How long the token is good yet, as far as that can be slept: the clock may be set.
    fn left_of(&self, caller: &Caller, now: HubTime) -> Duration {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let end = caller.id.and_then(|id| named.get(&id)).and_then(|row| row.expires_at);
        let left = end.map(|end| Duration::from_millis(end.unsigned_abs().saturating_sub(now.0)));
        left.map_or(limit::DEADLINE_LOOK, |left| left.min(limit::DEADLINE_LOOK))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::hub::store::{Creation, NewToken};
    use crate::id::TokenName;
    use crate::secret::Secret;

    #[tokio::test]
    async fn of_two_lists_that_are_read_at_once_the_newer_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _writer) = Store::open(folder.path(), Creation::Allowed).await.unwrap();
        let callers = Callers::new(AdminToken::of("first"));
        let name: TokenName = "ci".parse().unwrap();
        let new = NewToken { name: name.clone(), scope: Scope::Admin, valid: None };
        let (token, row) = store.add_token(new).await.unwrap();
        let now = HubTime(row.created_at.unsigned_abs());
        let (older, newer) = {
            let older = store.tokens().await;
            store.revoke_token(&name).await.unwrap();
            (older, store.tokens().await)
        };
        let (release, released) = tokio::sync::oneshot::channel();
        let mut slow = std::pin::pin!(callers.replace(async {
            released.await.unwrap();
            older
        }));
        assert!(slow.as_mut().now_or_never().is_none(), "it has read, and not said what");
        let mut quick = std::pin::pin!(callers.replace(async { newer }));
        let early = quick.as_mut().now_or_never();
        release.send(()).unwrap();
        slow.await.unwrap();
        if early.is_none() {
            quick.await.unwrap();
        }
        assert_eq!(callers.who(token.to_text().expose(), now), None, "it was revoked");
    }

    #[tokio::test]
    async fn what_has_expired_gives_up_its_name_and_its_place_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _writer) = Store::open(folder.path(), Creation::Allowed).await.unwrap();
        let new = |name: &str, valid| NewToken { name: name.parse().unwrap(), scope: Scope::Read, valid };
        let (_, old) = store.add_token(new("ci", Some(Duration::from_nanos(1)))).await.unwrap();
        let listed = store.tokens().await.unwrap();
        assert_eq!(
            listed.iter().map(|row| row.id).collect::<Vec<_>>(),
            [old.id],
            "the list says when it ended"
        );
        let (_, again) = store.add_token(new("ci", None)).await.unwrap();
        let listed = store.tokens().await.unwrap();
        assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), [again.id]);
        assert!(matches!(store.add_token(new("ci", None)).await, Err(StoreError::TokenNameTaken(_))));
        for number in 1..limit::TOKENS_MAX {
            let valid = (number % 2 == 0).then_some(Duration::from_nanos(1));
            store.add_token(new(&format!("t{number}"), valid)).await.unwrap();
        }
        assert_eq!(store.tokens().await.unwrap().len() as i64, limit::TOKENS_MAX);
        store.add_token(new("one-more", None)).await.unwrap();
        let left = store.tokens().await.unwrap();
        assert!(left.iter().all(|row| row.expires_at.is_none()), "what has expired went, all of it");
        for number in left.len() as i64..limit::TOKENS_MAX {
            store.add_token(new(&format!("u{number}"), None)).await.unwrap();
        }
        assert!(matches!(store.add_token(new("too-many", None)).await, Err(StoreError::TooManyTokens(_))));
    }

    #[tokio::test]
    async fn a_token_opens_until_it_expires_or_is_revoked_and_only_with_its_own_secret() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _writer) = Store::open(folder.path(), Creation::Allowed).await.unwrap();
        let callers = Callers::new(AdminToken::of("first"));
        let name = "ci".parse().unwrap();
        let new = NewToken { name, scope: Scope::Submit, valid: Some(Duration::from_secs(60)) };
        let (token, row) = store.by(Actor::Token("boss".to_owned())).add_token(new.clone()).await.unwrap();
        assert_eq!((row.created_by.as_str(), row.scope), ("token:boss", Scope::Submit));
        let text = token.to_text();
        let (now, end) =
            (HubTime(row.created_at.unsigned_abs()), HubTime(row.expires_at.unwrap().unsigned_abs()));
        assert_eq!(callers.who(text.expose(), now), None, "not read yet");
        callers.reload(&store).await.unwrap();
        let caller = callers.who(text.expose(), now).unwrap();
        let bought = callers.name_of(&caller);
        assert_eq!(callers.named(&bought, now).as_ref(), Some(&caller));
        assert_eq!((caller.name.as_str(), caller.scope, caller.id), ("ci", Scope::Submit, Some(token.id)));
        let forged = ApiToken::new(token.id, Secret::new([0; 32]));
        assert_eq!(callers.who(forged.to_text().expose(), now), None);
        let before_end = HubTime(end.0 - 1);
        assert!(callers.who(text.expose(), before_end).is_some() && callers.is_good(&caller, before_end));
        assert!(callers.who(text.expose(), end).is_none() && !callers.is_good(&caller, end));
        assert_eq!(callers.named(&bought, end), None);
        assert!(matches!(store.add_token(new.clone()).await, Err(StoreError::TokenNameTaken(_))));
        assert_eq!(store.revoke_token(&new.name).await.unwrap(), token.id);
        callers.reload(&store).await.unwrap();
        assert!(callers.who(text.expose(), now).is_none() && !callers.is_good(&caller, now));
        assert!(matches!(store.revoke_token(&new.name).await, Err(StoreError::NoToken(_))));
        let (again, _) = store.add_token(new).await.unwrap();
        assert_ne!(again.id, token.id, "the name is free again");
        assert_eq!(callers.named(&bought, now), None, "the new one did not buy it");
        let first = callers.who("first", end).unwrap();
        assert_eq!(callers.named(&callers.name_of(&first), end), Some(first.clone()));
        assert_eq!(Callers::new(AdminToken::of("second")).named(&callers.name_of(&first), end), None);
        assert!(
            first.scope == Scope::Admin && callers.is_good(&first, end) && callers.who("firs", now).is_none()
        );
    }
}
