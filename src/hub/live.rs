//! Live topics, the small broker: workers publish through an internal listener, browsers subscribe through a public one.
//! docs/live.md is the protocol, to the letter.
//!
//! * `topic`, `registry`, `audience`, `first_frame`, `push`, `status`: what a name is, which topics there are and until when,
//!   who listens, who may, what is sent. Values and functions: `now` is an argument.
//! * `broker` joins them behind locks that are held for no longer than it takes to hand a message to a queue.
//! * `cluster`: several brokers over one Redis.
//! * `internal`, `public`, `client`, `entrance`, `upgrade`, `standing`: the sockets.
//! * `own`: the streams that tell what becomes of agents and jobs. They share the sockets with the broker, and nothing else.
//!
//! A message is encoded once and shared by all who get it. Each subscriber has a queue of its own: one that is full loses
//! what comes, and nobody waits for it.

mod audience;
mod broker;
mod client;
mod cluster;
mod entrance;
mod first_frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod internal;
mod label;
mod own;
mod public;
mod push;
mod registry;
mod standing;
mod status;
#[cfg(test)]
mod tests;
mod topic;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hub::Shared;
use crate::hub::config::LiveConfig;
use crate::limit;
use crate::net::tls::server::ServerTls;
use crate::obs::clock;
use crate::obs::exposition::Page;

use broker::Broker;
use cluster::Link;
use entrance::Entrance;

pub(super) use own::{Selling, Stream, connect};
pub(super) use public::PATH;

pub use cluster::{ParseRedisUrlError, RedisUrl};
pub use topic::{Owner, ParseTopicError, Topic};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for live topics: {source}; choose another with `{key}`")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The setting it comes from.
    pub key: &'static str,
    /// Why.
    pub source: std::io::Error,
}

/// A broker that runs: standing alone, or as a part of a hub. Dropping it leaves its tasks to the tracker they were started with.
#[derive(Clone)]
pub struct Live {
    broker: Arc<Broker>,
    public: SocketAddr,
    internal: SocketAddr,
}

impl Live {
    /// Binds both listeners and serves them until `stop`. Subscribers come over TLS where there is `tls`; the internal
    /// listener has none.
    ///
    /// # Errors
    /// Where one of the addresses cannot be used.
    pub async fn start(
        config: &LiveConfig,
        tls: Option<Arc<ServerTls>>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<Self, BindError> {
        let (live, listeners) = Self::bind(config).await?;
        listeners.serve(tls, None, stop, tasks);
        Ok(live)
    }

    /// Binds both listeners, and serves nobody yet.
    pub(super) async fn bind(config: &LiveConfig) -> Result<(Self, Listeners), BindError> {
        for notice in &config.notices {
            tracing::warn!("{notice}");
        }
        let (outside, public) = bind(config.public, "live.ws_bind or live.ws_port").await?;
        let (inside, internal) = bind(config.internal, "live.internal_bind or live.internal_port").await?;
        if !internal.ip().is_loopback() {
            tracing::warn!(address = %internal, "the internal listener of live topics is open to other machines, and the worker secret crosses the network in plain text");
        }
        let (link, cluster) = config.redis.as_ref().map(Link::new).unzip();
        let broker = Arc::new(Broker::new(config, cluster, clock::boot_now()));
        let listeners = Listeners { broker: Arc::clone(&broker), outside, inside, link };
        Ok((Self { broker, public, internal }, listeners))
    }

    /// Where subscribers connect.
    pub const fn public_addr(&self) -> SocketAddr {
        self.public
    }

    /// Where workers connect.
    pub const fn internal_addr(&self) -> SocketAddr {
        self.internal
    }

    /// `ok`, or `degraded` while it is cut off from its other nodes; `None` where there are none.
    pub(super) fn readiness(&self) -> Option<&'static str> {
        let status = self.broker.status();
        status.cluster.map(|_| status.word())
    }

    /// What `GET /internal/status` says.
    pub fn status(&self) -> Value {
        self.broker.status().to_json()
    }
}

/// What [`Live::bind`] bound.
pub(super) struct Listeners {
    broker: Arc<Broker>,
    outside: TcpListener,
    inside: TcpListener,
    link: Option<Link>,
}

impl Listeners {
    /// Serves until `stop`; with the own streams of `hub`, where there is one.
    pub(super) fn serve(
        self,
        tls: Option<Arc<ServerTls>>,
        hub: Option<Arc<Shared>>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let Self { broker, outside, inside, link } = self;
        if let Some(link) = link {
            tasks.spawn(link.run(Arc::clone(&broker), stop.clone()));
        }
        let door = public::Door { broker: Arc::clone(&broker), tls, stop: stop.clone(), hub };
        tasks.spawn(Entrance::new(stop, tasks).serve(outside, Arc::new(door)));
        let desk = Arc::new(internal::Desk { broker: Arc::clone(&broker) });
        tasks.spawn(Entrance::new(stop, tasks).serve(inside, desk));
        tasks.spawn(sweep(broker, stop.clone()));
    }
}

async fn bind(address: SocketAddr, key: &'static str) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError { address, key, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The figures of docs/metrics.md; without values where there is no broker.
pub(super) fn metrics(page: &mut Page, live: Option<&Live>) {
    let status = live.map(|live| live.broker.status());
    let mut gauge = |name, help, value: Option<u64>| {
        let family = page.gauge(name, help);
        if let Some(value) = value {
            family.is(value);
        }
    };
    let count = |topics: usize| u64::try_from(topics).unwrap_or(u64::MAX);
    let registered = status.as_ref().map(|status| count(status.registered));
    gauge("outpost_hub_live_topics", "Live topics that are registered.", registered);
    let active = status.as_ref().map(|status| count(status.active));
    gauge("outpost_hub_live_topics_active", "Live topics that somebody listens to.", active);
    let sockets = status.as_ref().map(|status| status.sockets);
    gauge("outpost_hub_live_subscribers", "Connections that listen to a live topic.", sockets);
    let help = "Messages that subscribers of live topics lost because they read too slowly.";
    let dropped = page.counter("outpost_hub_live_dropped_total", help);
    if let Some(live) = live {
        dropped.is(live.broker.dropped());
    }
    let help = "Messages to live topics that other nodes did not get because Redis was away.";
    let missed = page.counter("outpost_hub_live_missed_total", help);
    if let Some(live) = live {
        missed.is(live.broker.missed());
    }
}

/// Forgets topics whose time is over; until then they only take memory.
async fn sweep(broker: Arc<Broker>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(limit::LIVE_SWEEP_INTERVAL) => broker.sweep(),
        }
    }
}
