//! One request to a hub outside of the session: JSON up, JSON down. Blocks; call it where blocking is allowed.
//!
//! A credential goes to the address it was meant for and nowhere else: no redirect is followed, and no proxy is taken
//! from the environment. What is answered is *unverified*, as at an upgrade.

use std::time::Duration;

use serde_json::Value;

use crate::limit;
use crate::secret::Secret;

use super::upgrade::{ERROR_HEADER, Refusal, TIME_HEADER};

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No answer.
    #[error("no answer from {url}: {reason}")]
    Away {
        /// What was asked.
        url: String,
        /// Why.
        reason: String,
    },
    /// The hub said no.
    #[error("{refusal}{}", if message.is_empty() { String::new() } else { format!(" ({message})") })]
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

/// POSTs `body`; the answer's JSON. `bearer` is the text after `Bearer `.
///
/// # Errors
/// See [`HttpError`].
pub fn post(
    url: &str,
    bearer: Option<&Secret<String>>,
    body: &Value,
    timeout: Duration,
) -> Result<Value, HttpError> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(timeout))
        .proxy(None)
        .max_redirects(0)
        .build();
    let mut request = ureq::Agent::from(config).post(url).content_type("application/json");
    if let Some(bearer) = bearer {
        let bearer = Secret::new(format!("Bearer {}", bearer.expose()));
        request = request.header("Authorization", bearer.expose());
    }
    let away = |error: ureq::Error| HttpError::Away { url: url.to_owned(), reason: error.to_string() };
    let mut answer = request.send(body.to_string()).map_err(away)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(limit::HUB_ANSWER_BYTES_MAX).read_json::<Value>();
    if answer.status().is_success() {
        return body.map_err(|_| HttpError::NotAHub { url: url.to_owned(), status });
    }
    let headers = answer.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let refusal = Refusal::read(status, text(ERROR_HEADER), text("Retry-After"), text(TIME_HEADER));
    let message = body.ok().and_then(|body| body.get("message")?.as_str().map(ToOwned::to_owned));
    Err(HttpError::Refused { refusal, message: message.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;
    use crate::wire::error::ErrorCode;

    /// A server that answers one request, and what it was asked.
    fn answered(answer: &'static str) -> (Result<Value, HttpError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/agents/token", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"{\"a\":1}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                asked.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        let bearer = Secret::new("opa1.secret".to_owned());
        let result = post(&url, Some(&bearer), &json!({"a": 1}), Duration::from_secs(10));
        (result, server.join().unwrap())
    }

    #[test]
    fn a_request_carries_its_bearer_and_gets_its_json() {
        let (answer, asked) = answered("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"b\":2}");
        assert_eq!(answer.unwrap(), json!({"b": 2}));
        assert!(asked.to_lowercase().contains("authorization: bearer opa1.secret"), "{asked}");
    }

    #[test]
    fn a_refusal_is_read_as_at_an_upgrade() {
        let (answer, _) = answered(
            "HTTP/1.1 403 Forbidden\r\nX-Outpost-Error: revoked\r\nContent-Length: 15\r\n\r\n{\"message\":\"x\"}",
        );
        let error = answer.unwrap_err();
        let HttpError::Refused { refusal, message } = &error else { panic!("{error}") };
        assert_eq!((refusal.status, refusal.code, message.as_str()), (403, Some(ErrorCode::Revoked), "x"));
        assert!(!error.to_string().contains("opa1"), "{error}");
    }

    #[test]
    fn a_redirect_is_not_followed() {
        // The address would refuse a connection: following it would be another error.
        let (answer, _) = answered(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        );
        let error = answer.unwrap_err();
        assert!(matches!(&error, HttpError::Refused { refusal, .. } if refusal.status == 307), "{error}");
    }

    #[test]
    fn something_that_is_no_hub_is_told_apart() {
        let (answer, _) = answered("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        assert!(matches!(answer, Err(HttpError::NotAHub { status: 200, .. })));
        let away = post("http://127.0.0.1:1/", None, &json!({}), Duration::from_secs(10)).unwrap_err();
        assert!(matches!(&away, HttpError::Away { .. }), "{away}");
    }
}
