//! The hub's API as a client of any kind asks it: any method, token and headers; status, headers and body come back.

use serde_json::Value;

use crate::raw_agent::{World, within};

/// What the hub answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    headers: ureq::http::HeaderMap,
    pub(crate) body: String,
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Status and code of a problem, which is one in every respect.
    pub(crate) fn problem(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(body["status"], self.status, "{body}");
        assert_eq!(body["request_id"], self.header("x-request-id"), "{body}");
        let code = body["error"].as_str().unwrap().to_owned();
        assert_eq!(body["type"], format!("urn:outpost:problem:{code}"), "{body}");
        assert!(body["title"].is_string() && body["detail"] == body["message"], "{body}");
        (self.status, code)
    }
}

/// One request; the token of the world's first operator, unless the headers have another.
pub(crate) async fn ask(
    world: &World,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answered {
    let mut request =
        ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", world.hub.local_addr()));
    if !headers.iter().any(|(name, _)| *name == "Authorization") {
        let token = std::fs::read_to_string(world.folder.path().join("admin.token")).unwrap();
        request = request.header("Authorization", format!("Bearer {}", token.trim()));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.to_owned()).unwrap();
    let call = move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent: ureq::Agent = config.allow_non_standard_methods(true).build().into();
        let mut answer = agent.run(request).unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answered { status, headers, body: answer.body_mut().read_to_string().unwrap() }
    };
    within(tokio::task::spawn_blocking(call)).await.unwrap()
}

/// The same with this token.
pub(crate) async fn ask_with(world: &World, token: &str, method: &str, path: &str, body: &str) -> Answered {
    ask(world, method, path, &[("Authorization", &format!("Bearer {token}"))], body).await
}

/// A new token of this scope.
pub(crate) async fn token(world: &World, name: &str, scope: &str) -> String {
    let body = serde_json::json!({"name": name, "scope": scope}).to_string();
    let made = ask(world, "POST", "/v1/tokens", &[], &body).await;
    assert_eq!((made.status, made.header("cache-control")), (201, "no-store"), "{made:?}");
    made.json()["token"].as_str().unwrap().to_owned()
}
