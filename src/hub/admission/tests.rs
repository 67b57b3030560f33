use super::*;
use std::num::NonZeroU32;

fn admission(max_sessions: u32, descriptors: Option<u64>) -> Value {
    let config =
        AdmissionConfig { max_sessions: NonZeroU32::new(max_sessions), ..AdmissionConfig::default() };
    Admission::new(config, descriptors).to_json()
}

#[test]
fn a_tenth_of_the_sessions_may_be_sockets_that_have_proved_nothing() {
    let figures = admission(5000, Some(1024));
    assert_eq!((figures["unproven_max"].as_u64(), figures["sessions_max"].as_u64()), (Some(500), Some(5000)));
    let figures = admission(2, Some(1024));
    assert_eq!(figures["unproven_max"].as_u64(), Some(limit::UNPROVEN_MIN as u64));
}

#[test]
fn without_a_bound_on_sessions_the_descriptors_are_shared_out() {
    let figures = admission(0, Some(20_000));
    assert_eq!(
        (figures["unproven_max"].as_u64(), figures["sessions_max"].as_u64()),
        (Some(2000), Some(16_000))
    );
    assert_eq!(admission(0, Some(1_000_000))["unproven_max"].as_u64(), Some(limit::UNPROVEN_MAX as u64));
    assert!(admission(0, None)["sessions_max"].as_u64().unwrap() > 1 << 60);
}

#[test]
fn places_are_given_back_when_their_guards_are_dropped() {
    let admission = Admission::new(AdmissionConfig::default(), Some(1000));
    let count = |name: &str| admission.to_json()[name].as_u64().unwrap();
    let place = admission.enter(([192, 0, 2, 1], 7).into());
    let again = place.clone();
    drop(place);
    assert_eq!(count("unproven"), 1, "one guard is left");
    again.prove();
    assert_eq!(count("unproven"), 0);
    drop(again);
    drop(admission.enter(([192, 0, 2, 1], 8).into()));
    assert_eq!(count("unproven"), 0, "one that never proved anything");
    let registry = Registry::default();
    let agent = AgentId::from_bytes([1; 16]);
    let begun: Vec<_> = (0..limit::HANDSHAKES_PER_AGENT + 1)
        .map(|_| admission.begin(agent, &registry).unwrap_or_else(|_| panic!("there is room")))
        .collect();
    assert_eq!(count("handshakes"), limit::HANDSHAKES_PER_AGENT as u64);
    assert_eq!(count("handshakes_dropped"), 1);
    assert!(begun[0].is_dropped() && !begun[1].is_dropped());
    drop(begun);
    assert_eq!(count("handshakes"), 0);
    assert_eq!(count("handshakes_most"), limit::HANDSHAKES_PER_AGENT as u64);
}

#[test]
fn a_hub_that_goes_gives_each_session_a_turn_of_its_own() {
    let admission = Admission::new(AdmissionConfig::default(), None);
    let whole = admission.depart(50);
    assert_eq!(admission.depart(7), whole, "it goes once");
    let waits: Vec<_> = (0..50).map(|_| admission.return_after()).collect();
    assert!(waits.is_sorted(), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait < whole));
    assert!(waits[49] - waits[0] >= Duration::from_millis(480), "{waits:?}");
}
