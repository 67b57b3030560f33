//! How many follow at once.

use outpost::limit;
use outpost::obs::clock::boot_now;
use outpost::obs::descriptors;
use serde_json::{Value, json};

use crate::node::DEADLINE;

use super::subscriber::{End, Subscriber};
use super::world::World;

const FULL: End = End { code: None, close: 1013 };

/// A token for the fleet's stream, bought with a token of the API of its own.
fn bought(world: &World, name: &str) -> String {
    let made = world.ask("POST", "/v1/tokens", json!({"name": name, "scope": "read"}));
    let reader = made["token"].as_str().unwrap();
    let bought = world.ask_as(reader, "POST", "/v1/streams/token", &json!({"topic": "fleet"}));
    let bought: Value = serde_json::from_str(&bought.body).unwrap();
    bought["token"].as_str().unwrap().to_owned()
}

fn open(address: &str) -> Result<Subscriber, (u16, String)> {
    Subscriber::open(address, "topic=fleet")
}

fn shown(mut subscriber: Subscriber, token: &str) -> Subscriber {
    subscriber.show(&json!(token));
    subscriber
}

#[test]
fn one_token_takes_half_of_the_places_and_where_all_are_taken_one_more_is_refused() {
    // Each has a socket here and one in the hub.
    descriptors::raise().unwrap();
    let world = World::new();
    let [one, two, three] = ["one", "two", "three"].map(|name| bought(&world, name));
    let follow = |address: &str, token: &str| {
        let mut subscriber = Subscriber::follow(address, "fleet", token, None);
        assert_eq!(subscriber.push()["kind"], "state");
        subscriber
    };
    let half = limit::FOLLOWERS_OF_A_TOKEN_MAX;
    let mut all = Vec::new();
    let fill = |all: &mut Vec<Subscriber>, count: usize, address: &str, token: &str| {
        for number in 0..count {
            all.push(follow(address, token));
            // It takes its time, and who answers no ping meanwhile is sent away.
            if number % 100 == 0 {
                all.iter_mut().for_each(Subscriber::answer_pings);
            }
        }
    };
    fill(&mut all, half, &world.api, &one);
    for address in [&world.api, &world.live] {
        assert_eq!(shown(open(address).unwrap(), &one).end(), FULL, "its half is taken");
    }
    fill(&mut all, limit::FOLLOWERS_MAX - half - 1, &world.live, &two);
    // Upgraded while there is a place.
    let late = [&world.api, &world.live].map(|address| open(address).unwrap());
    all.push(follow(&world.api, &two));
    for subscriber in late {
        assert_eq!(shown(subscriber, &three).end(), FULL);
    }
    for address in [&world.api, &world.live] {
        assert_eq!(open(address).err(), Some((503, "too many subscribers".to_owned())));
    }
    world.add_agent("edge-1");
    for (number, subscriber) in all.iter_mut().enumerate() {
        assert_eq!(subscriber.push()["kind"], "added", "{number}");
    }
    // A place is free again once its follower has gone.
    drop(all.pop());
    let began = boot_now();
    let mut again = loop {
        assert!(boot_now().since(began) < DEADLINE, "no place is free again");
        let Ok(subscriber) = open(&world.live) else { continue };
        let mut subscriber = shown(subscriber, &three);
        if subscriber.frame()["type"] == "auth_ok" {
            break subscriber;
        }
    };
    assert_eq!(again.push()["kind"], "state");
}
