//! The writer: one task, one connection, one transaction for whatever waits (group commit).
//!
//! Each piece of work moves its stream's mark by compare-and-set before its data goes in; a miss leaves the transaction
//! as it was, fails that piece alone and so ends its session. A round that does not commit fails all of its pieces:
//! nothing was stored and nothing is acked.

mod import;
mod round;
mod tally;
mod writer;

use std::num::NonZeroU64;
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::id::StreamId;
use crate::limit;
use crate::time::{ClockOffset, HubTime};
use crate::wire::message::{Gap, LossReport, StreamMark};

use super::{AgentRef, Fact, Store, StoreError};
pub use import::{Feed, Import};
pub(super) use writer::{Database, run};

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
    /// Bytes of this agent's records beyond which this one is refused.
    pub bytes_max: Option<NonZeroU64>,
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
        /// What the records say about jobs, each with its number.
        jobs: Vec<(u64, Fact)>,
        /// How many log lines of apps are in it.
        app_lines: u32,
    },
    /// Numbers that will not come.
    Gap(Gap),
}

/// How it went: the mark that may be acked. The error is boxed, for each connection has a channel with room for these.
pub type IngestReply = Result<StreamMark, Box<StoreError>>;

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

    /// What it says about jobs.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        let facts: &[(u64, Fact)] = match &self.content {
            Content::Batch { jobs, .. } => jobs,
            Content::Gap(_) => &[],
        };
        facts.iter().map(|(_, fact)| fact)
    }

    /// How many log lines of apps it brings.
    pub fn app_lines(&self) -> u32 {
        match &self.content {
            Content::Batch { app_lines, .. } => *app_lines,
            Content::Gap(_) => 0,
        }
    }

    /// How many numbers it covers, where they are records.
    pub fn count(&self) -> u64 {
        match &self.content {
            Content::Batch { .. } => self.mark.acked.saturating_sub(self.previous),
            Content::Gap(_) => 0,
        }
    }
}

/// What waits for the writer.
pub(super) enum Work {
    Ingest(Ingest),
    Marks {
        agent: AgentRef,
        streams: Vec<StreamId>,
        reply: oneshot::Sender<Result<Vec<StreamMark>, StoreError>>,
    },
    Import(Box<import::Order>),
    Stop,
}

/// Why the last round did not commit.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<String>>);

impl Health {
    pub(super) fn note(&self, failure: Option<String>) {
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

    /// Whether the database can commit. After a failed round this tries a write as large as what one agent may have in
    /// flight; where the log of the database has room for that although the disk is full, it is ready for as much.
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
        // The second one gives the pages back.
        for bytes in [limit::WINDOW_BYTES as usize, 0] {
            let mut transaction = self.write().await?;
            sqlx::query(
                "insert into probe (one, filler) values (1, $1)
                 on conflict (one) do update set filler = excluded.filler",
            )
            .bind(vec![0u8; bytes])
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
        }
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
