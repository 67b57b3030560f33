//! The credential in a request's head.

use axum::http::{HeaderMap, header};

/// The text behind `Bearer`, whose case does not matter (RFC 9110, 11.1), and the blanks behind that.
pub(super) fn presented(headers: &HeaderMap) -> Option<&str> {
    let (scheme, text) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_scheme_is_of_any_case_and_no_other() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(text));
            presented(&headers).map(str::to_owned)
        };
        for text in ["Bearer a.b", "bearer a.b", "BEARER   a.b"] {
            assert_eq!(of(text).as_deref(), Some("a.b"), "{text}");
        }
        for text in ["", "a.b", "Bearera.b", "Bearer", "Basic a.b", " Bearer a.b"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(presented(&HeaderMap::new()), None);
    }
}
