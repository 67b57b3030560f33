//! Where somebody is in an own stream, and its text: the `offset` of a message, and `after` of who comes back. Pure.
//!
//! ```text
//! text = place(kind, CRC-32C(topic)[4] || of events: number[8] || time[8], of lines: run[8] || line[8] || status[1])
//! ```
//! A text is good for its stream alone, and as a whole (`hub::place`). It is no secret, so whoever makes one up may get here: the
//! store is asked whether it knows the place.

use crate::hub::live::Topic;
use crate::hub::place;
use crate::hub::store::EventMark;
use crate::job::JobState;

/// Kinds of places; those below are of the API's lists.
const EVENTS: u8 = 64;
const LINES: u8 = 65;

/// The last line that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineMark {
    pub(super) run: i64,
    /// 0: none of the run.
    pub(super) line: i64,
    /// Where the end was told: the job's status then.
    pub(super) end: Option<JobState>,
}

fn topic_bytes(topic: &Topic) -> [u8; 4] {
    crc32c::crc32c(topic.as_str().as_bytes()).to_be_bytes()
}

/// The offset of an event.
pub(super) fn of_event(topic: &Topic, mark: EventMark) -> String {
    let EventMark { number, at } = mark;
    place::encode(EVENTS, &[&topic_bytes(topic)[..], &number.to_be_bytes(), &at.to_be_bytes()].concat())
}

/// The event of an offset; `None` where this stream never gave it.
pub(super) fn event(topic: &Topic, text: &str) -> Option<EventMark> {
    let bytes = place::decode(EVENTS, text)?;
    let (number, rest) = bytes.strip_prefix(&topic_bytes(topic))?.split_first_chunk()?;
    let (number, at) = (i64::from_be_bytes(*number), i64::from_be_bytes(rest.try_into().ok()?));
    (number > 0).then_some(EventMark { number, at })
}

/// The offset of a line.
pub(super) fn of_line(topic: &Topic, mark: LineMark) -> String {
    let LineMark { run, line, end } = mark;
    let end = end.and_then(|end| JobState::ALL.iter().position(|state| *state == end));
    let end = end.and_then(|index| u8::try_from(index).ok()).map_or(0, |index| index.saturating_add(1));
    place::encode(LINES, &[&topic_bytes(topic)[..], &run.to_be_bytes(), &line.to_be_bytes(), &[end]].concat())
}

/// The line of an offset; `None` where this stream never gave it.
pub(super) fn line(topic: &Topic, text: &str) -> Option<LineMark> {
    let bytes = place::decode(LINES, text)?;
    let (run, rest) = bytes.strip_prefix(&topic_bytes(topic))?.split_first_chunk()?;
    let (line, rest) = rest.split_first_chunk()?;
    let (run, line) = (i64::from_be_bytes(*run), i64::from_be_bytes(*line));
    let [end] = rest else { return None };
    let end = match end.checked_sub(1) {
        None => None,
        Some(index) => Some(*JobState::ALL.get(usize::from(index))?),
    };
    (run > 0 && line >= 0).then_some(LineMark { run, line, end })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic(name: &str) -> Topic {
        name.parse().unwrap()
    }

    #[test]
    fn an_offset_is_good_for_its_stream_alone() {
        let (one, other) = (topic("job.1.logs"), topic("job.2.logs"));
        for end in std::iter::once(None).chain(JobState::ALL.into_iter().map(Some)) {
            let mark = LineMark { run: 1, line: 7, end };
            assert_eq!(line(&one, &of_line(&one, mark)), Some(mark));
            assert_eq!(line(&other, &of_line(&one, mark)), None);
            assert_eq!(event(&one, &of_line(&one, mark)), None);
        }
        let mark = EventMark { number: 7, at: 1_800_000_000_000 };
        assert_eq!(event(&one, &of_event(&one, mark)), Some(mark));
        assert_eq!(event(&other, &of_event(&one, mark)), None);
        assert_eq!(line(&one, &of_event(&one, mark)), None);
        assert_eq!(event(&one, &of_event(&one, EventMark { number: 0, ..mark })), None);
        assert_eq!(line(&one, &of_line(&one, LineMark { run: 0, line: 1, end: None })), None);
        assert_eq!(line(&one, &of_line(&one, LineMark { run: 1, line: -1, end: None })), None);
    }

    #[test]
    fn what_is_cut_or_bent_is_no_offset() {
        let topic = topic("fleet");
        let text = of_event(&topic, EventMark { number: 7, at: 8 });
        for at in 0..text.len() {
            assert_eq!(event(&topic, &text[..at]), None);
            let mut bent = text.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(event(&topic, &String::from_utf8(bent).unwrap()), None);
        }
        for longer in [format!("{text}A"), format!("{text}AAAA"), format!("{text}="), text.repeat(100)] {
            assert_eq!(event(&topic, &longer), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_is_none(text in "\\PC{0,300}") {
            prop_assert_eq!(event(&topic("fleet"), &text), None);
            prop_assert_eq!(line(&topic("fleet"), &text), None);
        }
    }
}
