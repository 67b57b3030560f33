//! Where a list goes on: a place as text (`hub::place`), of one list.

use crate::hub::place;

use super::problem::{Kind, Problem};

/// Whose cursor it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Agents = 1,
    Audit = 2,
    Jobs = 3,
}

pub(super) fn encode(list: List, place: &[u8]) -> String {
    place::encode(list as u8, place)
}

pub(super) fn decode(list: List, text: &str) -> Result<Vec<u8>, Problem> {
    let wrong = || Problem::new(Kind::BadCursor, "the cursor is not one that this list gave");
    place::decode(list as u8, text).ok_or_else(wrong)
}

/// A place that is a number above 0.
pub(super) fn decode_number(list: List, text: &str) -> Result<i64, Problem> {
    let place = decode(list, text)?;
    let number = <[u8; 8]>::try_from(place.as_slice()).ok().map(i64::from_be_bytes);
    number
        .filter(|number| *number > 0)
        .ok_or_else(|| Problem::new(Kind::BadCursor, "the cursor is not one that this list gave"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_list_alone_and_as_a_whole() {
        for place in [&b""[..], b"edge-1", &7i64.to_be_bytes()] {
            let text = encode(List::Agents, place);
            assert_eq!(decode(List::Agents, &text).unwrap(), place);
            assert!(decode(List::Jobs, &text).is_err());
            for end in 0..text.len() {
                assert!(decode(List::Agents, &text[..end]).is_err(), "cut at {end}");
            }
            for at in 0..text.len() {
                let mut bent = text.clone().into_bytes();
                bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
                let bent = String::from_utf8(bent).unwrap();
                assert!(decode(List::Agents, &bent).is_err(), "{bent} for {text}");
            }
        }
        for wrong in ["", "j1", "AAAA", "\u{e9}", " ", &"A".repeat(10_000)] {
            assert!(decode(List::Agents, wrong).is_err(), "{wrong:.20}");
        }
        let number = |number: i64| decode_number(List::Jobs, &encode(List::Jobs, &number.to_be_bytes()));
        assert_eq!(number(7).unwrap(), 7);
        assert!(number(0).is_err() && number(-1).is_err() && number(i64::MAX).is_ok());
    }
}
