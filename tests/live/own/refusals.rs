//! What is not let in, at both listeners, and that nobody writes lines of their own into the log.

use serde_json::{Value, json};

use outpost::hub::live::Topic;
use outpost::wire::browser_token::{self, Claims, Grant, UserId};
use outpost::wire::mac::MacKey;

use crate::node::{SECRET, send};

use super::subscriber::{End, Subscriber};
use super::world::World;

fn closed(code: &str) -> End {
    End { code: Some(code.to_owned()), close: 1008 }
}

#[test]
fn before_the_upgrade_each_request_has_its_answer_at_both_listeners() {
    let world = World::new();
    let id = world.add_agent("edge-1");
    let mut here = world.follow("fleet", None);
    here.push();
    let offset = here.offset.unwrap();
    let unknown = (404, "topic not registered".to_owned());
    let long = "x".repeat(10_000);
    for address in [&world.api, &world.live] {
        let open = |query: &str| Subscriber::open(address, query).map(drop).unwrap_err();
        assert_eq!(open(""), (400, "missing topic".to_owned()));
        assert_eq!(open("topic="), (400, "missing topic".to_owned()));
        for topic in [
            "agent.",
            "agent.edge-1",
            "agent.%0d%0aERROR+forged",
            "job.7",
            "job.%00",
            "job..logs",
            "fleet.",
            "fleet%0a",
            "app.1",
            &id,
            &format!("agent.{}", id.to_uppercase()),
            &format!("agent.{long}"),
            &format!("agent.{id}.logs"),
        ] {
            assert_eq!(open(&format!("topic={topic}")), unknown, "{topic:.40}");
        }
        for after in ["x", "1", "1:5", "%0d%0a", "%ff", &long, &offset[1..], &format!("{offset}A")] {
            let refused = open(&format!("topic=fleet&after={after}"));
            assert_eq!(refused, (400, "bad offset".to_owned()), "{after:.40}");
        }
        let refused = open(&format!("topic=agent.{id}&after={offset}"));
        assert_eq!(refused, (400, "bad offset".to_owned()), "of another stream");
        let plain = send(address, "GET", "/ws?topic=fleet", "", b"");
        assert_eq!((plain.status, plain.body.as_str()), (400, "bad request"));
        let posted = send(address, "POST", "/ws?topic=fleet", "", b"");
        assert_eq!((posted.status, posted.body.as_str()), (405, "method not allowed"));
        // Parameters that nobody knows are left alone, and of two the first counts.
        let mut other = Subscriber::open(address, "topic=fleet&x=1&offsets=1&after=&topic=app.1").unwrap();
        other.show(&json!(world.token("fleet")));
        assert_eq!(other.frame(), json!({"type": "auth_ok"}));
        assert_eq!(other.push()["kind"], "state");
    }
    assert!(
        !world.log().lines().any(|line| line.starts_with("ERROR") || line.contains("ERROR forged")),
        "{}",
        world.log()
    );
    assert!(!world.log().contains("panicked"), "{}", world.log());
}

#[test]
fn only_a_token_of_the_hub_for_that_very_stream_opens_it() {
    let world = World::new();
    let id = world.add_agent("edge-1");
    let topic = format!("agent.{id}");
    let claims =
        |user_id: UserId| Claims { user_id, expires_s: 4_000_000_000, grant: Grant::Topic(topic.clone()) };
    let workers = MacKey::from_bytes(SECRET.as_bytes());
    let of_worker = browser_token::mint(&claims(UserId::Number(7)), &workers).unwrap();
    let right = world.token(&topic);
    let mut bent = right.clone();
    let last = if bent.pop() == Some('0') { '1' } else { '0' };
    bent.push(last);
    for address in [&world.api, &world.live] {
        for (token, code) in [
            (Value::Null, "auth_required"),
            (json!(""), "auth_required"),
            (json!(7), "unauthorized"),
            (json!("x.y"), "unauthorized"),
            (json!(of_worker), "unauthorized"),
            (json!(world.token("fleet")), "unauthorized"),
            (json!(bent), "unauthorized"),
            (json!(right.to_uppercase()), "unauthorized"),
            (json!(world.admin), "unauthorized"),
        ] {
            let mut subscriber = Subscriber::open(address, &format!("topic={topic}")).unwrap();
            subscriber.show(&token);
            assert_eq!(subscriber.end(), closed(code), "{token}");
        }
        let mut subscriber = Subscriber::follow(address, &topic, &right, None);
        assert_eq!(subscriber.push()["kind"], "state");
    }
    // Nor does a token of an own stream open a topic of workers.
    let own = Topic::owner(&"app.1".parse().unwrap());
    assert_eq!(own, outpost::hub::live::Owner::Workers);
    let secret = format!("X-Worker-Secret: {SECRET}\r\n");
    let body = json!({"topic": "app.1", "meta": {"require_token": true}}).to_string();
    assert_eq!(send(&world.internal, "POST", "/internal/register", &secret, body.as_bytes()).status, 200);
    let mut subscriber = Subscriber::open(&world.live, "topic=app.1").unwrap();
    subscriber.show(&json!(right));
    assert_eq!(subscriber.end(), closed("unauthorized"));
}

#[test]
fn a_token_ends_with_its_time_and_with_the_token_it_was_bought_with() {
    let world = World::new();
    let mut short = world.follow_shortly("fleet", None);
    short.push();
    assert_eq!(short.end(), closed("auth_expired"));
    let made = world.ask("POST", "/v1/tokens", json!({"name": "page", "scope": "read"}));
    let reader = made["token"].as_str().unwrap();
    let bought = world.ask_as(reader, "POST", "/v1/streams/token", &json!({"topic": "fleet"}));
    assert_eq!(bought.status, 200, "{bought:?}");
    assert!(bought.head.contains("cache-control: no-store"), "{}", bought.head);
    let bought: Value = serde_json::from_str(&bought.body).unwrap();
    let token = bought["token"].as_str().unwrap();
    let mut here = Subscriber::follow(&world.live, "fleet", token, None);
    here.push();
    world.ask("DELETE", "/v1/tokens/page", Value::Null);
    // The next thing that happens is not told any more.
    world.add_agent("edge-1");
    assert_eq!(here.end(), closed("unauthorized"));
    let mut again = Subscriber::open(&world.api, "topic=fleet").unwrap();
    again.show(&json!(token));
    assert_eq!(again.end(), closed("unauthorized"));
    let late = world.token_for("fleet", 1);
    let began = outpost::obs::clock::boot_now();
    loop {
        let mut subscriber = Subscriber::open(&world.api, "topic=fleet").unwrap();
        subscriber.show(&json!(late));
        if subscriber.frame()["code"] == "unauthorized" {
            break;
        }
        assert!(outpost::obs::clock::boot_now().since(began) < crate::node::DEADLINE);
    }
}

#[test]
fn tokens_are_made_for_what_is_there_and_for_whoever_may_read() {
    let world = World::new();
    let ask = |token: &str, body: Value| {
        let answer = world.ask_as(token, "POST", "/v1/streams/token", &body);
        let error: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, error["error"].as_str().unwrap_or_default().to_owned())
    };
    let (job, agent) = ("01938c5e-7b1a-7c3e-9a44-0242ac120002", "0".repeat(32));
    for (body, status, code) in [
        (json!({"topic": format!("job.{job}")}), 404, "no_job"),
        (json!({"topic": format!("job.{job}.logs")}), 404, "no_job"),
        (json!({"topic": format!("agent.{agent}")}), 404, "no_agent"),
        (json!({"topic": "app.1"}), 400, "bad_request"),
        (json!({"topic": "fleet\r\nERROR forged"}), 400, "bad_request"),
        (json!({"topic": "x".repeat(10_000)}), 400, "bad_request"),
        (json!({"topic": ""}), 400, "bad_request"),
        (json!({"topic": 7}), 400, "bad_request"),
        (json!({}), 400, "bad_request"),
        (json!([]), 400, "bad_request"),
        (json!({"topic": "fleet", "ttl_s": 0}), 400, "bad_request"),
        (json!({"topic": "fleet", "ttl_s": 86_401}), 400, "bad_request"),
        (json!({"topic": "fleet", "ttl_s": -1}), 400, "bad_request"),
        (json!({"topic": "fleet", "ttl_s": 1e300}), 400, "bad_request"),
        (json!({"topic": "fleet", "more": 1}), 400, "bad_request"),
        (json!({"topic": "fleet", "ttl_s": 86_400}), 200, ""),
    ] {
        assert_eq!(ask(&world.admin, body.clone()), (status, code.to_owned()), "{body:.60}");
    }
    assert_eq!(ask("nobody", json!({"topic": "fleet"})).0, 401);
    let log = world.log();
    assert!(!log.lines().any(|line| line.starts_with("ERROR")) && !log.contains("panicked"), "{log}");
}
