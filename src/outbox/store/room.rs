//! Room on disk: which appends are let in, and what goes for them. `policy` decides; here it is looked up and carried out.

use std::io;
use std::path::Path;

use crate::id::Lane;
use crate::limit;
use crate::outbox::AppendError;
use crate::outbox::job::ReservationChange;
use crate::outbox::ledger::PerLane;
use crate::outbox::policy::{self, LanePolicy, Room, Short, Writer};
use crate::wire::message::GapReason;

use super::committer::{Answer, Reply};
use super::generation::Generation;
use super::host::{Fault, Host};
use super::inbox::Append;
use super::thread::Store;
use super::{Options, job};

/// What may be taken of the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) lanes: PerLane<LanePolicy>,
    max_bytes: Option<u64>,
    min_free: u64,
}

impl Rules {
    pub(super) fn new(host: &dyn Host, dir: &Path, options: &Options) -> io::Result<Self> {
        let min_free = match options.min_free {
            Some(bytes) => bytes,
            None => policy::min_free(host.disk_bytes(dir)?),
        };
        Ok(Self { lanes: options.lanes, max_bytes: options.max_bytes, min_free })
    }
}

impl Store {
    /// Keeps the appends there is room for, and makes room where that is the policy; answers the others.
    pub(super) fn admit(
        &mut self,
        lane: Lane,
        appends: Vec<Append>,
        answers: &mut Vec<(Reply, Answer)>,
    ) -> Vec<Append> {
        let poisoned = self.poisoned.clone();
        if let Some(reason) = poisoned {
            let refused =
                |append: Append| (append.reply, Err(AppendError::Degraded { reason: reason.clone() }));
            answers.extend(appends.into_iter().map(refused));
            return Vec::new();
        }
        match lane {
            Lane::Control => self.admit_control(appends, answers),
            Lane::Events | Lane::Logs => self.admit_bulk(lane, appends, answers),
        }
    }

    /// What is reserved for accepted jobs is no room for anything but those jobs.
    fn admit_control(&mut self, appends: Vec<Append>, answers: &mut Vec<(Reply, Answer)>) -> Vec<Append> {
        let lane = Lane::Control;
        let mut used = self.ledger.disk_bytes(lane);
        let mut taken = 0u64;
        let mut reserved = self.reservations.bytes();
        let quota = self.rules.lanes.of(lane).max_bytes;
        let mut admitted = Vec::with_capacity(appends.len());
        for append in appends {
            let bytes = append.encoded.bytes.len() as u64 + append.job.as_ref().map_or(0, job::bytes);
            let (takes, own) = append.job.as_ref().map_or((0, false), |change| {
                let takes = change.reservation == ReservationChange::Take;
                (if takes { limit::JOB_RESERVATION_BYTES } else { 0 }, self.reservations.contains(change.job))
            });
            let kept_free = if own { 0 } else { reserved.saturating_add(takes) };
            if used.saturating_add(bytes).saturating_add(kept_free) > quota {
                let used = used.saturating_add(reserved);
                answers.push((append.reply, Err(AppendError::LaneFull { lane, used, quota })));
                continue;
            }
            // A job's own words need no more than what is there for them.
            let needed = kept_free.saturating_add(taken).saturating_add(bytes);
            let room = if own { Ok(()) } else { self.make_room_for_core(needed) };
            if let Err(fault) = room {
                let refused = self.not_ready(fault);
                answers.push((append.reply, Err(refused)));
            } else {
                taken = taken.saturating_add(bytes);
                used = used.saturating_add(bytes);
                reserved = reserved.saturating_add(takes);
                admitted.push(append);
            }
        }
        admitted
    }

    fn admit_bulk(
        &mut self,
        lane: Lane,
        appends: Vec<Append>,
        answers: &mut Vec<(Reply, Answer)>,
    ) -> Vec<Append> {
        let mut bytes = self.buffered.bytes(lane);
        let freed =
            self.make_room(lane, bytes, appends.iter().map(|append| append.encoded.bytes.len() as u64));
        let room = self.room(lane, freed);
        let mut admitted = Vec::with_capacity(appends.len());
        for append in appends {
            let with = bytes.saturating_add(append.encoded.bytes.len() as u64);
            let refused =
                self.buffered.refusal(lane).or_else(|| room.shortage(with).map(|short| short.error(lane)));
            match refused {
                Some(error) => answers.push((append.reply, Err(error))),
                None => {
                    bytes = with;
                    admitted.push(append);
                }
            }
        }
        admitted
    }

    /// Evicts until `held` bytes and those of the appends have room in a lane; gives the bytes of disk that gave back. For
    /// what has no room either when everything is gone that may go, nothing goes.
    fn make_room(&mut self, lane: Lane, held: u64, appends: impl Iterator<Item = u64> + Clone) -> u64 {
        let room = self.room(lane, 0);
        let victims =
            policy::victims(lane, &self.rules.lanes).map(|lane| (lane, self.ledger.disk_bytes(lane)));
        let (own, all) = victims.fold((0, 0u64), |(own, all), (victim, bytes)| {
            (if victim == lane { bytes } else { own }, all.saturating_add(bytes))
        });
        let emptied = room.emptied(own, all);
        let fits = |bytes: &u64| emptied.shortage(held.saturating_add(*bytes)).is_none();
        let sum = appends.clone().fold(0, u64::saturating_add);
        let Some(bytes) = Some(sum).filter(fits).or_else(|| appends.filter(fits).max()) else { return 0 };
        let mut freed = 0u64;
        while let Some(short) = self.room(lane, freed).shortage(held.saturating_add(bytes)) {
            match self.give_way(short, lane) {
                Some(given_back) => freed = freed.saturating_add(given_back),
                None => break,
            }
        }
        freed
    }

    /// Sees to it that the core's disk has room for what is reserved and for `bytes`. Control takes what the disk has, so
    /// that results always fit: where that is too little, others give way.
    fn make_room_for_core(&mut self, bytes: u64) -> Result<(), Fault> {
        let written =
            bytes.saturating_mul(limit::CORE_AMPLIFICATION).saturating_add(limit::CORE_COMMIT_BYTES);
        loop {
            let Some(core) = &mut self.core else { return Ok(()) };
            let provided = core.provide(written);
            if !matches!(provided, Err(Fault::Full(_))) || core.dirty() {
                return provided;
            }
            let short = Short::Disk { free: self.free_bytes(), min_free: written };
            if self.give_way(short, Lane::Control).is_none() {
                return provided;
            }
        }
    }

    /// Evicts one generation for an append to `lane`; gives the bytes of disk that gave back, `None` where none may go.
    pub(super) fn give_way(&mut self, short: Short, lane: Lane) -> Option<u64> {
        let held = PerLane::from_fn(|lane| self.ledger.oldest(lane).is_some());
        let victim = policy::victim(short, lane, &self.rules.lanes, &held)?;
        match self.remove_oldest(victim, GapReason::Evicted) {
            Ok(given_back) => Some(given_back),
            Err(fault) => {
                let _told_by_the_append = self.fail(fault);
                None
            }
        }
    }

    fn room(&mut self, lane: Lane, freed: u64) -> Room {
        let used = self.ledger.disk_bytes(lane);
        let (events, logs) = (self.ledger.disk_bytes(Lane::Events), self.ledger.disk_bytes(Lane::Logs));
        Room {
            policy: *self.rules.lanes.of(lane),
            generation: self.generation_bytes(lane),
            slack: Generation::slack(&*self.host),
            used,
            writer: self.writer_room(lane),
            both_used: events.saturating_add(logs),
            both_max: self.both_max(),
            free: self.free_bytes(),
            min_free: self.rules.min_free,
            freed,
        }
    }

    /// Bytes of one of the lane's generations; a database has at least one segment.
    pub(super) fn generation_bytes(&self, lane: Lane) -> u64 {
        self.rules.lanes.of(lane).generation_bytes(self.host.segment_bytes())
    }

    /// The lane's writer as `policy` sees it.
    pub(super) fn writer_room(&self, lane: Lane) -> Option<Writer> {
        let writer = self.writers.of(lane).as_ref()?;
        // One whose length is not known is full.
        let (length, reserved) = writer
            .length()
            .and_then(|length| Ok((length, writer.disk_bytes()?)))
            .unwrap_or((u64::MAX, u64::MAX));
        let length = if writer.is_full() { u64::MAX } else { length };
        let next = self.ledger.stream(writer.name.stream).map_or(0, |stream| stream.next);
        Some(Writer { length, reserved, begun: writer.name.first < next })
    }

    /// What events and logs may take together: the whole outbox's quota less what is control's.
    fn both_max(&self) -> u64 {
        let Some(max) = self.rules.max_bytes else { return u64::MAX };
        let core = self.core.as_ref().and_then(|core| core.length().ok()).unwrap_or_default();
        let core = core.saturating_add(limit::CORE_AHEAD_BYTES);
        let control = self.rules.lanes.of(Lane::Control).max_bytes.max(core);
        max.saturating_sub(control).saturating_sub(limit::BALLAST_BYTES)
    }

    /// A disk that does not say what is free has room until a write fails.
    fn free_bytes(&mut self) -> u64 {
        let now = self.host.now();
        match self.free {
            Some((at, bytes)) if now.since(at) < limit::FREE_LOOK_INTERVAL => bytes,
            _ => {
                let bytes = self.host.free_bytes(&self.dir).unwrap_or(u64::MAX);
                self.free = Some((now, bytes));
                bytes
            }
        }
    }
}
