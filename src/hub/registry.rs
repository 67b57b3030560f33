//! Who is connected: at most one session per agent. The second login wins.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::id::{AgentId, InstanceId, SessionId};
use crate::time::{ClockOffset, HubTime};
use crate::wire::error::ErrorCode;
use crate::wire::message::Heartbeat;

/// One registered session.
#[derive(Debug)]
pub struct Entry {
    /// The agent.
    pub agent_id: AgentId,
    /// The session.
    pub session_id: SessionId,
    /// The agent's process.
    pub instance: InstanceId,
    /// Where it comes from.
    pub address: SocketAddr,
    /// When it registered.
    pub since: HubTime,
    /// Hub time less the agent's clock at that moment.
    pub offset: ClockOffset,
    /// The newest heartbeat.
    pub heartbeat: Mutex<Option<Heartbeat>>,
    reason: OnceLock<ErrorCode>,
    doorbell: Notify,
    rotation: AtomicBool,
    stop: CancellationToken,
    released: CancellationToken,
}

impl Entry {
    /// A session that is about to log in.
    pub(super) fn new(
        agent_id: AgentId,
        session_id: SessionId,
        instance: InstanceId,
        address: SocketAddr,
        since: HubTime,
        offset: ClockOffset,
    ) -> Self {
        Self {
            agent_id,
            session_id,
            instance,
            address,
            since,
            offset,
            heartbeat: Mutex::new(None),
            reason: OnceLock::new(),
            doorbell: Notify::new(),
            rotation: AtomicBool::new(false),
            stop: CancellationToken::new(),
            released: CancellationToken::new(),
        }
    }

    /// Asks the session to end; the first reason stays.
    pub(super) fn end(&self, reason: ErrorCode) {
        if self.reason.set(reason).is_err() {
            tracing::debug!(session = %self.session_id, "the session was asked to end before");
        }
        self.stop.cancel();
    }

    /// Completes when the session is asked to end. Cancel safe.
    pub(super) async fn ended(&self) -> ErrorCode {
        self.stop.cancelled().await;
        self.reason.get().copied().unwrap_or(ErrorCode::Internal)
    }

    /// Something waits for the agent in the store.
    pub(super) fn ring(&self) {
        self.doorbell.notify_one();
    }

    /// The agent's key is to be rotated now.
    pub(super) fn ask_for_rotation(&self) {
        self.rotation.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether a rotation was asked for since this was asked last.
    pub(super) fn take_rotation(&self) -> bool {
        self.rotation.swap(false, Ordering::AcqRel)
    }

    /// Completes when the doorbell was rung since this last completed. Cancel safe.
    pub(super) async fn rung(&self) {
        self.doorbell.notified().await;
    }

    /// The session says that it hands nothing more to the store.
    pub(super) fn release(&self) {
        self.released.cancel();
    }

    /// Completes when the session hands nothing more to the store. Cancel safe.
    pub(super) async fn released(&self) {
        self.released.cancelled().await;
    }
}

/// All registered sessions.
#[derive(Debug, Default)]
pub struct Registry(Mutex<HashMap<AgentId, Arc<Entry>>>);

impl Registry {
    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<AgentId, Arc<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a session in its agent's place and asks the one it replaces to end.
    pub(super) fn login(&self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let old = self.map().insert(entry.agent_id, entry);
        if let Some(old) = &old {
            old.end(ErrorCode::Replaced);
        }
        old
    }

    /// Takes a session out, if it is still the one that stands there.
    pub(super) fn logout(&self, entry: &Arc<Entry>) {
        let mut map = self.map();
        if map.get(&entry.agent_id).is_some_and(|current| Arc::ptr_eq(current, entry)) {
            map.remove(&entry.agent_id);
        }
    }

    /// An agent's session.
    pub fn session(&self, agent: AgentId) -> Option<Arc<Entry>> {
        self.map().get(&agent).cloned()
    }

    /// Rings the doorbell of an agent that is here.
    pub(super) fn ring(&self, agent: AgentId) {
        if let Some(entry) = self.session(agent) {
            entry.ring();
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.map().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(session: u8) -> Arc<Entry> {
        Arc::new(Entry::new(
            AgentId::from_bytes([1; 16]),
            SessionId::from_bytes([session; 16]),
            InstanceId::from_bytes([3; 16]),
            ([127, 0, 0, 1], 1).into(),
            HubTime(0),
            ClockOffset(0),
        ))
    }

    #[test]
    fn clean_up_of_a_replaced_session_never_touches_the_second() {
        let registry = Registry::default();
        let (first, second) = (entry(1), entry(2));
        assert!(registry.login(Arc::clone(&first)).is_none());
        let replaced = registry.login(Arc::clone(&second)).unwrap();
        assert_eq!(replaced.session_id, first.session_id);
        assert!(first.stop.is_cancelled());
        registry.logout(&first);
        assert_eq!(registry.session(second.agent_id).unwrap().session_id, second.session_id);
        registry.logout(&second);
        assert!(registry.is_empty());
    }
}
