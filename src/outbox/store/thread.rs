//! The thread that owns the folder, and what it does between rounds.
//!
//! A failed write, flush or sync poisons the store: nothing more is accepted or acked until the process restarts. What was
//! durable before stays on disk and readable, but for the database that failed: it may refuse until the restart.

use std::collections::BTreeSet;
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
use crate::outbox::{OpenError, StoreError};
use crate::time::BootTime;
use crate::wire::message::StreamState;

use super::carve::Carved;
use super::core::{self, Core};
use super::format::Format;
use super::generation::Generation;
use super::host::{Fault, Held, Host};
use super::inbox::{CloseReply, Inbox, Work};
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
    /// The one generation that is read and not written.
    pub(super) reader: Option<Carved>,
    /// Generations in which something is missing; the hub was told.
    pub(super) quarantined: BTreeSet<GenerationName>,
    /// What the control lane keeps free for accepted jobs.
    pub(super) reservations: Reservations,
    pub(super) poisoned: Option<String>,
    pub(super) durable: watch::Sender<[StreamState; 3]>,
    /// What blocks are sealed and opened with, where the outbox is encrypted.
    pub(super) cipher: Option<Arc<Cipher>>,
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
        let (format, cipher) = Format::open(&host, &dir, options.agent, options.key_file.as_deref())?;
        let cipher = cipher.map(Arc::new);
        recover::clean(&*host, &dir).map_err(io("clean"))?;
        ballast::keep(&*host, &dir).map_err(io("write"))?;
        let mark = Mark::open(&*host, &dir).map_err(io("read the mark of"))?;
        let mut core = Core::open(&*host, &dir)
            .map_err(|fault| StoreError::Unreadable { path: dir.join("core"), detail: fault.to_string() })?
            .with_cipher(cipher.clone());
        let mut ledger = recover::recover(&*host, &dir, &mut core, &mark)?;
        gap::remove_declared(&*host, &dir, &mut ledger)
            .map_err(|fault| StoreError::Unreadable { path: dir.clone(), detail: fault.to_string() })?;
        let reservations = job::reservations(&mut core, &ledger)
            .map_err(|fault| StoreError::Unreadable { path: dir.join("core"), detail: fault.to_string() })?;
        let quarantined = recover::quarantined(&*host, &dir).map_err(io("list"))?;
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
            quarantined,
            reservations,
            poisoned: None,
            cipher,
            format,
            _lock: lock,
        })
    }

    /// Works until the inbox is closed and empty.
    pub(super) fn run(mut self, inbox: &Arc<Inbox>) {
        loop {
            let work = inbox.take(self.patience());
            let (closed, reply) = (work.closed, self.turn(work));
            if closed {
                let result = self.stop();
                drop(self);
                if let Some(reply) = reply {
                    let _ = reply.send(result);
                }
                return;
            }
        }
    }

    /// Carries out what was taken from the inbox, then what time brings; gives back who waits for the end.
    pub(super) fn turn(&mut self, work: Work) -> Option<CloseReply> {
        for (request, _permit) in work.requests {
            request(self);
        }
        self.round(work.appends);
        self.tend(self.host.now());
        work.close_reply
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

    /// A clean stop: cursors and mark durable, everything closed.
    pub(super) fn stop(&mut self) -> Result<(), StoreError> {
        if let Some(reason) = self.poisoned.clone() {
            // Databases in an unknown state are left as they are: a drop would write.
            Lane::ALL
                .into_iter()
                .filter_map(|lane| self.writers.of_mut(lane).take())
                .for_each(Generation::abandon);
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
        self.core.take().map_or(Ok(()), Core::close)
    }
}
