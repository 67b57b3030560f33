//! Agents that connect and have nothing to say, and what they cost their hub.

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use outpost::obs::descriptors;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::agent::{self, Agent, News};
use crate::hub::Site;

/// Handshakes at once: below what a hub takes.
const AT_ONCE: usize = 32;
/// Nothing here takes longer unless it is broken.
const DEADLINE: Duration = Duration::from_secs(300);

/// What one of them costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Of the hub's memory, while it is idle.
    pub(crate) memory_kib: f64,
    /// Of the hub's processor, for its way in.
    pub(crate) processor: Duration,
}

/// Connects so many to a hub of its own, who sign the Challenge, and measures the hub.
pub(crate) fn measure(mut site: Site, count: usize) -> Cost {
    descriptors::raise().unwrap();
    let identity = SigningKey::from_bytes(&[7; 32]);
    let keys = site.add_signing_agents(count + 1, Some(identity.verifying_key()));
    let hub = site.start();
    let line = site.line();
    let agents = keys.into_iter().map(|key| {
        let (identity, line) = (Some(identity.clone()), line.clone());
        Agent { key, identity, hub: hub.address, line }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut agents: Vec<_> = agents.collect();
        let mut crowd = Crowd::default();
        // What the first one costs beside is the hub's own: pools, threads, the database's pages.
        crowd.enter(agents.drain(..1).collect()).await;
        let (memory, processor) = (hub.memory_kib(), hub.processor());
        crowd.enter(agents).await;
        let (memory, processor) = (hub.memory_kib() - memory, hub.processor() - processor);
        let each = u32::try_from(count).unwrap();
        Cost { memory_kib: memory as f64 / f64::from(each), processor: processor / each }
    })
}

/// Sessions that stay until this is dropped.
#[derive(Default)]
struct Crowd {
    sessions: JoinSet<()>,
}

impl Crowd {
    /// Returns once all of them are registered.
    async fn enter(&mut self, agents: Vec<Agent>) {
        let count = agents.len();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let (registered, mut registrations) = mpsc::channel(count);
        for agent in agents {
            let (places, registered) = (Arc::clone(&places), registered.clone());
            self.sessions.spawn(async move {
                let mut place = Some(places.acquire_owned().await.unwrap());
                let tell = |news| {
                    if let News::Registered = news {
                        place = None;
                        registered.try_send(()).unwrap();
                    }
                };
                let ended = agent::attempt(&agent, std::future::pending(), tell).await;
                panic!("a session ended: {ended:?}");
            });
        }
        let all = async {
            for _ in 0..count {
                tokio::select! {
                    biased;
                    ended = self.sessions.join_next() => ended.unwrap().unwrap(),
                    one = registrations.recv() => one.unwrap(),
                }
            }
        };
        tokio::time::timeout(DEADLINE, all).await.expect("all of them registered in time");
    }
}
