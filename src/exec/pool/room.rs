//! Who runs next: places in total and per kind, and the queue before them. Pure.
//!
//! A place is given to the first in the queue whose kind has one: within a kind the order is that of the queue, and a
//! kind without room stands in nobody's way.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

/// One that waits.
#[derive(Debug)]
struct Waiting<T> {
    number: u64,
    kind: String,
    max: Option<NonZeroU32>,
    value: T,
}

#[derive(Debug)]
pub(super) struct Room<T> {
    max: NonZeroU32,
    taken: u32,
    by_kind: BTreeMap<String, u32>,
    queue: VecDeque<Waiting<T>>,
    next_number: u64,
}

impl<T> Room<T> {
    pub(super) const fn new(max: NonZeroU32) -> Self {
        Self { max, taken: 0, by_kind: BTreeMap::new(), queue: VecDeque::new(), next_number: 0 }
    }

    /// Enters the queue; the number leaves it again.
    pub(super) fn enter(&mut self, kind: &str, max: Option<NonZeroU32>, value: T) -> u64 {
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        self.queue.push_back(Waiting { number, kind: kind.to_owned(), max, value });
        number
    }

    /// Leaves the queue without a place.
    pub(super) fn leave(&mut self, number: u64) {
        self.queue.retain(|waiting| waiting.number != number);
    }

    /// Takes a place for the first that can have one, with its kind.
    pub(super) fn grant(&mut self) -> Option<(T, String)> {
        if self.taken >= self.max.get() {
            return None;
        }
        let at = self.queue.iter().position(|waiting| {
            let taken = self.by_kind.get(&waiting.kind).copied().unwrap_or_default();
            waiting.max.is_none_or(|max| taken < max.get())
        })?;
        let waiting = self.queue.remove(at)?;
        self.taken = self.taken.saturating_add(1);
        let taken = self.by_kind.entry(waiting.kind.clone()).or_default();
        *taken = taken.saturating_add(1);
        Some((waiting.value, waiting.kind))
    }

    /// Gives a place back.
    pub(super) fn release(&mut self, kind: &str) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(taken) = self.by_kind.get_mut(kind) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                self.by_kind.remove(kind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn places(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    fn granted(room: &mut Room<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| room.grant().map(|(value, _kind)| value)).collect()
    }

    #[test]
    fn a_kind_without_room_stands_in_nobodys_way() {
        let mut room = Room::new(places(3));
        for name in ["deploy 1", "deploy 2", "exec 1", "exec 2", "exec 3"] {
            let (kind, _number) = name.split_once(' ').unwrap();
            room.enter(kind, (kind == "deploy").then_some(places(1)), name);
        }
        assert_eq!(granted(&mut room), ["deploy 1", "exec 1", "exec 2"]);
        room.release("exec");
        assert_eq!(granted(&mut room), ["exec 3"]);
        room.release("deploy");
        assert_eq!(granted(&mut room), ["deploy 2"]);
    }

    #[test]
    fn a_place_goes_to_the_first_in_the_queue() {
        let mut room = Room::new(places(1));
        room.enter("exec", None, "running");
        assert_eq!(granted(&mut room), ["running"]);
        let gone = room.enter("exec", None, "gone");
        room.enter("deploy", None, "second");
        room.enter("exec", None, "third");
        room.leave(gone);
        assert_eq!(granted(&mut room), [""; 0]);
        for (kind, expected) in [("exec", "second"), ("deploy", "third")] {
            room.release(kind);
            assert_eq!(granted(&mut room), [expected]);
        }
        room.release("exec");
        assert_eq!((room.taken, room.by_kind.len()), (0, 0));
    }
}
