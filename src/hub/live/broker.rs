//! The broker: topics, who listens to them, and what passes between. Nothing here waits for a socket.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;

use crate::hub::config::LiveConfig;
use crate::limit;
use crate::obs::clock;
use crate::secret::Secret;
use crate::time::{BootTime, HubTime};
use crate::wire::mac::MacKey;

use super::audience::{self, Audience, Delivered, Form, Subscription};
use super::cluster::Cluster;
use super::first_frame::{self, Admitted, Refused};
use super::push::Push;
use super::registry::{Access, Full, Heard, Registry, Statement, Unheard, Word};
use super::status::{Linked, Nodes, Status, Topics};
use super::topic::{Owner, Topic};

/// Why a topic is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RegisterError {
    /// It is Outpost's, or the broker's.
    #[error("the name is reserved")]
    Reserved,
    /// There is no room.
    #[error(transparent)]
    Full(#[from] Full),
}

/// The topic is not registered, or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("topic not registered")]
pub(super) struct Unknown;

/// Why somebody who was let in by the token does not become a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JoinError {
    Full(audience::Full),
    /// The topic has begun to want a token.
    Unwelcome,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Broker {
    secret: Secret<String>,
    /// The same, ready to verify tokens.
    key: MacKey,
    origins: Vec<String>,
    ttl: Duration,
    started: BootTime,
    registry: Mutex<Registry>,
    audience: Arc<Audience>,
    /// Where there are other nodes.
    cluster: Option<Arc<Cluster>>,
}

impl Broker {
    pub(super) fn new(config: &LiveConfig, cluster: Option<Arc<Cluster>>, now: BootTime) -> Self {
        Self {
            key: MacKey::from_bytes(config.secret.expose().as_bytes()),
            secret: config.secret.clone(),
            origins: config.origins.clone(),
            ttl: config.topic_ttl,
            started: now,
            registry: Mutex::default(),
            audience: Arc::default(),
            cluster,
        }
    }

    /// Whether this is the secret that workers have; constant time for one of its length.
    pub(super) fn is_secret(&self, shown: &[u8]) -> bool {
        use subtle::ConstantTimeEq as _;
        self.secret.expose().as_bytes().ct_eq(shown).into()
    }

    /// The pages that may subscribe; none: from anywhere.
    pub(super) fn origins(&self) -> &[String] {
        &self.origins
    }

    /// At all nodes, or here alone where Redis does not take it within `limit::LIVE_REDIS_WAIT`: then at the others later.
    pub(super) async fn register(&self, topic: &Topic, access: Access) -> Result<(), RegisterError> {
        if topic.owner() != Owner::Workers {
            return Err(RegisterError::Reserved);
        }
        match &self.cluster {
            None => self.registry().register(topic, access, self.ttl, clock::boot_now())?,
            Some(cluster) => self.say(cluster, topic, access.into(), self.ttl).await?,
        }
        self.expel_unproven(topic);
        Ok(())
    }

    /// Those who listen stay: the topic may be registered again. Waits as [`Self::register`].
    pub(super) async fn unregister(&self, topic: &Topic) -> Result<(), RegisterError> {
        if topic.owner() != Owner::Workers {
            return Err(RegisterError::Reserved);
        }
        match &self.cluster {
            None => self.registry().forget(topic),
            Some(cluster) => self.say(cluster, topic, Word::Gone, limit::LIVE_GONE_TTL).await?,
        }
        Ok(())
    }

    /// What a worker says of a topic, at its place among what is said at other nodes. Waits as [`Self::register`].
    async fn say(&self, cluster: &Cluster, topic: &Topic, word: Word, ttl: Duration) -> Result<(), Full> {
        if word != Word::Gone {
            self.registry().check_room(topic, clock::boot_now())?;
        }
        let generation = cluster.say(topic, word, ttl).await;
        let now = clock::boot_now();
        match generation {
            Some(generation) => {
                let statement = Statement { word, generation, left: ttl };
                self.registry().hear(topic, statement, now).map(drop)
            }
            None => self.registry().say_away(topic, word, ttl, now),
        }
    }

    /// To those who are here at once, then to the other nodes. Waits as [`Self::register`].
    pub(super) async fn publish(&self, topic: &Topic, payload: &RawValue) -> Result<Delivered, Unknown> {
        // Only what workers registered is published to.
        if topic.owner() != Owner::Workers {
            return Err(Unknown);
        }
        self.access(topic).await?;
        let delivered = self.deliver(topic, payload);
        if let Some(cluster) = &self.cluster {
            cluster.publish(topic, payload).await;
        }
        Ok(delivered)
    }

    /// Who may subscribe to a topic. Waits as [`Self::register`] where it is unknown here.
    pub(super) async fn access(&self, topic: &Topic) -> Result<Access, Unknown> {
        match topic.owner() {
            Owner::Broker => return Ok(Access::Open),
            Owner::Outpost => return Err(Unknown),
            Owner::Workers => {}
        }
        if let Some(access) = self.registered(topic) {
            return Ok(access);
        }
        let cluster = self.cluster.as_ref().ok_or(Unknown)?;
        let found = cluster.find(topic).await.ok_or(Unknown)?;
        match self.hear(topic, found) {
            Ok(()) => self.registered(topic).ok_or(Unknown),
            // It is there, though there is no room to remember it.
            Err(Full) => found.word.access().ok_or(Unknown),
        }
    }

    /// To those who are here.
    pub(super) fn deliver(&self, topic: &Topic, payload: &RawValue) -> Delivered {
        self.audience.push(topic, Push::new(payload))
    }

    /// What other nodes published may be missing.
    pub(super) fn note_gap(&self) {
        self.audience.note_gap();
    }

    /// What Redis or another node says of a topic.
    pub(super) fn hear(&self, topic: &Topic, statement: Statement) -> Result<(), Full> {
        let heard = self.registry().hear(topic, statement, clock::boot_now());
        match heard {
            Ok(Heard::News) => self.expel_unproven(topic),
            Ok(Heard::Known) => {}
            Err(error) => tracing::warn!(%topic, %error, "a topic of another node is not taken over"),
        }
        heard.map(drop)
    }

    /// Redis has been told this.
    pub(super) fn settle(&self, topic: &Topic, told: &Statement) {
        self.registry().settle(topic, told);
    }

    /// Redis has nothing about this, and should.
    pub(super) fn forget_unheard(&self, topic: &Topic, told: &Statement) {
        self.registry().forget_unheard(topic, told);
    }

    /// What is known of all topics.
    pub(super) fn statements(&self) -> Vec<(Topic, Statement, Unheard)> {
        self.registry().statements(clock::boot_now())
    }

    /// Of those that Redis has to be told of.
    pub(super) fn owed(&self) -> Vec<(Topic, Statement, Unheard)> {
        self.registry().owed(clock::boot_now())
    }

    /// Whoever has shown no token has to go where the topic wants one.
    fn expel_unproven(&self, topic: &Topic) {
        if self.registered(topic) == Some(Access::Token) {
            self.audience.expel_unproven(topic);
        }
    }

    /// Judges the first frame of who wants to subscribe.
    pub(super) fn admit(&self, frame: &str, topic: &Topic, access: Access) -> Result<Admitted, Refused> {
        // A topic that was registered anew since the upgrade may want a token by now.
        let access = self.registered(topic).unwrap_or(access);
        first_frame::judge(frame, topic, access, &self.key, wall_now())
    }

    /// Makes a subscriber of who was admitted.
    pub(super) fn join(
        &self,
        topic: &Topic,
        admitted: &Admitted,
        form: Form,
    ) -> Result<Subscription, JoinError> {
        let proof = admitted.proof;
        let reader = admitted.reader.clone();
        let joined = self.audience.join(topic, reader, proof, form).map_err(JoinError::Full)?;
        // Either this sees what was registered since, or who registered it saw the subscriber.
        if proof == audience::Proof::None && self.registered(topic) == Some(Access::Token) {
            return Err(JoinError::Unwelcome);
        }
        Ok(joined)
    }

    /// Whether one more subscriber is let in now.
    pub(super) fn has_room(&self) -> bool {
        usize::try_from(self.audience.count().sockets)
            .is_ok_and(|sockets| sockets < limit::LIVE_SUBSCRIBERS_MAX)
    }

    pub(super) fn status(&self) -> Status {
        let now = clock::boot_now();
        let count = self.audience.count();
        Status {
            cluster: self.cluster.as_deref().map(|cluster| Nodes {
                count: cluster.nodes(),
                linked: if cluster.is_linked() { Linked::There } else { Linked::Away },
            }),
            uptime: now.since(self.started),
            registered: self.registry().count(now),
            active: self.audience.topic_count(),
            clients: count.readers,
            sockets: count.sockets,
        }
    }

    /// Copies all names: for those who may ask for them.
    pub(super) fn topics(&self) -> Topics {
        let registered = self.registry().topics(clock::boot_now()).cloned().collect();
        Topics { registered, active: self.audience.topics() }
    }

    /// Messages that the other nodes did not get, since the start.
    pub(super) fn missed(&self) -> u64 {
        self.cluster.as_deref().map_or(0, Cluster::missed)
    }

    /// Messages that found a subscriber's queue full, since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.audience.dropped()
    }

    pub(super) fn sweep(&self) {
        self.registry().sweep(clock::boot_now());
    }

    fn registered(&self, topic: &Topic) -> Option<Access> {
        self.registry().access(topic, clock::boot_now())
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock that tokens end by: whoever mints them has no other.
pub(super) fn wall_now() -> HubTime {
    HubTime(clock::wall_now().0)
}
