//! The thread that owns the folder, and what it does between rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::id::{AgentId, Lane};
use crate::limit;
use crate::outbox::cipher::Cipher;
use crate::outbox::ledger::{Ledger, PerLane};
use crate::outbox::name::GenerationName;
use crate::outbox::policy::{HubClock, LastRecord};
use crate::outbox::{OpenError, StoreError};
use crate::time::BootTime;
use crate::wire::message::StreamState;

use super::ballast::{self, Ballast};
use super::buffer::Buffered;
use super::carve::Carved;
use super::core::{self, Core, Need};
use super::format::Format;
use super::generation::Generation;
use super::host::{Fault, Held, Host};
use super::inbox::{CloseReply, Inbox, Work};
use super::job::Reservations;
use super::mark::Mark;
use super::room::Rules;
use super::watch::Watch;
use super::{Options, recover, spans};

/// Without work the thread looks around this often.
const IDLE: Duration = Duration::from_secs(60);

/// Everything of one open outbox.
pub(super) struct Store {
    pub(super) host: Arc<dyn Host>,
    pub(super) dir: PathBuf,
    pub(super) rules: Rules,
    pub(super) ledger: Ledger,
    pub(super) core: Option<Core>,
    pub(super) mark: Mark,
    mark_synced: BootTime,
    pub(super) writers: PerLane<Option<Generation>>,
    pub(super) drained_since: PerLane<Option<BootTime>>,
    /// The one generation that is read and not written.
    pub(super) reader: Option<Carved>,
    /// Generations in which something is missing; the hub was told.
    pub(super) quarantined: BTreeSet<GenerationName>,
    /// Those of them, and others, of whose damage this process has told the hub.
    pub(super) told: BTreeSet<GenerationName>,
    /// What the control lane keeps free for accepted jobs.
    pub(super) reservations: Reservations,
    /// Counts up when something went that took room.
    pub(super) room: watch::Sender<u64>,
    pub(super) buffered: Buffered,
    /// Free bytes of the disk, and when that was looked up; `None` where it is to be looked up anew.
    pub(super) free: Option<(BootTime, u64)>,
    /// The newest record of generations, where it is known.
    pub(super) last_records: BTreeMap<GenerationName, LastRecord>,
    /// Hub time, once a session of this process learned it.
    pub(super) clock: Option<HubClock>,
    pub(super) expiry_looked: Option<BootTime>,
    pub(super) opened: BootTime,
    pub(super) ballast: Ballast,
    /// Since when the disk is too full for something, or when that was tried last.
    pub(super) short_since: Option<BootTime>,
    /// When a core that waits for space was tried last.
    pub(super) core_tried: Option<BootTime>,
    /// When the core was written anew, or that was tried.
    renewed: Option<BootTime>,
    /// Why nothing durable is possible until the process restarts.
    pub(super) poisoned: Option<String>,
    pub(super) watch: Arc<Watch>,
    pub(super) durable: watch::Sender<[StreamState; 3]>,
    /// What blocks are sealed and opened with, where the outbox is encrypted.
    pub(super) cipher: Option<Arc<Cipher>>,
    format: Format,
    // Last: released when everything else is closed.
    _lock: Box<dyn Held>,
}

impl Store {
    pub(super) fn open(
        host: Arc<dyn Host>,
        dir: PathBuf,
        options: &Options,
        watch: Arc<Watch>,
    ) -> Result<Self, OpenError> {
        let io = |action| {
            let path = dir.clone();
            move |source| OpenError::Io { action, path, source }
        };
        host.make_folder(&dir).map_err(io("make"))?;
        let lock = host.lock(&dir)?;
        let (format, cipher) = Format::open(&host, &dir, options.agent, options.key_file.as_deref())?;
        let cipher = cipher.map(Arc::new);
        recover::clean(&*host, &dir).map_err(io("clean"))?;
        let ballast = ballast::keep(&*host, &dir).map_err(io("write"))?;
        let mut mark = Mark::open(&*host, &dir).map_err(io("read the mark of"))?;
        let found = recover::open(&*host, &dir, &mut mark, ballast, cipher.as_ref())?;
        let quarantined = spans::quarantined(&*host, &dir).map_err(io("list"))?;
        let rules = Rules::new(&*host, &dir, options).map_err(io("look at the disk of"))?;
        let mut store = Self {
            rules,
            room: watch::Sender::new(0),
            buffered: Buffered::default(),
            free: None,
            clock: None,
            last_records: BTreeMap::new(),
            expiry_looked: None,
            opened: host.now(),
            durable: watch::Sender::new(found.ledger.current_states()),
            dir,
            ledger: found.ledger,
            core: Some(found.core),
            mark,
            mark_synced: host.now(),
            writers: PerLane::default(),
            drained_since: PerLane::default(),
            reader: None,
            quarantined,
            told: BTreeSet::new(),
            reservations: found.reservations,
            ballast: found.ballast,
            short_since: (found.ballast == Ballast::Missing).then(|| host.now()),
            core_tried: None,
            poisoned: None,
            watch,
            host,
            cipher,
            format,
            renewed: None,
            _lock: lock,
        };
        if let Some(report) = found.core_lost {
            store.report_core_lost(report);
        }
        Ok(store)
    }

    /// Works until the inbox is closed and empty.
    pub(super) fn run(mut self, inbox: &Arc<Inbox>) {
        loop {
            let work = inbox.take(self.patience());
            let (closed, reply) = (work.closed, self.turn(work));
            if closed {
                let result = self.stop();
                self.watch.rest();
                drop(self);
                if let Some(reply) = reply {
                    let _ = reply.send(result);
                }
                return;
            }
            self.watch.rest();
        }
    }

    /// Carries out what was taken from the inbox, then what time brings; gives back who waits for the end.
    pub(super) fn turn(&mut self, work: Work) -> Option<CloseReply> {
        self.watch.begin(self.host.now());
        for (request, _permit) in work.requests {
            request(self);
            self.step_done();
        }
        self.round(work.appends);
        self.tend(self.host.now());
        self.step_done();
        work.close_reply
    }

    fn step_done(&mut self) {
        let result = self.watch.progress(self.host.now());
        self.note(result);
    }

    fn patience(&self) -> Duration {
        let drained = Lane::ALL.into_iter().any(|lane| self.drained_since.of(lane).is_some());
        let mut patience = match (self.mark.changed(), drained) {
            (true, _) => limit::MARK_SYNC_INTERVAL,
            (false, true) => limit::GENERATION_IDLE,
            (false, false) => IDLE,
        };
        if self.short_since.is_some() {
            patience = patience.min(limit::DISK_RETRY_INTERVAL);
        }
        if self.may_expire() {
            patience = patience.min(limit::EXPIRY_LOOK);
        }
        self.buffered.due().map_or(patience, |due| patience.min(due.since(self.host.now())))
    }

    /// What time brings: buffered records, what a full disk kept from being done, records that are too old, the mark's
    /// sync, and drained newest generations.
    pub(super) fn tend(&mut self, now: BootTime) {
        self.tend_buffered(now);
        if self.poisoned.is_some() {
            return;
        }
        self.mend(now);
        self.expire(now);
        if self.mark.changed() && now.since(self.mark_synced) >= limit::MARK_SYNC_INTERVAL {
            let lazy = self.core.as_ref().is_some_and(|core| core.changed() && !core.dirty());
            let synced = self.mark.sync().map_err(Fault::from);
            self.mark_synced = now;
            let result = synced.and_then(|()| if lazy { self.commit_core(None) } else { Ok(()) });
            self.note(result);
        }
        self.renew_core(now);
        for lane in Lane::ALL {
            let due =
                self.drained_since.of(lane).is_some_and(|since| now.since(since) >= limit::GENERATION_IDLE);
            if due {
                let result = self.remove_drained(lane);
                self.note(result);
            }
        }
    }

    /// Writes the core anew where it holds little else than what its rows once were.
    fn renew_core(&mut self, now: BootTime) {
        let rests = self.renewed.is_some_and(|at| now.since(at) < limit::CORE_RENEW_INTERVAL);
        let Some(core) = self.core.as_mut().filter(|core| !rests && core.is_bloated()) else { return };
        self.renewed = Some(now);
        match core.renew(&*self.host, &self.dir) {
            Ok(()) => tracing::info!(path = %self.dir.display(), "the outbox's core was written anew"),
            Err(Fault::Full(detail)) => tracing::warn!(detail, "no room to write the outbox's core anew"),
            fault => self.note(fault),
        }
    }

    /// Makes pending core rows durable, and with them the control records up to `control`.
    pub(super) fn commit_core(&mut self, control: Option<u64>) -> Result<(), Fault> {
        let Some(core) = &mut self.core else { return Ok(()) };
        if !core.changed() {
            return Ok(());
        }
        let commit = core.commit(Need::Ordinary)?;
        self.mark.write_core(commit)?;
        if let Some(upto) = control {
            let epoch = self.ledger.current(Lane::Control).epoch;
            self.mark.write_lane(Lane::Control, epoch, upto)?;
        }
        self.watch.progress(self.host.now())?;
        core.settle();
        Ok(())
    }

    pub(super) fn put(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        // As large as a block, so that the core never holds what becomes a blob file.
        if name.is_empty() || name.len() > 64 || value.len() > limit::ROW_BYTES_MAX {
            let detail = format!(
                "`{name}` with {} bytes: a name has 1 to 64, a value at most {}",
                value.len(),
                limit::ROW_BYTES_MAX
            );
            return Err(StoreError::Invalid { detail });
        }
        self.check()?;
        self.durably(|store| {
            if let Some(core) = &mut store.core {
                core.put(&core::name_key(name), value);
            }
            store.commit_core(None)
        })
    }

    pub(super) fn get(&mut self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let key = core::name_key(name);
        Ok(self.read_core(|core| core.get(&key))?.map(Bytes::from))
    }

    pub(super) fn bind(&mut self, agent: AgentId) -> Result<(), OpenError> {
        self.format.bind(agent)
    }

    /// Runs a change of the core.
    pub(super) fn durably(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), StoreError> {
        change(self).map_err(|fault| self.fail(fault))
    }

    /// A clean stop: cursors and mark durable, everything closed.
    pub(super) fn stop(&mut self) -> Result<(), StoreError> {
        self.commit_buffered();
        if let Some(reason) = self.poisoned.clone() {
            self.abandon();
            return Err(StoreError::Degraded { reason });
        }
        match self.stop_clean() {
            Err(Fault::Broken(reason)) => {
                self.poison(&reason);
                self.abandon();
                Err(StoreError::Degraded { reason })
            }
            // What a full disk keeps from being written are cursors: it is sent again.
            result => result.and(self.close_all()).map_err(|fault| match fault {
                Fault::Full(detail) => StoreError::DiskFull { detail },
                Fault::Broken(reason) => StoreError::Degraded { reason },
            }),
        }
    }

    fn stop_clean(&mut self) -> Result<(), Fault> {
        for lane in Lane::ALL {
            self.remove_drained(lane)?;
        }
        self.commit_core(None)?;
        Ok(self.mark.sync()?)
    }

    fn close_all(&mut self) -> Result<(), Fault> {
        let mut result = Ok(());
        for lane in Lane::ALL {
            result = result.and(self.writers.of_mut(lane).take().map_or(Ok(()), Generation::close));
        }
        result.and(self.core.take().map_or(Ok(()), Core::close))
    }
}
