//! The judgement of one stream at registration: what the agent has against what the hub says it has.
//!
//! ```text
//! hub's mark      0 ... cursor - 1 | cursor | cursor + 1 ... next - 1 | next ...
//! verdict          hub restored    | equal  |    agent is behind      | agent rolled back
//! ```
//! At the cursor and above it the CRC of the record the mark stands on is compared, where both ends know it: another
//! record under the same number means that the agent's disk went back in time.

use crate::wire::message::{Gap, GapReason, LossReason, LossReport, StreamMark, StreamState};

use super::event::LocalMark;

/// Which of the four cases it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Both know the same.
    Equal,
    /// The hub has more than the agent knew: everything up to its mark may go.
    Behind,
    /// The hub lost what it had acked; this tells it.
    HubRestored(Gap),
    /// The agent lost what it had sent, or numbered other records the same.
    RolledBack(LossReport),
}

/// Judges one stream. `state` is what Register listed, `local` what the outbox knows, if anything.
pub(crate) fn judge(state: &StreamState, mark: &StreamMark, local: Option<&LocalMark>) -> Verdict {
    let listed = state.first_unacked.saturating_sub(1);
    let cursor = local.map_or(listed, |local| local.cursor);
    if mark.acked >= state.next {
        return rolled_back(state, state.next, mark.acked);
    }
    if mark.acked >= cursor && differs(mark, local.and_then(|local| local.crc)) {
        return rolled_back(state, state.first_unacked.min(mark.acked), mark.acked);
    }
    if mark.acked < listed {
        let from = mark.acked.saturating_add(1);
        let records = state.first_unacked.saturating_sub(from);
        let reason = GapReason::HubLost;
        return Verdict::HubRestored(Gap {
            stream: state.stream,
            from,
            to: listed,
            reason,
            records,
            bytes: 0,
        });
    }
    if mark.acked == listed { Verdict::Equal } else { Verdict::Behind }
}

/// 0 stands for "not known" at either end.
fn differs(mark: &StreamMark, crc: Option<u32>) -> bool {
    match crc {
        Some(crc) => mark.acked > 0 && crc != 0 && mark.acked_crc != 0 && crc != mark.acked_crc,
        None => false,
    }
}

fn rolled_back(state: &StreamState, from: u64, to: u64) -> Verdict {
    Verdict::RolledBack(LossReport { stream: state.stream, from, to, reason: LossReason::RolledBack })
}

#[cfg(test)]
mod tests;
