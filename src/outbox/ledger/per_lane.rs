//! One value for each lane, whatever it is.

use crate::id::Lane;

/// One value for each lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerLane<T> {
    control: T,
    events: T,
    logs: T,
}

impl<T> PerLane<T> {
    /// The value `of` gives for each lane.
    pub fn from_fn(mut of: impl FnMut(Lane) -> T) -> Self {
        Self { control: of(Lane::Control), events: of(Lane::Events), logs: of(Lane::Logs) }
    }

    /// The lane's value.
    pub const fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Control => &self.control,
            Lane::Events => &self.events,
            Lane::Logs => &self.logs,
        }
    }

    /// The lane's value, to be changed.
    pub const fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Events => &mut self.events,
            Lane::Logs => &mut self.logs,
        }
    }
}
