//! What every part of the world is handed: the time, the one random source, the judge.

use fastrand::Rng;

use crate::session::tests::fixture;
use crate::time::{BootTime, HubTime};

use super::scenario::Scenario;
use super::truth::Truth;

/// The surroundings of a step.
pub(super) struct Around<'a> {
    pub(super) now: BootTime,
    pub(super) rng: &'a mut Rng,
    pub(super) truth: &'a mut Truth,
    pub(super) scenario: &'a Scenario,
    pub(super) trace: bool,
    /// Nothing goes wrong any more.
    pub(super) is_calm: bool,
}

impl Around<'_> {
    pub(super) fn hub_now(&self) -> HubTime {
        fixture::HUB_TIME.after(self.now.since(fixture::START))
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.rng.u8(..))
    }

    /// Says what happens, where somebody looks.
    pub(super) fn say(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>10.3} {}", self.now.0.as_secs_f64(), text());
        }
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: u32) -> bool {
        self.rng.u32(0..times) == 0
    }
}
