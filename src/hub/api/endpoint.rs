//! One method of one path: who may use it, and what answers. The router is made of these, and the OpenAPI document is held
//! against them.

use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Query, Request, State};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use serde::Deserialize;

use crate::hub::Shared;
use crate::hub::admission::Asker;
use crate::hub::callers::Caller;
use crate::hub::socket::Channel;
use crate::hub::store::Store;
use crate::hub::token::Scope;
use crate::hub::upgrade::seconds;
use crate::limit;

use super::content::Content;
use super::input;
use super::problem::{Kind, Problem};

/// The methods that the API knows; HEAD is answered where GET is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

impl Verb {
    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// Who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody.
    Open,
    /// Whoever has a token of this scope.
    Token(Scope),
}

/// What it takes behind the `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameters {
    /// Nothing: any is refused.
    Unknown,
    /// What its handler knows.
    Known,
}

/// One method of one path. It takes neither parameters nor a body unless it says so.
pub(super) struct Endpoint {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) parameters: Parameters,
    pub(super) content: Content,
    handler: MethodRouter<Arc<Shared>>,
}

impl Endpoint {
    pub(super) fn new<H, T>(verb: Verb, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        let (parameters, content) = (Parameters::Unknown, Content::Nothing);
        Self { verb, path, access, parameters, content, handler: on(verb.filter(), handler) }
    }

    /// The same with parameters, which the handler looks at.
    pub(super) fn with_parameters(self) -> Self {
        Self { parameters: Parameters::Known, ..self }
    }

    /// The same with a JSON document as its body.
    pub(super) fn with_document(self) -> Self {
        self.with_document_of(limit::API_BODY_BYTES_MAX)
    }

    /// The same with one of other bounds.
    pub(super) fn with_document_of(self, bytes_max: usize) -> Self {
        Self { content: Content::Document { bytes_max }, ..self }
    }

    /// The same with a body that the handler reads.
    pub(super) fn with_stream(self) -> Self {
        Self { content: Content::Stream, ..self }
    }

    /// The router with this in it. A method that a path has not is told before a token is asked for.
    pub(super) fn add_to(self, router: Router<Arc<Shared>>, shared: &Arc<Shared>) -> Router<Arc<Shared>> {
        let Self { verb, path, access, parameters, content, handler } = self;
        let guard = Guard { shared: Arc::clone(shared), verb, path, access, parameters, content };
        router.route(path, handler.route_layer(from_fn_with_state(guard, pass)))
    }
}

#[derive(Clone)]
struct Guard {
    shared: Arc<Shared>,
    verb: Verb,
    path: &'static str,
    access: Access,
    parameters: Parameters,
    content: Content,
}

/// Who asks is known by now (`admission/gate`): may they do this, is it their turn, and do they bring what belongs here?
async fn pass(
    State(guard): State<Guard>,
    Extension(channel): Extension<Channel>,
    request: Request,
    next: Next,
) -> Response<axum::body::Body> {
    let caller = request.extensions().get::<Caller>().map(|caller| caller.name.clone());
    let response = match judge(&guard, &request) {
        Ok(()) => match guard.look_at(request, &channel).await {
            Ok(request) => next.run(request).await,
            Err(problem) => problem.into_response(),
        },
        Err(response) => *response,
    };
    let (status, path) = (response.status().as_u16(), guard.path);
    tracing::debug!(method = ?guard.verb, path, status, by = caller.as_deref(), "a request was answered");
    response
}

/// No parameter is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

impl Guard {
    /// The request as its handler takes it.
    async fn look_at(&self, request: Request, channel: &Channel) -> Result<Request, Problem> {
        if self.parameters == Parameters::Unknown {
            let NoParameters {} = input::query(Query::try_from_uri(request.uri()))?;
        }
        self.content.of(request, &channel.meter, self.shared.admission.patience()).await
    }
}

fn judge(guard: &Guard, request: &Request) -> Result<(), Box<Response<axum::body::Body>>> {
    let caller = request.extensions().get::<Caller>();
    let asker = match caller {
        Some(Caller { id: Some(id), .. }) => Some(Asker::Token(*id)),
        Some(Caller { id: None, .. }) => Some(Asker::First),
        None => {
            let address = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>();
            address.map(|ConnectInfo(address)| Asker::at(address.ip()))
        }
    };
    if let Some(wait) = asker.and_then(|asker| guard.shared.admission.ask(asker).err()) {
        guard.shared.counters.api_limited.add(1);
        let rate = guard.shared.config.admission.api_rate.map_or(0, std::num::NonZeroU32::get);
        let problem = Problem::new(Kind::RateLimited, format!("more than {rate} requests a second"));
        let mut response = problem.into_response();
        response.headers_mut().insert(header::RETRY_AFTER, seconds(wait));
        return Err(Box::new(response));
    }
    let Access::Token(needed) = guard.access else { return Ok(()) };
    let Some(caller) = caller else { return Err(Box::new(unauthorized())) };
    if caller.scope.covers(needed) {
        return Ok(());
    }
    let Caller { name, scope, .. } = caller;
    let detail = format!("the token `{name}` has the scope {scope}; this takes {needed}");
    Err(Box::new(Problem::new(Kind::Forbidden, detail).into_response()))
}

fn unauthorized() -> Response<axum::body::Body> {
    let detail = "the token is missing, wrong, expired or revoked; the first one is in the hub's folder, file admin.token, and `outpost hub token add` makes others";
    let mut response = Problem::new(Kind::Unauthorized, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Whoever showed the token of this request. Only behind a guard that wants one.
pub(super) struct Acting(pub(super) Caller);

impl Acting {
    /// The store as they use it.
    pub(super) fn store(&self, shared: &Shared) -> Store {
        shared.store.by(self.0.actor())
    }
}

impl FromRequestParts<Arc<Shared>> for Acting {
    type Rejection = Response<axum::body::Body>;

    async fn from_request_parts(parts: &mut Parts, _shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Caller>().cloned().map(Self).ok_or_else(unauthorized)
    }
}
