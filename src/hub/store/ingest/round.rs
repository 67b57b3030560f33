//! One round as one transaction: marks by compare-and-set, then what they cover.

use sqlx::{Connection as _, SqliteConnection};

use crate::hub::store::{AgentRef, StoreError, jobs, lane_number, number};
use crate::id::StreamId;
use crate::wire::message::{LossReport, StreamMark};

use super::tally::Tally;
use super::{Content, Ingest};

/// What became of one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored,
    MarkMoved,
    /// The agent was removed.
    NotWelcome,
    Revoked,
    /// There is no room for it; so many bytes are stored.
    OverQuota {
        stored: u64,
        most: u64,
    },
}

pub(super) async fn commit(
    connection: &mut SqliteConnection,
    round: &[Ingest],
) -> Result<Vec<Outcome>, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await?;
    let mut outcomes = Vec::with_capacity(round.len());
    let mut tally = Tally::default();
    for ingest in round {
        outcomes.push(apply(&mut transaction, &mut tally, ingest).await?);
    }
    tally.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

/// Moves the mark and, where that went well, stores what it covers.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    tally: &mut Tally,
    ingest: &Ingest,
) -> Result<Outcome, StoreError> {
    if let Some(refusal) = tally.refusal(connection, ingest).await? {
        return Ok(refusal);
    }
    let outcome = move_mark(connection, ingest).await?;
    if outcome == Outcome::Stored {
        insert(connection, ingest).await?;
        tally.add(ingest);
        if ingest.app_lines() > 0 {
            tally.number_lines(connection, ingest).await?;
        }
    }
    Ok(outcome)
}

/// Compare-and-set; also refuses agents that were removed or revoked meanwhile.
async fn move_mark(connection: &mut SqliteConnection, ingest: &Ingest) -> Result<Outcome, StoreError> {
    let Ingest { agent, previous, mark, .. } = ingest;
    let query = if *previous == 0 {
        sqlx::query(
            "insert into streams (agent, lane, epoch, acked, acked_crc)
             select agent, $2, $3, $4, $5 from agents where agent = $1 and state = 'active'
             on conflict (agent, lane, epoch) do update set acked = excluded.acked, acked_crc = excluded.acked_crc
             where streams.acked = $6",
        )
    } else {
        sqlx::query(
            "update streams set acked = $4, acked_crc = $5
             where agent = $1 and lane = $2 and epoch = $3 and acked = $6
             and exists (select 1 from agents where agents.agent = $1 and agents.state = 'active')",
        )
    };
    let done = query
        .bind(agent.0)
        .bind(lane_number(mark.stream.lane))
        .bind(mark.stream.epoch.as_u64().cast_signed())
        .bind(number(mark.acked)?)
        .bind(i64::from(mark.acked_crc))
        .bind(number(*previous)?)
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 1 {
        return Ok(Outcome::Stored);
    }
    let state: Option<(String,)> = sqlx::query_as("select state from agents where agent = $1")
        .bind(agent.0)
        .fetch_optional(connection)
        .await?;
    Ok(match state.as_ref().map(|(state,)| state.as_str()) {
        Some("active") => Outcome::MarkMoved,
        Some("revoked") => Outcome::Revoked,
        _ => Outcome::NotWelcome,
    })
}

async fn insert(connection: &mut SqliteConnection, ingest: &Ingest) -> Result<(), StoreError> {
    let stream = ingest.mark.stream;
    let first = number(ingest.previous)?.saturating_add(1);
    let received_at = i64::try_from(ingest.received_at.0).unwrap_or(i64::MAX);
    match &ingest.content {
        Content::Batch { batch, clock_offset, losses, jobs: facts, app_lines: _ } => {
            sqlx::query(
                "insert into batches (agent, lane, epoch, first, last, received_at, clock_offset, batch)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(ingest.agent.0)
            .bind(lane_number(stream.lane))
            .bind(stream.epoch.as_u64().cast_signed())
            .bind(first)
            .bind(number(ingest.mark.acked)?)
            .bind(received_at)
            .bind(clock_offset.map(|offset| offset.0))
            .bind(batch.as_ref())
            .execute(&mut *connection)
            .await?;
            for (seq, loss) in losses {
                insert_loss(connection, ingest, *seq, loss, received_at).await?;
            }
            for (seq, fact) in facts {
                let said = jobs::Said {
                    agent: ingest.agent,
                    epoch: stream.epoch,
                    seq: number(*seq)?,
                    offset: *clock_offset,
                    received_at,
                };
                jobs::apply(connection, &said, fact).await?;
            }
        }
        Content::Gap(gap) => {
            sqlx::query(
                "insert into gaps (agent, lane, epoch, first, last, received_at, reason, records, bytes)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(ingest.agent.0)
            .bind(lane_number(stream.lane))
            .bind(stream.epoch.as_u64().cast_signed())
            .bind(first)
            .bind(number(ingest.mark.acked)?)
            .bind(received_at)
            .bind(gap.reason.name())
            .bind(saturated(gap.records))
            .bind(saturated(gap.bytes))
            .execute(connection)
            .await?;
        }
    }
    Ok(())
}

async fn insert_loss(
    connection: &mut SqliteConnection,
    ingest: &Ingest,
    seq: u64,
    loss: &LossReport,
    received_at: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into losses (agent, control_epoch, seq, lane, epoch, first, last, received_at, reason)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(ingest.agent.0)
    .bind(ingest.mark.stream.epoch.as_u64().cast_signed())
    .bind(number(seq)?)
    .bind(lane_number(loss.stream.lane))
    .bind(loss.stream.epoch.as_u64().cast_signed())
    .bind(saturated(loss.from))
    .bind(saturated(loss.to))
    .bind(received_at)
    .bind(loss.reason.name())
    .execute(connection)
    .await?;
    Ok(())
}

/// Figures that are only shown may be cut off; numbers that matter go through `number`.
fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) async fn read_marks(
    connection: &mut SqliteConnection,
    agent: AgentRef,
    streams: Vec<StreamId>,
) -> Result<Vec<StreamMark>, StoreError> {
    let mut marks = Vec::with_capacity(streams.len());
    for stream in streams {
        let row: Option<(i64, i64)> = sqlx::query_as(
            "select acked, acked_crc from streams where agent = $1 and lane = $2 and epoch = $3",
        )
        .bind(agent.0)
        .bind(lane_number(stream.lane))
        .bind(stream.epoch.as_u64().cast_signed())
        .fetch_optional(&mut *connection)
        .await?;
        let (acked, crc) = row.unwrap_or_default();
        marks.push(StreamMark {
            stream,
            acked: u64::try_from(acked).map_err(|_| StoreError::Damaged("acked"))?,
            acked_crc: u32::try_from(crc).map_err(|_| StoreError::Damaged("acked_crc"))?,
        });
    }
    Ok(marks)
}
