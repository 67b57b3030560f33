//! Requests to a hub outside of the session: JSON up, JSON down, and files.
//!
//! They take the way of the session: the same dialling, TLS and trust. What is answered is *unverified*, as at an upgrade.

mod body;
mod events;
mod exchange;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use hyper::Method;
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use crate::limit;
use crate::secret::Secret;

use super::dial::Dialer;
use super::patience::Patience;
use super::upgrade::Refusal;

pub use body::Outgoing;
pub use events::{Event, Events};
pub use exchange::{Answer, Ask, ExchangeError, Target, exchange, listen};

/// The media type of JSON.
pub const JSON: &str = "application/json";

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No answer.
    #[error("no answer from {url}: {reason}")]
    Away {
        /// What was asked.
        url: String,
        /// Why.
        reason: ExchangeError,
    },
    /// The hub said no.
    #[error("{}", match (message.as_str(), refusal.code) {
        ("", _) => refusal.to_string(),
        (message, None) => format!("the hub refused with HTTP {} ({message})", refusal.status),
        (message, Some(_)) => format!("{refusal} ({message})"),
    })]
    Refused {
        /// As at an upgrade.
        refusal: Refusal,
        /// The hub's own words.
        message: String,
    },
    /// The answer is no hub's.
    #[error(
        "{url} answered {status} without the JSON a hub answers with; does the URL lead to an Outpost hub?"
    )]
    NotAHub {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
}

/// What a hub said.
#[derive(Debug)]
pub struct Reply {
    /// Its JSON.
    pub json: Value,
    /// As in [`super::dial::Connected`].
    pub authority: Option<CertificateDer<'static>>,
}

/// POSTs `body` to `path` below the hub's URL; the answer's JSON. `bearer` is the text after `Bearer `. `silence` is how
/// long not one byte may move.
///
/// # Errors
/// See [`HttpError`].
pub async fn post(
    dialer: &Dialer,
    target: &Target,
    path: &str,
    bearer: Option<&Secret<String>>,
    body: &Value,
    silence: Duration,
) -> Result<Reply, HttpError> {
    let ask = Ask {
        method: Method::POST,
        path,
        bearer,
        headers: &[],
        body: (Outgoing::json(body), Some(JSON)),
        answer_bytes_max: limit::HUB_ANSWER_BYTES_MAX,
        patience: Patience { silence, whole: limit::HTTP_TIMEOUT },
    };
    let url = || format!("{}{path}", target.base());
    let answer = exchange(dialer, target, ask).await;
    let answer = answer.map_err(|reason| HttpError::Away { url: url(), reason })?;
    let body = serde_json::from_slice::<Value>(&answer.body);
    let status = answer.status;
    if (200..300).contains(&status) {
        let json = body.map_err(|_| HttpError::NotAHub { url: url(), status })?;
        return Ok(Reply { json, authority: answer.authority });
    }
    let refusal = answer.refusal(target.route());
    let message = body.ok().and_then(|body| body.get("message")?.as_str().map(ToOwned::to_owned));
    Err(HttpError::Refused { refusal, message: message.unwrap_or_default() })
}

/// Runs `work` to its end, for a caller that may block and has no runtime.
///
/// # Errors
/// Where the system has nothing left to run it with.
pub fn wait_for<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let output = runtime.block_on(work);
    // A look-up that never ends must not hold up the end of this.
    runtime.shutdown_background();
    Ok(output)
}
