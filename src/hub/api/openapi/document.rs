//! Makes the document out of the handlers, the views and the endpoints' table.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;

use crate::hub::api::endpoint::{Access, Endpoint, Verb};
use crate::hub::api::problem::Kind;
use crate::hub::api::{agents, apps, bundles, endpoints, identity, jobs, openapi, state, streams, tokens};
use crate::hub::token::Scope;

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        state::health, state::ready, state::metrics, state::status, openapi::openapi,
        agents::list, agents::add, agents::show, agents::remove, agents::label, agents::records,
        identity::invite, identity::revoke, identity::rotate, identity::audit,
        jobs::list, jobs::submit::submit, jobs::show, jobs::cancel, jobs::log::log, jobs::follow::follow,
        apps::list, apps::log, apps::drop_lines, apps::follow::follow, apps::merged, apps::follow::follow_merged,
        bundles::take,
        tokens::list, tokens::add, tokens::revoke,
        streams::token,
    ),
    components(schemas(Problem)),
    tags(
        (name = "jobs", description = "Submit jobs, see what becomes of them, read their output"),
        (name = "apps", description = "The newest log lines of apps, over all agents"),
        (name = "agents", description = "The agents, their labels and their records"),
        (name = "identity", description = "Who may come in"),
        (name = "tokens", description = "Who may use this API"),
        (name = "streams", description = "Tokens for live streams; docs/live.md says what they tell"),
        (name = "hub", description = "How the hub is"),
    )
)]
struct Document;

/// A refusal, as RFC 9457 has it.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "the form of what `api::problem` writes")]
struct Problem {
    /// `urn:outpost:problem:` and the code.
    r#type: String,
    /// What it is in general.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What it is this time, and what to do.
    detail: String,
    /// The code alone.
    error: String,
    /// The same as `detail`.
    message: String,
    /// As in the header `X-Request-Id`.
    request_id: String,
}

/// One event of a followed log.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "the form of what `api::jobs::follow` writes")]
pub(in crate::hub::api) struct LogEvent {
    /// RUN:NUMBER, for Last-Event-ID; absent at the end.
    id: Option<String>,
    #[schema(pattern = "^(line|missing|end)$")]
    event: String,
    /// A JSON object: of `line` a `LineView`, of `missing` a `MissingView`, of `end` the job's `status` and `log_lines`.
    data: String,
}

/// One event of followed apps.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "the form of what `api::apps::follow` writes")]
pub(in crate::hub::api) struct AppLogEvent {
    /// A line's number, for Last-Event-ID; absent for a gap.
    id: Option<String>,
    #[schema(pattern = "^(line|gap)$")]
    event: String,
    /// A JSON object: of `line` an `AppLineView`, of `gap` the number (`since`) behind which lines may be missing.
    data: String,
}

/// A job's spec; docs/jobs.md says what each field means.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the form of what `job::spec` reads; a test holds the two together")]
pub(in crate::hub::api) struct Spec {
    /// Which handler of the agent runs it.
    #[schema(pattern = "^[a-z0-9._-]{1,64}$")]
    kind: String,
    /// What that handler gets.
    payload: Option<Value>,
    /// A lower-case UUID; where absent the hub makes one.
    #[schema(pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
    job_id: Option<String>,
    /// The only hub that may take it.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    hub_id: Option<String>,
    /// Names or ids of the only agents it may be for.
    #[schema(min_items = 1)]
    agents: Option<Vec<String>>,
    /// The app that its output is log lines of.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    app: Option<String>,
    /// Milliseconds since 1970.
    #[schema(minimum = 0)]
    not_before_ms: Option<u64>,
    /// Milliseconds since 1970; at most 30 days ahead.
    #[schema(minimum = 0)]
    expires_at_ms: Option<u64>,
    #[schema(pattern = "^[0-9]{1,9}(ms|s|m|h|d)$")]
    expires_in: Option<String>,
    #[schema(pattern = "^[0-9]{1,9}(ms|s|m|h|d)$")]
    start_within: Option<String>,
    #[schema(pattern = "^[0-9]{1,9}(ms|s|m|h|d)$")]
    timeout: Option<String>,
    #[schema(pattern = "^[0-9]{1,9}(ms|s|m|h|d)$")]
    grace: Option<String>,
    #[schema(pattern = "^[0-9]{1,9}(ms|s|m|h|d)$")]
    give_up_after: Option<String>,
    /// `report` or `rerun`.
    #[schema(pattern = "^(report|rerun)$")]
    on_crash: Option<String>,
    /// Names and texts that the handler gets and nobody is shown.
    secrets: Option<BTreeMap<String, String>>,
}

const NAME: &str = "^[a-z0-9][a-z0-9-]{0,62}$";
const JOB: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

pub(super) fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::Post => "post",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
    }
}

/// What the handlers say of themselves, with what holds for all of them.
pub(super) fn document() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).unwrap();
    document["info"] = json!({
        "title": "Outpost hub",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "Jobs on machines that are often offline",
        "description": "Every request but those of /healthz, /readyz and /v1/openapi.json carries `Authorization: Bearer TOKEN`. \
            A token's scope (read, submit, admin) includes those before it; each operation names the one it takes. Refusals are \
            problems (RFC 9457); `type` is `urn:outpost:problem:` and a code, which responses name. Requests may carry \
            `X-Request-Id`; every answer has one. HEAD is answered where GET is, OPTIONS everywhere.",
        "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
    });
    document["servers"] = json!([{"url": "/"}]);
    document["components"]["securitySchemes"] = json!({"token": {"type": "http", "scheme": "bearer",
        "description": "DATA/admin.token, or what `outpost hub token add` printed"}});
    document["components"]["headers"] = json!({
        "X-Request-Id": {"description": "The request's id", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 0}},
        "WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}},
    });
    for endpoint in endpoints() {
        let operation = document["paths"][endpoint.path][method(endpoint.verb)].as_object_mut();
        let operation =
            operation.unwrap_or_else(|| panic!("{:?} {} is not documented", endpoint.verb, endpoint.path));
        complete(operation, &endpoint);
    }
    document
}

/// What every operation has: who may use it, ids, and the refusals that no handler writes.
fn complete(operation: &mut Map<String, Value>, endpoint: &Endpoint) {
    let words = endpoint.path.split(['/', '.', '{', '}']).filter(|word| !word.is_empty() && *word != "v1");
    let id: Vec<_> = std::iter::once(method(endpoint.verb)).chain(words).collect();
    operation.insert("operationId".to_owned(), json!(id.join("_")));
    let mut common = vec![Kind::RateLimited, Kind::BadRequest, Kind::Timeout, Kind::TooLarge];
    if let Access::Token(scope) = endpoint.access {
        operation.insert("security".to_owned(), json!([{"token": []}]));
        operation.insert("x-outpost-scope".to_owned(), json!(scope.name()));
        common.extend([Kind::Unauthorized, Kind::Store]);
        if scope != Scope::Read {
            common.push(Kind::Forbidden);
        }
    } else {
        operation.insert("security".to_owned(), json!([]));
    }
    let responses = operation["responses"].as_object_mut().unwrap();
    for kind in common {
        let response =
            responses.entry(kind.status().to_string()).or_insert_with(|| json!({"description": ""}));
        let described = response["description"].as_str().unwrap().to_owned();
        let mut codes: BTreeSet<&str> = described.split(", ").filter(|code| !code.is_empty()).collect();
        if endpoint.path != "/readyz" || kind.status() < 500 {
            codes.insert(kind.code());
            response["description"] = json!(codes.into_iter().collect::<Vec<_>>().join(", "));
        }
    }
    for (status, response) in responses.iter_mut() {
        let status: u16 = status.parse().unwrap();
        let mut headers = json!({"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}});
        if matches!(status, 429 | 503) {
            headers["Retry-After"] = json!({"$ref": "#/components/headers/Retry-After"});
        }
        if status == 401 {
            headers["WWW-Authenticate"] = json!({"$ref": "#/components/headers/WWW-Authenticate"});
        }
        response["headers"] = headers;
        if status >= 400 && response.get("content").is_none() {
            response["content"] =
                json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        }
    }
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        // Counts have no sign here; the formats mean numbers with one.
        let unsigned = match (&parameter["schema"]["format"], parameter["schema"].get("minimum")) {
            (format, Some(_)) if format == "int32" => Some(u64::from(u32::MAX)),
            (format, Some(_)) if format == "int64" => Some(u64::MAX),
            _ => None,
        };
        if let (Some(most), Some(schema)) = (unsigned, parameter["schema"].as_object_mut()) {
            schema.remove("format");
            schema.insert("maximum".to_owned(), json!(most));
        }
        let pattern = match parameter["name"].as_str() {
            Some("name") => Some((NAME, "Its name")),
            Some("app") => Some((NAME, "The app's name")),
            Some("job") => Some((JOB, "The job's id, a lower-case UUID")),
            Some(_) | None => None,
        };
        if let Some((pattern, description)) = pattern.filter(|_| parameter["in"] == "path") {
            parameter["description"] = json!(description);
            parameter["schema"]["pattern"] = json!(pattern);
        }
    }
}

/// One line for each path and schema: a diff shows what changed, and the file stays small.
pub(super) fn text(document: &Value) -> String {
    let lines = |object: &Value| {
        let lines: Vec<_> = object
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| format!("{}:{value}", json!(key)))
            .collect();
        format!("{{\n{}\n}}", lines.join(",\n"))
    };
    let mut members = Vec::new();
    for (key, value) in document.as_object().unwrap() {
        let value = match key.as_str() {
            "paths" => lines(value),
            "components" => {
                let parts = value.as_object().unwrap().iter();
                let parts: Vec<_> =
                    parts.map(|(key, value)| format!("{}:{}", json!(key), lines(value))).collect();
                format!("{{\n{}\n}}", parts.join(",\n"))
            }
            _ => value.to_string(),
        };
        members.push(format!("{}:{value}", json!(key)));
    }
    format!("{{\n{}\n}}\n", members.join(",\n"))
}
