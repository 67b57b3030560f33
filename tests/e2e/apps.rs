//! The newest lines of apps: over several agents, restarts and replays, in bounds, and asked for in every wrong way.

use serde_json::{Value, json};

use crate::asked::{Answered, ask, ask_with, token};
use crate::raw_agent::{RawAgent, World, records_of, within};

/// Says log lines of apps and waits until they are stored.
async fn tell(agent: &mut RawAgent, first: u64, lines: &[(&str, &str)]) {
    let records: Vec<_> = lines.iter().map(|(app, text)| (Some(*app), text.as_bytes())).collect();
    agent.say(records_of(first, &records)).await;
    let last = first + lines.len() as u64 - 1;
    while agent.acked().await < last {}
}

async fn get(world: &World, path: &str) -> Value {
    let answer = ask(world, "GET", path, &[], "").await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// The answer once it has this many lines.
async fn lines(world: &World, path: &str, count: usize) -> Value {
    within(async {
        loop {
            let log = get(world, path).await;
            let found = log["lines"].as_array().unwrap().len();
            assert!(found <= count, "{log}");
            if found == count {
                return log;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

fn texts(log: &Value) -> Vec<&str> {
    log["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lines_of_an_app_come_together_from_all_agents_and_a_replay_doubles_none() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    tell(&mut agent, 1, &[("web", "one"), ("till", "a"), ("web", "\u{1b}[31mtwo\u{1b}[0m\0")]).await;
    let world = world.another("edge-2").await;
    let (mut other, _) = world.register().await;
    tell(&mut other, 1, &[("web", "three"), ("till", "b")]).await;
    let web = lines(&world, "/v1/apps/web/logs", 3).await;
    assert_eq!(texts(&web), ["one", "two", "three"]);
    let agents: Vec<_> = web["lines"].as_array().unwrap().iter().map(|line| &line["agent"]).collect();
    assert_eq!(agents, ["edge-1", "edge-1", "edge-2"]);
    assert_eq!(web["gap"], false);
    // After an outage an agent sends again what it heard no ack of.
    drop(other);
    let (mut other, marks) = world.register().await;
    assert_eq!(marks[0].acked, 2);
    tell(&mut other, 1, &[("web", "three"), ("till", "b"), ("web", "four")]).await;
    let merged = lines(&world, "/v1/logs?apps=web,till&since=0", 6).await;
    assert_eq!(texts(&merged), ["one", "a", "two", "three", "b", "four"]);
    let seqs: Vec<_> =
        merged["lines"].as_array().unwrap().iter().map(|line| line["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    // The same in pieces: one number is a place in both.
    let (mut place, mut pieces) = (0, Vec::new());
    for _ in 0..4 {
        let piece = get(&world, &format!("/v1/logs?apps=web,till&since={place}&limit=2")).await;
        pieces.extend(texts(&piece).into_iter().map(str::to_owned));
        place = piece["next"].as_i64().unwrap();
    }
    assert_eq!((pieces, place), (texts(&merged).into_iter().map(str::to_owned).collect(), 6));
    let apps = get(&world, "/v1/apps").await;
    let names: Vec<_> = apps["apps"].as_array().unwrap().iter().map(|app| &app["app"]).collect();
    assert_eq!(names, ["till", "web"], "{apps}");
    assert_eq!((&apps["apps"][1]["lines"], &apps["apps"][1]["last"]), (&json!(4), &json!(6)));
    let listed = get(&world, "/v1/agents/edge-2/records").await;
    assert_eq!(listed["records"][0]["app"], "web", "{listed}");
    drop((agent, other));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_restart_empties_nothing_and_a_number_from_before_is_good() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    tell(&mut agent, 1, &[("web", "one"), ("till", "a"), ("web", "two")]).await;
    let before = lines(&world, "/v1/apps/web/logs?since=0", 2).await;
    let world = world.restart().await;
    let after = lines(&world, "/v1/apps/web/logs?since=0", 2).await;
    assert_eq!(before, after, "the same lines with the same numbers");
    let place = before["next"].as_i64().unwrap();
    let path = format!("/v1/apps/web/logs?since={place}&wait=60");
    let waiting = ask(&world, "GET", &path, &[], "");
    let told = async {
        let (mut agent, _) = world.register().await;
        // As after an outage: two of them are known.
        tell(&mut agent, 2, &[("till", "a"), ("web", "two"), ("web", "three")]).await;
    };
    let (waited, ()) = tokio::join!(waiting, told);
    let waited = waited.json();
    assert_eq!((texts(&waited), &waited["gap"]), (vec!["three"], &json!(false)), "{waited}");
    assert_eq!(waited["lines"][0]["seq"], 4);
    // Dropped lines do not come back, and no number is given twice.
    let dropped = ask(&world, "DELETE", "/v1/apps/web/logs", &[], "").await;
    assert_eq!((dropped.status, dropped.json()), (200, json!({"dropped": 3})));
    let again = ask(&world, "DELETE", "/v1/apps/web/logs", &[], "").await;
    assert_eq!(again.json(), json!({"dropped": 0}));
    let world = world.restart().await;
    let (mut agent, _) = world.register().await;
    tell(&mut agent, 5, &[("web", "four")]).await;
    let left = lines(&world, "/v1/logs?since=3", 1).await;
    assert_eq!(
        (texts(&left), &left["gap"], &left["next"]),
        (vec!["four"], &json!(true), &json!(5)),
        "{left}"
    );
    let audit = get(&world, "/v1/audit").await;
    let entries = audit["entries"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["action"] == "app_logs_dropped").unwrap();
    assert_eq!((&entry["agent"], &entry["actor"]), (&json!("web"), &json!("token:admin.token")), "{entry}");
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_ring_keeps_a_thousand_lines_and_says_what_fell_out() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    let all: Vec<_> = (1..=1010).map(|number| format!("line {number}")).collect();
    let told: Vec<_> = all.iter().map(|text| ("web", text.as_str())).collect();
    tell(&mut agent, 1, &told[..700]).await;
    tell(&mut agent, 701, &told[700..]).await;
    let place = |log: &Value| log["next"].as_i64().unwrap();
    let log = within(async {
        loop {
            let log = get(&world, "/v1/apps/web/logs?since=5&limit=5000").await;
            if place(&log) == 1010 {
                return log;
            }
        }
    })
    .await;
    assert_eq!((texts(&log), &log["gap"]), (all[10..].iter().map(String::as_str).collect(), &json!(true)));
    assert_eq!(
        get(&world, "/v1/apps/web/logs?since=10").await["gap"],
        false,
        "line 10 is the last that is missing"
    );
    let newest = get(&world, "/v1/apps/web/logs?limit=2").await;
    assert_eq!((texts(&newest), place(&newest)), (vec!["line 1009", "line 1010"], 1010));
    let metrics = ask(&world, "GET", "/metrics", &[], "").await.body;
    for line in [
        "outpost_hub_apps 1",
        "outpost_hub_app_lines 1000",
        "outpost_hub_app_lines_total 1010",
        "outpost_hub_app_lines_dropped_total{reason=\"lines\"} 10",
        "outpost_hub_app_lines_dropped_total{reason=\"age\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} of {metrics}");
    }
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn an_answer_has_ten_thousand_lines_at_most_and_the_next_one_goes_on_behind() {
    const APPS: u64 = 11;
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    for app in 0..APPS {
        let name = format!("app-{app}");
        tell(&mut agent, app * 1000 + 1, &vec![(name.as_str(), "x"); 1000]).await;
    }
    let seqs = |log: &Value| -> Vec<i64> {
        log["lines"].as_array().unwrap().iter().map(|line| line["seq"].as_i64().unwrap()).collect()
    };
    let all = within(async {
        loop {
            let apps = get(&world, "/v1/apps").await;
            let lines: Vec<_> = apps["apps"].as_array().unwrap().iter().map(|app| &app["lines"]).collect();
            if lines == [1000; 11] {
                return get(&world, "/v1/logs?since=0&limit=4294967295").await;
            }
        }
    })
    .await;
    assert!(seqs(&all) == (1..=10_000).collect::<Vec<_>>(), "{} lines", seqs(&all).len());
    assert_eq!((&all["next"], &all["gap"]), (&json!(10_000), &json!(false)));
    let rest = get(&world, "/v1/logs?since=10000&limit=4294967295").await;
    assert!(seqs(&rest) == (10_001..=11_000).collect::<Vec<_>>(), "{} lines", seqs(&rest).len());
    let newest = get(&world, "/v1/logs").await;
    assert!(seqs(&newest) == (10_001..=11_000).collect::<Vec<_>>(), "where none is named it is 1000");
    drop(agent);
    world.hub.shutdown().await;
}

/// The answer is this problem, and says nothing a stranger could forge a line with.
fn refused(answer: &Answered, expected: (u16, &str)) {
    assert_eq!(answer.problem(), (expected.0, expected.1.to_owned()), "{answer:?}");
    assert!(answer.body.len() < 1000 && !answer.body.contains(['\n', '\r']), "{answer:?}");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_by_name() {
    let world = World::new().await;
    let long = "a".repeat(10_000);
    let many = vec!["a"; 65].iter().enumerate().map(|(number, _)| format!("a{number}")).collect::<Vec<_>>();
    let names = ["Web", "-web", "we%0d%0ab", "%00", "%ff", "a_b", "%F0%9F%98%80", long.as_str()];
    for name in names {
        for path in [
            format!("/v1/apps/{name}/logs"),
            format!("/v1/apps/{name}/logs/follow"),
            format!("/v1/logs?apps={name}"),
            format!("/v1/logs/follow?apps=web,{name}"),
        ] {
            refused(&ask(&world, "GET", &path, &[], "").await, (400, "bad_request"));
        }
        let path = format!("/v1/apps/{name}/logs");
        refused(&ask(&world, "DELETE", &path, &[], "").await, (400, "bad_request"));
    }
    for query in [
        "since=-1",
        "since=x",
        "since=18446744073709551616",
        "since=1:2",
        "limit=0",
        "limit=-1",
        "wait=x",
        "wait=-1",
        "since=1&since=2",
        "of=1",
        "apps=",
        "apps=web,,till",
        &format!("apps={}", many.join(",")),
    ] {
        refused(&ask(&world, "GET", &format!("/v1/logs?{query}"), &[], "").await, (400, "bad_request"));
    }
    for last in ["x", "-1", "1:2", "99999999999999999999", "\u{e9}"] {
        for path in ["/v1/apps/web/logs/follow", "/v1/logs/follow"] {
            let answer = ask(&world, "GET", path, &[("Last-Event-ID", last)], "").await;
            refused(&answer, (400, "bad_request"));
        }
    }
    for (method, path) in [
        ("POST", "/v1/apps"),
        ("DELETE", "/v1/apps"),
        ("PUT", "/v1/apps/web/logs"),
        ("POST", "/v1/apps/web/logs/follow"),
        ("DELETE", "/v1/logs"),
        ("PATCH", "/v1/logs/follow"),
    ] {
        let answer = ask(&world, method, path, &[], "{}").await;
        refused(&answer, (405, "method_not_allowed"));
        assert!(answer.header("allow").contains("GET"), "{answer:?}");
    }
    refused(&ask(&world, "GET", "/v1/apps/web", &[], "").await, (404, "not_found"));
    for scope in ["read", "submit"] {
        let held = token(&world, scope, scope).await;
        assert_eq!(ask_with(&world, &held, "GET", "/v1/apps/web/logs", "").await.status, 200);
        refused(&ask_with(&world, &held, "DELETE", "/v1/apps/web/logs", "").await, (403, "forbidden"));
    }
    for path in ["/v1/apps", "/v1/apps/web/logs", "/v1/logs", "/v1/logs/follow", "/v1/apps/web/logs/follow"] {
        refused(&ask_with(&world, "oat1.x.y", "GET", path, "").await, (401, "unauthorized"));
    }
    // What was never said is no error, and a number from elsewhere begins anew and says so.
    let nothing = get(&world, "/v1/apps/web/logs?since=0").await;
    assert_eq!(nothing, json!({"lines": [], "gap": false, "next": 0}));
    assert_eq!(get(&world, "/v1/apps/web/logs?since=18446744073709551615&wait=60").await["gap"], true);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn an_app_that_no_hub_takes_ends_the_session_and_nothing_of_it_is_stored() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    let mut message = records_of(1, &[(Some("web"), b"x")]);
    let outpost::wire::message::Message::Records(records) = &mut message else { panic!("no records") };
    let forged: Vec<u8> =
        records.batch.iter().map(|byte| if *byte == b'w' { b'\n' } else { *byte }).collect();
    records.batch = forged.into();
    agent.say(message).await;
    let (code, reason) = agent.closed().await;
    assert_eq!((code, reason.as_str()), (1008, "invalid"), "{reason}");
    assert_eq!(get(&world, "/v1/apps").await, json!({"apps": []}));
    world.hub.shutdown().await;
}
