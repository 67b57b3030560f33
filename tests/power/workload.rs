//! The process whose power is cut: producers that append to every lane, and a consumer that reads, checks and acks, so
//! that generations begin and go all the time; when events are full they refuse, logs evict. It works until it is killed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use outpost::id::{Lane, StreamId};
use outpost::outbox::OnFull;
use outpost::outbox::{AppendError, Batch, Outbox, Reading, StoreError};
use outpost::wire::batch;
use outpost::wire::message::{StreamMark, StreamState};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::child::{self, Child};
use crate::lanes::{SMALL, options};
use crate::payload::{Seen, look, record};
use crate::report::{Event, place, say};
use crate::unsynced;

const READ_BYTES: usize = 128 * 1024;
/// A producer that was refused looks again after this, or after an ack.
const ROOM_PATIENCE: Duration = Duration::from_millis(50);
const CONSUMER_PATIENCE: Duration = Duration::from_millis(20);

/// What it is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) dir: PathBuf,
    pub(crate) producers: u32,
    pub(crate) seed: u64,
    /// Number of its first payload.
    pub(crate) first: u64,
    pub(crate) syncs: Syncs,
}

/// What its fdatasync does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Syncs {
    /// What it should.
    Kept,
    /// Nothing, successfully.
    LeftOut,
}

impl Work {
    /// Starts it.
    pub(crate) fn start(&self) -> Child {
        Child::start("workload::works_until_it_is_killed", self)
    }
}

/// Does nothing where `Work::start` did not start it.
#[tokio::test]
async fn works_until_it_is_killed() {
    let Some(work) = child::order::<Work>() else { return };
    if work.syncs == Syncs::LeftOut {
        unsynced::leave_out_fdatasync();
    }
    let failed = run(work).await;
    say(Event::Failed { error: failed });
}

async fn run(work: Work) -> String {
    let outbox = match Outbox::open(&work.dir, options(&SMALL, OnFull::Evict)) {
        Ok(outbox) => outbox,
        Err(error) => return error.to_string(),
    };
    say(Event::Opened);
    let numbers = Arc::new(AtomicU64::new(work.first));
    let room = Arc::new(Notify::new());
    let mut tasks = tokio::task::JoinSet::new();
    let mut random = Rng::with_seed(work.seed);
    for _ in 0..work.producers {
        tasks.spawn(produce(outbox.clone(), Arc::clone(&numbers), Arc::clone(&room), random.fork()));
    }
    tasks.spawn(consume(outbox, room, random));
    tasks.join_next().await.unwrap().unwrap()
}

/// Appends until it may not; gives the reason.
async fn produce(outbox: Outbox, numbers: Arc<AtomicU64>, room: Arc<Notify>, mut random: Rng) -> String {
    loop {
        let lane = match random.u8(..10) {
            0 => Lane::Control,
            1..=3 => Lane::Events,
            _ => Lane::Logs,
        };
        let count = random.u64(1..=6);
        let first = numbers.fetch_add(count, Ordering::Relaxed);
        let numbers = first..first + count;
        match outbox.append(lane, numbers.clone().map(record).collect()).await {
            Ok(appended) => say(Event::Appended { first: appended.first, numbers }),
            Err(error @ (AppendError::LaneFull { .. } | AppendError::DiskFull { .. })) => {
                say(Event::Refused { numbers, error: error.to_string() });
                let _ = tokio::time::timeout(ROOM_PATIENCE, room.notified()).await;
            }
            Err(error) => {
                say(Event::Refused { numbers, error: error.to_string() });
                return error.to_string();
            }
        }
    }
}

/// Acks a random part of what is there, again and again; gives the reason why it ends.
async fn consume(outbox: Outbox, room: Arc<Notify>, mut random: Rng) -> String {
    let mut durable = outbox.durable();
    loop {
        let _ = tokio::time::timeout(CONSUMER_PATIENCE, durable.changed()).await;
        let states = match outbox.streams().await {
            Ok(states) => states,
            Err(error) => return error.to_string(),
        };
        for state in states {
            // In fits and starts: now a backlog grows over generations, now it goes.
            let batches = if random.u8(..) < 200 { 0 } else { random.u32(1..24) };
            if let Err(error) = drain(&outbox, state, batches, &mut random).await {
                return error;
            }
        }
        room.notify_waiters();
    }
}

async fn drain(outbox: &Outbox, state: StreamState, batches: u32, random: &mut Rng) -> Result<(), String> {
    let text = |error: StoreError| error.to_string();
    let stream = state.stream;
    let mut from = state.first_unacked;
    for _ in 0..batches {
        let batch = match outbox.read(stream, from, READ_BYTES).await.map_err(text)? {
            Some(Reading::Records(batch)) => batch,
            Some(Reading::Gap(gap)) => {
                ack(outbox, StreamMark { stream, acked: gap.to, acked_crc: 0 }).await.map_err(text)?;
                from = gap.to + 1;
                continue;
            }
            None => return Ok(()),
        };
        let upto = batch.first + random.u64(..u64::from(batch.count));
        let crc = check(stream, &batch, upto)?;
        ack(outbox, StreamMark { stream, acked: upto, acked_crc: crc }).await.map_err(text)?;
        from = upto + 1;
    }
    Ok(())
}

async fn ack(outbox: &Outbox, mark: StreamMark) -> Result<(), StoreError> {
    say(Event::Acking { upto: place(mark.stream, mark.acked) });
    outbox.ack(vec![mark]).await
}

/// Checks what was read; gives the CRC of record `upto`.
fn check(stream: StreamId, batch: &Batch, upto: u64) -> Result<u32, String> {
    let records = batch::decode(&batch.batch, batch.count).map_err(|error| error.to_string())?;
    let (mut before, mut crc) = (None, 0);
    for (record, seq) in records.iter().zip(batch.first..) {
        let seen = look(stream.lane, record, before.as_ref());
        if let Seen::Wrong(detail) = &seen {
            return Err(format!("{}: {detail}", place(stream, seq)));
        }
        before = Some(seen);
        if seq == upto {
            crc = batch::record_crc(seq, &record.payload);
        }
    }
    Ok(crc)
}
