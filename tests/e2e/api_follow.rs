//! A job's log over server-sent events: every line once and in order, from wherever one comes back.

use std::io::{BufRead as _, BufReader, Read};

use outpost::id::JobId;
use outpost::limit;
use outpost::obs::clock::boot_now;
use outpost::obs::descriptors;
use outpost::time::millis;
use outpost::wire::job::{JobState, LogSummary};
use serde_json::Value;

use crate::asked::{ask, ask_with, token};
use crate::job_agent::{JobAgent, accepted, output, result_with, running};
use crate::raw_agent::{World, within};
use crate::raw_http::RawHttp;

/// Name, id and data of each event.
fn events(body: &str) -> Vec<(String, String, Value)> {
    let whole = body.split("\n\n").filter(|event| event.contains("data: "));
    whole
        .map(|event| {
            let field = |name: &str| {
                let line = event.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().to_owned()
            };
            (field("event: "), field("id: "), serde_json::from_str(&field("data: ")).unwrap())
        })
        .collect()
}

fn ids(events: &[(String, String, Value)]) -> Vec<String> {
    events.iter().map(|(name, id, _)| format!("{name} {id}").trim().to_owned()).collect()
}

fn path(job: JobId, query: &str) -> String {
    format!("/v1/jobs/{job}/logs/follow{query}")
}

/// Waits until the metrics say that as many logs are followed.
async fn followers(world: &World, count: u64) {
    let wanted = format!("\noutpost_hub_followers {count}\n");
    within(async { while !ask(world, "GET", "/metrics", &[], "").await.body.contains(&wanted) {} }).await;
}

#[tokio::test]
async fn a_follower_gets_lines_as_they_come_holes_where_they_stay_and_then_the_end() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let job = world.submit().await;
    agent.offer().await;
    agent.tell([accepted(job), running(job, 1), output(job, 1, 1..=2)]).await;
    let path_of_it = path(job, "");
    let follower = ask(&world, "GET", &path_of_it, &[], "");
    let agent = async {
        agent.settle().await;
        followers(&world, 1).await;
        // Line 3 comes behind line 4: who follows waits for it. Line 6 never comes.
        agent.tell([output(job, 1, 4..=5)]).await;
        agent.settle().await;
        agent.tell([output(job, 1, 3..=3), output(job, 1, 7..=7)]).await;
        let log = LogSummary { end: Some(agent.log_place(0)), lines: Some(8), ..LogSummary::default() };
        agent.tell([result_with(job, JobState::Failed, log)]).await;
        agent.tell([output(job, 2, 1..=1)]).await;
        agent
    };
    let (followed, mut agent) = within(async { tokio::join!(follower, agent) }).await;
    assert_eq!(
        (followed.status, followed.header("content-type")),
        (200, "text/event-stream"),
        "{followed:?}"
    );
    let found = events(&followed.body);
    let lines: Vec<_> = (1..=5).map(|number| format!("line 1:{number}")).collect();
    let rest = ["missing 1:6", "line 1:7", "line 2:1", "end"].map(str::to_owned);
    assert_eq!(ids(&found), [lines, rest.to_vec()].concat(), "{}", followed.body);
    assert_eq!(found[0].2["text"], "line 1");
    followers(&world, 0).await;
    assert_eq!(found.last().unwrap().2["status"], "failed");
    // From where an earlier connection ended, and of one stream.
    let resumed = ask(&world, "GET", &path(job, "?from=1"), &[("Last-Event-ID", "1:5")], "").await;
    assert_eq!(ids(&events(&resumed.body)), ["missing 1:6", "line 1:7", "line 2:1", "end"]);
    let behind = ask(&world, "GET", &path(job, ""), &[("Last-Event-ID", "2:1")], "").await;
    assert_eq!(ids(&events(&behind.body)), ["end"]);
    let errors = ask(&world, "GET", &path(job, "?from=4&stream=stderr&run=2"), &[], "").await;
    assert_eq!(ids(&events(&errors.body)), ["end"]);
    let head = ask(&world, "HEAD", &path(job, ""), &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for (query, last) in [("?from=x", ""), ("?stream=both", ""), ("?of=1", ""), ("", "x"), ("", "1:2:3")] {
        let refusal = ask(&world, "GET", &path(job, query), &[("Last-Event-ID", last)], "").await;
        assert_eq!(refusal.problem(), (400, "bad_request".to_owned()), "{query} {last}");
    }
    let nobodys = path(JobId::from_bytes([9; 16]), "");
    assert_eq!(ask(&world, "GET", &nobodys, &[], "").await.problem(), (404, "no_job".to_owned()));
    agent.settle().await;
    drop(agent);
    world.hub.shutdown().await;
}

/// The rest of the answer to a follower with this token that had the job's first line; why it had not.
async fn begin(world: &World, token: &str, path: &str) -> Result<impl Read + Send + use<>, String> {
    let url = format!("http://{}{path}", world.hub.local_addr());
    let authorization = format!("Bearer {token}");
    let open = move || -> Result<_, String> {
        let answer = ureq::get(url).header("Authorization", authorization).call();
        let answer = answer.map_err(|error| error.to_string())?;
        let mut reader = BufReader::new(answer.into_body().into_reader());
        let mut said = String::new();
        while !said.contains("data: ") {
            if reader.read_line(&mut said).map_err(|error| error.to_string())? == 0 {
                return Err(said);
            }
        }
        Ok(reader)
    };
    within(tokio::task::spawn_blocking(open)).await.unwrap()
}

/// The same with a token that soon expires; with another where that was too soon: a machine may be late, but not each time.
async fn begin_shortly(world: &World, path: &str) -> impl Read + Send + use<> {
    const GOOD_MS: u64 = 4000;
    for round in 0..3 {
        let began = boot_now();
        let body = format!(r#"{{"name": "short-{round}", "scope": "read", "expires_ms": {GOOD_MS}}}"#);
        let short = ask(world, "POST", "/v1/tokens", &[], &body).await.json();
        match begin(world, short["token"].as_str().unwrap(), path).await {
            Ok(followed) => return followed,
            Err(error) => assert!(millis(boot_now().since(began)) >= GOOD_MS, "{error}"),
        }
    }
    panic!("expired before it was used, each time");
}

/// What comes until the answer is over, within less than a heartbeat's time.
async fn rest(mut reader: impl Read + Send + 'static) -> String {
    let read = move || {
        let mut said = Vec::new();
        // A hub that stops ends the connection, not the answer.
        let _ended = reader.read_to_end(&mut said);
        String::from_utf8(said).unwrap()
    };
    within(tokio::task::spawn_blocking(read)).await.unwrap()
}

/// A job that has written one line and goes on, and its path.
async fn quiet_job(world: &World) -> (JobAgent, String) {
    let mut agent = JobAgent::register(world).await;
    let job = world.submit().await;
    agent.offer().await;
    agent.tell([accepted(job), running(job, 1), output(job, 1, 1..=1)]).await;
    agent.settle().await;
    (agent, path(job, ""))
}

#[tokio::test]
async fn a_quiet_log_ends_at_once_for_who_is_not_welcome_any_more_and_when_the_hub_stops() {
    let world = World::new().await;
    let (agent, path) = quiet_job(&world).await;
    let board = token(&world, "board", "read").await;
    let followed = begin(&world, &board, &path).await.unwrap();
    assert_eq!(ask(&world, "DELETE", "/v1/tokens/board", &[], "").await.status, 200);
    assert!(!rest(followed).await.contains("event: "), "neither a line nor the end");
    let followed = begin_shortly(&world, &path).await;
    assert!(!rest(followed).await.contains("event: "), "it has expired");
    let first = std::fs::read_to_string(world.folder.path().join("admin.token")).unwrap();
    let followed = begin(&world, first.trim(), &path).await.unwrap();
    drop(agent);
    let (said, ()) = tokio::join!(rest(followed), within(world.hub.shutdown()));
    assert!(!said.contains("event: "), "{said}");
}

#[tokio::test]
async fn one_token_follows_with_half_of_the_places_and_another_still_gets_in() {
    // Both ends of each connection are this process's.
    descriptors::raise().unwrap();
    let world = World::new().await;
    let (agent, path) = quiet_job(&world).await;
    let (greedy, modest) = (token(&world, "greedy", "read").await, token(&world, "modest", "read").await);
    let request =
        |token: &str| format!("GET {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: bearer {token}\r\n\r\n");
    let mut followers = Vec::new();
    for number in 0..limit::FOLLOWERS_OF_A_TOKEN_MAX {
        let mut follower = RawHttp::connect(world.hub.local_addr()).await;
        assert_eq!(follower.ask(request(&greedy)).await.status, 200, "{number}");
        followers.push(follower);
    }
    let refused = ask_with(&world, &greedy, "GET", &path, "").await;
    assert_eq!(refused.problem(), (429, "too_many_followers".to_owned()));
    let mut other = RawHttp::connect(world.hub.local_addr()).await;
    assert_eq!(other.ask(request(&modest)).await.status, 200);
    // A place is free again once its follower has gone.
    drop(followers.pop());
    within(async {
        let mut follower = RawHttp::connect(world.hub.local_addr()).await;
        while follower.ask(request(&greedy)).await.status != 200 {
            follower = RawHttp::connect(world.hub.local_addr()).await;
        }
    })
    .await;
    drop(agent);
    world.hub.shutdown().await;
}
