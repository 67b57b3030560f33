//! Every operation of a script fails once, in every way: nothing accepted is lost, nothing refused is ever delivered or
//! half there, and the store mends itself or says that it is degraded.

mod failing;
mod hang;

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use super::*;
use crate::id::JobId;
use crate::outbox::AppendError;
use crate::outbox::job::{ReservationChange, SpecChange};
use crate::outbox::ledger::PerLane;
use crate::outbox::policy::OnFull;
use crate::outbox::store::inline::Inline;
use crate::sim::disk::Disk;
use failing::{Failing, Failure, Moment};

const DIR: &str = "/data/outbox";
/// Large enough for nothing to be refused by it, small enough for generations of 32 KiB.
const QUOTA: [u64; 3] = [4 << 20, 256 << 10, 256 << 10];

/// Every lane refuses: what was accepted stays.
fn options() -> Options {
    let mut options = Options { min_free: Some(0), ..Options::default() };
    for (lane, quota) in Lane::ALL.into_iter().zip(QUOTA) {
        let policy = options.lanes.of_mut(lane);
        (policy.max_bytes, policy.on_full) = (quota, OnFull::Refuse);
    }
    options
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The disk has room again; the store goes on, then is closed.
    Heal,
    Kill,
    Cut,
}

/// What was accepted.
#[derive(Debug, Default)]
struct Truth {
    records: PerLane<Vec<Bytes>>,
    acked: PerLane<u64>,
    jobs: BTreeMap<JobId, (Bytes, Option<Bytes>)>,
    /// What a name may stand for: the last value accepted, and those refused since.
    values: Vec<Option<Bytes>>,
    errors: Vec<String>,
}

struct World {
    host: Failing,
    now: Duration,
    store: Option<(Outbox, Inline)>,
    truth: Truth,
    streams: PerLane<Option<StreamId>>,
}

impl World {
    fn new(at: u64, failure: Failure, moment: Moment) -> Self {
        let disk = Disk::new(Rng::with_seed(at), 256 << 20);
        let host = Failing::new(disk, at, failure, moment);
        let truth = Truth { values: vec![None], ..Truth::default() };
        let streams = PerLane::default();
        let mut world = Self { host, now: Duration::from_secs(100), store: None, truth, streams };
        world.wait(0);
        world
    }

    /// Opens, twice where the failure struck.
    fn open(&mut self) {
        let options = options();
        let open = |host: &Failing| Outbox::open_inline(Arc::new(host.clone()), Path::new(DIR), &options);
        let opened = open(&self.host).or_else(|error| {
            assert!(self.host.hit().is_some(), "{error}");
            self.truth.errors.push(error.to_string());
            self.host.heal();
            open(&self.host)
        });
        let (outbox, inline) = opened.unwrap();
        let states = *outbox.durable().borrow();
        for lane in Lane::ALL {
            self.streams.of_mut(lane).get_or_insert(states[lane.index()].stream);
        }
        self.store = Some((outbox, inline));
    }

    fn call<T, F: Future<Output = T>>(&mut self, call: impl FnOnce(Outbox) -> F) -> T {
        let (outbox, inline) = self.store.as_mut().unwrap();
        inline.wait(call(outbox.clone()))
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.host.disk.set_now(crate::time::BootTime(self.now));
        if let Some((_, inline)) = &mut self.store {
            inline.turn();
        }
    }

    fn append(&mut self, lane: Lane, count: usize, bytes: usize) -> Result<(), AppendError> {
        let have = self.truth.records.of(lane).len();
        let tried = self.truth.errors.len();
        let records: Vec<_> = (have..have + count)
            .map(|number| record(&format!("{lane} {number} {tried} {}", "x".repeat(bytes))))
            .collect();
        let payloads = records.iter().map(|record| record.payload.clone()).collect::<Vec<_>>();
        let appended = self.call(|outbox| async move { outbox.append(lane, records).await });
        match appended {
            Ok(appended) => {
                assert_eq!(appended.first.seq, have as u64 + 1);
                self.truth.records.of_mut(lane).extend(payloads);
                Ok(())
            }
            Err(error) => {
                self.truth.errors.push(error.to_string());
                Err(error)
            }
        }
    }

    fn job(&mut self, number: u8, row: &'static str, spec: SpecChange, reservation: ReservationChange) {
        let job = JobId::from_bytes([number; 16]);
        let told = record(&format!("job {number} {row} {}", self.truth.errors.len()));
        let payload = told.payload.clone();
        let row = Bytes::from_static(row.as_bytes());
        let change = JobChange {
            job,
            row: row.clone(),
            spec: spec.clone(),
            reservation,
            forget: None,
            records: vec![told],
        };
        match self.call(|outbox| async move { outbox.change_job(change).await }) {
            Ok(()) => {
                let before = self.truth.jobs.remove(&job).and_then(|(_, spec)| spec);
                let spec = match spec {
                    SpecChange::Keep => before,
                    SpecChange::Put(spec) => Some(spec),
                    SpecChange::Remove => None,
                };
                self.truth.jobs.insert(job, (row, spec));
                self.truth.records.of_mut(Lane::Control).push(payload);
            }
            Err(error) => self.truth.errors.push(error.to_string()),
        }
    }

    /// Acks so many of what was accepted.
    fn ack(&mut self, lane: Lane, upto: usize) {
        let acked = upto.min(self.truth.records.of(lane).len()) as u64;
        let stream = self.streams.of(lane).unwrap();
        let mark = StreamMark { stream, acked, acked_crc: 7 };
        let before = self.poisoned();
        let result = self.call(|outbox| async move { outbox.ack(vec![mark]).await });
        match result {
            Err(error) if before => assert!(matches!(error, StoreError::Degraded { .. }), "{error}"),
            // What fails after the cursor has moved is the removal.
            result => {
                *self.truth.acked.of_mut(lane) = acked.max(*self.truth.acked.of(lane));
                self.truth.errors.extend(result.err().map(|error| error.to_string()));
            }
        }
    }

    fn put(&mut self, value: &'static str) {
        let value = Bytes::from_static(value.as_bytes());
        let put = value.clone();
        match self.call(|outbox| async move { outbox.put("name", put).await }) {
            Ok(()) => self.truth.values = vec![Some(value)],
            Err(error) => {
                self.truth.errors.push(error.to_string());
                self.truth.values.push(Some(value));
            }
        }
    }

    /// All lanes, a rotation, acks that remove a generation, jobs from offer to result, and idle time.
    fn script(&mut self) {
        self.open();
        for lane in Lane::ALL {
            let _ = self.append(lane, 3, 20);
        }
        let spec = Bytes::from(vec![7; 30_000]);
        self.job(1, "accepted", SpecChange::Put(spec.clone()), ReservationChange::Take);
        self.put("one");
        self.job(1, "running", SpecChange::Keep, ReservationChange::Keep);
        let _ = self.append(Lane::Logs, 40, 1000);
        let _ = self.append(Lane::Logs, 20, 1000);
        self.ack(Lane::Control, 4);
        self.ack(Lane::Logs, 45);
        self.job(2, "accepted", SpecChange::Put(spec), ReservationChange::Take);
        let _ = self.append(Lane::Events, 2, 100);
        self.wait(2);
        self.put("two");
        self.job(1, "finished", SpecChange::Remove, ReservationChange::Release);
        self.ack(Lane::Logs, usize::MAX);
        self.ack(Lane::Events, usize::MAX);
        self.wait(6);
        self.ack(Lane::Control, usize::MAX);
        let _ = self.append(Lane::Logs, 2, 100);
        let _ = self.append(Lane::Control, 2, 100);
        self.job(2, "running", SpecChange::Keep, ReservationChange::Keep);
        self.wait(2);
    }

    /// Everything accepted and not acked comes, in order, and nothing else.
    fn check_records(&mut self, lane: Lane) -> Result<(), StoreError> {
        let stream = self.streams.of(lane).unwrap();
        let expected = self.truth.records.of(lane).clone();
        let cursor = self.call(|outbox| async move { outbox.cursor(stream).await })?.acked;
        let known = self.call(|outbox| async move { outbox.streams().await })?;
        let Some(state) = known.iter().find(|state| state.stream == stream) else {
            // Forgotten: all of it was acked.
            assert_eq!(*self.truth.acked.of(lane), expected.len() as u64, "{lane}");
            return Ok(());
        };
        assert_eq!(state.next, expected.len() as u64 + 1, "{lane}");
        assert!(cursor <= *self.truth.acked.of(lane), "{lane}");
        let mut from = cursor + 1;
        while from < state.next {
            let read =
                self.call(|outbox| async move { outbox.read(stream, from, limit::BATCH_BYTES).await })?;
            let Some(Reading::Records(batch)) = read else { panic!("{lane} {from}: {read:?}") };
            for record in batch::decode(&batch.batch, batch.count).unwrap() {
                let index = usize::try_from(from - 1).unwrap();
                assert_eq!(Some(&record.payload), expected.get(index), "{lane} {from}");
                from += 1;
            }
        }
        let after = self.call(|outbox| async move { outbox.read(stream, from, limit::BATCH_BYTES).await })?;
        assert_eq!(after, None, "{lane}");
        Ok(())
    }

    fn check_rows(&mut self) -> Result<(), StoreError> {
        let rows = self.call(|outbox| async move { outbox.jobs().await })?;
        let found: BTreeMap<_, _> = rows.jobs.into_iter().map(|job| (job.job, (job.row, job.spec))).collect();
        assert!(found == self.truth.jobs, "{found:?} instead of {:?}", self.truth.jobs);
        let value = self.call(|outbox| async move { outbox.get("name").await })?;
        assert!(self.truth.values.contains(&value), "{value:?}");
        Ok(())
    }

    fn check(&mut self) -> Result<(), StoreError> {
        for lane in Lane::ALL {
            self.check_records(lane)?;
        }
        self.check_rows()
    }

    fn poisoned(&self) -> bool {
        self.store.as_ref().is_some_and(|(_, inline)| inline.poisoned().is_some())
    }
}

/// Says which operation failed, where the run does.
struct Label(Failing);

impl Drop for Label {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("what failed: {:?}", self.0.hit());
        }
    }
}

fn run(at: u64, failure: Failure, moment: Moment, end: End) -> Option<String> {
    let mut world = World::new(at, failure, moment);
    let _label = Label(world.host.clone());
    world.script();
    let hit = world.host.hit();
    if world.poisoned() {
        assert_eq!(failure, Failure::BrokenOnce, "a full disk degrades nothing: {:?}", world.truth.errors);
        for lane in Lane::ALL {
            let refused = world.append(lane, 1, 10);
            assert!(matches!(refused, Err(AppendError::Degraded { .. })), "{refused:?}");
        }
        world.check_records(Lane::Events).unwrap();
        world.check_records(Lane::Logs).unwrap();
    } else if end == End::Heal {
        world.host.heal();
        world.wait(2);
        world.wait(2);
        for lane in Lane::ALL {
            world.append(lane, 2, 50).unwrap();
        }
        world.check().unwrap();
        assert!(world.host.disk.exists(&Path::new(DIR).join("BALLAST")));
        world.wait(2);
    }
    world.host.heal();
    let (outbox, inline) = world.store.take().unwrap();
    drop(outbox);
    match end {
        End::Heal if inline.poisoned().is_none() => inline.stop().unwrap(),
        End::Heal | End::Kill => {
            world.host.disk.kill();
            drop(inline);
        }
        End::Cut => {
            world.host.disk.cut_power();
            drop(inline);
        }
    }
    // The first start finds what the failure left, the second what the first has written down.
    for _ in 0..2 {
        world.open();
        world.check().unwrap();
        let (outbox, inline) = world.store.take().unwrap();
        drop(outbox);
        inline.stop().unwrap();
    }
    hit
}

fn every_operation(failure: Failure) {
    let mut count = 0;
    for moment in [Moment::Before, Moment::After] {
        for end in [End::Heal, End::Kill, End::Cut] {
            for at in 0.. {
                let result = std::panic::catch_unwind(|| run(at, failure, moment, end));
                let Ok(hit) = result else {
                    panic!("failed: operation {at}, {failure:?}, {moment:?}, {end:?}")
                };
                if hit.is_none() {
                    break;
                }
                count += 1;
            }
        }
    }
    println!("{count} failures");
    assert!(count > 6 * 100, "{count} failures");
}

#[test]
fn any_operation_finds_the_disk_full_once() {
    every_operation(Failure::FullOnce);
}

#[test]
fn the_disk_is_full_from_any_operation_on() {
    every_operation(Failure::FullFrom);
}

#[test]
fn any_operation_fails_once() {
    every_operation(Failure::BrokenOnce);
}
