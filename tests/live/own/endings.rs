//! Why a stream ends, and that it does so at once: nothing is shown, what it told of is gone, or the token that it was bought
//! with is.

use std::path::PathBuf;

use outpost::limit;
use outpost::obs::clock::boot_now;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::node::DEADLINE;

use super::subscriber::{End, Subscriber};
use super::world::World;

fn closed(code: &str) -> End {
    End { code: Some(code.to_owned()), close: 1008 }
}

/// A subscriber that heard nothing new looks by itself every so often. What is begun and seen in much less time rang for it. A
/// machine may be busy for as long, but not each time; where nothing rings, no time is short enough.
fn assert_at_once(what: &str, mut work: impl FnMut()) {
    let mut times = Vec::new();
    for _ in 0..3 {
        let began = boot_now();
        work();
        times.push(boot_now().since(began));
        if times.last().is_some_and(|time| *time < limit::FOLLOW_HEARTBEAT * 2 / 3) {
            return;
        }
    }
    panic!("{what}: after {times:?}");
}

/// The streams of one agent and one of its jobs, and the fleet's.
fn streams(agent: &str, job: &str) -> [String; 4] {
    [format!("agent.{agent}"), format!("job.{job}"), format!("job.{job}.logs"), "fleet".to_owned()]
}

fn queued(world: &World, agent: &str) -> String {
    world.submit_spec(agent, &json!({"kind": "exec", "payload": {"command": ["/bin/true"]}}))
}

/// A token of the API, and those it buys for the streams; `None` where it ends before.
fn bought(world: &World, name: &str, wanted: Value, streams: &[String]) -> Option<Vec<String>> {
    let mut wanted = wanted;
    wanted["name"] = json!(name);
    wanted["scope"] = json!("read");
    let made = world.ask("POST", "/v1/tokens", wanted);
    let reader = made["token"].as_str().unwrap();
    let buy = |topic: &String| {
        let answer = world.ask_as(reader, "POST", "/v1/streams/token", &json!({"topic": topic}));
        if answer.status == 401 {
            return None;
        }
        let bought: Value = serde_json::from_str(&answer.body).unwrap();
        Some(bought["token"].as_str().unwrap().to_owned())
    };
    streams.iter().map(buy).collect()
}

/// Follows each at both listeners, up to its state and as far as there is nothing more.
fn follow_all(world: &World, streams: &[String], tokens: &[String]) -> Vec<Subscriber> {
    let both = [&world.api, &world.live];
    let each = streams.iter().zip(tokens);
    each.flat_map(|(topic, token)| both.map(|address| Subscriber::follow(address, topic, token, None)))
        .map(|mut subscriber| {
            assert_eq!(subscriber.push()["kind"], "state");
            subscriber
        })
        .collect()
}

#[test]
fn who_shows_nothing_for_ten_seconds_or_something_else_is_sent_away() {
    let world = World::new();
    let agent = world.add_agent("edge-1");
    let job = queued(&world, "edge-1");
    let began = boot_now();
    let mut silent = Vec::new();
    for topic in streams(&agent, &job) {
        for address in [&world.api, &world.live] {
            let open = || Subscriber::open(address, &format!("topic={topic}")).unwrap();
            silent.push(open());
            for frame in ["", "hello", "[]", "{}", r#"{"type":"status"}"#, r#"["auth",null]"#] {
                let mut subscriber = open();
                subscriber.send(Message::text(frame));
                assert_eq!(subscriber.end(), closed("auth_required"), "{topic} {frame}");
            }
            for (message, end) in [
                (Message::binary(r#"{"type":"auth"}"#), closed("auth_required")),
                (Message::text("x".repeat(limit::LIVE_FRAME_BYTES_MAX + 1)), End { code: None, close: 1009 }),
            ] {
                let mut subscriber = open();
                subscriber.send(message);
                assert_eq!(subscriber.end(), end, "{topic}");
            }
        }
    }
    for subscriber in &mut silent {
        assert_eq!(subscriber.end(), closed("auth_required"));
    }
    let waited = boot_now().since(began);
    assert!(waited >= limit::LIVE_AUTH_TIMEOUT, "{waited:?}");
}

#[test]
fn an_agent_that_is_gone_is_not_found_with_a_token_of_before_and_who_was_there_hears_it_at_once() {
    let world = World::new();
    assert_at_once("an agent was removed", || {
        let agent = world.add_agent("edge-1");
        let topic = format!("agent.{agent}");
        let job = queued(&world, "edge-1");
        let token = world.token(&topic);
        let mut here = world.follow(&topic, None);
        let mut of_job = world.follow(&format!("job.{job}"), None);
        assert_eq!((&here.push()["kind"], &of_job.push()["kind"]), (&json!("state"), &json!("state")));
        world.ask("DELETE", "/v1/agents/edge-1", Value::Null);
        let told = here.until(|event| event["kind"] == "removed");
        let end = of_job.until(|event| event["finished_at_ms"].is_i64());
        assert!(end.iter().all(|event| event["kind"] == "job"), "{told:?} {end:?}");
        for address in [&world.api, &world.live] {
            for after in [String::new(), format!("&after={}", here.offset.as_ref().unwrap())] {
                let mut back = Subscriber::open(address, &format!("topic={topic}{after}")).unwrap();
                back.show(&json!(token));
                assert_eq!(back.end(), closed("not_found"));
            }
        }
        // What is left of it can be looked at, and so can whoever has its name next.
        assert_eq!(world.follow(&format!("job.{job}"), None).push()["job"]["job_id"], json!(job));
    });
}

#[test]
fn a_job_that_a_database_of_before_does_not_have_is_not_found() {
    let mut world = World::new();
    world.add_agent("edge-1");
    world.stop(Signal::TERM);
    let database = |world: &World| -> Vec<PathBuf> {
        let files = std::fs::read_dir(world.path("data")).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("hub.db")).collect()
    };
    let before: Vec<_> =
        database(&world).into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    assert!(!before.is_empty());
    world.start();
    let job = queued(&world, "edge-1");
    let topics = [format!("job.{job}"), format!("job.{job}.logs")];
    let tokens = topics.clone().map(|topic| world.token(&topic));
    let offsets = topics.clone().map(|topic| {
        let mut here = world.follow(&topic, None);
        here.push();
        here.offset.unwrap()
    });
    world.stop(Signal::TERM);
    database(&world).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    before.iter().for_each(|(bytes, path)| std::fs::write(path, bytes).unwrap());
    world.start();
    for ((topic, token), offset) in topics.iter().zip(&tokens).zip(&offsets) {
        for address in [&world.api, &world.live] {
            for after in [String::new(), format!("&after={offset}")] {
                let mut back = Subscriber::open(address, &format!("topic={topic}{after}")).unwrap();
                back.show(&json!(token));
                assert_eq!(back.end(), closed("not_found"), "{topic}");
            }
        }
    }
}

#[test]
fn a_token_of_the_api_that_is_revoked_ends_at_once_what_it_opened() {
    let world = World::new();
    let agent = world.add_agent("edge-1");
    let job = queued(&world, "edge-1");
    let streams = streams(&agent, &job);
    let others = streams.iter().map(|topic| world.token(topic)).collect::<Vec<_>>();
    let mut stay = follow_all(&world, &streams, &others);
    assert_at_once("a token was revoked", || {
        let tokens = bought(&world, "page", json!({}), &streams).unwrap();
        let mut all = follow_all(&world, &streams, &tokens);
        world.ask("DELETE", "/v1/tokens/page", Value::Null);
        for subscriber in &mut all {
            assert_eq!(subscriber.end(), closed("unauthorized"));
        }
    });
    // Nobody else has to go.
    world.ask("POST", &format!("/v1/jobs/{job}/cancel"), Value::Null);
    for subscriber in &mut stay {
        let told = subscriber.push();
        assert!(["job", "end"].iter().any(|kind| told["kind"] == *kind), "{told}");
    }
}

#[test]
fn a_token_of_the_api_that_expires_ends_at_once_what_it_opened() {
    const TTL_MS: u64 = 4000;
    let world = World::new();
    let agent = world.add_agent("edge-1");
    let job = queued(&world, "edge-1");
    let streams = streams(&agent, &job);
    let mut round = 0;
    assert_at_once("a token expired", || {
        let (began, tokens) = loop {
            round += 1;
            let (began, name) = (boot_now(), format!("short-{round}"));
            if let Some(tokens) = bought(&world, &name, json!({"expires_ms": TTL_MS}), &streams) {
                break (began, tokens);
            }
            // Only a machine that took as long for this has a reason.
            let took = boot_now().since(began).as_millis();
            assert!(took >= u128::from(TTL_MS) && round < 6, "{took} ms, round {round}");
        };
        let mut all = Vec::new();
        for (topic, token) in streams.iter().zip(&tokens) {
            for address in [&world.api, &world.live] {
                let mut subscriber = Subscriber::open(address, &format!("topic={topic}")).unwrap();
                subscriber.show(&json!(token));
                all.push(subscriber);
            }
        }
        for subscriber in &mut all {
            // Where this took longer than the token is good, it was not let in.
            let first = subscriber.frame();
            if first["type"] == "auth_ok" {
                assert_eq!(subscriber.push()["kind"], "state");
                assert_eq!(subscriber.end(), closed("unauthorized"));
            } else {
                assert_eq!(first["code"], "unauthorized");
            }
        }
        let waited = boot_now().since(began).as_millis();
        assert!(waited >= u128::from(TTL_MS), "{waited} ms");
        assert!(waited < DEADLINE.as_millis() * 2, "{waited} ms");
    });
}

#[test]
fn what_changes_is_told_at_once() {
    let mut world = World::new();
    let agent = world.add_agent("edge-1");
    world.run_agent("edge-1");
    let mut job = world.submit("edge-1", "input");
    job.say(1..=1);
    let mut line = 1;
    assert_at_once("a line and a label", || {
        let mut log = world.follow(&job.logs(), None);
        log.push();
        log.lines(line as usize);
        let mut told = [format!("agent.{agent}"), "fleet".to_owned()].map(|topic| world.follow(&topic, None));
        told.iter_mut().for_each(|subscriber| assert_eq!(subscriber.push()["kind"], "state"));
        line += 1;
        job.say(line..=line);
        assert_eq!(log.lines(1), [format!("1:{line} line {line}")]);
        world.ask("PATCH", "/v1/agents/edge-1/labels", json!({"site": format!("s{line}")}));
        for subscriber in &mut told {
            subscriber.until(|event| event["kind"] == "label");
        }
    });
    job.end();
}
