//! What holds for every endpoint there is, also for one that is added later: the loops go over the hub's own document, which a
//! test of the library holds against its router.

mod operation;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::asked::{ask, ask_with, token};
use crate::raw_http::RawHttp;

use operation::{Every, Operation};

#[tokio::test]
async fn a_method_that_a_path_has_not_is_told_before_a_token_is_asked_for() {
    let Every { world, operations } = Every::new().await;
    let mut known: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Operation { path, method, .. } in &operations {
        known.entry(path).or_default().push(method);
    }
    for (path, methods) in known {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            if methods.contains(&method) {
                continue;
            }
            let answer = ask_with(&world, "nonsense", method, path, "").await;
            assert_eq!(answer.problem(), (405, "method_not_allowed".to_owned()), "{method} {path}");
            let mut allowed: Vec<_> =
                answer.header("allow").split(',').filter(|allowed| *allowed != "HEAD").collect();
            allowed.sort_unstable();
            let mut expected = methods.clone();
            expected.sort_unstable();
            assert_eq!(allowed, expected, "{method} {path}");
        }
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn every_endpoint_refuses_no_token_a_wrong_one_and_one_of_a_smaller_scope() {
    let Every { world, operations } = Every::new().await;
    let scopes = ["read", "submit", "admin"];
    let mut tokens = Vec::new();
    for scope in scopes {
        tokens.push(token(&world, &format!("of-{scope}"), scope).await);
    }
    for operation in &operations {
        // A parameter that nobody knows: what passes changes nothing.
        let (method, path) = (&operation.method, format!("{}?bogus=1", operation.path));
        let Some(needed) = &operation.scope else {
            operation.refused(&ask_with(&world, "nonsense", method, &path, "").await, 400, "bad_request");
            continue;
        };
        for wrong in ["", "nonsense", "oat1.00.00"] {
            let answer = ask_with(&world, wrong, method, &path, "").await;
            operation.refused(&answer, 401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
        }
        let least = scopes.iter().position(|scope| scope == needed).unwrap();
        for (rank, token) in tokens.iter().enumerate() {
            let answer = ask_with(&world, token, method, &path, "").await;
            let (status, code) = if rank < least { (403, "forbidden") } else { (400, "bad_request") };
            operation.refused(&answer, status, code);
        }
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn every_endpoint_refuses_what_it_does_not_know_by_name() {
    let Every { world, operations } = Every::new().await;
    for operation in &operations {
        let answer = operation.ask(&world, "?bogus=1", "").await;
        operation.refused(&answer, 400, "bad_request");
        assert!(answer.body.contains("bogus"), "{} {}: {answer:?}", operation.method, operation.path);
        // A bundle is no document.
        if operation.body.is_some() && !operation.takes_json() {
            continue;
        }
        let answer = operation.ask(&world, operation.query(), r#"{"bogus": 1}"#).await;
        operation.refused(&answer, 400, operation.code_of_a_wrong_document());
        // The names of labels are anybody's; there it is the value that is wrong.
        if !operation.path.ends_with("/labels") {
            assert!(answer.body.contains("bogus"), "{} {}: {answer:?}", operation.method, operation.path);
        }
    }
    // What clients send that always send an object.
    for (path, nothing) in [("rotate", "null"), ("revoke", " {} "), ("invite", "")] {
        let answer = ask(&world, "POST", &format!("/v1/agents/edge-1/{path}"), &[], nothing).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    assert_eq!(ask(&world, "DELETE", "/v1/agents/edge-1", &[], "null").await.status, 200);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn every_endpoint_refuses_values_and_documents_of_another_type() {
    let Every { world, operations } = Every::new().await;
    for operation in &operations {
        for (name, schema) in &operation.parameters {
            let wrong = match schema["type"].as_str() {
                Some("integer") => &["x", "-1.5", "1e3", ""][..],
                Some("boolean") => &["maybe", "1"],
                _ if schema.get("pattern").is_some() || schema.get("enum").is_some() => &["!!", "%ff", ""],
                _ => continue,
            };
            for value in wrong {
                let answer = operation.ask(&world, &format!("?{name}={value}"), "").await;
                operation.refused(&answer, 400, "bad_request");
            }
        }
        if operation.body.is_some() && !operation.takes_json() {
            continue;
        }
        for document in ["[]", "[{}]", "\"text\"", "7", "true", "{", "{\"a\": \u{7f}}"] {
            let answer = operation.ask(&world, operation.query(), document).await;
            operation.refused(&answer, 400, operation.code_of_a_wrong_document());
        }
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn every_path_refuses_names_that_are_none() {
    let Every { world, operations } = Every::new().await;
    let long = "a".repeat(10_000);
    let named: Vec<_> = operations.iter().filter(|operation| operation.template.contains('{')).collect();
    assert!(named.len() >= 15, "{} paths with names", named.len());
    for operation in named {
        for name in ["we%0d%0ab", "%00", "%ff", "Edge_1", "%F0%9F%98%80", "..%2f..%2fetc", &long] {
            let mut path = operation.template.clone();
            while let Some((from, to)) = path.find('{').zip(path.find('}')) {
                path.replace_range(from..=to, name);
            }
            let query = operation.query();
            let answer =
                ask(&world, &operation.method, &format!("{path}{query}"), &[], operation.least_body()).await;
            let (status, code) = answer.problem();
            assert!(matches!(status, 400 | 404), "{} {path}: {answer:?}", operation.method);
            operation.refused(&answer, status, &code);
            // What it says of the name fits a log, and forges no line of one.
            assert!(answer.body.len() < 1500 && !answer.body.contains(['\n', '\r', '\0']), "{answer:?}");
        }
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn every_list_refuses_a_cursor_that_it_did_not_give() {
    let Every { world, operations } = Every::new().await;
    world.hub.store().add_agent(&"edge-2".parse().unwrap(), None).await.unwrap();
    world.submit().await;
    let lists = ["/v1/agents", "/v1/jobs", "/v1/audit"];
    let mut cursors = Vec::new();
    for path in lists {
        let page = ask(&world, "GET", &format!("{path}?limit=1"), &[], "").await.json();
        cursors.push(page["next"].as_str().unwrap_or_else(|| panic!("{path}: {page}")).to_owned());
    }
    let has = |operation: &&Operation| operation.parameters.iter().any(|(name, _)| name == "cursor");
    let with_cursor: Vec<_> = operations.iter().filter(has).collect();
    let paths: Vec<_> = with_cursor.iter().map(|operation| operation.path.as_str()).collect();
    assert!(lists.iter().all(|path| paths.contains(path)) && paths.len() == lists.len(), "{paths:?}");
    let long = "A".repeat(10_000);
    for operation in with_cursor {
        for (list, cursor) in lists.iter().zip(&cursors) {
            let answer = operation.ask(&world, &format!("?cursor={cursor}"), "").await;
            if operation.path == *list {
                assert_eq!(answer.status, 200, "{list}: {answer:?}");
                let cut = &cursor[..cursor.len() - 1];
                let answer = operation.ask(&world, &format!("?cursor={cut}"), "").await;
                operation.refused(&answer, 400, "bad_cursor");
            } else {
                operation.refused(&answer, 400, "bad_cursor");
            }
        }
        for cursor in ["", "7", "1:5", "%00", "a%0d%0ab", "%F0%9F%98%80", &long] {
            let answer = operation.ask(&world, &format!("?cursor={cursor}"), "").await;
            operation.refused(&answer, 400, "bad_cursor");
            assert!(answer.body.len() < 1500, "{answer:?}");
        }
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn every_number_at_the_edge_of_its_type_or_beyond_is_answered_as_documented() {
    let Every { world, operations } = Every::new().await;
    for operation in &operations {
        let streams = operation.path.ends_with("/follow");
        for (name, schema) in &operation.parameters {
            // `wait` is taken at its word, up to a minute.
            let is_number = schema["type"] == "integer" || schema["type"][0] == "integer";
            if !is_number || name == "wait" {
                continue;
            }
            for beyond in ["18446744073709551616", "-9223372036854775809", &"9".repeat(10_000)] {
                let answer = operation.ask(&world, &format!("?{name}={beyond}"), "").await;
                operation.refused(&answer, 400, "bad_request");
            }
            let edges =
                ["0", "4294967295", "9223372036854775807", "9223372036854775808", "-9223372036854775808"];
            // Answers without an end are the business of who follows.
            for edge in edges.iter().filter(|_| !streams && !operation.submits()) {
                let answer = operation.ask(&world, &format!("?{name}={edge}"), "").await;
                if answer.status != 200 {
                    operation.refused(&answer, 400, "bad_request");
                }
            }
        }
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn every_endpoint_refuses_a_body_that_is_too_long_and_says_so() {
    let Every { world, operations } = Every::new().await;
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(3 << 20));
    for operation in operations.iter().filter(|operation| operation.body.is_none() || operation.takes_json())
    {
        operation.refused(&operation.ask(&world, "", &long).await, 413, "too_large");
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn every_endpoint_gives_up_on_a_body_that_does_not_come_though_the_token_is_good() {
    let Every { world, operations } = Every::with_patience(Duration::from_secs(3)).await;
    let token = std::fs::read_to_string(world.folder.path().join("admin.token")).unwrap();
    let mut waiting = Vec::new();
    // A bundle's silence is bounded by its own handler.
    for operation in operations.iter().filter(|operation| operation.body.is_none() || operation.takes_json())
    {
        let Operation { method, path, .. } = operation;
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {}\r\n", token.trim());
        for rest in ["Content-Length: 9\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"] {
            let mut peer = RawHttp::connect(world.hub.local_addr()).await;
            peer.send(format!("{head}{rest}")).await.unwrap();
            waiting.push((operation, peer));
        }
    }
    for (operation, mut peer) in waiting {
        assert_eq!(peer.answer().await.status, 408, "{} {}", operation.method, operation.path);
        assert!(operation.answers["408"].contains("timeout"));
    }
    world.hub.shutdown().await;
}
