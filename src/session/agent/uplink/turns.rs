//! Whose turn it is: between lanes by urgency, within a lane between older streams and the current one.

use crate::id::Lane;
use crate::limit;

#[derive(Debug, Default)]
pub(super) struct Turns {
    /// What each lane has left before the others' turn.
    lanes: [u32; 3],
    /// Reads of older streams since the current one had its turn, by lane.
    old: [u32; 3],
}

/// A stream's place in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    Old,
    Current,
}

impl Turns {
    /// The most urgent lane that wants and has turns left; when all that want have used theirs up, those begin anew. One that
    /// does not want now keeps what it has used: else a busy control lane would give events their turns back for ever, each
    /// time their window is full, and logs would never have theirs.
    pub(super) fn choose(&mut self, wants: [bool; 3]) -> Option<usize> {
        if !wants.contains(&true) {
            return None;
        }
        for _ in 0..2 {
            for (index, (turns, wants)) in self.lanes.iter_mut().zip(wants).enumerate() {
                if wants && *turns > 0 {
                    *turns -= 1;
                    return Some(index);
                }
            }
            for ((turns, all), wants) in self.lanes.iter_mut().zip(limit::LANE_TURNS).zip(wants) {
                if wants {
                    *turns = all;
                }
            }
        }
        None
    }

    /// Which of the lane's streams is read next, where both wait.
    pub(super) fn next_in(&self, lane: Lane) -> Age {
        match self.old.get(lane.index()) {
            Some(old) if *old >= limit::OLD_STREAM_TURNS => Age::Current,
            Some(_) | None => Age::Old,
        }
    }

    /// A stream of the lane is read. `beside`: what was passed over for it.
    pub(super) fn count(&mut self, lane: Lane, beside: Option<Age>) {
        if let Some(old) = self.old.get_mut(lane.index()) {
            *old = if beside == Some(Age::Current) { old.saturating_add(1) } else { 0 };
        }
    }
}
