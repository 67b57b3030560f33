//! Who is connected: at most one session per agent. The second login wins, unless it is a copy's (`clones`).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::id::{AgentId, InstanceId, KeyId, Lane, SessionId};
use crate::time::{BootTime, ClockOffset, HubTime};
use crate::wire::error::ErrorCode;
use crate::wire::message::{Heartbeat, LaneDepth};

use super::clones::{Clones, Replaced};
use super::relay::Mailbox;

/// One registered session.
#[derive(Debug)]
pub struct Entry {
    /// The agent.
    pub agent_id: AgentId,
    /// What it came in with.
    pub key_id: KeyId,
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
    /// Messages for the agent.
    pub(super) mailbox: Mailbox,
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
        key_id: KeyId,
        session_id: SessionId,
        instance: InstanceId,
        address: SocketAddr,
        since: HubTime,
        offset: ClockOffset,
    ) -> Self {
        Self {
            agent_id,
            key_id,
            session_id,
            instance,
            address,
            since,
            offset,
            heartbeat: Mutex::new(None),
            mailbox: Mailbox::default(),
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
pub struct Registry(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<AgentId, Arc<Entry>>,
    clones: Clones,
}

/// What became of a login.
#[derive(Debug)]
pub(super) enum Login {
    /// The agent was away.
    First,
    /// This session was there, and was asked to end.
    Replaces(Arc<Entry>),
    /// This session is there and stays: the login is a copy of the agent that was replaced before.
    Refused(Arc<Entry>),
}

impl Registry {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a session in its agent's place and asks the one it replaces to end, unless it is a copy's that comes back.
    pub(super) fn login(&self, entry: Arc<Entry>, now: BootTime) -> Login {
        let Inner { sessions, clones } = &mut *self.inner();
        let (agent, instance) = (entry.agent_id, entry.instance);
        let there = sessions.get(&agent).filter(|there| there.instance != instance);
        if let Some(there) = there {
            if clones.refuses(agent, instance, entry.address, now, entry.since) {
                return Login::Refused(Arc::clone(there));
            }
            clones.replaced(agent, there.instance, there.address, now, entry.since);
        } else {
            clones.welcome(agent, instance);
        }
        match sessions.insert(agent, entry) {
            None => Login::First,
            Some(old) => {
                old.end(ErrorCode::Replaced);
                Login::Replaces(old)
            }
        }
    }

    /// Copies of an agent that came back while another one was there.
    pub(super) fn clones(&self, agent: AgentId) -> Vec<Replaced> {
        self.inner().clones.seen(agent)
    }

    /// Takes a session out, if it is still the one that stands there.
    pub(super) fn logout(&self, entry: &Arc<Entry>) {
        let sessions = &mut self.inner().sessions;
        if sessions.get(&entry.agent_id).is_some_and(|current| Arc::ptr_eq(current, entry)) {
            sessions.remove(&entry.agent_id);
        }
    }

    /// An agent's session.
    pub fn session(&self, agent: AgentId) -> Option<Arc<Entry>> {
        self.inner().sessions.get(&agent).cloned()
    }

    /// Rings the doorbell of an agent that is here.
    pub(super) fn ring(&self, agent: AgentId) {
        if let Some(entry) = self.session(agent) {
            entry.ring();
        }
    }

    /// What waits at all agents together, by their newest heartbeats and lane.
    pub(super) fn depths(&self) -> [LaneDepth; Lane::ALL.len()] {
        let sessions: Vec<_> = self.inner().sessions.values().cloned().collect();
        let mut sums = [LaneDepth::default(); Lane::ALL.len()];
        for entry in sessions {
            let heartbeat = entry.heartbeat.lock().unwrap_or_else(PoisonError::into_inner);
            for (sum, depth) in sums.iter_mut().zip(heartbeat.iter().flat_map(|heartbeat| heartbeat.depth)) {
                sum.records = sum.records.saturating_add(depth.records);
                sum.bytes = sum.bytes.saturating_add(depth.bytes);
            }
        }
        sums
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner().sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.inner().sessions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const AGENT: AgentId = AgentId::from_bytes([1; 16]);

    fn entry(session: u8, instance: u8) -> Arc<Entry> {
        Arc::new(Entry::new(
            AGENT,
            "k1".parse().unwrap(),
            SessionId::from_bytes([session; 16]),
            InstanceId::from_bytes([instance; 16]),
            ([127, 0, 0, 1], session.into()).into(),
            HubTime(session.into()),
            ClockOffset(0),
        ))
    }

    /// A login, and what became of it in a word.
    fn login(registry: &Registry, entry: &Arc<Entry>, second: u64) -> &'static str {
        match registry.login(Arc::clone(entry), BootTime(Duration::from_secs(second))) {
            Login::First => "first",
            Login::Replaces(old) => {
                assert!(old.stop.is_cancelled());
                "replaces"
            }
            Login::Refused(there) => {
                assert!(!there.stop.is_cancelled(), "the one that is there stays");
                "refused"
            }
        }
    }

    #[test]
    fn clean_up_of_a_replaced_session_never_touches_the_second() {
        let registry = Registry::default();
        let (first, second) = (entry(1, 1), entry(2, 2));
        assert_eq!(login(&registry, &first, 0), "first");
        assert_eq!(login(&registry, &second, 1), "replaces");
        registry.logout(&first);
        assert_eq!(registry.session(AGENT).unwrap().session_id, second.session_id);
        registry.logout(&second);
        assert!(registry.is_empty());
    }

    #[test]
    fn two_copies_do_not_take_turns_and_the_one_that_is_there_stays() {
        let registry = Registry::default();
        assert_eq!(login(&registry, &entry(1, 1), 0), "first");
        assert_eq!(login(&registry, &entry(2, 2), 1), "replaces");
        assert!(registry.clones(AGENT).is_empty(), "so far it may be gone");
        assert_eq!(login(&registry, &entry(3, 1), 61), "refused");
        assert_eq!(login(&registry, &entry(4, 1), 361), "refused");
        let seen = registry.clones(AGENT);
        assert_eq!((seen.len(), seen[0].refusals, seen[0].address.port()), (1, 2, 4));
        assert_eq!(registry.session(AGENT).unwrap().instance, InstanceId::from_bytes([2; 16]));
    }

    #[test]
    fn a_process_that_comes_back_before_its_old_session_ended_replaces_itself() {
        let registry = Registry::default();
        for (session, expected) in [(1, "first"), (2, "replaces"), (3, "replaces")] {
            assert_eq!(login(&registry, &entry(session, 1), session.into()), expected);
        }
        assert!(registry.clones(AGENT).is_empty());
    }

    #[test]
    fn a_copy_may_come_in_when_the_other_has_gone() {
        let registry = Registry::default();
        let second = entry(2, 2);
        login(&registry, &entry(1, 1), 0);
        login(&registry, &second, 1);
        registry.logout(&second);
        assert_eq!(login(&registry, &entry(3, 1), 61), "first");
        assert_eq!(login(&registry, &entry(4, 2), 70), "replaces");
        assert_eq!(login(&registry, &entry(5, 1), 131), "refused");
    }
}
