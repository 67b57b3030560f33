//! Holds the document, as the file has it, against the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::hub::api::content::Content;
use crate::hub::api::endpoint::{Endpoint, Parameters};
use crate::hub::api::endpoints;
use crate::hub::api::problem::Kind;

use super::document::{document, method, text};

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json")
}

/// As it is now: this may run in a build that was made before it was written anew.
fn written() -> Value {
    serde_json::from_slice(&std::fs::read(path()).unwrap()).unwrap()
}

#[test]
fn the_document_is_what_the_code_says() {
    let made = text(&document());
    if std::env::var_os("OUTPOST_WRITE_OPENAPI").is_some() {
        std::fs::write(path(), &made).unwrap();
        return;
    }
    assert!(
        made == std::fs::read_to_string(path()).unwrap(),
        "docs/openapi.json is not what the code says: run `OUTPOST_WRITE_OPENAPI=1 cargo test --lib openapi`"
    );
}

#[test]
fn every_route_is_documented_and_no_other() {
    let served: BTreeSet<_> =
        endpoints().iter().map(|endpoint| (endpoint.path.to_owned(), method(endpoint.verb))).collect();
    assert_eq!(served.len(), endpoints().len(), "no route twice");
    let document = written();
    let documented = document["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
        let methods = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
        methods
            .into_iter()
            .filter(|method| operations.get(method).is_some())
            .map(|method| (path.clone(), method))
    });
    assert_eq!(documented.collect::<BTreeSet<_>>(), served);
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn what_an_endpoint_takes_is_documented_and_nothing_else() {
    let document = written();
    for Endpoint { path, verb, parameters, content, .. } in endpoints() {
        let operation = &document["paths"][path][method(verb)];
        let given = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let in_query = given.iter().any(|parameter| parameter["in"] == "query");
        assert_eq!(in_query, parameters == Parameters::Known, "{verb:?} {path}");
        let media_type = match content {
            Content::Nothing => None,
            Content::Document { .. } => Some("application/json"),
            Content::Stream => Some("application/octet-stream"),
        };
        let documented = operation["requestBody"]["content"].as_object();
        let documented = documented.and_then(|content| content.keys().next()).map(String::as_str);
        assert_eq!(documented, media_type, "{verb:?} {path}");
    }
}

#[test]
fn every_problem_is_documented_and_no_other() {
    let document = written();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                if response["content"].get("application/problem+json").is_none() {
                    continue;
                }
                for code in response["description"].as_str().unwrap().split(", ") {
                    let kind = Kind::ALL.iter().find(|kind| kind.code() == code);
                    let kind = kind.unwrap_or_else(|| panic!("{method} {path}: {code} is no problem"));
                    assert_eq!(kind.status().to_string(), *status, "{method} {path}: {code}");
                    documented.insert(code.to_owned());
                }
            }
        }
    }
    // Answers to what is no operation, and to a request that comes while the hub goes or fails.
    let elsewhere = ["not_found", "method_not_allowed", "going_away", "busy", "internal"];
    documented.extend(elsewhere.map(str::to_owned));
    let all: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.code().to_owned()).collect();
    assert_eq!(documented, all);
}

#[test]
fn a_spec_has_the_fields_that_are_documented() {
    let document = written();
    let fields = document["components"]["schemas"]["Spec"]["properties"].as_object().unwrap();
    let error = crate::job::JobSpec::parse(br#"{"nonsense": 1}"#).unwrap_err().to_string();
    let known: BTreeSet<_> = error.split('`').skip(1).step_by(2).filter(|name| *name != "nonsense").collect();
    assert_eq!(fields.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
}
