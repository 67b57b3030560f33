//! Agents and tokens that another process removed or revoked (`hub agent revoke --data` beside a running hub): the audit
//! tells. Their sessions end, and they open nothing any more.

use std::sync::Arc;
use std::time::Duration;

use crate::wire::error::ErrorCode;

use super::Shared;
use super::callers::Callers;
use super::registry::Registry;
use super::store::{Departure, News, Store, StoreError};

/// How often the audit is read.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the hub stops. A removal through this process ends the session by itself; asked again it stays ended.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut seen = None;
    loop {
        match look(&shared.store, &shared.registry, &shared.callers, seen).await {
            Ok(last) => seen = Some(last),
            Err(error) => tracing::debug!(%error, "the audit could not be read"),
        }
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn look(
    store: &Store,
    registry: &Registry,
    callers: &Callers,
    seen: Option<i64>,
) -> Result<i64, StoreError> {
    let Some(seen) = seen else { return store.last_audited().await };
    let News { last, departures, tokens } = store.news_after(seen).await?;
    if last > seen {
        store.note_foreign_change();
    }
    if tokens {
        callers.reload(store).await?;
    }
    for (agent, departure) in departures {
        let Some(session) = registry.session(agent) else { continue };
        match departure {
            Departure::Removed => session.end(ErrorCode::UnknownAgent),
            // It may have been welcomed again since. Its key tells, not the clock, which may have been set back: what an
            // agent was revoked with is deleted before it is welcome. Where the store cannot say, the session is over.
            Departure::Revoked => {
                if !matches!(store.credential_of(agent, &session.key_id).await, Ok(Ok(_))) {
                    session.end(ErrorCode::Revoked);
                }
            }
            Departure::Rotation => session.ask_for_rotation(),
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::hub::registry::{Entry, Login};
    use crate::hub::store::Creation;
    use crate::hub::token::AdminToken;
    use crate::id::{AgentId, InstanceId, KeyId, SessionId};
    use crate::obs::clock;
    use crate::time::{ClockOffset, HubTime};

    /// A session that began when the hub's clock was far ahead.
    fn login(registry: &Registry, agent: AgentId, key_id: &KeyId, number: u8) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(
            agent,
            key_id.clone(),
            SessionId::from_bytes([number; 16]),
            InstanceId::from_bytes([number; 16]),
            ([127, 0, 0, 1], 1).into(),
            HubTime(clock::wall_now().0 + 86_400_000),
            ClockOffset(0),
        ));
        assert!(!matches!(registry.login(Arc::clone(&entry), clock::boot_now()), Login::Refused(_)));
        entry
    }

    #[tokio::test]
    async fn a_revocation_ends_what_came_in_before_it_and_not_what_was_welcomed_since_whatever_the_clock_says()
     {
        let folder = tempfile::tempdir().unwrap();
        let (store, _writer) = Store::open(folder.path(), Creation::Allowed).await.unwrap();
        let (registry, callers) = (Registry::default(), Callers::new(AdminToken::of("first")));
        let name = "edge-1".parse().unwrap();
        let first = store.add_agent(&name, None).await.unwrap();
        let before = login(&registry, first.id, &first.key_file.key_id, 1);
        let seen = look(&store, &registry, &callers, None).await.unwrap();
        store.revoke_agent(&name).await.unwrap();
        look(&store, &registry, &callers, Some(seen)).await.unwrap();
        assert_eq!(before.ended().now_or_never(), Some(ErrorCode::Revoked));

        let invite = store.invite_agent(&name, None, Duration::from_secs(60)).await.unwrap().invite;
        let public = ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key();
        let enrolled = store.enroll(invite.digest(), &public).await.unwrap().unwrap();
        for (key_id, number, expected) in
            [(&first.key_file.key_id, 2, Some(ErrorCode::Revoked)), (&enrolled.key_file.key_id, 3, None)]
        {
            let session = login(&registry, first.id, key_id, number);
            look(&store, &registry, &callers, Some(seen)).await.unwrap();
            assert_eq!(session.ended().now_or_never(), expected, "session {number}");
        }
    }
}
