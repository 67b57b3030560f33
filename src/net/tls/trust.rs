//! By whose time a certificate is judged: pure, with every clock as an argument.
//!
//! * The time is the greatest of three: this machine's clock, which may say 1970; the date of the build; the *floor*, the
//!   latest hub time a verified RegisterAck gave within the dates of the certificate it came under. A clock that stands too
//!   early so does no harm. One that is too late cannot be told from a certificate that expired.
//! * Under an authority of one's own a chain that fails for its dates alone is looked at once more, at a time when all of it
//!   is valid. What it passes for then is *provisional*: the session it opens lets nothing pass before its hub, whose MAC
//!   vouches for it, says a time within the leaf's dates.
//! * The floor is never gone below: what expired before it is known to have expired. The date of the build is no such
//!   proof, it is as good as the clock of whoever built.
//! * The system's authorities vouch for everybody, so there is no second look with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::{HubTime, Validity, WallTime};

/// When this program was built, as `build.rs` found it; 1970 where that is not known.
pub fn build_date() -> HubTime {
    HubTime(env!("OUTPOST_BUILD_SECONDS").parse::<u64>().unwrap_or(0).saturating_mul(1000))
}

/// What is known of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// This machine's clock.
    pub wall: WallTime,
    /// The date of the build.
    pub build: HubTime,
    /// The latest time a hub proved.
    pub floor: HubTime,
}

impl Times {
    /// What certificates are judged by.
    pub fn present(self) -> HubTime {
        HubTime(self.wall.0).max(self.build).max(self.floor)
    }

    /// The time of the second look at a chain of these dates: when all of it is valid, as near to the present as that can
    /// be. `None` where there is no such time, or none from the floor on.
    pub fn second_look(self, chain: &[Validity]) -> Option<HubTime> {
        let from_the_floor = Validity::new(self.floor, HubTime(u64::MAX));
        let common = chain.iter().try_fold(from_the_floor?, |common, dates| common.common(*dates));
        common.map(|common| common.nearest(self.present()))
    }
}

/// How far a connection's other end is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// There is no certificate.
    Plain,
    /// Its certificate is good now; these are its dates.
    Settled(Validity),
    /// It is good if it is these dates now, which its hub has to say in a session.
    Provisional {
        /// The leaf's dates.
        valid: Validity,
        /// What the time was thought to be.
        present: HubTime,
    },
}

impl Trust {
    /// What a verified RegisterAck makes of the floor.
    pub fn floor_from(self, hub_time: HubTime) -> Option<HubTime> {
        match self {
            Self::Settled(valid) | Self::Provisional { valid, .. } if valid.contains(hub_time) => {
                Some(hub_time)
            }
            Self::Plain | Self::Settled(_) | Self::Provisional { .. } => None,
        }
    }
}

/// The floor as it is now; every clone sees the same, and it only rises.
#[derive(Debug, Clone, Default)]
pub struct TimeFloor(Arc<AtomicU64>);

impl TimeFloor {
    /// As an earlier process left it.
    pub fn new(at: HubTime) -> Self {
        Self(Arc::new(AtomicU64::new(at.0)))
    }

    /// Where it is.
    pub fn now(&self) -> HubTime {
        HubTime(self.0.load(Ordering::Relaxed))
    }

    /// A hub proved that it is this late; a time that is earlier changes nothing.
    pub fn rise(&self, to: HubTime) {
        self.0.fetch_max(to.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
