//! The writer: one task, one connection, one transaction for whatever waits (group commit).
//!
//! Each piece of work moves its stream's mark by compare-and-set before its data goes in; a miss leaves the transaction
//! as it was, fails that piece alone and so ends its session. A round that does not commit fails all of its pieces:
//! nothing was stored and nothing is acked.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::id::StreamId;
use crate::limit;
use crate::time::{ClockOffset, HubTime};
use crate::wire::message::{Gap, LossReport, StreamMark};

use super::{AgentRef, Store, StoreError, lane_number, number};

/// What one connection hands over.
#[derive(Debug)]
pub struct Ingest {
    /// Whose.
    pub agent: AgentRef,
    /// The stream's mark as this session knows it; the piece is stored only where the database agrees.
    pub previous: u64,
    /// The mark afterwards.
    pub mark: StreamMark,
    /// What it covers.
    pub content: Content,
    /// When it came.
    pub received_at: HubTime,
    /// Where the outcome goes. Bounded by what one connection may have on its way, so it is never full.
    pub reply: mpsc::Sender<IngestReply>,
}

/// The part of a stream between the old mark and the new one.
#[derive(Debug)]
pub enum Content {
    /// Records `previous + 1 ..= mark`.
    Batch {
        /// Their encoding.
        batch: Bytes,
        /// Hub time less the agent's clock, where the agent knew it.
        clock_offset: Option<ClockOffset>,
        /// Loss reports among them, each with its number.
        losses: Vec<(u64, LossReport)>,
    },
    /// Numbers that will not come.
    Gap(Gap),
}

/// How it went: the mark that may be acked.
pub type IngestReply = Result<StreamMark, StoreError>;

/// What waits for the writer.
pub(super) enum Work {
    Ingest(Ingest),
    Marks {
        agent: AgentRef,
        streams: Vec<StreamId>,
        reply: oneshot::Sender<Result<Vec<StreamMark>, StoreError>>,
    },
    Stop,
}

/// Why the last round did not commit.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<String>>);

impl Health {
    fn note(&self, failure: Option<String>) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = failure;
    }

    fn failure(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Store {
    /// Room in the writer's queue for one piece. Cancel safe.
    ///
    /// # Errors
    /// `Closed` once the store is.
    pub async fn reserve(&self) -> Result<Slot<'_>, StoreError> {
        self.writer.reserve().await.map(Slot).map_err(|_| StoreError::Closed)
    }

    /// The marks of `streams`, in their order, after everything that was handed over before.
    ///
    /// # Errors
    /// Where the database fails or the store is closed.
    pub async fn marks(
        &self,
        agent: AgentRef,
        streams: Vec<StreamId>,
    ) -> Result<Vec<StreamMark>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work = Work::Marks { agent, streams, reply };
        self.writer.send(work).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Whether the database can commit. After a failed round this tries a write as large as a batch.
    ///
    /// # Errors
    /// `CannotCommit` with the reason.
    pub async fn ready(&self) -> Result<(), StoreError> {
        let Some(failure) = self.health.failure() else { return Ok(()) };
        match self.probe().await {
            Ok(()) => {
                self.health.note(None);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, first = failure, "the database cannot commit");
                Err(StoreError::CannotCommit(error.to_string()))
            }
        }
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "insert into probe (one, filler) values (1, $1) on conflict (one) do update set filler = excluded.filler",
        )
        .bind(vec![0u8; 2 * limit::BATCH_BYTES])
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Room for one piece in the writer's queue.
pub struct Slot<'a>(mpsc::Permit<'a, Work>);

impl Slot<'_> {
    /// Hands the piece over.
    pub fn send(self, ingest: Ingest) {
        self.0.send(Work::Ingest(ingest));
    }
}

/// Runs until `Stop`.
pub(super) async fn run(
    options: SqliteConnectOptions,
    mut connection: SqliteConnection,
    mut queue: mpsc::Receiver<Work>,
    health: Arc<Health>,
) {
    let mut waiting = Vec::with_capacity(limit::INGEST_ROUND);
    loop {
        if queue.recv_many(&mut waiting, limit::INGEST_ROUND).await == 0 {
            break;
        }
        let mut round = Vec::with_capacity(waiting.len());
        let mut stop = false;
        for work in waiting.drain(..) {
            match work {
                Work::Ingest(ingest) => round.push(ingest),
                Work::Marks { agent, streams, reply } => {
                    // What came before must be in the marks.
                    commit(&options, &mut connection, &mut round, &health).await;
                    let marks = read_marks(&mut connection, agent, streams).await;
                    if reply.send(marks).is_err() {
                        tracing::debug!("a session ended while its marks were read");
                    }
                }
                Work::Stop => {
                    stop = true;
                    queue.close();
                }
            }
        }
        commit(&options, &mut connection, &mut round, &health).await;
        if stop && queue.is_empty() {
            break;
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database did not close cleanly");
    }
}

/// One transaction; every piece gets its answer.
async fn commit(
    options: &SqliteConnectOptions,
    connection: &mut SqliteConnection,
    round: &mut Vec<Ingest>,
    health: &Health,
) {
    if round.is_empty() {
        return;
    }
    let outcome = try_commit(connection, round).await;
    let failure = outcome.as_ref().err().map(ToString::to_string);
    if let Some(reason) = &failure {
        tracing::error!(reason, pieces = round.len(), "the database cannot commit: acks are withheld");
    }
    health.note(failure.clone());
    let mut stored = outcome.unwrap_or_default().into_iter();
    for ingest in round.drain(..) {
        let reply = match (&failure, stored.next()) {
            (Some(reason), _) => Err(StoreError::CannotCommit(reason.clone())),
            (None, Some(Outcome::Stored)) => Ok(ingest.mark),
            (None, Some(Outcome::MarkMoved) | None) => Err(StoreError::MarkMoved),
        };
        if ingest.reply.try_send(reply).is_err() {
            tracing::debug!("a session ended before its records were committed");
        }
    }
    if failure.is_some() {
        renew(options, connection).await;
    }
}

/// A new connection after a failed round. On a full disk SQLite rolls back by itself; the driver takes no note of it
/// and would begin no transaction any more.
async fn renew(options: &SqliteConnectOptions, connection: &mut SqliteConnection) {
    match SqliteConnection::connect_with(options).await {
        Ok(new) => {
            if let Err(error) = std::mem::replace(connection, new).close().await {
                tracing::debug!(%error, "the failed connection did not close cleanly");
            }
        }
        // The old one stays: the next round fails on it and comes here again.
        Err(error) => tracing::warn!(%error, "the database takes no new connection"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Stored,
    MarkMoved,
}

async fn try_commit(connection: &mut SqliteConnection, round: &[Ingest]) -> Result<Vec<Outcome>, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await?;
    let mut outcomes = Vec::with_capacity(round.len());
    for ingest in round {
        let outcome = move_mark(&mut transaction, ingest).await?;
        if outcome == Outcome::Stored {
            insert(&mut transaction, ingest).await?;
        }
        outcomes.push(outcome);
    }
    transaction.commit().await?;
    Ok(outcomes)
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
        .execute(connection)
        .await?;
    Ok(if done.rows_affected() == 1 { Outcome::Stored } else { Outcome::MarkMoved })
}

async fn insert(connection: &mut SqliteConnection, ingest: &Ingest) -> Result<(), StoreError> {
    let stream = ingest.mark.stream;
    let first = number(ingest.previous)?.saturating_add(1);
    let received_at = i64::try_from(ingest.received_at.0).unwrap_or(i64::MAX);
    match &ingest.content {
        Content::Batch { batch, clock_offset, losses } => {
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

async fn read_marks(
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

impl Ingest {
    /// Bytes it takes while it waits.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Batch { batch, .. } => batch.len(),
            Content::Gap(_) => 0,
        }
    }

    /// Whether it brings no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many numbers it covers, where they are records.
    pub fn count(&self) -> u64 {
        match &self.content {
            Content::Batch { .. } => self.mark.acked.saturating_sub(self.previous),
            Content::Gap(_) => 0,
        }
    }
}
