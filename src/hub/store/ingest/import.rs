//! An import at the writer: all of a bundle in one transaction, or nothing of it.
//!
//! The writer reads the marks inside its transaction and hands them out; what comes back is applied exactly as what
//! sessions bring. Sessions wait meanwhile: one whose mark moved under it finds that out with its next piece.

use std::sync::Arc;

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::hub::store::audit::{self, Action, Actor};
use crate::hub::store::{AgentRow, Store, StoreError};
use crate::id::StreamId;
use crate::limit;
use crate::wire::message::StreamMark;

use super::round::{self, Outcome};
use super::tally::Tally;
use super::{Ingest, Work};

/// What the transaction is fed with.
#[derive(Debug)]
pub enum Feed {
    /// The next piece.
    Piece(Ingest),
    /// That was all. The text goes into the audit, where there was any piece.
    Complete(String),
}

/// The end of an import that its source holds.
#[derive(Debug)]
pub struct Import {
    /// The marks that the pieces go on from.
    pub marks: oneshot::Receiver<Vec<StreamMark>>,
    /// Where the pieces go; dropped before `Complete`, nothing is stored.
    pub pieces: mpsc::Sender<Feed>,
    /// The marks after the commit.
    pub outcome: oneshot::Receiver<Result<Vec<StreamMark>, StoreError>>,
}

/// The end that the writer holds.
pub(in crate::hub::store) struct Order {
    by: Actor,
    pub(super) agent: Arc<AgentRow>,
    streams: Vec<StreamId>,
    marks: oneshot::Sender<Vec<StreamMark>>,
    pieces: mpsc::Receiver<Feed>,
    pub(super) outcome: oneshot::Sender<Result<Vec<StreamMark>, StoreError>>,
}

impl Store {
    /// Queues an import of records of these streams. Its transaction begins when the marks come.
    ///
    /// # Errors
    /// `Closed` once the store is.
    pub async fn import(&self, agent: Arc<AgentRow>, streams: Vec<StreamId>) -> Result<Import, StoreError> {
        let (marks, marks_out) = oneshot::channel();
        let (pieces_in, pieces) = mpsc::channel(limit::BUNDLE_READ_AHEAD);
        let (outcome, outcome_out) = oneshot::channel();
        let order = Order { by: self.actor.clone(), agent, streams, marks, pieces, outcome };
        self.writer.send(Work::Import(Box::new(order))).await.map_err(|_| StoreError::Closed)?;
        Ok(Import { marks: marks_out, pieces: pieces_in, outcome: outcome_out })
    }
}

/// What [`run`] gives besides its result.
pub(super) type Reply = oneshot::Sender<Result<Vec<StreamMark>, StoreError>>;

/// Carries an import out.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    order: Order,
) -> (Reply, Result<Vec<StreamMark>, StoreError>) {
    let Order { by, agent, streams, marks, pieces, outcome } = order;
    let result = transact(connection, &by, &agent, streams, marks, pieces).await;
    (outcome, result)
}

async fn transact(
    connection: &mut SqliteConnection,
    by: &Actor,
    agent: &AgentRow,
    streams: Vec<StreamId>,
    marks: oneshot::Sender<Vec<StreamMark>>,
    mut pieces: mpsc::Receiver<Feed>,
) -> Result<Vec<StreamMark>, StoreError> {
    let mut transaction = connection.begin_with("begin immediate").await?;
    let before = round::read_marks(&mut transaction, agent.agent, streams.clone()).await?;
    if marks.send(before).is_err() {
        return Err(StoreError::Abandoned);
    }
    let (mut stored, mut tally) = (0u64, Tally::default());
    let detail = loop {
        let fed = tokio::time::timeout(limit::IMPORT_STALL_TIMEOUT, pieces.recv()).await;
        match fed {
            Ok(Some(Feed::Complete(detail))) => break detail,
            Ok(Some(Feed::Piece(ingest))) => match round::apply(&mut transaction, &mut tally, &ingest).await?
            {
                Outcome::Stored => stored = stored.saturating_add(1),
                Outcome::MarkMoved => return Err(StoreError::MarkMoved),
                Outcome::NotWelcome => return Err(StoreError::NotWelcome),
                Outcome::OverQuota { stored, most } => return Err(StoreError::OverQuota { stored, most }),
                Outcome::Revoked => return Err(StoreError::Revoked),
            },
            Ok(None) | Err(_) => return Err(StoreError::Abandoned),
        }
    };
    let after = round::read_marks(&mut transaction, agent.agent, streams).await?;
    if stored == 0 {
        transaction.rollback().await?;
        return Ok(after);
    }
    tally.write(&mut transaction).await?;
    audit::note(&mut transaction, by, Action::Imported, agent.name.as_str(), &detail).await?;
    transaction.commit().await?;
    // The log of the database may have grown by the whole bundle: its space is given back now, not at the hub's end.
    if let Err(error) = sqlx::query("pragma wal_checkpoint(truncate)").execute(connection).await {
        tracing::debug!(%error, "the database's log was not cut after an import");
    }
    Ok(after)
}
