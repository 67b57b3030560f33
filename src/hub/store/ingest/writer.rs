//! The writer's loop: takes what waits, commits it as one round, answers every piece.

use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::mpsc;

use crate::hub::store::StoreError;
use crate::limit;

use super::round::{self, Outcome};
use super::{Health, Ingest, Work};

/// Runs until `Stop`.
pub(in crate::hub::store) async fn run(
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
                    let marks = round::read_marks(&mut connection, agent, streams).await;
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
    let outcome = round::commit(connection, round).await;
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
