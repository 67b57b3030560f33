//! Every endpoint of a hub, as its own document has it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::asked::{Answered, ask};
use crate::raw_agent::World;

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: String,
    /// As the document has it.
    pub(super) template: String,
    /// With something in place of each name.
    pub(super) path: String,
    pub(super) scope: Option<String>,
    /// Name and schema of what is taken behind the `?`.
    pub(super) parameters: Vec<(String, Value)>,
    /// The body's media type.
    pub(super) body: Option<String>,
    /// Statuses, and the codes of those that are refusals.
    pub(super) answers: BTreeMap<String, String>,
}

impl Operation {
    /// Asserts that this was answered as the document has it: a problem of this status and code, if `code` is given.
    pub(super) fn refused(&self, answer: &Answered, status: u16, code: &str) {
        let asked = format!("{} {}: {answer:?}", self.method, self.path);
        assert_eq!(answer.problem(), (status, code.to_owned()), "{asked}");
        let documented = self.answers.get(&status.to_string());
        assert!(documented.is_some_and(|codes| codes.split(", ").any(|known| known == code)), "{asked}");
    }

    pub(super) async fn ask(&self, world: &World, query: &str, body: &str) -> Answered {
        ask(world, &self.method, &format!("{}{query}", self.path), &[], body).await
    }
}

pub(super) struct Every {
    pub(super) world: World,
    pub(super) operations: Vec<Operation>,
}

impl Every {
    pub(super) async fn new() -> Self {
        Self::with_patience(Duration::from_secs(10)).await
    }

    pub(super) async fn with_patience(patience: Duration) -> Self {
        // What goes wrong here on purpose comes from one address, and as fast as it can.
        let world = World::with(|config| {
            config.admission.per_ip = None;
            config.admission.api_rate = None;
            config.admission.auth = patience;
        })
        .await;
        let job = world.submit().await.to_string();
        let document = ask(&world, "GET", "/v1/openapi.json", &[], "").await.json();
        let mut operations = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                operations.push(Operation::of(path, method, operation, &job));
            }
        }
        assert!(operations.len() >= 26, "{} operations", operations.len());
        Self { world, operations }
    }
}

impl Operation {
    fn of(path: &str, method: &str, operation: &Value, job: &str) -> Self {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let mut filled = path.replace("{job}", job);
        while let Some((from, to)) = filled.find('{').zip(filled.find('}')) {
            filled.replace_range(from..=to, "edge-1");
        }
        let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let answers = operation["responses"].as_object().unwrap().iter();
        Self {
            method: method.to_uppercase(),
            template: path.to_owned(),
            path: filled,
            scope: operation["x-outpost-scope"].as_str().map(str::to_owned),
            parameters: in_query
                .map(|parameter| {
                    (parameter["name"].as_str().unwrap().to_owned(), parameter["schema"].clone())
                })
                .collect(),
            body: operation["requestBody"]["content"]
                .as_object()
                .map(|content| content.keys().next().unwrap().clone()),
            answers: answers
                .map(|(status, answer)| (status.clone(), answer["description"].as_str().unwrap().to_owned()))
                .collect(),
        }
    }

    pub(super) fn takes_json(&self) -> bool {
        self.body.as_deref() == Some("application/json")
    }

    pub(super) fn submits(&self) -> bool {
        self.method == "POST" && self.path == "/v1/jobs"
    }

    /// What it has to be asked with, so that its body is what is wrong.
    pub(super) fn query(&self) -> &'static str {
        if self.submits() { "?agent=edge-1" } else { "" }
    }

    /// A body that is as good as it can be, so that it is not what is refused.
    pub(super) fn least_body(&self) -> &'static str {
        if self.submits() { r#"{"kind": "exec", "payload": {"command": ["true"]}}"# } else { "" }
    }

    pub(super) fn code_of_a_wrong_document(&self) -> &'static str {
        if self.submits() { "bad_spec" } else { "bad_request" }
    }
}
