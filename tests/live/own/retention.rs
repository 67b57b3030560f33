//! What the store does not have, any more or at all: whoever wants to go on there is told, and begins anew.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outpost::hub::store::{Creation, Store};
use outpost::time::HubTime;
use serde_json::{Value, json};

use super::subscriber::{Subscriber, line};
use super::world::World;

/// What a hub in that folder forgets of its events but for the newest.
fn forget(world: &World) -> u64 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (store, writer) = Store::open(&world.path("data"), Creation::Refused).await.unwrap();
        let gone = store.trim_events(1, HubTime(0)).await.unwrap();
        store.close().await;
        writer.await.unwrap();
        store.close_pool().await;
        gone
    })
}

/// An offset as the protocol's source draws it, whole and never given.
fn made_up(kind: u8, topic: &str, place: &[u8]) -> String {
    let topic = crc32c::crc32c(topic.as_bytes()).to_be_bytes();
    let place = [&[kind], &topic[..], place].concat();
    let check = crc32c::crc32c(&place).to_be_bytes();
    URL_SAFE_NO_PAD.encode([&place[..], &check[..]].concat())
}

fn assert_begins_anew(subscriber: &mut Subscriber) -> Value {
    assert_eq!(subscriber.frame(), json!({"type": "gap", "reason": "not_kept"}));
    let state = subscriber.push();
    assert_eq!(state["kind"], "state", "{state}");
    state
}

#[test]
fn behind_what_is_not_kept_a_gap_is_told_and_the_state_comes_anew() {
    let mut world = World::new();
    let id = world.add_agent("edge-1");
    let topic = format!("agent.{id}");
    let mut here = world.follow(&topic, None);
    here.push();
    let old = here.offset.clone();
    for value in ["a", "b", "c"] {
        world.ask("PATCH", "/v1/agents/edge-1/labels", json!({"site": value}));
        assert_eq!(here.push()["value"], value);
    }
    let last = here.offset.clone();
    world.stop(rustix::process::Signal::TERM);
    assert!(forget(&world) >= 3);
    world.start();
    let mut back = world.follow(&topic, old.as_deref());
    let state = assert_begins_anew(&mut back);
    assert_eq!(state["agent"]["labels"], json!({"site": "c"}));
    world.ask("PATCH", "/v1/agents/edge-1/labels", json!({"site": "d"}));
    assert_eq!(back.push()["value"], "d", "and then what changes");
    // Where nothing is missing, nothing is said of a gap.
    let mut whole = world.follow(&topic, last.as_deref());
    assert_eq!(whole.push()["value"], "d");
}

#[test]
fn more_changes_than_are_read_at_once_come_once_and_in_order() {
    const CHANGES: usize = 600;
    let world = World::new();
    let id = world.add_agent("edge-1");
    let topic = format!("agent.{id}");
    let mut here = world.follow(&topic, None);
    here.push();
    let offset = here.offset.clone();
    let value = |number: usize| json!(format!("v{number}"));
    for lot in (0..CHANGES).step_by(100) {
        for number in lot..lot + 100 {
            world.ask("PATCH", "/v1/agents/edge-1/labels", json!({"site": value(number)}));
        }
        // Not after all of them: pings wait to be read as well.
        for number in lot..lot + 100 {
            assert_eq!(here.push()["value"], value(number));
        }
    }
    let mut late = world.follow(&topic, offset.as_deref());
    for number in 0..CHANGES {
        assert_eq!(late.push()["value"], value(number));
    }
    // From wherever one was.
    let mut middle = world.follow(&topic, offset.as_deref());
    for number in 0..CHANGES / 2 {
        assert_eq!(middle.push()["value"], value(number));
    }
    let mut rest = world.follow(&topic, middle.offset.as_deref());
    for number in CHANGES / 2..CHANGES {
        assert_eq!(rest.push()["value"], value(number));
    }
}

#[test]
fn an_offset_that_was_never_given_is_a_gap_and_never_silence() {
    let world = World::new();
    let mut here = world.follow("fleet", None);
    here.push();
    let bytes = URL_SAFE_NO_PAD.decode(here.offset.as_ref().unwrap()).unwrap();
    let place = &bytes[5..21];
    assert_eq!(here.offset.as_ref(), Some(&made_up(64, "fleet", place)), "the drawing holds");
    let number = i64::from_be_bytes(place[..8].try_into().unwrap());
    let at = i64::from_be_bytes(place[8..].try_into().unwrap());
    // Beyond what there is, and of a database that was put back: the same number at another time.
    for (number, at) in [(number + 1_000_000, at), (i64::MAX, at), (number, at + 1), (number, i64::MIN)] {
        let offset = made_up(64, "fleet", &[number.to_be_bytes(), at.to_be_bytes()].concat());
        assert_begins_anew(&mut world.follow("fleet", Some(&offset)));
    }
}

#[test]
fn a_line_that_a_log_never_had_is_a_gap_and_all_of_it_comes() {
    let mut world = World::new();
    world.add_agent("edge-1");
    world.run_agent("edge-1");
    let mut job = world.submit("edge-1", "input");
    job.say(1..=2);
    let mut here = world.follow(&job.logs(), None);
    here.push();
    assert_eq!(here.lines(2).len(), 2);
    for (run, number) in [(1_i64, 3_i64), (1, i64::MAX), (2, 0), (2, 1), (i64::MAX, 0)] {
        let place = [&run.to_be_bytes()[..], &number.to_be_bytes(), &[0]].concat();
        let offset = made_up(65, &job.logs(), &place);
        let mut back = world.follow(&job.logs(), Some(&offset));
        assert_begins_anew(&mut back);
        assert_eq!(line(&back.push()), "1:1 line 1", "{run}:{number}");
    }
    // A known one, made up or not, is as good as any.
    let place = [&1_i64.to_be_bytes()[..], &1_i64.to_be_bytes(), &[0]].concat();
    let mut back = world.follow(&job.logs(), Some(&made_up(65, &job.logs(), &place)));
    assert_eq!(line(&back.push()), "1:2 line 2");
}
