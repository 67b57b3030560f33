//! Who is let in, and who waits: the bounds around everything a peer can do before it has proved who it is.
//!
//! A connection goes through three rooms, each with its bound:
//!
//! ```text
//! accepted -> [socket: has proved nothing] -> good credential -> [handshake] -> verified Register -> [session]
//!                oldest dropped                  503 busy          the agent's oldest dropped
//! ```
//!
//! * What is counted against an address are its failures and its sockets that have proved nothing, never its successes:
//!   a fleet behind one address is as welcome as one agent.
//! * A refusal for want of room says when to come back, each refused one at another time ([`turns`]).
//! * The decisions are values in files of their own, with `now` as an argument; here are the lock around them and the
//!   guards that give places back when they are dropped.

mod buckets;
mod familiar;
pub(super) mod gate;
mod handshakes;
mod origin;
mod place;
mod sockets;
#[cfg(test)]
mod tests;
mod turns;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::id::{AgentId, TokenId};
use crate::limit;
use crate::net::patience::Patience;
use crate::obs::exposition::Page;
use crate::obs::{clock, random};
use crate::wire::error::ErrorCode;

use super::config::AdmissionConfig;
use super::counters::Counter;
use super::registry::Registry;
use buckets::Buckets;
use familiar::Familiar;
use handshakes::{Bounds, Full, Handshakes, Presence};
use origin::Origin;
pub(super) use place::{Handshake, Place};
pub(super) use sockets::{SocketNumber, Sockets};
use turns::{Spread, Turns};

/// The rooms of one hub, and their doors.
#[derive(Clone)]
pub(super) struct Admission(Arc<Rooms>);

struct Rooms {
    config: AdmissionConfig,
    doors: Mutex<Doors>,
    departure: OnceLock<Departure>,
    sockets_dropped: Counter,
    handshakes_dropped: Counter,
}

/// Whose requests to the API are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Asker {
    /// The first token.
    First,
    Token(TokenId),
    Address(Origin),
}

impl Asker {
    /// Nobody showed a token.
    pub(super) fn at(address: IpAddr) -> Self {
        Self::Address(Origin::of(address))
    }
}

/// Everything that is decided under one lock; no decision waits for anything.
struct Doors {
    sockets: Sockets<CancellationToken>,
    handshakes: Handshakes<CancellationToken>,
    /// `None` where addresses have no bound.
    failures: Option<Buckets<Origin>>,
    /// `None` where the API has no rate.
    requests: Option<Buckets<Asker>>,
    familiar: Familiar,
    turns: Turns,
}

/// The hub goes.
struct Departure {
    spread: Spread,
    /// The next session's number.
    next: AtomicU32,
}

impl Rooms {
    fn doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    /// `descriptors`: file descriptors this process may have, where that is bounded.
    pub(super) fn new(config: AdmissionConfig, descriptors: Option<u64>) -> Self {
        let descriptors =
            descriptors.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let sessions = config.max_sessions.map_or_else(
            || descriptors - descriptors / limit::DESCRIPTORS_KEPT_SHARE,
            |most| most.get() as usize,
        );
        let unproven = match config.max_sessions {
            Some(most) => most.get() as usize / limit::UNPROVEN_SHARE,
            None => (descriptors / limit::UNPROVEN_SHARE).min(limit::UNPROVEN_MAX),
        };
        let unproven = unproven.max(limit::UNPROVEN_MIN);
        let each = config.per_ip.map_or(usize::MAX, |most| most.get() as usize);
        let bounds =
            Bounds { all: config.handshakes.get() as usize, each: limit::HANDSHAKES_PER_AGENT, sessions };
        let doors = Mutex::new(Doors {
            sockets: Sockets::new(unproven, each),
            handshakes: Handshakes::new(bounds),
            failures: config.per_ip.map(|most| Buckets::new(most, limit::FAILURES_WINDOW)),
            requests: config
                .api_rate
                .map(|each| Buckets::new(each.saturating_mul(limit::API_BURST_SECONDS), limit::API_BURST)),
            familiar: Familiar::default(),
            turns: Turns::default(),
        });
        let (departure, sockets_dropped, handshakes_dropped) = Default::default();
        Self(Arc::new(Rooms { config, doors, departure, sockets_dropped, handshakes_dropped }))
    }

    /// How long a peer that has proved nothing may take to say its first byte, and the hub to answer its request.
    pub(super) fn auth_timeout(&self) -> Duration {
        self.0.config.auth
    }

    /// How long a peer is listened to that has said something and proved nothing: its line's round trip is no silence of its
    /// own, and on a slow line bytes move for longer than any silence may last. What trickles in takes a place no longer than
    /// this, and is the oldest where places are few.
    pub(super) fn patience(&self) -> Patience {
        let auth = self.auth_timeout();
        Patience {
            silence: auth.saturating_mul(limit::ANSWER_FACTOR),
            whole: auth.saturating_mul(limit::TRICKLE_FACTOR),
        }
    }

    /// A place for a socket that was just accepted. The oldest one may have to go for it.
    pub(super) fn enter(&self, peer: SocketAddr) -> Place {
        let trusted = origin::is_trusted(&self.0.config.trusted_proxies, peer.ip());
        let origin = (!trusted).then(|| Origin::of(peer.ip()));
        let notice = CancellationToken::new();
        let (number, dropped) = self.0.doors().sockets.enter(origin, notice.clone());
        self.drop_socket(dropped);
        Place::new(Arc::clone(&self.0), number, notice)
    }

    /// No descriptor is left: the oldest socket that has proved nothing gives its one back.
    pub(super) fn make_room(&self) {
        let dropped = {
            let mut doors = self.0.doors();
            doors.sockets.oldest().and_then(|oldest| doors.sockets.leave(oldest))
        };
        self.drop_socket(dropped);
    }

    fn drop_socket(&self, notice: Option<CancellationToken>) {
        if let Some(notice) = notice {
            self.0.sockets_dropped.add(1);
            notice.cancel();
        }
    }

    /// A handshake of an agent whose credential is good.
    ///
    /// # Errors
    /// `Busy` with what there is no room for.
    pub(super) fn begin(
        &self,
        agent: AgentId,
        registry: &Registry,
    ) -> Result<Handshake, (ErrorCode, &'static str)> {
        let notice = CancellationToken::new();
        let begun = {
            let mut doors = self.0.doors();
            // Read under the lock: a handshake that becomes a session is in the registry before it leaves here.
            let presence = if registry.session(agent).is_some() { Presence::Here } else { Presence::Away };
            doors.handshakes.begin(agent, presence, registry.len(), notice.clone())
        };
        let (ticket, dropped) = begun.map_err(|full| match full {
            Full::Handshakes => {
                (ErrorCode::Busy, "as many handshakes are in flight as the hub takes at once")
            }
            Full::Sessions => (ErrorCode::Busy, "the hub has as many sessions as it takes"),
        })?;
        if let Some(dropped) = dropped {
            self.0.handshakes_dropped.add(1);
            dropped.cancel();
        }
        Ok(Handshake::new(Arc::clone(&self.0), agent, ticket, notice))
    }

    fn client<'a>(
        &self,
        peer: SocketAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> SocketAddr {
        origin::client(&self.0.config.trusted_proxies, peer, forwarded)
    }

    fn is_familiar(&self, agent: AgentId) -> bool {
        self.0.doors().familiar.contains(agent)
    }

    fn barred_for(&self, address: IpAddr) -> Option<Duration> {
        let doors = self.0.doors();
        doors.failures.as_ref()?.barred_for(Origin::of(address), clock::boot_now())
    }

    /// A TLS handshake that came to nothing costs its address as much as a bad login. Behind a proxy nobody knows whose it
    /// was: its head was never read.
    pub(super) fn note_handshake_failure(&self, peer: SocketAddr) {
        if !origin::is_trusted(&self.0.config.trusted_proxies, peer.ip()) {
            self.note_failure(peer.ip());
        }
    }

    pub(in crate::hub) fn note_failure(&self, address: IpAddr) {
        if let Some(failures) = &mut self.0.doors().failures {
            failures.note(Origin::of(address), clock::boot_now());
        }
    }

    /// One more request to the API of whoever has this token, or of this address where nobody showed one.
    ///
    /// # Errors
    /// How long until the next may come.
    pub(super) fn ask(&self, asker: Asker) -> Result<(), Duration> {
        let mut doors = self.0.doors();
        let Some(requests) = &mut doors.requests else { return Ok(()) };
        let now = clock::boot_now();
        if let Some(wait) = requests.barred_for(asker, now) {
            return Err(wait);
        }
        requests.note(asker, now);
        Ok(())
    }

    /// When one who was refused for want of room is to come back.
    fn turn(&self) -> Duration {
        self.0.doors().turns.take(clock::boot_now(), draw())
    }

    /// The hub goes, with so many sessions. Within what this gives they will all be back.
    pub(super) fn depart(&self, sessions: usize) -> Duration {
        let departure = || Departure { spread: Spread::of(sessions), next: AtomicU32::new(0) };
        self.0.departure.get_or_init(departure).spread.whole()
    }

    /// When one of the sessions of a hub that goes is to come back; each that asks gets a turn of its own.
    pub(super) fn return_after(&self) -> Duration {
        match self.0.departure.get() {
            Some(departure) => departure.spread.wait(departure.next.fetch_add(1, Ordering::Relaxed), draw()),
            None => limit::RETURN_PAUSE,
        }
    }

    pub(super) fn metrics(&self, page: &mut Page) {
        let doors = self.0.doors();
        let bounds = doors.handshakes.bounds();
        page.gauge("outpost_hub_sessions_max", "Sessions that there is room for.").is(bounds.sessions);
        page.gauge("outpost_hub_unproven_sockets", "Connections that have proved nothing.")
            .is(doors.sockets.len());
        page.gauge("outpost_hub_unproven_sockets_max", "As many of them as there is room for.")
            .is(doors.sockets.bound());
        page.counter("outpost_hub_unproven_sockets_dropped_total", "Those that had to go for another.")
            .is(self.0.sockets_dropped.value());
        page.gauge("outpost_hub_handshakes", "Upgraded connections that are not registered yet.")
            .is(doors.handshakes.len());
        page.gauge("outpost_hub_handshakes_max", "As many of them as there is room for.").is(bounds.all);
        page.counter(
            "outpost_hub_handshakes_dropped_total",
            "Those that had to go for another of their agent.",
        )
        .is(self.0.handshakes_dropped.value());
    }

    pub(super) fn to_json(&self) -> Value {
        let doors = self.0.doors();
        let bounds = doors.handshakes.bounds();
        json!({
            "unproven": doors.sockets.len(),
            "unproven_max": doors.sockets.bound(),
            "unproven_dropped": self.0.sockets_dropped.value(),
            "handshakes": doors.handshakes.len(),
            "handshakes_most": doors.handshakes.most(),
            "handshakes_max": bounds.all,
            "handshakes_dropped": self.0.handshakes_dropped.value(),
            "sessions_max": bounds.sessions,
        })
    }
}

fn draw() -> u32 {
    u32::from_le_bytes(random::bytes())
}
