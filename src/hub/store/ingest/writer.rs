//! The writer's loop: takes what waits, commits it as one round, answers every piece.
//!
//! A connection whose round failed is not used again: on a full disk SQLite rolls back by itself, and sqlx, which does
//! not learn of it, would refuse every later transaction.

use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::mpsc;

use crate::hub::store::jobs::Changes;
use crate::hub::store::{AgentRef, StoreError};
use crate::id::StreamId;
use crate::limit;
use crate::wire::message::StreamMark;

use super::round::{self, Outcome};
use super::{Health, Ingest, Work, import};

/// The writer's connection, opened anew where the last one failed.
pub(in crate::hub::store) struct Database {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
}

impl Database {
    /// # Errors
    /// Where the database cannot be opened.
    pub(in crate::hub::store) async fn open(options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let connection = SqliteConnection::connect_with(&options).await?;
        Ok(Self { options, connection: Some(connection) })
    }

    async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn commit(&mut self, round: &[Ingest]) -> Result<Vec<Outcome>, StoreError> {
        let outcome = round::commit(self.connection().await?, round).await;
        if outcome.is_err() {
            self.discard().await;
        }
        outcome
    }

    /// Carries an import out and answers it.
    async fn import(&mut self, order: import::Order, health: &Health, changes: &Changes) {
        let agent = order.agent.agent;
        let (reply, mut result) = match self.connection().await {
            Ok(connection) => import::run(connection, order).await,
            Err(error) => (order.outcome, Err(error)),
        };
        match &result {
            Ok(_) => {
                changes.note(agent);
                changes.note_lines();
            }
            Err(StoreError::Database(error)) => {
                let reason = error.to_string();
                tracing::error!(reason, "an import cannot be committed");
                health.note(Some(reason.clone()));
                self.discard().await;
                result = Err(StoreError::CannotCommit(reason));
            }
            Err(error) => tracing::info!(%error, "an import was given up; nothing of it is stored"),
        }
        if reply.send(result).is_err() {
            tracing::debug!("nobody waits for the end of an import any more");
        }
    }

    /// Closes the connection, which is opened anew when it is needed.
    async fn discard(&mut self) {
        if let Some(failed) = self.connection.take()
            && let Err(error) = failed.close_hard().await
        {
            tracing::debug!(%error, "a connection to the database did not close");
        }
    }

    async fn marks(
        &mut self,
        agent: AgentRef,
        streams: Vec<StreamId>,
    ) -> Result<Vec<StreamMark>, StoreError> {
        round::read_marks(self.connection().await?, agent, streams).await
    }
}

/// Runs until `Stop`.
pub(in crate::hub::store) async fn run(
    mut database: Database,
    mut queue: mpsc::Receiver<Work>,
    health: Arc<Health>,
    changes: Arc<Changes>,
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
                    commit(&mut database, &mut round, &health, &changes).await;
                    let marks = database.marks(agent, streams).await;
                    if reply.send(marks).is_err() {
                        tracing::debug!("a session ended while its marks were read");
                    }
                }
                Work::Import(order) => {
                    commit(&mut database, &mut round, &health, &changes).await;
                    database.import(*order, &health, &changes).await;
                }
                Work::Stop => {
                    stop = true;
                    queue.close();
                }
            }
        }
        commit(&mut database, &mut round, &health, &changes).await;
        if stop && queue.is_empty() {
            break;
        }
    }
    if let Some(connection) = database.connection
        && let Err(error) = connection.close().await
    {
        tracing::warn!(%error, "the database did not close cleanly");
    }
}

/// One transaction; every piece gets its answer.
async fn commit(database: &mut Database, round: &mut Vec<Ingest>, health: &Health, changes: &Changes) {
    if round.is_empty() {
        return;
    }
    let outcome = database.commit(round).await;
    let failure = outcome.as_ref().err().map(ToString::to_string);
    if let Some(reason) = &failure {
        tracing::error!(reason, pieces = round.len(), "the database cannot commit: acks are withheld");
    }
    health.note(failure.clone());
    let mut stored = outcome.unwrap_or_default().into_iter();
    for ingest in round.drain(..) {
        let refused = match (&failure, stored.next()) {
            (Some(reason), _) => Some(StoreError::CannotCommit(reason.clone())),
            (None, Some(Outcome::Stored)) => {
                changes.note(ingest.agent);
                if ingest.app_lines() > 0 {
                    changes.note_lines();
                }
                None
            }
            (None, Some(Outcome::NotWelcome)) => Some(StoreError::NotWelcome),
            (None, Some(Outcome::OverQuota { stored, most })) => Some(StoreError::OverQuota { stored, most }),
            (None, Some(Outcome::Revoked)) => Some(StoreError::Revoked),
            (None, Some(Outcome::MarkMoved) | None) => Some(StoreError::MarkMoved),
        };
        let reply = refused.map_or(Ok(ingest.mark), |error| Err(Box::new(error)));
        if ingest.reply.try_send(reply).is_err() {
            tracing::debug!("a session ended before its records were committed");
        }
    }
}
