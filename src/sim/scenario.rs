//! What one seed stands for: sizes, limits and the troubles that may come. Printed where a seed fails.

use fastrand::Rng;

use crate::id::Lane;
use crate::limit;
use crate::outbox::ledger::PerLane;
use crate::outbox::{LanePolicy, OnFull};
use crate::session::tests::fixture;
use crate::wire::message::Limits;

use super::disk::NameOrder;

/// What is asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing wrong happens, whatever happens.
    Safety,
    /// After the last trouble everything arrives.
    Liveness,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A connection ends, or only one end hears of it.
    Cut,
    /// A peer does not read for a while.
    Stall,
    /// A bit of a frame changes.
    WireFlip,
    /// The agent's process is killed, at any step.
    Kill,
    /// The agent's machine loses its power, at any step.
    PowerCut,
    /// The agent stops in order.
    Stop,
    /// The hub's process is killed.
    HubCrash,
    /// The hub's disk is full.
    HubFull,
    /// A sync of the agent's disk fails.
    FailedSync,
    /// The agent's disk is full.
    FullDisk,
    /// A bit of the agent's databases changes.
    DiskFlip,
    /// The agent's clock jumps by years.
    ClockJump,
    /// The agent's disk becomes what it was before.
    Restored,
    /// The agent's folder is removed.
    Wiped,
    /// A second agent begins with a copy of the folder.
    Cloned,
    /// The hub becomes what it was before.
    HubRestored,
    /// The same agent connects a second time.
    SecondLogin,
}

impl Trouble {
    /// What the product claims to live with.
    pub(super) const ALL: [Self; 17] = [
        Self::Cut,
        Self::Stall,
        Self::WireFlip,
        Self::Kill,
        Self::PowerCut,
        Self::Stop,
        Self::HubCrash,
        Self::HubFull,
        Self::FailedSync,
        Self::FullDisk,
        Self::DiskFlip,
        Self::ClockJump,
        Self::Restored,
        Self::Wiped,
        Self::Cloned,
        Self::HubRestored,
        Self::SecondLogin,
    ];
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) mode: Mode,
    /// Steps while troubles come.
    pub(super) steps: u32,
    /// Of so many steps one brings a trouble.
    pub(super) calm: u32,
    pub(super) troubles: Vec<Trouble>,
    pub(super) quota: [u64; 3],
    /// What a full lane of events or logs does.
    pub(super) on_full: OnFull,
    pub(super) disk_bytes: u64,
    pub(super) order: NameOrder,
    pub(super) limits: Limits,
    /// The most records of one append.
    pub(super) records_max: usize,
    /// Of so many records one is longer than a block.
    pub(super) long_every: u32,
    pub(super) jobs: bool,
    /// Programs send messages.
    pub(super) relays: bool,
    /// Some connections are believed on condition.
    pub(super) conditions: bool,
}

impl Scenario {
    /// The run that a seed stands for.
    pub(super) fn new(seed: u64, mode: Mode) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x5EED_5EED);
        let mut troubles: Vec<Trouble> = Trouble::ALL.to_vec();
        rng.shuffle(&mut troubles);
        // Few kinds at once reach deeper than all of them.
        troubles.truncate(rng.usize(1..=5));
        let logs = (16 * 1024) << rng.u32(0..4);
        Self {
            seed,
            mode,
            steps: rng.u32(100..600),
            calm: rng.u32(10..60),
            troubles,
            quota: [limit::JOB_RESERVATION_BYTES * rng.u64(2..6), (16 * 1024) << rng.u32(0..4), logs],
            disk_bytes: 64 << 20,
            order: NameOrder::Journal,
            limits: limits(&mut rng),
            records_max: rng.usize(1..6),
            long_every: if rng.u8(0..8) == 0 { 20 } else { u32::MAX },
            jobs: rng.bool(),
            on_full: if rng.bool() { OnFull::Evict } else { OnFull::Refuse },
            relays: rng.bool(),
            conditions: rng.u8(0..4) == 0,
        }
    }

    /// More than one round of appends brings.
    pub(super) const fn round_bytes(&self) -> u64 {
        if self.long_every == u32::MAX { 16 * 1024 } else { 600 * 1024 }
    }

    pub(super) fn lanes(&self) -> PerLane<LanePolicy> {
        PerLane::from_fn(|lane| {
            let policy = LanePolicy::of(lane);
            let on_full = if lane == Lane::Control { policy.on_full } else { self.on_full };
            LanePolicy { max_bytes: self.quota[lane.index()], on_full, ..policy }
        })
    }

    pub(super) fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }
}

fn limits(rng: &mut Rng) -> Limits {
    let window = [1024, 20 * 1024, limit::WINDOW_BYTES];
    Limits {
        message_bytes: 64 * 1024,
        window_bytes: window[rng.usize(0..3)],
        control_window_bytes: window[rng.usize(0..2)],
        ..fixture::limits()
    }
}
