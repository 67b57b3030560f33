//! When offers are made, and when again.

use super::*;

const NOW: BootTime = BootTime(Duration::from_secs(1000));
const LONG_AGO: Carried = Carried::Arrived { at: BootTime(Duration::ZERO), took: Duration::ZERO };

/// One pass that found nothing.
fn idle(orders: &mut Orders) {
    orders.finish(NOW, None);
    assert!(!orders.waiting());
}

#[test]
fn offers_without_an_answer_are_made_again_on_the_timer_only() {
    let mut orders = Orders::default();
    assert!(!orders.waiting());
    orders.begin();
    assert_eq!(orders.pass, Pass::All { after: None });
    idle(&mut orders);
    orders.ring();
    assert_eq!(orders.pass, Pass::New);
    idle(&mut orders);
    let timer = orders.deadline().unwrap();
    orders.handle_timeout(BootTime(timer.0 - Duration::from_millis(1)), LONG_AGO);
    assert!(!orders.waiting());
    orders.handle_timeout(timer, LONG_AGO);
    assert_eq!(orders.pass, Pass::All { after: None });
}

#[test]
fn an_offer_is_not_made_again_before_it_arrived_and_could_be_answered() {
    let mut orders = Orders::default();
    orders.begin();
    idle(&mut orders);
    let interval = limit::JOB_OFFER_INTERVAL;
    // It takes two minutes to get there.
    let mut timer = orders.deadline().unwrap();
    for _ in 0..4 {
        orders.handle_timeout(timer, Carried::OnTheWay);
        assert_eq!(orders.pass, Pass::New, "a doorbell may have been lost all the same");
        idle(&mut orders);
        let next = orders.deadline().unwrap();
        assert_eq!(next, timer.after(interval));
        timer = next;
    }
    let arrived = BootTime(timer.0 - Duration::from_secs(1));
    let carried = Carried::Arrived { at: arrived, took: 4 * interval };
    let mut looks = 0;
    while orders.pass != (Pass::All { after: None }) {
        idle(&mut orders);
        timer = orders.deadline().unwrap();
        orders.handle_timeout(timer, carried);
        looks += 1;
    }
    assert_eq!((timer, looks), (arrived.after(4 * interval), 5), "as long again as it took");
}

#[test]
fn a_doorbell_does_not_put_the_timer_off() {
    let mut orders = Orders::default();
    orders.begin();
    idle(&mut orders);
    let timer = orders.deadline();
    orders.ring();
    idle(&mut orders);
    assert_eq!(orders.deadline(), timer);
    // A job that may be offered soon brings it forward.
    orders.ring();
    orders.finish(NOW, Some(Duration::from_millis(10)));
    assert!(orders.deadline() < timer);
}

#[test]
fn an_agent_without_room_is_asked_again_as_its_jobs_end() {
    let mut orders = Orders::default();
    orders.answered(Answered::NoRoom);
    orders.ring();
    assert_eq!(orders.offers_max(), 0);
    orders.note(Heard { accepted: 3, finished: 0 });
    assert_eq!(orders.offers_max(), 0);
    orders.note(Heard { accepted: 0, finished: 2 });
    assert_eq!(orders.offers_max(), 2);
    orders.offered(1);
    assert_eq!(orders.offers_max(), 1);
    // The timer tries it anyway.
    orders.begin();
    assert_eq!(orders.offers_max(), limit::JOB_OFFERS_UNANSWERED);
}

#[test]
fn what_was_held_back_goes_the_smallest_first_and_is_looked_for_anew_in_each_round() {
    let mut orders = Orders::default();
    orders.begin();
    for (number, bytes) in [(1, 110_000), (2, 90_000), (3, 110_000)] {
        orders.hold_back(number, bytes);
        orders.hold_back(number, bytes);
    }
    let mut order = Vec::new();
    while order.len() < 2 {
        order.extend(orders.take_held_back());
    }
    assert_eq!(order, [2, 1]);
    orders.begin();
    assert_eq!(orders.take_held_back(), None);
}
