//! The thread that owns the folder, and what it does between rounds.
//!
//! A failed write, flush or sync poisons the store: nothing more is accepted or acked until the process restarts. What was
//! durable before stays on disk and readable, but for the database that failed: it may refuse until the restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::id::{AgentId, Lane};
use crate::limit;
use crate::outbox::ledger::{Ledger, PerLane};
use crate::outbox::{LaneStat, OpenError, Range, RangeState, Stat, StoreError};
use crate::time::BootTime;
use crate::wire::message::StreamState;

use super::core::{self, Core};
use super::format::Format;
use super::generation::Generation;
use super::host::{Fault, Held, Host};
use super::inbox::Inbox;
use super::job::{self, Reservations};
use super::mark::{Durable, End, Mark};
use super::{Options, ballast, gap, recover};

/// Without work the thread looks around this often.
const IDLE: Duration = Duration::from_secs(60);

/// Everything of one open outbox.
pub(super) struct Store {
    pub(super) host: Arc<dyn Host>,
    pub(super) dir: PathBuf,
    pub(super) quota: PerLane<u64>,
    pub(super) ledger: Ledger,
    pub(super) core: Option<Core>,
    pub(super) mark: Mark,
    mark_synced: BootTime,
    pub(super) writers: PerLane<Option<Generation>>,
    pub(super) drained_since: PerLane<Option<BootTime>>,
    pub(super) reader: Option<Generation>,
    /// What the control lane keeps free for accepted jobs.
    pub(super) reservations: Reservations,
    pub(super) poisoned: Option<String>,
    pub(super) durable: watch::Sender<[StreamState; 3]>,
    format: Format,
    // Last: released when everything else is closed.
    _lock: Box<dyn Held>,
}

impl Store {
    pub(super) fn open(host: Arc<dyn Host>, dir: PathBuf, options: &Options) -> Result<Self, OpenError> {
        let io = |action| {
            let path = dir.clone();
            move |source| OpenError::Io { action, path, source }
        };
        host.make_folder(&dir).map_err(io("make"))?;
        let lock = host.lock(&dir)?;
        let format = Format::open(&host, &dir, options.agent)?;
        recover::clean(&*host, &dir).map_err(io("clean"))?;
        ballast::keep(&*host, &dir).map_err(io("write"))?;
        let mark = Mark::open(&*host, &dir).map_err(io("read the mark of"))?;
        let mut core = Core::open(&*host, &dir)
            .map_err(|fault| StoreError::Unreadable { path: dir.join("core"), detail: fault.to_string() })?;
        let mut ledger = recover::recover(&*host, &dir, &mut core, &mark)?;
        gap::remove_declared(&*host, &dir, &mut ledger)
            .map_err(|fault| StoreError::Unreadable { path: dir.clone(), detail: fault.to_string() })?;
        let reservations = job::reservations(&mut core, &ledger)
            .map_err(|fault| StoreError::Unreadable { path: dir.join("core"), detail: fault.to_string() })?;
        let [control, events, logs] = options.quota;
        Ok(Self {
            quota: PerLane::from_fn(|lane| match lane {
                Lane::Control => control,
                Lane::Events => events,
                Lane::Logs => logs,
            }),
            durable: watch::Sender::new(ledger.current_states()),
            dir,
            ledger,
            core: Some(core),
            mark,
            mark_synced: host.now(),
            host,
            writers: PerLane::default(),
            drained_since: PerLane::default(),
            reader: None,
            reservations,
            poisoned: None,
            format,
            _lock: lock,
        })
    }

    /// Works until the inbox is closed and empty.
    pub(super) fn run(mut self, inbox: &Arc<Inbox>) {
        loop {
            let work = inbox.take(self.patience());
            for (request, _permit) in work.requests {
                request(&mut self);
            }
            self.round(work.appends);
            self.tend(self.host.now());
            if work.closed {
                let result = self.stop();
                drop(self);
                if let Some(reply) = work.close_reply {
                    let _ = reply.send(result);
                }
                return;
            }
        }
    }

    fn patience(&self) -> Duration {
        let drained = Lane::ALL.into_iter().any(|lane| self.drained_since.of(lane).is_some());
        match (self.mark.changed(), drained) {
            (true, _) => limit::MARK_SYNC_INTERVAL,
            (false, true) => limit::GENERATION_IDLE,
            (false, false) => IDLE,
        }
    }

    /// What time brings: the mark's sync, and drained newest generations.
    pub(super) fn tend(&mut self, now: BootTime) {
        if self.poisoned.is_some() {
            return;
        }
        if self.mark.changed() && now.since(self.mark_synced) >= limit::MARK_SYNC_INTERVAL {
            let lazy = self.core.as_ref().is_some_and(Core::changed);
            let synced = self.mark.sync().map_err(Fault::from);
            self.mark_synced = now;
            let result = synced.and_then(|()| if lazy { self.commit_core() } else { Ok(()) });
            self.note(result);
        }
        for lane in Lane::ALL {
            let due =
                self.drained_since.of(lane).is_some_and(|since| now.since(since) >= limit::GENERATION_IDLE);
            if due {
                let result = self.remove_drained(lane);
                self.note(result);
            }
        }
    }

    /// Makes pending core rows durable.
    pub(super) fn commit_core(&mut self) -> Result<(), Fault> {
        let Some(core) = &mut self.core else { return Ok(()) };
        if core.changed() {
            let commit = core.commit()?;
            self.mark.write_core(commit)?;
        }
        Ok(())
    }

    pub(super) fn put(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        // As large as a block, so that the core never holds what becomes a blob file.
        if name.is_empty() || name.len() > 64 || value.len() > limit::BLOCK_BYTES_MAX {
            let detail =
                format!("`{name}` with {} bytes: a name has 1 to 64, a value at most 14336", value.len());
            return Err(StoreError::Invalid { detail });
        }
        self.check()?;
        self.durably(|store| {
            if let Some(core) = &mut store.core {
                core.put(&core::name_key(name), value);
            }
            store.commit_core()
        })
    }

    pub(super) fn get(&mut self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let path = self.dir.join("core");
        let core = self.core.as_mut().ok_or(StoreError::Closed)?;
        let value = core.get(&core::name_key(name));
        let unreadable = |fault: Fault| StoreError::Unreadable { path, detail: fault.to_string() };
        value.map(|value| value.map(Bytes::from)).map_err(unreadable)
    }

    pub(super) fn bind(&mut self, agent: AgentId) -> Result<(), OpenError> {
        self.format.bind(agent)
    }

    /// Runs a change of the core; a failure poisons.
    pub(super) fn durably(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), StoreError> {
        let result = change(self);
        self.note(result.clone());
        result.map_err(|fault| self.degraded(&fault))
    }

    /// Refuses changes of a poisoned store.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.poisoned.clone().map_or(Ok(()), |reason| Err(StoreError::Degraded { reason }))
    }

    pub(super) fn degraded(&self, fault: &Fault) -> StoreError {
        StoreError::Degraded { reason: self.poisoned.clone().unwrap_or_else(|| fault.to_string()) }
    }

    /// Poisons the store where a write failed.
    pub(super) fn note(&mut self, result: Result<(), Fault>) {
        if let Err(fault) = result
            && self.poisoned.is_none()
        {
            tracing::error!(%fault, path = %self.dir.display(), "the outbox is degraded until a restart");
            self.poisoned = Some(fault.to_string());
            if let Err(error) = self.seal() {
                tracing::warn!(%error, "records that are refused from now on may still arrive after the restart");
            }
        }
    }

    /// Says durably that what lies above the watermarks was refused.
    fn seal(&mut self) -> std::io::Result<()> {
        for lane in Lane::ALL {
            let (epoch, upto) = (self.ledger.current(lane).epoch, self.ledger.next(lane) - 1);
            self.mark.write_lane(lane, Durable { epoch, upto, end: End::Sealed })?;
        }
        self.mark.sync()
    }

    pub(super) fn stat(&mut self) -> Stat {
        let mut stat = Stat {
            gaps: self.ledger.gaps().count() as u64,
            degraded: self.poisoned.is_some(),
            disk_bytes: limit::BALLAST_BYTES,
            ..Stat::default()
        };
        let core_bytes = self.core.as_ref().and_then(|core| core.length().ok()).unwrap_or_default();
        for lane in Lane::ALL {
            let (records, bytes) = self.ledger.depth(lane);
            let disk_bytes = if lane == Lane::Control { core_bytes } else { self.ledger.disk_bytes(lane) };
            stat.disk_bytes += disk_bytes;
            let oldest_ms = self.oldest_ms(lane);
            let quota_bytes = *self.quota.of(lane);
            let lane_stat = LaneStat { records, bytes, disk_bytes, oldest_ms, quota_bytes };
            stat.lanes.insert(lane.name().to_owned(), lane_stat);
        }
        stat
    }

    fn oldest_ms(&mut self, lane: Lane) -> Option<u64> {
        let streams = self.ledger.streams().filter(|(id, _)| id.lane == lane);
        let mut held = streams.filter_map(|(id, _)| Some((id, self.ledger.held(id).first()?.0)));
        let (id, seq) = held.next()?;
        drop(held);
        self.first_ms(id, seq)
    }

    pub(super) fn ranges(&self) -> Vec<Range> {
        let mut ranges = Vec::new();
        for (id, stream) in self.ledger.streams() {
            let held = self.ledger.held(id);
            let count = |(first, last): &(u64, u64)| last.saturating_sub(*first).saturating_add(1);
            let all: u64 = held.iter().map(count).sum();
            let share = |count: u64| {
                let share = u128::from(stream.unacked_bytes()) * u128::from(count) / u128::from(all.max(1));
                u64::try_from(share).unwrap_or(u64::MAX)
            };
            ranges.extend(held.iter().map(|range| Range {
                lane: id.lane.name().to_owned(),
                epoch: id.epoch.to_string(),
                first: range.0,
                last: range.1,
                count: count(range),
                bytes: share(count(range)),
                state: RangeState::Unacked,
            }));
        }
        ranges
    }

    /// A clean stop: cursors and mark durable, everything closed.
    fn stop(&mut self) -> Result<(), StoreError> {
        if let Some(reason) = self.poisoned.clone() {
            // Databases in an unknown state are left as they are: a drop would write.
            Lane::ALL
                .into_iter()
                .filter_map(|lane| self.writers.of_mut(lane).take())
                .for_each(Generation::abandon);
            self.reader.take().into_iter().for_each(Generation::abandon);
            self.core.take().into_iter().for_each(Core::abandon);
            return Err(StoreError::Degraded { reason });
        }
        let result = self.stop_clean();
        self.note(result.clone());
        result.map_err(|fault| self.degraded(&fault))
    }

    fn stop_clean(&mut self) -> Result<(), Fault> {
        for lane in Lane::ALL {
            self.remove_drained(lane)?;
            if let Some(writer) = self.writers.of_mut(lane).take() {
                writer.close()?;
            }
        }
        self.commit_core()?;
        self.mark.sync()?;
        self.reader.take().map_or(Ok(()), Generation::close)?;
        self.core.take().map_or(Ok(()), Core::close)
    }
}
