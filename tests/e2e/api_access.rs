//! Who may do what with the API, how often, and what a refusal looks like.

use std::num::NonZeroU32;

use serde_json::json;

use crate::asked::{ask, ask_with, token};
use crate::raw_agent::World;

const SPEC: &str = r#"{"kind": "exec", "payload": {"command": ["true"]}}"#;

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_token_does_what_its_scope_says_and_nothing_more() {
    let world = World::new().await;
    let (read, submit, admin) = (
        token(&world, "board", "read").await,
        token(&world, "ci", "submit").await,
        token(&world, "ops", "admin").await,
    );
    let cases = [
        ("GET", "/v1/status", "", "read"),
        ("GET", "/v1/agents", "", "read"),
        ("GET", "/v1/jobs", "", "read"),
        ("GET", "/v1/agents/edge-1/records", "", "read"),
        ("GET", "/metrics", "", "read"),
        ("POST", "/v1/jobs?agent=edge-1", SPEC, "submit"),
        ("POST", "/v1/agents", r#"{"name": "edge-7"}"#, "admin"),
        ("PATCH", "/v1/agents/edge-1/labels", r#"{"a": "b"}"#, "admin"),
        ("GET", "/v1/audit", "", "admin"),
        ("GET", "/v1/tokens", "", "admin"),
        ("POST", "/v1/agents/edge-7/revoke", "", "admin"),
        ("DELETE", "/v1/agents/edge-7", "", "admin"),
    ];
    let scopes = ["read", "submit", "admin"];
    for (method, path, body, needed) in cases {
        for (scope, token) in scopes.iter().zip([&read, &submit, &admin]) {
            let allowed = scopes.iter().position(|known| known == scope)
                >= scopes.iter().position(|known| *known == needed);
            let answer = ask_with(&world, token, method, path, body).await;
            if allowed {
                assert!(answer.status < 300, "{scope}: {method} {path}: {answer:?}");
            } else {
                assert_eq!(answer.problem(), refused(403, "forbidden"), "{scope}: {method} {path}");
                assert!(answer.body.contains(scope) && answer.body.contains(needed), "{answer:?}");
            }
        }
    }
    // A job says who submitted it, and the audit who did what.
    let jobs = ask(&world, "GET", "/v1/jobs?limit=2", &[], "").await.json();
    let by: Vec<_> = jobs["jobs"].as_array().unwrap().iter().map(|job| job["submitted_by"].clone()).collect();
    assert_eq!(by, ["token:ops", "token:ci"], "{jobs}");
    let audit = ask(&world, "GET", "/v1/audit", &[], "").await.json();
    let said: Vec<_> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| format!("{} {} {}", entry["action"], entry["agent"], entry["actor"]).replace('"', ""))
        .collect();
    for line in [
        "agent_added edge-1 hub",
        "token_added ci token:admin.token",
        "agent_added edge-7 token:ops",
        "agent_labelled edge-1 token:ops",
        "agent_revoked edge-7 token:ops",
        "agent_removed edge-7 token:ops",
    ] {
        assert!(said.contains(&line.to_owned()), "{line} is not in {said:?}");
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_token_is_shown_once_opens_across_a_restart_and_nothing_once_it_is_revoked() {
    let world = World::new().await;
    let ci = token(&world, "ci", "read").await;
    let taken = ask(&world, "POST", "/v1/tokens", &[], r#"{"name": "ci", "scope": "admin"}"#).await;
    assert_eq!(taken.problem(), refused(409, "name_taken"));
    let listed = ask(&world, "GET", "/v1/tokens", &[], "").await;
    let secret = ci.rsplit('.').next().unwrap();
    assert!(listed.body.contains("\"ci\"") && !listed.body.contains(secret), "{listed:?}");
    let files = std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.is_file()) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{path:?}");
    }
    let world = world.restart().await;
    assert_eq!(ask_with(&world, &ci, "GET", "/v1/status", "").await.status, 200);
    let gone = ask(&world, "DELETE", "/v1/tokens/ci", &[], "").await;
    assert_eq!((gone.status, gone.json()["revoked"].clone()), (200, json!("ci")));
    assert_eq!(ask_with(&world, &ci, "GET", "/v1/status", "").await.problem(), refused(401, "unauthorized"));
    assert_eq!(ask(&world, "DELETE", "/v1/tokens/ci", &[], "").await.problem(), refused(404, "no_token"));
    for token in ["", "nonsense", &ci[1..], "oat1.00.00", &"x".repeat(8000)] {
        let answer = ask_with(&world, token, "GET", "/v1/status", "").await;
        assert_eq!(answer.problem(), refused(401, "unauthorized"), "{token:.20}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_revocation_beside_a_running_hub_counts_within_seconds() {
    let world = World::new().await;
    let ci = token(&world, "ci", "read").await;
    let beside =
        outpost::hub::store::Store::open(world.folder.path(), outpost::hub::store::Creation::Refused);
    let (beside, _writer) = beside.await.unwrap();
    beside.revoke_token(&"ci".parse().unwrap()).await.unwrap();
    crate::raw_agent::within(async {
        while ask_with(&world, &ci, "GET", "/v1/status", "").await.status != 401 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.hub.shutdown().await;
}

#[tokio::test]
async fn every_request_has_an_id_that_the_caller_may_give() {
    let world = World::new().await;
    let given = ask(&world, "GET", "/v1/agents/nobody", &[("X-Request-Id", "deploy-17")], "").await;
    assert_eq!((given.problem(), given.header("x-request-id")), (refused(404, "no_agent"), "deploy-17"));
    for id in ["a b", "x;level=ERROR", &"x".repeat(65)] {
        let made = ask(&world, "GET", "/v1/status", &[("X-Request-Id", id)], "").await;
        let own = made.header("x-request-id");
        assert!(own.len() == 32 && own != id, "{made:?}");
    }
    // On the agents' paths, too, and where there is nothing.
    assert_eq!(
        ask(&world, "POST", "/v1/agents/token", &[], "").await.problem(),
        refused(401, "unauthorized")
    );
    assert_eq!(ask(&world, "GET", "/nothing", &[], "").await.problem(), refused(404, "not_found"));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn methods_bodies_and_sizes_that_do_not_fit_get_the_documented_answer() {
    let world = World::new().await;
    let wrong = ask(&world, "PUT", "/v1/jobs", &[], "").await;
    assert_eq!(
        (wrong.problem(), wrong.header("allow")),
        (refused(405, "method_not_allowed"), "GET,HEAD,POST")
    );
    // It is told before a token is asked for.
    let unknown = ask_with(&world, "nonsense", "DELETE", "/v1/audit", "").await;
    assert_eq!(unknown.problem(), refused(405, "method_not_allowed"));
    let options = ask_with(&world, "nonsense", "OPTIONS", "/v1/tokens/x", "").await;
    assert_eq!((options.status, options.header("allow"), options.body.as_str()), (204, "DELETE", ""));
    let head = ask(&world, "HEAD", "/v1/agents", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let long = "x".repeat(3 << 20);
    // It fits into a request's head, and is more than such a list may be.
    let listed = format!("/v1/jobs?agents={}", vec!["edge-1"; 1800].join(","));
    for (method, path, body, expected) in [
        ("POST", "/v1/tokens", long.as_str(), refused(413, "too_large")),
        ("POST", "/v1/tokens", "[\"a\", \"read\"]", refused(400, "bad_request")),
        ("POST", "/v1/tokens", r#"{"name": "a"}"#, refused(400, "bad_request")),
        ("POST", "/v1/tokens", r#"{"name": "a", "scope": "root"}"#, refused(400, "bad_request")),
        ("POST", "/v1/tokens", r#"{"name": "admin.token", "scope": "read"}"#, refused(400, "bad_request")),
        (
            "POST",
            "/v1/tokens",
            r#"{"name": "a", "scope": "read", "expires_ms": 0}"#,
            refused(400, "bad_request"),
        ),
        ("POST", "/v1/tokens", r#"{"name": "a", "scope": "read", "more": 1}"#, refused(400, "bad_request")),
        ("PATCH", "/v1/agents/edge-1/labels", r#"{"a": 1}"#, refused(400, "bad_request")),
        ("PATCH", "/v1/agents/edge-1/labels", r#"{"a b": "c"}"#, refused(400, "bad_request")),
        ("GET", "/v1/agents?state=gone", "", refused(400, "bad_request")),
        ("GET", "/v1/agents?selector=a%20on%20b", "", refused(400, "bad_selector")),
        ("GET", "/v1/agents?selector=", "", refused(400, "bad_selector")),
        ("GET", "/v1/agents?cursor=AAAA", "", refused(400, "bad_cursor")),
        ("GET", "/v1/jobs?cursor=j1", "", refused(400, "bad_cursor")),
        ("GET", "/v1/audit?cursor=nonsense", "", refused(400, "bad_cursor")),
        ("GET", "/v1/jobs?limit=0", "", refused(400, "bad_request")),
        ("GET", "/v1/jobs?limit=-1", "", refused(400, "bad_request")),
        ("GET", "/v1/jobs?group=x", "", refused(400, "bad_request")),
        ("GET", "/v1/jobs?limit=1&limit=2", "", refused(400, "bad_request")),
        ("POST", "/v1/jobs", SPEC, refused(400, "bad_request")),
        ("POST", "/v1/jobs?agent=edge-1&agents=edge-1", SPEC, refused(400, "bad_request")),
        ("POST", "/v1/jobs?selector=none%3Dsuch", SPEC, refused(409, "nothing_selected")),
        ("POST", listed.as_str(), SPEC, refused(400, "bad_request")),
        ("POST", "/v1/jobs?agents=edge-1,nobody", SPEC, refused(404, "no_agent")),
    ] {
        assert_eq!(
            ask(&world, method, path, &[], body).await.problem(),
            expected,
            "{method} {path} {body:.60}"
        );
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn who_asks_too_often_waits_and_nobody_else_does() {
    let world = World::with(|config| config.admission.api_rate = NonZeroU32::new(1)).await;
    let (greedy, modest) = (token(&world, "greedy", "read").await, token(&world, "modest", "read").await);
    let mut answered = 0;
    let refusal = loop {
        let answer = ask_with(&world, &greedy, "GET", "/v1/status", "").await;
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered < 1000, "never refused");
    };
    assert!(answered >= 5, "{answered} of five at once");
    assert_eq!(refusal.problem(), refused(429, "rate_limited"));
    assert_eq!(refusal.header("retry-after"), "1");
    assert_eq!(ask_with(&world, &modest, "GET", "/v1/status", "").await.status, 200);
    let page = ask_with(&world, &modest, "GET", "/metrics", "").await.body;
    assert!(page.contains("\noutpost_hub_api_limited_total 1\n"), "{page}");
    world.hub.shutdown().await;
}
