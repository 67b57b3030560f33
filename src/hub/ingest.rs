//! From what a session hands out to pieces for the store's writer.

use std::collections::HashMap;

use tokio::sync::mpsc;

use crate::id::{Lane, StreamId};
use crate::limit;
use crate::time::HubTime;
use crate::wire::batch;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::{Codec, Gap, LossReport, Record, RecordKind, Records, StreamMark};

use super::logbus;
use super::store::{AgentRef, Content, Ingest, IngestReply, facts};

/// One connection's way into the store: knows each stream's mark including what is still on its way.
pub(crate) struct Intake {
    agent: AgentRef,
    marks: HashMap<StreamId, u64>,
    reply: mpsc::Sender<IngestReply>,
}

impl Intake {
    pub(crate) fn new(agent: AgentRef, marks: &[StreamMark], reply: mpsc::Sender<IngestReply>) -> Self {
        Self { agent, marks: marks.iter().map(|mark| (mark.stream, mark.acked)).collect(), reply }
    }

    /// A batch whose first `skip` records are stored already.
    pub(crate) fn records(
        &mut self,
        records: &Records,
        skip: u32,
        now: HubTime,
    ) -> Result<Ingest, WireError> {
        let invalid = |detail: &str| WireError::new(ErrorCode::Invalid, detail);
        if records.codec != Codec::None {
            return Err(invalid("a compressed batch; this hub did not offer it"));
        }
        let decoded = batch::decode(&records.batch, records.count)?;
        let last = decoded.last().ok_or_else(|| invalid("an empty batch"))?;
        let mark = StreamMark {
            stream: records.stream,
            acked: records.last(),
            acked_crc: batch::record_crc(records.last(), &last.payload),
        };
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX);
        let start = batch::offset_of(&records.batch, skipped)
            .filter(|_| skip < records.count)
            .ok_or_else(|| invalid("a batch shorter than what is skipped"))?;
        let new = || (records.first..).zip(&decoded).skip(skipped);
        let content = Content::Batch {
            batch: records.batch.slice(start..),
            clock_offset: records.clock_offset,
            losses: losses(records.stream.lane, new()),
            jobs: facts(records.stream.lane, new()),
            app_lines: logbus::count(records.stream.lane, new().map(|(_, record)| record)),
        };
        self.piece(records.first.saturating_add(skip.into()), mark, content, now)
    }

    /// A gap above the mark.
    pub(crate) fn gap(&mut self, gap: Gap, now: HubTime) -> Result<Ingest, WireError> {
        let mark = StreamMark { stream: gap.stream, acked: gap.to, acked_crc: 0 };
        self.piece(gap.from, mark, Content::Gap(gap), now)
    }

    /// Refuses here what the database cannot hold: there it would fail a whole round, other agents' pieces with it.
    fn piece(
        &mut self,
        first: u64,
        mark: StreamMark,
        content: Content,
        received_at: HubTime,
    ) -> Result<Ingest, WireError> {
        if mark.acked > limit::RECORD_NUMBER_MAX {
            let detail = format!("number {}, the limit is {}", mark.acked, limit::RECORD_NUMBER_MAX);
            return Err(WireError::new(ErrorCode::Invalid, detail));
        }
        let known = self.marks.insert(mark.stream, mark.acked);
        // The session only hands out what follows its mark; where the two disagree the compare-and-set will miss.
        let previous = first.saturating_sub(1);
        if known.is_some_and(|known| known != previous) {
            tracing::error!(stream = %mark.stream, ?known, previous, "session and intake disagree about a mark");
        }
        let reply = self.reply.clone();
        Ok(Ingest { agent: self.agent, previous, mark, content, received_at, bytes_max: None, reply })
    }
}

fn losses<'a>(lane: Lane, records: impl Iterator<Item = (u64, &'a Record)>) -> Vec<(u64, LossReport)> {
    if lane != Lane::Control {
        return Vec::new();
    }
    records
        .filter(|(_, record)| record.kind == RecordKind::LossReport)
        .filter_map(|(seq, record)| match batch::decode_loss(&record.payload) {
            Ok(report) => Some((seq, report)),
            Err(error) => {
                // Kept as a record; ending the session would only bring the same bytes again.
                tracing::warn!(%error, seq, "a loss report does not decode");
                None
            }
        })
        .collect()
}
