//! Random interleavings and cuts: what the hub got is contiguous, whole and without duplicates.

use std::time::Duration;

use proptest::prelude::*;

use crate::id::Lane;

use super::world::*;

#[derive(Debug, Clone)]
enum Step {
    AgentOut,
    HubOut,
    AgentIn,
    HubIn,
    Append(u8, u8),
    Pass(u16),
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::AgentOut),
        6 => Just(Step::HubOut),
        6 => Just(Step::AgentIn),
        6 => Just(Step::HubIn),
        3 => (0..3u8, 1..200u8).prop_map(|(lane, count)| Step::Append(lane, count)),
        2 => (0..300u16).prop_map(Step::Pass),
        1 => Just(Step::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_cut_the_hub_gets_everything_once(steps in prop::collection::vec(step(), 0..300)) {
        let streams = Lane::ALL.map(|lane| stream(lane, 1));
        let mut world = World::with(&streams.map(|stream| (stream, 3)));
        for step in steps {
            match step {
                Step::AgentOut => drop(world.agent_out()),
                Step::HubOut => drop(world.hub_out()),
                Step::AgentIn => drop(world.agent_in()),
                Step::HubIn => drop(world.hub_in()),
                Step::Append(lane, count) => world.append(streams[lane as usize], count.into()),
                Step::Pass(ms) => {
                    world.now = world.now.after(Duration::from_millis(ms.into()));
                    world.agent.handle_timeout(world.now);
                    world.hub.handle_timeout(world.now);
                }
                Step::Cut => world.reconnect(),
            }
        }
        world.reconnect();
        world.run(Duration::from_secs(2));
        for stream in streams {
            let (kept, stored) = (&world.outbox[&stream], &world.store[&stream]);
            prop_assert_eq!(stored.mark + 1, kept.next);
            prop_assert_eq!(kept.cursor, stored.mark);
            prop_assert!(stored.payloads.iter().all(|(seq, bytes)| *bytes == payload(*seq)));
            prop_assert_eq!(stored.payloads.len() as u64, stored.mark);
        }
        prop_assert_eq!(world.agent_closed(), None);
    }
}
