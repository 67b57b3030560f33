//! Names of generations: `<lane>-<epoch>-<first seq>`, both numbers 16 hexadecimal digits.
//!
//! Names are the truth about ranges: a generation ends where the next one of its stream begins.

use std::fmt;
use std::str::FromStr;

use crate::id::{Epoch, Lane, StreamId};

/// The name of a generation's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenerationName {
    /// The stream all its records belong to; never control, whose records lie in the core.
    pub stream: StreamId,
    /// Its first number.
    pub first: u64,
}

impl fmt::Display for GenerationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:016x}", self.stream.lane, self.stream.epoch, self.first)
    }
}

/// A folder that is no generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a generation")]
pub struct NoGeneration;

impl FromStr for GenerationName {
    type Err = NoGeneration;

    fn from_str(text: &str) -> Result<Self, NoGeneration> {
        let mut parts = text.split('-');
        let (Some(lane), Some(epoch), Some(first), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoGeneration);
        };
        let lane: Lane = lane.parse().map_err(|_| NoGeneration)?;
        let epoch: Epoch = epoch.parse().map_err(|_| NoGeneration)?;
        let first = u64::from_str_radix(first, 16).map_err(|_| NoGeneration)?;
        let name = Self { stream: StreamId { lane, epoch }, first };
        // Only the one spelling, so that two folders never mean the same range.
        if lane == Lane::Control || first == 0 || name.to_string() != text {
            return Err(NoGeneration);
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_its_text_form_and_others_are_refused() {
        let text = "events-00000002deadbeef-000000000000002a";
        let name: GenerationName = text.parse().unwrap();
        assert_eq!((name.first, name.stream.lane), (42, Lane::Events));
        assert_eq!(name.to_string(), text);
        for wrong in [
            "core",
            "new-events-00000002deadbeef-000000000000002a",
            "control-00000002deadbeef-000000000000002a",
            "events-00000002deadbeef-2a",
            "events-00000002deadbeef-0000000000000000",
            "events-00000002deadbeef-000000000000002A",
        ] {
            assert!(wrong.parse::<GenerationName>().is_err(), "{wrong}");
        }
    }
}
