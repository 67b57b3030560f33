//! What was promised of messages between programs: what the hub keeps comes at least once, for each handler in the order it was
//! kept, and to one process once; what is to be delivered now comes once at most; and nobody is told what is not so.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::id::{HandlerName, InstanceId};
use crate::wire::error::ErrorCode;
use crate::wire::relay::{Delivery, RelayOutcome};

/// What a handler says that was called and does not take its message at present. Nobody else who says `relay_full` has called one.
pub(in crate::sim) const NOT_NOW: &str = "not now";

/// Whom a message is for: one of two handlers.
pub(in crate::sim) fn handler_of(payload: &Bytes) -> HandlerName {
    let is_even = payload.last().is_some_and(|digit| digit % 2 == 0);
    let name = if is_even { "door" } else { "gate" };
    name.parse().expect("a name")
}

#[derive(Debug, Default)]
pub(in crate::sim) struct RelayTruth {
    messages: Vec<Message>,
    /// How many were kept so far.
    kept: u64,
    /// The place of the last one for each handler that came to its end.
    last: BTreeMap<HandlerName, u64>,
    /// How often a handler was through with one.
    pub(in crate::sim) handled: u64,
}

#[derive(Debug)]
struct Message {
    delivery: Delivery,
    /// Its place in the order, once it is durable.
    place: Option<u64>,
    calls: u64,
    /// Where a handler was through with it for good.
    ended_in: BTreeSet<InstanceId>,
    /// Its sender heard that it never reached anybody.
    never_sent: bool,
    /// A restored hub does not know it.
    lost: bool,
}

impl RelayTruth {
    /// A message for a program to send.
    pub(in crate::sim) fn draw(&mut self, delivery: Delivery) -> Bytes {
        let number = self.messages.len();
        let (place, calls, ended_in) = Default::default();
        self.messages.push(Message { delivery, place, calls, ended_in, never_sent: false, lost: false });
        Bytes::from(number.to_string())
    }

    /// The hub made it durable.
    pub(in crate::sim) fn kept(&mut self, payload: &Bytes) {
        self.kept += 1;
        let place = self.kept;
        let message = self.message(payload);
        assert_eq!(message.delivery, Delivery::Queued, "{payload:?} was not to be kept");
        assert!(!message.never_sent, "{payload:?} is kept, its sender heard that it reached nobody");
        assert!(message.place.replace(place).is_none(), "{payload:?} is kept twice");
    }

    /// A handler was through with it.
    pub(in crate::sim) fn handled(&mut self, process: InstanceId, payload: &Bytes, outcome: &RelayOutcome) {
        let handler = handler_of(payload);
        let last = self.last.get(&handler).copied().unwrap_or_default();
        let message = self.message(payload);
        message.calls += 1;
        assert!(!message.never_sent, "{payload:?} was handled, its sender heard that it reached nobody");
        assert!(!message.ended_in.contains(&process), "{payload:?} was handled again where that was done");
        match (message.delivery, message.place) {
            (Delivery::Now, _) => assert_eq!(message.calls, 1, "{payload:?} came twice"),
            (Delivery::Queued, None) => panic!("{payload:?} came before it was durable"),
            (Delivery::Queued, Some(place)) if outcome.is_final() && message.ended_in.is_empty() => {
                assert!(place > last, "{payload:?}, kept as number {place}, came after number {last}");
                self.last.insert(handler, place);
            }
            (Delivery::Queued, Some(_)) => {}
        }
        if outcome.is_final() {
            self.message(payload).ended_in.insert(process);
            self.handled += 1;
        }
    }

    /// What its sender was told.
    pub(in crate::sim) fn answered(&mut self, payload: &Bytes, outcome: &RelayOutcome) {
        let message = self.message(payload);
        match outcome {
            RelayOutcome::Delivered => {
                assert!(!message.ended_in.is_empty(), "{payload:?} is said to be delivered");
            }
            RelayOutcome::Queued => {
                assert!(message.place.is_some() || message.lost, "{payload:?} is said to be kept");
            }
            RelayOutcome::Refused { code: Some(ErrorCode::RelayOffline), .. } => self.not_sent(payload),
            RelayOutcome::Refused { code: Some(ErrorCode::RelayFull), detail } if detail != NOT_NOW => {
                self.not_sent(payload);
            }
            RelayOutcome::Refused { .. } | RelayOutcome::Unanswered => {}
        }
    }

    /// Its sender was told that it reached nobody.
    pub(in crate::sim) fn not_sent(&mut self, payload: &Bytes) {
        let message = self.message(payload);
        assert_eq!((message.calls, message.place), (0, None), "{payload:?} is said not to have been sent");
        message.never_sent = true;
    }

    /// The hub is again as it was when it kept these.
    pub(in crate::sim) fn hub_restored(&mut self, kept: &[Bytes]) {
        // What had ended may come again, to another process.
        self.last.clear();
        for (number, message) in self.messages.iter_mut().enumerate() {
            let is_kept = kept.iter().any(|payload| *payload == number.to_string());
            message.lost |= message.place.is_some() && !is_kept;
        }
    }

    /// Those that were kept and have not come.
    pub(in crate::sim) fn open(&self) -> Vec<usize> {
        let open =
            |message: &Message| message.place.is_some() && message.ended_in.is_empty() && !message.lost;
        let all = self.messages.iter().enumerate();
        all.filter(|(_, message)| open(message)).map(|(number, _)| number).collect()
    }

    fn message(&mut self, payload: &Bytes) -> &mut Message {
        let number = std::str::from_utf8(payload).ok().and_then(|text| text.parse::<usize>().ok());
        let message = number.and_then(|number| self.messages.get_mut(number));
        message.unwrap_or_else(|| panic!("nobody sent {payload:?}"))
    }
}
