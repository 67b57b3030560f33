//! What a session asks of the outbox: what there is to send, and what became of it.

use crate::id::{RecordId, StreamId};
use crate::outbox::{Reading, StoreError};
use crate::time::{ClockOffset, HubTime, WallTime};
use crate::wire::message::{Gap, LossReport, StreamMark, StreamState};

use super::Outbox;

impl Outbox {
    /// What a Register lists, oldest first within a lane.
    ///
    /// # Errors
    /// The outbox is closed.
    pub async fn streams(&self) -> Result<Vec<StreamState>, StoreError> {
        self.call(|store| store.ledger.states()).await
    }

    /// How far a stream is acked; zero for one that is not held.
    ///
    /// # Errors
    /// The outbox is closed.
    pub async fn cursor(&self, stream: StreamId) -> Result<StreamMark, StoreError> {
        self.call(move |store| store.ledger.mark(stream)).await
    }

    /// `batch::record_crc` of a held record, or of the one the cursor stands on.
    ///
    /// # Errors
    /// The record's generation cannot be read.
    pub async fn crc(&self, record: RecordId) -> Result<Option<u32>, StoreError> {
        self.call(move |store| store.crc(record)).await?
    }

    /// Durable records from exactly `from`, as many whole ones as fit into `bytes_max`, at least one, or the gap `from`
    /// lies in; `None` where `from` is not durable yet or the stream is not held. A batch may end early, where a
    /// generation or a gap does.
    ///
    /// # Errors
    /// The generation of `from` cannot be read.
    pub async fn read(
        &self,
        stream: StreamId,
        from: u64,
        bytes_max: usize,
    ) -> Result<Option<Reading>, StoreError> {
        self.call(move |store| store.read(stream, from, bytes_max)).await?
    }

    /// Moves cursors; what is covered is removed. A mark at or below the cursor changes nothing but the gaps it covers.
    ///
    /// # Errors
    /// A mark beyond its stream (the marks before it are taken), or the store is degraded.
    pub async fn ack(&self, marks: Vec<StreamMark>) -> Result<(), StoreError> {
        self.call(move |store| store.ack(&marks)).await?
    }

    /// Gaps that no ack has covered yet.
    ///
    /// # Errors
    /// The outbox is closed.
    pub async fn gaps(&self) -> Result<Vec<Gap>, StoreError> {
        self.call(|store| store.ledger.gaps().copied().collect()).await
    }

    /// Keeps a gap until it is acked; durable when this returns.
    ///
    /// # Errors
    /// The store is degraded.
    pub async fn add_gap(&self, gap: Gap) -> Result<(), StoreError> {
        self.call(move |store| store.add_gap(gap)).await?
    }

    /// Answers `rolled_back`: reports it, begins an epoch and moves the stream's unacked records there.
    ///
    /// # Errors
    /// The stream is unknown or unreadable, or the store is degraded. What was moved before stays moved.
    pub async fn roll_epoch(
        &self,
        stream: StreamId,
        report: LossReport,
        recorded_at: WallTime,
    ) -> Result<(), StoreError> {
        self.call(move |store| store.roll_epoch(stream, report, recorded_at)).await?
    }

    /// Tells the hub's time, as a verified session knows it just now; from now on records may expire. `offset`: hub time
    /// less this machine's clock, the greater one of this session's and the last one's.
    ///
    /// # Errors
    /// The outbox is closed.
    pub async fn learn_time(&self, time: HubTime, offset: ClockOffset) -> Result<(), StoreError> {
        self.call(move |store| store.learn_time(time, offset)).await
    }
}
