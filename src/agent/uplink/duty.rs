//! What a session asks of the outbox, without the socket between: what the hub's marks stand on here, what becomes of
//! what they say, and what a read brings.

use crate::id::RecordId;
use crate::outbox::{Outbox, Reading, StoreError};
use crate::session::{AgentSession, LocalMark, ReadRequest, Resolution};
use crate::time::WallTime;
use crate::wire::message::StreamMark;

use super::outcome::Again;

/// What the outbox knows of each stream, to be compared with the hub's mark. Gaps that the hub has heard of go: where the
/// process ended between the ack and the end of its gap, nothing else would tell.
///
/// # Errors
/// As the outbox's.
pub(crate) async fn local_marks(outbox: &Outbox, marks: &[StreamMark]) -> Result<Vec<LocalMark>, StoreError> {
    let mut local = Vec::with_capacity(marks.len());
    let gaps = outbox.gaps().await?;
    for mark in marks {
        let stream = mark.stream;
        let cursor = outbox.cursor(stream).await?.acked;
        let heard = mark.acked.min(cursor);
        if gaps.iter().any(|gap| gap.stream == stream && gap.to <= heard) {
            took(outbox.ack(vec![StreamMark { stream, acked: heard, acked_crc: 0 }]).await)?;
        }
        let crc = match mark.acked {
            0 => None,
            seq => took(outbox.crc(RecordId { stream, seq }).await)?.flatten(),
        };
        local.push(LocalMark { stream, cursor, crc });
    }
    Ok(local)
}

/// What a degraded outbox does not do: `None`. What was durable before is sent all the same; a stream that needed it done
/// waits for the restart. A full disk is another matter: the next registration asks again.
///
/// # Errors
/// Any other.
pub(super) fn took<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Err(error @ StoreError::Degraded { .. }) => {
            tracing::warn!(%error, "the session goes on with what was durable before");
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// What is left to do once a registration's resolutions are durable.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// For the outbox.
    pub(crate) acks: Vec<StreamMark>,
    /// At once where a lane began a new epoch: this session ends.
    pub(crate) again: Again,
}

/// Gaps of earlier sessions first, then what the marks ask for.
///
/// # Errors
/// As the outbox's; what was done before stays done.
pub(crate) async fn settle(
    outbox: &Outbox,
    session: &mut AgentSession,
    resolutions: Vec<Resolution>,
    now: WallTime,
) -> Result<Settled, StoreError> {
    for gap in outbox.gaps().await? {
        session.send_gap(gap);
    }
    let mut settled = Settled::default();
    for resolution in resolutions {
        match resolution {
            Resolution::Acked(mark) => settled.acks.push(mark),
            Resolution::HubLost(gap) => {
                tracing::error!(stream = %gap.stream, from = gap.from, to = gap.to,
                    "the hub lost records it had acked; was it restored from a backup?");
                if took(outbox.add_gap(gap).await)?.is_some() {
                    session.send_gap(gap);
                }
            }
            Resolution::RolledBack { stream, report } => {
                tracing::error!(%stream, from = report.from, to = report.to,
                    "this agent's disk went back in time; its unacked records begin a new epoch");
                if took(outbox.roll_epoch(stream, report, now).await)?.is_some() {
                    settled.again = Again::AtOnce;
                }
            }
        }
    }
    Ok(settled)
}

/// Answers what the session wanted to read.
pub(crate) fn was_read(session: &mut AgentSession, request: ReadRequest, reading: Option<Reading>) {
    match reading {
        Some(Reading::Records(batch)) => session.handle_batch(request, Some(batch)),
        Some(Reading::Gap(gap)) => {
            session.handle_batch(request, None);
            session.send_gap(gap);
        }
        None => session.handle_batch(request, None),
    }
}
