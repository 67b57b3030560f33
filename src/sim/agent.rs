//! One agent: a machine with a disk, and on it a process with the real store, the real journal and the real session.

mod harm;
mod jobs;
mod relay;
mod session;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{InstanceId, Lane, RecordId};
use crate::outbox::store::host::Host;
use crate::outbox::store::inline::Inline;
use crate::outbox::{NewRecord, Options, Outbox, Reading};
use crate::session::tests::fixture;
use crate::time::{BootTime, WallTime};
use crate::wire::batch;

use super::around::Around;
use super::disk::Disk;
use super::scenario::Trouble;
use super::truth::{Folder, Serial};
use harm::Harm;
use jobs::Jobs;
use relay::Relays;
use session::Session;

/// Where the outbox lies.
const DIR: &str = "/data/outbox";

/// One machine.
pub(super) struct Agent {
    pub(super) folder: Folder,
    pub(super) disk: Disk,
    pub(super) process: Option<Process>,
    /// The wall clock less hub time, in milliseconds.
    pub(super) wall_offset: i64,
    boot: u8,
    pub(super) harm: Harm,
    /// How it dies where its disk stops.
    pub(super) armed: Death,
    /// When a process that is down is started again.
    pub(super) start_at: BootTime,
    /// When a link that is down is dialled again.
    pub(super) dial_at: BootTime,
}

/// What a killed process loses.
pub(super) struct Process {
    pub(super) outbox: Outbox,
    pub(super) store: Inline,
    pub(super) jobs: Jobs,
    pub(super) session: Option<Session>,
    relays: Relays,
    instance: InstanceId,
}

/// How a process ends that does not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    Kill,
    PowerCut,
}

impl Agent {
    pub(super) fn new(folder: Folder, disk: Disk, now: BootTime) -> Self {
        let boot = u8::try_from(folder * 64).unwrap_or_default();
        Self {
            folder,
            disk,
            process: None,
            wall_offset: 0,
            boot,
            harm: Harm::default(),
            armed: Death::PowerCut,
            start_at: now,
            dial_at: now,
        }
    }

    pub(super) fn wall(&self, around: &Around<'_>) -> WallTime {
        WallTime(around.hub_now().0.saturating_add_signed(self.wall_offset))
    }

    /// Starts the process, where it is down and its time has come.
    pub(super) fn start(&mut self, around: &mut Around<'_>) {
        if self.process.is_some() || around.now < self.start_at {
            return;
        }
        self.disk.set_now(around.now);
        let agent = Some(fixture::agent_config().agent_id);
        let options = Options { agent, lanes: around.scenario.lanes(), ..Options::default() };
        let opened = Outbox::open_inline(Arc::new(self.disk.clone()), Path::new(DIR), &options);
        if self.disk.is_stopped() {
            drop(opened);
            self.harm.interrupted();
            return self.die(around, None);
        }
        match opened {
            Ok((outbox, store)) => {
                around.say(|| format!("agent {}: {:?}", self.folder, self.disk.list(Path::new(DIR))));
                around.say(|| format!("agent {}: {:?}", self.folder, store.ledger()));
                self.harm.excuse(self.folder, store.ledger(), self.disk.has_room(), around.truth);
                around.truth.check(self.folder, store.ledger());
                let instance = InstanceId::from_bytes(around.bytes());
                let (jobs, relays) = Default::default();
                self.process = Some(Process { outbox, store, jobs, session: None, relays, instance });
                around.say(|| format!("agent {} starts", self.folder));
                self.recover_jobs(around);
                self.after(around);
            }
            Err(error) => {
                around.say(|| format!("agent {} does not start: {error}", self.folder));
                let scenario = around.scenario;
                let excused = scenario.has(Trouble::FailedSync) || scenario.has(Trouble::FullDisk);
                assert!(excused, "the outbox does not open: {error}");
                self.disk.kill();
                self.start_at = around.now.after(Duration::from_secs(1));
            }
        }
    }

    /// Ends the process as it is.
    pub(super) fn die(&mut self, around: &mut Around<'_>, death: Option<Death>) {
        let death = death.unwrap_or(self.armed);
        around.say(|| format!("agent {}: {death:?} after {} steps", self.folder, self.disk.steps()));
        self.end_session(around, Duration::ZERO);
        if let Some(process) = self.process.take() {
            // What a drop would still write must not reach the disk.
            self.disk.stop();
            drop(process);
        }
        match death {
            Death::Kill => self.disk.kill(),
            Death::PowerCut => {
                self.disk.cut_power();
                self.harm.power_lost();
                self.boot = self.boot.wrapping_add(1);
            }
        }
        let down = if around.rng.bool() { 0 } else { around.rng.u64(0..20_000) };
        self.start_at = around.now.after(Duration::from_millis(down));
    }

    /// Stops the process in order.
    pub(super) fn stop(&mut self, around: &mut Around<'_>) {
        self.end_session(around, Duration::ZERO);
        let Some(process) = self.process.take() else { return };
        let Process { outbox, store, .. } = process;
        drop(outbox);
        let result = store.stop();
        around.say(|| format!("agent {} stops: {result:?}", self.folder));
        if self.disk.is_stopped() {
            return self.die(around, None);
        }
        self.disk.kill();
        self.start_at = around.now.after(Duration::from_millis(around.rng.u64(0..5_000)));
    }

    /// After each call into the store: the machine may have stopped meanwhile.
    pub(super) fn after(&mut self, around: &mut Around<'_>) {
        if self.disk.is_stopped() {
            return self.die(around, None);
        }
        if let Some(process) = &self.process {
            around.truth.check(self.folder, process.store.ledger());
        }
        for (lane, prefix) in [(Lane::Events, "events-"), (Lane::Logs, "logs-")] {
            let (bytes, quota) =
                (self.disk.bytes_of(Path::new(DIR), prefix), around.scenario.quota[lane.index()]);
            assert!(
                bytes <= quota + quota / 8 + around.scenario.round_bytes(),
                "{lane} takes {bytes} bytes of the disk, its quota is {quota}"
            );
        }
    }

    /// Time goes on for the store.
    pub(super) fn tend(&mut self, around: &mut Around<'_>) {
        self.disk.set_now(around.now);
        if let Some(process) = &mut self.process {
            process.store.turn();
        }
        self.after(around);
    }

    /// Programs hand records over, some at the same moment.
    pub(super) fn append(&mut self, around: &mut Around<'_>) {
        let wall = self.wall(around);
        self.disk.set_now(around.now);
        let Some(process) = &mut self.process else { return };
        let mut calls = Vec::new();
        for _ in 0..around.rng.usize(1..=3) {
            let lane = Lane::ALL[around.rng.usize(0..3)];
            let (serials, records) = draw(around, lane, wall);
            calls.push((lane, serials, records));
        }
        let outbox = process.outbox.clone();
        let futures = calls.iter().map(|(lane, _, records)| outbox.append(*lane, records.clone()));
        let answers = process.store.wait(futures_util::future::join_all(futures));
        if !self.disk.is_stopped() {
            for ((lane, serials, _), answer) in calls.iter().zip(answers) {
                around.say(|| format!("agent {} {lane} {serials:?}: {answer:?}", self.folder));
                match answer {
                    Ok(appended) => around.truth.reported(self.folder, serials, &appended),
                    Err(_) => around.truth.refused(serials),
                }
            }
        }
        self.after(around);
    }

    /// One record for each lane; says whether all were taken.
    pub(super) fn append_fresh(&mut self, around: &mut Around<'_>) -> Option<Vec<usize>> {
        let wall = self.wall(around);
        let mut fresh = Vec::new();
        for lane in Lane::ALL {
            let process = self.process.as_mut()?;
            let (serial, record) = around.truth.draw(Serial::new(lane, 5, wall));
            match process.store.wait(process.outbox.append(lane, vec![record])) {
                Ok(appended) => around.truth.reported(self.folder, &[serial], &appended),
                Err(error) => {
                    around.say(|| format!("agent {} {lane} {serial}: {error}", self.folder));
                    around.truth.refused(&[serial]);
                    return None;
                }
            }
            fresh.push(serial);
        }
        Some(fresh)
    }

    /// Reads everything that is to be there.
    pub(super) fn audit(&mut self, around: &mut Around<'_>) {
        let Some(process) = &mut self.process else { return };
        for (stream, first, last) in around.truth.open_of(self.folder) {
            let mut from = first;
            while from <= last {
                let reading = process.store.wait(process.outbox.read(stream, from, 1 << 20));
                let reading = reading.unwrap_or_else(|error| panic!("{stream} {from}: {error}"));
                from = match reading {
                    Some(Reading::Records(found)) => {
                        let records = batch::decode(&found.batch, found.count).expect("stored records");
                        around.truth.readable(RecordId { stream, seq: from }, &records);
                        from + u64::from(found.count)
                    }
                    Some(Reading::Gap(gap)) => gap.to + 1,
                    None => panic!("{stream} {from} cannot be read, reported are {first} to {last}"),
                };
            }
        }
    }

    /// What is left, in words.
    pub(super) fn left(&self) -> String {
        let Some(process) = &self.process else { return format!("agent {} is down\n", self.folder) };
        let ledger = process.store.ledger();
        let names = self.disk.list(Path::new(DIR));
        format!(
            "agent {}: {:?}, gaps {:?}, {names:?}, {:?}\n",
            self.folder,
            ledger.states(),
            ledger.gaps().collect::<Vec<_>>(),
            process.store.poisoned(),
        )
    }

    /// Whether nothing is left to be sent or removed.
    pub(super) fn is_drained(&self) -> bool {
        let Some(process) = &self.process else { return false };
        let ledger = process.store.ledger();
        ledger.streams().all(|(_, stream)| stream.unacked() == 0)
            && ledger.gaps().next().is_none()
            && self.disk.bytes_of(Path::new(DIR), "events-") == 0
            && self.disk.bytes_of(Path::new(DIR), "logs-") == 0
    }
}

fn draw(around: &mut Around<'_>, lane: Lane, wall: WallTime) -> (Vec<usize>, Vec<NewRecord>) {
    let count = around.rng.usize(1..=around.scenario.records_max);
    let drawn = (0..count).map(|_| {
        let long = around.scenario.long_every != u32::MAX && around.once_in(around.scenario.long_every);
        let bytes = if long { around.rng.usize(13_000..30_000) } else { around.rng.usize(0..200) };
        around.truth.draw(Serial::new(lane, bytes, wall))
    });
    drawn.unzip()
}
