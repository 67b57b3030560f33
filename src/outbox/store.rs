//! The outbox on disk: a handle for tasks, and one OS thread that owns every file.
//!
//! The handle sends requests through a bounded inbox and waits for answers; a request that was taken is carried out
//! even where its future is dropped. Dropping the last handle stops the thread without waiting for it; [`Outbox::close`]
//! waits and reports.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::id::{AgentId, Lane, RecordId, StreamId};
use crate::limit;
use crate::time::WallTime;
use crate::wire::message::{Gap, LossReport, StreamMark, StreamState};

use super::{AppendError, Appended, Batch, NewRecord, OpenError, Range, Stat, StoreError};

/// How an outbox is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whose records it holds; `None` before the first usable key, see [`Outbox::bind_agent`].
    pub agent: Option<AgentId>,
    /// Bytes each lane may take on disk, in the order of [`Lane::ALL`].
    pub quota: [u64; 3],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            agent: None,
            quota: [limit::CONTROL_QUOTA_BYTES, limit::EVENTS_QUOTA_BYTES, limit::LOGS_QUOTA_BYTES],
        }
    }
}

/// A handle on an open outbox; clones share it.
#[derive(Debug, Clone)]
pub struct Outbox {
    shared: Arc<()>,
}

#[allow(unused_variables, missing_docs, clippy::missing_errors_doc, clippy::todo)]
impl Outbox {
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        todo!()
    }
    pub async fn append(&self, lane: Lane, records: Vec<NewRecord>) -> Result<Appended, AppendError> {
        todo!()
    }
    pub fn durable(&self) -> watch::Receiver<[StreamState; 3]> {
        todo!()
    }
    pub async fn streams(&self) -> Result<Vec<StreamState>, StoreError> {
        todo!()
    }
    pub async fn cursor(&self, stream: StreamId) -> Result<StreamMark, StoreError> {
        todo!()
    }
    pub async fn crc(&self, record: RecordId) -> Result<Option<u32>, StoreError> {
        todo!()
    }
    pub async fn read(
        &self,
        stream: StreamId,
        from: u64,
        bytes_max: usize,
    ) -> Result<Option<Batch>, StoreError> {
        todo!()
    }
    pub async fn ack(&self, marks: Vec<StreamMark>) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn gaps(&self) -> Result<Vec<Gap>, StoreError> {
        todo!()
    }
    pub async fn add_gap(&self, gap: Gap) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn roll_epoch(
        &self,
        stream: StreamId,
        report: LossReport,
        recorded_at: WallTime,
    ) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn stat(&self) -> Result<Stat, StoreError> {
        todo!()
    }
    pub async fn ranges(&self) -> Result<Vec<Range>, StoreError> {
        todo!()
    }
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        todo!()
    }
    pub async fn put(&self, name: &str, value: Bytes) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn bind_agent(&self, agent: AgentId) -> Result<(), OpenError> {
        todo!()
    }
    pub async fn close(self) -> Result<(), StoreError> {
        todo!()
    }
}
