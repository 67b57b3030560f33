//! Writing a bundle, chunk by chunk: at most some hundred KiB of records are in memory at a time.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::agent::identity::Identity;
use crate::agent::state::State;
use crate::id::{BundleId, RecordId, StreamId};
use crate::outbox::bundle::{Header, Held, Plan, Span, Writer, cut_gap};
use crate::outbox::{Batch, Outbox, Reading};
use crate::time::ClockOffset;
use crate::wire::batch;
use crate::wire::entry::Entry;
use crate::wire::message::{Codec, Records};

use super::BundleFailure;

/// Bytes of records read at once.
const READ_BYTES: usize = 256 * 1024;

/// What a bundle will hold, before its first byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Which bundle; `None` where nothing waits, then none is written.
    pub bundle: Option<String>,
    /// Chunks to come.
    pub chunks: u32,
    /// Numbers in it: records, their parts, and what is lost.
    pub numbers: u64,
}

/// What a bundle holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Which bundle; `None` where nothing waited.
    pub bundle: Option<String>,
    /// Records, parts counted singly.
    pub records: u64,
    /// Gaps.
    pub gaps: u64,
    /// Its bytes, before encryption.
    pub bytes: u64,
}

/// A bundle that is being written.
pub struct Export {
    outbox: Outbox,
    spans: Box<dyn Iterator<Item = Span> + Send + Sync>,
    /// `None` once the end was given.
    writer: Option<Writer>,
    offset: Option<ClockOffset>,
    rest: Option<(StreamId, Batch)>,
    first: Option<Bytes>,
    exported: Exported,
}

impl Export {
    /// Plans a bundle of everything that waits. `None` where nothing does.
    ///
    /// # Errors
    /// The outbox is another agent's or cannot be read.
    pub async fn begin(
        outbox: &Outbox,
        state: &State,
        identity: Identity,
        bundle: BundleId,
    ) -> Result<(Begun, Option<Self>), BundleFailure> {
        let Identity { key, signing, .. } = identity;
        outbox.bind_agent(key.agent_id).await?;
        let mut held = Vec::new();
        for state in outbox.streams().await? {
            let acked_crc = outbox.cursor(state.stream).await?.acked_crc;
            held.push(Held { state, acked_crc });
        }
        let gaps = outbox.gaps().await?;
        let plan = Plan::new(&held, &gaps)?;
        if plan.chunks() == 0 {
            return Ok((Begun { bundle: None, chunks: 0, numbers: 0 }, None));
        }
        let begun =
            Begun { bundle: Some(bundle.to_string()), chunks: plan.chunks(), numbers: plan.numbers() };
        let header = Header {
            hub_id: key.hub_id,
            agent_id: key.agent_id,
            bundle,
            key_id: key.key_id.clone(),
            chunks: plan.chunks(),
            ranges: plan.ranges().to_vec(),
        };
        let (writer, first) = Writer::new(header, &key.key.mac_root(), signing);
        let export = Self {
            outbox: outbox.clone(),
            spans: Box::new(plan.into_spans()),
            writer: Some(writer),
            offset: state.known_clock_offset(),
            rest: None,
            first: Some(first),
            exported: Exported { bundle: begun.bundle.clone(), ..Exported::default() },
        };
        Ok((begun, Some(export)))
    }

    /// The next bytes of the file; `None` at its end.
    ///
    /// # Errors
    /// Something cannot be read, or was acked meanwhile.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BundleFailure> {
        let bytes = match self.first.take() {
            Some(first) => Some(first),
            None => self.frame().await?,
        };
        let length = bytes.as_ref().map_or(0, Bytes::len) as u64;
        self.exported.bytes = self.exported.bytes.saturating_add(length);
        Ok(bytes)
    }

    async fn frame(&mut self) -> Result<Option<Bytes>, BundleFailure> {
        let Some(span) = self.spans.next() else {
            return Ok(self.writer.take().map(Writer::finish).transpose()?);
        };
        let entries = self.entries(span).await?;
        let Some(writer) = &mut self.writer else { return Ok(None) };
        Ok(Some(writer.chunk(entries)?))
    }

    /// What was written so far.
    pub fn exported(&self) -> &Exported {
        &self.exported
    }

    /// A chunk's content: records, and gaps where records are lost.
    async fn entries(&mut self, span: Span) -> Result<Vec<Entry>, BundleFailure> {
        let mut entries = Vec::new();
        let mut position = span.first;
        while position <= span.last {
            let id = RecordId { stream: span.stream, seq: position };
            let entry = match self.read(span.stream, position).await?.ok_or(BundleFailure::Gone(id))? {
                Reading::Gap(gap) => {
                    self.exported.gaps = self.exported.gaps.saturating_add(1);
                    Entry::Gap(cut_gap(&gap, position, gap.to.min(span.last)))
                }
                Reading::Records(batch) => {
                    let records = self.cut(span, batch);
                    self.exported.records = self.exported.records.saturating_add(records.count.into());
                    Entry::Records(records)
                }
            };
            position = entry.last().saturating_add(1);
            entries.push(entry);
        }
        Ok(entries)
    }

    /// What stands at a number: what is left of the last read, or a new one.
    async fn read(&mut self, stream: StreamId, position: u64) -> Result<Option<Reading>, BundleFailure> {
        let fits = |(held, batch): &(StreamId, Batch)| *held == stream && batch.first == position;
        match self.rest.take().filter(fits) {
            Some((_, batch)) => Ok(Some(Reading::Records(batch))),
            None => Ok(self.outbox.read(stream, position, READ_BYTES).await?),
        }
    }

    /// The records of a batch that belong to the span; the others are kept for the next one.
    fn cut(&mut self, span: Span, batch: Batch) -> Records {
        let (stream, position) = (span.stream, batch.first);
        let wanted = span.last.saturating_sub(position).saturating_add(1);
        let count = u32::try_from(wanted).unwrap_or(u32::MAX).min(batch.count);
        let end = batch::offset_of(&batch.batch, count as usize).unwrap_or(batch.batch.len());
        let taken = batch.batch.slice(..end.min(batch.batch.len()));
        if count < batch.count {
            let rest = Batch {
                first: batch.first.saturating_add(count.into()),
                count: batch.count.saturating_sub(count),
                batch: batch.batch.slice(taken.len()..),
                payload_bytes: 0,
            };
            self.rest = Some((stream, rest));
        }
        Records {
            stream,
            first: position,
            count,
            codec: Codec::None,
            raw_len: u32::try_from(taken.len()).unwrap_or(u32::MAX),
            batch: taken,
            clock_offset: self.offset,
        }
    }
}
