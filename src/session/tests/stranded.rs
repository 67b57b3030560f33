//! What is too large for a line, over sessions: it is tried again after what is smaller, and refused in the end.
//!
//! Around the two machines the desk of the hub is mirrored: its connection does what [`Desk`] does.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::hub::orders::{Orders, Pass};
use crate::hub::stranded::{Cargo, Refused, Stranded};
use crate::id::MessageId;
use crate::limit;
use crate::session::*;
use crate::wire::error::ErrorCode;
use crate::wire::job::JobOffer;
use crate::wire::relay::Relay;

use super::slow_line::{Slow, kept, offer};
use super::world::*;

const SECOND: Duration = Duration::from_secs(1);
const SATELLITE: usize = 300;

/// How a session ended, and how long it was.
type End = (ErrorCode, Duration);

struct Desk {
    slow: Slow,
    /// By their numbers; those that are neither with the agent nor refused.
    offers: BTreeMap<i64, JobOffer>,
    messages: BTreeMap<u64, Relay>,
    orders: Orders,
    stranded: Stranded,
    refused: Vec<(Cargo, Refused)>,
    /// In the order they came.
    came: Vec<Cargo>,
    ends: Vec<End>,
}

impl Desk {
    fn new(per_second: usize) -> Self {
        Self {
            slow: Slow::new(World::with(&[(LOGS, 0)]), per_second, Duration::from_millis(600)),
            offers: BTreeMap::new(),
            messages: BTreeMap::new(),
            orders: Orders::default(),
            stranded: Stranded::default(),
            refused: Vec::new(),
            came: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.offers.is_empty() && self.messages.is_empty()
    }

    /// Sessions one after the other until nothing waits.
    fn until_done(&mut self, sessions_max: usize, each_lasts: Duration) {
        while !self.is_done() {
            assert!(self.ends.len() < sessions_max, "{:?} and {:?}", self.ends, self.came);
            self.session(each_lasts);
        }
    }

    /// One session, until it ends or is cut.
    fn session(&mut self, lasts: Duration) {
        self.slow.cut();
        self.slow.until("the registration", 60 * SECOND, |slow| slow.world.is_registered());
        self.orders.begin();
        let begun = self.slow.world.now;
        let mut sent = None;
        while !self.is_done() {
            let took = self.slow.world.now.since(begun);
            let ended =
                [self.slow.world.agent_error(), self.slow.world.hub_error()].into_iter().flatten().next();
            if let Some((_, code)) = ended {
                self.ends.push((code, took));
                break;
            }
            if took >= lasts {
                self.ends.push((ErrorCode::Idle, took));
                break;
            }
            self.give();
            if let Some(relay) = self.messages.values().next()
                && sent != Some(relay.id)
            {
                sent = Some(relay.id);
                self.slow.world.hub.relays_mut().send(relay.clone());
            }
            self.slow.step();
            self.take();
        }
        self.settle(sent);
    }

    /// As `hub/connection/orders`.
    fn give(&mut self) {
        let hub = &mut self.slow.world.hub;
        self.orders.handle_timeout(self.slow.world.now, hub.offers_carried());
        while hub.takes_orders() {
            match self.orders.pass() {
                Pass::Idle => return,
                Pass::All { .. } => {
                    for (number, offer) in self.offers.iter().take(hub.room_for_orders()) {
                        if self.stranded.holds_back(Cargo::Offer(offer.job), offer.spec.len()) {
                            self.orders.hold_back(*number, offer.spec.len());
                        } else {
                            hub.offer_job(offer.clone());
                        }
                    }
                    self.orders.repeated(None);
                }
                Pass::New => match self.orders.take_held_back() {
                    Some(number) => {
                        self.offers.get(&number).into_iter().for_each(|offer| hub.offer_job(offer.clone()))
                    }
                    None => self.orders.finish(self.slow.world.now, None),
                },
            }
        }
    }

    /// What came to the agent.
    fn take(&mut self) {
        for event in &self.slow.world.agent_events {
            let (cargo, came) = match event {
                AgentEvent::JobOffer { offer, .. } => {
                    let before = self.offers.len();
                    self.offers.retain(|_, waiting| waiting.job != offer.job);
                    (Cargo::Offer(offer.job), self.offers.len() < before)
                }
                AgentEvent::Relay(relay) => {
                    (Cargo::Message(relay.id), self.messages.remove(&relay.id.lo).is_some())
                }
                _ => continue,
            };
            if came {
                self.came.push(cargo);
            }
        }
    }

    /// As `hub/connection/stranded`.
    fn settle(&mut self, sent: Option<MessageId>) {
        let (hub, now) = (&self.slow.world.hub, self.slow.world.now);
        self.stranded.carried(hub.greatest_through());
        let message = sent.and_then(|id| Some((Cargo::Message(id), hub.relays().on_the_way(id)?)));
        let offers = hub.offers_on_the_way().map(|(job, load)| (Cargo::Offer(job), load));
        for (cargo, load) in offers.chain(message) {
            if let Some(refused) = self.stranded.ended_with(cargo, load, now) {
                self.offers.retain(|_, waiting| Cargo::Offer(waiting.job) != cargo);
                self.messages.retain(|_, waiting| Cargo::Message(waiting.id) != cargo);
                self.refused.push((cargo, refused));
            }
        }
    }
}

fn cargo(number: u8) -> Cargo {
    Cargo::Offer(offer(number, 0).job)
}

/// However long.
const UNCUT: Duration = Duration::from_secs(10_000);

#[test]
fn an_offer_that_never_passes_is_refused_in_the_second_session_and_a_smaller_one_goes_before_it() {
    let mut desk = Desk::new(SATELLITE);
    desk.offers = [(1, offer(1, 110_000)), (2, offer(2, 100))].into();
    desk.until_done(2, UNCUT);
    assert_eq!(desk.came, [cargo(2)]);
    let [(refused, Refused::Slow { bytes: 110_000, sessions: 2, seconds })] = desk.refused[..] else {
        panic!("{:?}", desk.refused)
    };
    assert_eq!(refused, cargo(1));
    assert!((366..380).contains(&seconds), "{seconds}");
    let codes: Vec<_> = desk.ends.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [ErrorCode::Clock; 2]);
    // Nobody is told that a clock is wrong.
    let closed = desk.slow.world.agent_closed().unwrap();
    assert!(closed.detail.contains("the clocks are right"), "{}", closed.detail);
    assert!(closed.detail.contains("a message of 110"), "{}", closed.detail);
}

#[test]
fn small_offers_do_not_wait_for_one_large_one_after_the_other() {
    let mut desk = Desk::new(SATELLITE);
    desk.offers = (1..=5).map(|number| (i64::from(number), offer(number, 110_000))).collect();
    desk.offers.insert(6, offer(6, 100));
    desk.session(UNCUT);
    desk.session(20 * SECOND);
    assert_eq!(desk.came, [cargo(6)], "at the beginning of the second session");
    desk.until_done(14, UNCUT);
    assert_eq!((desk.came.len(), desk.refused.len()), (1, 5));
}

#[test]
fn the_largest_spec_on_a_slower_line_holds_it_for_no_longer_than_it_and_its_pong_may_take() {
    let mut desk = Desk::new(100);
    desk.offers = [(1, offer(1, limit::JOB_SPEC_BYTES_MAX)), (2, offer(2, 100))].into();
    desk.until_done(2, UNCUT);
    assert_eq!((&desk.came[..], desk.refused.len()), (&[cargo(2)][..], 1));
    for (code, took) in &desk.ends {
        assert_eq!(*code, ErrorCode::Clock);
        assert!(*took < limit::LINE_STUCK + 30 * SECOND, "{took:?}");
    }
}

#[test]
fn a_kept_message_that_never_passes_is_refused_and_the_next_one_comes() {
    let mut desk = Desk::new(150);
    desk.messages = [(1, kept(1, limit::RELAY_BYTES_MAX)), (2, kept(2, 100))].into();
    desk.until_done(3, UNCUT);
    assert_eq!(desk.came, [Cargo::Message(kept(2, 0).id)]);
    let [(refused, Refused::Slow { sessions: 2, .. })] = desk.refused[..] else {
        panic!("{:?}", desk.refused)
    };
    assert_eq!(refused, Cargo::Message(kept(1, 0).id));
}

#[test]
fn what_passes_between_two_cuts_comes_and_what_does_not_is_refused_after_some() {
    let mut desk = Desk::new(SATELLITE);
    // 67 s and 14 s.
    desk.offers = [(1, offer(1, 20_000)), (2, offer(2, 4_200)), (3, offer(3, 100))].into();
    let sessions = limit::STRANDED_SESSIONS_MAX as usize;
    desk.until_done(sessions, 40 * SECOND);
    assert_eq!(desk.came.iter().filter(|came| **came == cargo(1)).count(), 0);
    assert_eq!(desk.came.len(), 2, "{:?}", desk.came);
    let [(_, Refused::Cut { bytes: 20_000, .. })] = desk.refused[..] else { panic!("{:?}", desk.refused) };
    assert_eq!(desk.ends.len(), sessions);
}

#[test]
fn a_better_line_is_good_for_what_another_did_not_carry() {
    let mut desk = Desk::new(SATELLITE);
    desk.offers = [(1, offer(1, 110_000))].into();
    desk.session(UNCUT);
    assert_eq!(desk.came, []);
    desk.slow.set_rate(3_000);
    desk.session(UNCUT);
    assert_eq!((&desk.came[..], &desk.refused[..]), (&[cargo(1)][..], &[][..]));
}
