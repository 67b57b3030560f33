//! JSON objects of others. Serde takes a list for a struct, too, its entries for the fields in their order: nobody means that.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use serde_json::value::RawValue;

/// What was read is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum JsonObjectError {
    /// It may well be JSON.
    #[error("not a JSON object")]
    NoObject,
    /// No JSON, or with fields of other types.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Reads an object, and nothing else.
///
/// # Errors
/// Where the bytes are none, or its fields are not those of `T`.
pub fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, JsonObjectError> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(JsonObjectError::NoObject);
    }
    Ok(serde_json::from_slice(json)?)
}

/// The same of a field that may be left out, or `null`.
///
/// # Errors
/// See [`parse`].
pub fn field<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let Some(raw) = Option::<&'de RawValue>::deserialize(deserializer)? else { return Ok(None) };
    parse(raw.get().as_bytes()).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Outer {
        number: u8,
        #[serde(default, deserialize_with = "field")]
        inner: Option<Inner>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Inner {
        flag: bool,
    }

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        let inner = Some(Inner { flag: true });
        let read = parse::<Outer>(b" \n{\"number\":1,\"inner\": {\"flag\":true}}").unwrap();
        assert_eq!(read, Outer { number: 1, inner });
        assert_eq!(
            parse::<Outer>(b"{\"number\":1,\"inner\":null}").unwrap(),
            Outer { number: 1, inner: None }
        );
        assert_eq!(parse::<Outer>(b"{\"number\":1}").unwrap(), Outer { number: 1, inner: None });
        for json in ["", "[1]", "[1,null]", "[1,{\"flag\":true}]", "1", "null", "\"{\""] {
            assert!(matches!(parse::<Outer>(json.as_bytes()), Err(JsonObjectError::NoObject)), "{json}");
        }
        for json in
            ["{", "{\"number\":1,\"inner\":[true]}", "{\"number\":1,\"inner\":true}", "{\"number\":1} x"]
        {
            assert!(matches!(parse::<Outer>(json.as_bytes()), Err(JsonObjectError::Json(_))), "{json}");
        }
    }
}
