//! Long lists of streams cut into messages of at most `limit::STREAMS_PER_FRAME`, and put together again.

use crate::id::StreamId;
use crate::limit;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::{Listing, StreamState};

/// At least one listing; `more` in all but the last.
pub(super) fn cut<T: Clone>(entries: &[T]) -> Vec<Listing<T>> {
    if entries.is_empty() {
        return vec![Listing { entries: Vec::new(), more: false }];
    }
    let chunks = entries.chunks(limit::STREAMS_PER_FRAME);
    let last = chunks.len().saturating_sub(1);
    chunks
        .enumerate()
        .map(|(index, chunk)| Listing { entries: chunk.to_vec(), more: index != last })
        .collect()
}

/// Adds another message's entries; says whether the list is complete.
pub(super) fn collect<T>(
    into: &mut Vec<T>,
    listing: Listing<T>,
    entries_max: usize,
) -> Result<Complete, WireError> {
    let invalid = |detail: String| WireError::new(ErrorCode::Invalid, detail);
    if listing.more && listing.entries.is_empty() {
        return Err(invalid("a listing without streams says that more follow".to_owned()));
    }
    into.extend(listing.entries);
    if into.len() > entries_max {
        return Err(invalid(format!("{} streams are listed, the limit is {entries_max}", into.len())));
    }
    Ok(if listing.more { Complete::No } else { Complete::Yes })
}

/// Whether a list is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Complete {
    Yes,
    No,
}

/// What one registration can list: all of it, or the first ones and each lane's newest (its current epoch); the
/// rest drains after the next registration.
pub(super) fn fit(streams: Vec<StreamState>) -> Vec<StreamState> {
    if streams.len() <= limit::STREAMS_MAX {
        return streams;
    }
    let current: Vec<StreamId> = crate::id::Lane::ALL
        .into_iter()
        .filter_map(|lane| streams.iter().map(|state| state.stream).filter(|id| id.lane == lane).max())
        .collect();
    let mut room = limit::STREAMS_MAX.saturating_sub(current.len());
    streams
        .into_iter()
        .filter(|state| {
            if current.contains(&state.stream) {
                return true;
            }
            let fits = room > 0;
            room = room.saturating_sub(1);
            fits
        })
        .collect()
}
