//! Follows the database: what was stored of apps' lines goes into their rings, in the order of its numbers.
//!
//! One task. It looks when the writer rings, at most a page at a time, and what it is too far behind by is passed over (and
//! counted): so its work is bounded however fast records come, and the writer never waits for it. What is too old is looked for
//! by the clock, so that lines that never cease keep nothing from being forgotten.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::hub::store::{AppBatch, Store, StoreError};
use crate::hub::{Shared, hub_time};
use crate::id::Lane;
use crate::limit;
use crate::time::{HubTime, millis};
use crate::wire::batch;
use crate::wire::message::Record;

use super::LogBus;
use super::line::{self, Line, Origin};
use super::rings::{PassedOver, Rings};

/// Rings that will have what the store has of the last hour, as far as that is bounded.
///
/// # Errors
/// What the database says.
pub(in crate::hub) async fn open(store: &Store) -> Result<LogBus, StoreError> {
    let reach = store.app_reach(oldest(hub_time()), limit::APP_REACH_BYTES).await?;
    let drops = store.app_drops().await?.into_iter().collect();
    Ok(LogBus::new(Rings::new(reach.from.saturating_sub(1), reach.next.saturating_sub(1), drops)))
}

/// Lines that came before this are of no use.
fn oldest(now: HubTime) -> HubTime {
    HubTime(now.0.saturating_sub(millis(limit::APP_LINES_FOR)))
}

/// Fills the rings until the hub stops.
pub(in crate::hub) async fn fill(shared: Arc<Shared>) {
    let mut changed = shared.store.watch_app_lines();
    let mut sweeps = tokio::time::interval(limit::APP_SWEEP_INTERVAL);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (more, pause) = match advance(&shared.logbus, &shared.store).await {
            Ok(More::No) => (More::No, limit::APP_FEED_PAUSE),
            // Lines that never cease keep nothing from being forgotten.
            Ok(More::Yes) => (More::Yes, Duration::ZERO),
            Err(error) => {
                tracing::warn!(%error, "the apps' lines could not be read back; it is tried again");
                (More::No, limit::APP_SWEEP_INTERVAL)
            }
        };
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            _tick = sweeps.tick() => sweep(&shared.logbus, &shared.store).await,
            () = async { if more == More::No { changed.changed().await } } => {}
        }
    }
}

/// Whether there may be more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    No,
    Yes,
}

/// Feeds what there is, up to [`limit::APP_REACH_BYTES`].
async fn advance(logbus: &LogBus, store: &Store) -> Result<More, StoreError> {
    let mut read = 0i64;
    loop {
        let seen = logbus.rings().seen();
        let page = store.app_batches(seen.saturating_add(1), limit::APP_BATCHES_PAGE).await?;
        if page.is_empty() {
            return Ok(More::No);
        }
        let weight = |batch: &AppBatch| i64::try_from(batch.bytes.len()).unwrap_or(i64::MAX);
        read = page.iter().map(weight).fold(read, i64::saturating_add);
        feed(&mut logbus.rings(), page.into_iter().map(lines).collect());
        logbus.fed.send_replace(());
        if read >= limit::APP_REACH_BYTES {
            catch_up(logbus, store).await?;
            return Ok(More::Yes);
        }
    }
}

/// Passes over what is too far behind.
async fn catch_up(logbus: &LogBus, store: &Store) -> Result<(), StoreError> {
    let reach = store.app_reach(oldest(hub_time()), limit::APP_REACH_BYTES).await?;
    let before = reach.from.saturating_sub(1);
    let mut rings = logbus.rings();
    let skipped = before.saturating_sub(rings.seen());
    if skipped > 0 {
        tracing::warn!(skipped, "lines of apps come faster than they are read back; some are passed over");
        rings.pass_over(before, PassedOver::Behind);
    }
    Ok(())
}

/// Forgets what is too old, here and in the database's list of what has lines.
async fn sweep(logbus: &LogBus, store: &Store) {
    logbus.age(hub_time());
    for _ in 0..limit::APP_SWEEPS_MAX {
        match store.forget_app_batches(oldest(hub_time())).await {
            Ok(forgotten) if forgotten >= limit::APP_SWEEP_BATCH.into() => {}
            Ok(_rest) => return,
            Err(error) => {
                tracing::debug!(%error, "what is too old for the apps' rings could not be deleted");
                return;
            }
        }
    }
}

/// The lines of one batch; `None` where it cannot be read.
struct Read {
    first: i64,
    last: i64,
    lines: Option<Vec<Line>>,
}

/// Feeds a page. What cannot be read is passed over, so that who follows is told that something is missing.
fn feed(rings: &mut Rings, page: Vec<Read>) {
    let mut together = Vec::new();
    let mut upto = rings.seen();
    for Read { first, last, lines } in page {
        match lines {
            Some(lines) => together.extend(lines),
            None => {
                rings.feed(hub_time(), std::mem::take(&mut together), first.saturating_sub(1));
                rings.pass_over(last, PassedOver::Damaged);
            }
        }
        upto = last;
    }
    rings.feed(hub_time(), together, upto);
}

/// The lines of one batch, numbered as they were when it was stored.
fn lines(stored: AppBatch) -> Read {
    let AppBatch { first, last, agent, offset, received_at, bytes, count } = stored;
    let records: Vec<Record> = match batch::decode(&bytes, count) {
        Ok(records) => records,
        Err(error) => {
            tracing::error!(%error, first, last, "a stored batch cannot be read; its lines are missing in their apps' rings");
            return Read { first, last, lines: None };
        }
    };
    let origin = Origin { agent: agent.map(Into::into), offset, received_at };
    let mut next = first;
    let mut made = Vec::new();
    for record in records {
        let counted = line::count(Lane::Logs, std::iter::once(&record));
        made.extend(line::lines(record, &origin, next));
        next = next.saturating_add(counted.into());
    }
    // An earlier version may have counted otherwise: no number is used beyond those that were given.
    made.retain(|line| line.seq <= last);
    Read { first, last, lines: Some(made) }
}

#[cfg(test)]
mod tests;
