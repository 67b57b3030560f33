//! The writer's loop: takes what waits, commits it as one round, answers every piece.

use std::sync::Arc;

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::mpsc;

use crate::hub::store::StoreError;
use crate::hub::store::jobs::Changes;
use crate::limit;

use super::round::{self, Outcome};
use super::{Health, Ingest, Work};

/// Runs until `Stop`.
pub(in crate::hub::store) async fn run(
    mut connection: SqliteConnection,
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
                    commit(&mut connection, &mut round, &health, &changes).await;
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
        commit(&mut connection, &mut round, &health, &changes).await;
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
    connection: &mut SqliteConnection,
    round: &mut Vec<Ingest>,
    health: &Health,
    changes: &Changes,
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
            (None, Some(Outcome::Stored)) => {
                changes.note(ingest.agent);
                Ok(ingest.mark)
            }
            (None, Some(Outcome::MarkMoved) | None) => Err(StoreError::MarkMoved),
        };
        if ingest.reply.try_send(reply).is_err() {
            tracing::debug!("a session ended before its records were committed");
        }
    }
}
