//! Reading records back, in order of lane, epoch and number, with gaps where they belong.
//!
//! A long record comes in parts; they are joined here. One whose later parts have not come yet is not shown yet; one
//! that a gap cut in two, or that grows beyond what a record may have, is shown as what there is, marked incomplete.

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;

use crate::id::{AppName, Epoch, Lane, RecordId, StreamId};
use crate::limit;
use crate::time::{ClockOffset, HubTime};
use crate::wire::batch;
use crate::wire::message::{Record, RecordKind};

use super::{AgentRef, GapRow, Store, StoreError, lane_number, lane_of};

/// Where a page begins: at this number of this stream, and on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The lane to stay in; `None` for all three.
    pub lane: Option<Lane>,
    /// The first record; `None` for the beginning.
    pub from: Option<RecordId>,
}

/// A page of records and gaps.
#[derive(Debug)]
pub struct Page {
    /// In order.
    pub items: Vec<Item>,
    /// Where the next page begins; `None` where nothing more is stored.
    pub next: Option<RecordId>,
}

/// One entry of a page.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its place; a gap's first number.
    pub id: RecordId,
    /// What stands there.
    pub content: ItemContent,
}

/// A record or what is missing.
#[derive(Debug, Clone)]
pub enum ItemContent {
    /// A record, its parts joined.
    Record {
        /// When it was recorded: corrected to hub time where the offset is known, else as the agent's clock had it.
        recorded_at: HubTime,
        /// When it came.
        received_at: i64,
        /// Who made it.
        source: String,
        /// The app that these are log lines of.
        app: Option<AppName>,
        /// What the payload is.
        kind: RecordKind,
        /// The bytes.
        payload: Bytes,
        /// How many parts it came in.
        parts: u32,
        /// Whether all of them are there.
        whole: bool,
    },
    /// Numbers that will not come.
    Gap(GapRow),
}

type BatchRow = (i64, i64, i64, i64, i64, Option<i64>, Vec<u8>);

/// Puts batches and gaps together into items.
#[derive(Default)]
struct Assembly {
    items: Vec<Item>,
    bytes: usize,
    /// A long record whose later parts are still to come, and the next part's place.
    open: Option<(Item, BytesMut, RecordId, u32)>,
}

impl Assembly {
    fn full(&self, count_max: usize) -> bool {
        self.items.len() >= count_max || self.bytes >= limit::RECORDS_PAGE_BYTES
    }

    fn push(&mut self, item: Item) {
        self.cut_open();
        self.items.push(item);
    }

    /// The open record will not be completed: shows what there is.
    fn cut_open(&mut self) {
        if let Some((mut item, joined, ..)) = self.open.take() {
            if let ItemContent::Record { payload, .. } = &mut item.content {
                *payload = joined.freeze();
            }
            self.items.push(item);
        }
    }

    /// Whether the record is the next part of the open one.
    fn continues(&self, id: RecordId, record: &Record) -> bool {
        self.open.as_ref().zip(record.part).is_some_and(|((_, joined, next, of), part)| {
            let bytes = joined.len().saturating_add(record.payload.len());
            *next == id && *of == part.of && part.index > 1 && bytes <= limit::RECORD_BYTES_MAX
        })
    }

    fn add(&mut self, id: RecordId, record: Record, received_at: i64, offset: Option<ClockOffset>) {
        self.bytes += record.payload.len();
        let recorded_at = match offset {
            Some(offset) => offset.correct(record.recorded_at),
            None => HubTime(record.recorded_at.0),
        };
        let part = record.part;
        let continues = self.continues(id, &record);
        if let (true, Some(part), Some((item, joined, next, _))) = (continues, part, self.open.as_mut()) {
            joined.extend_from_slice(&record.payload);
            *next = RecordId { seq: id.seq.saturating_add(1), ..id };
            if let ItemContent::Record { parts, whole, payload, .. } = &mut item.content {
                *parts = part.index;
                *whole = part.index == part.of;
                if *whole {
                    *payload = joined.split().freeze();
                }
            }
            if part.index == part.of
                && let Some((item, ..)) = self.open.take()
            {
                self.items.push(item);
            }
            return;
        }
        let content = ItemContent::Record {
            recorded_at,
            received_at,
            source: record.source,
            app: record.app,
            kind: record.kind,
            payload: record.payload.clone(),
            parts: 1,
            whole: part.is_none_or(|part| part.of == 1),
        };
        let item = Item { id, content };
        self.cut_open();
        match part {
            Some(part) if part.index == 1 && part.of > 1 => {
                let next = RecordId { seq: id.seq.saturating_add(1), ..id };
                self.open = Some((item, BytesMut::from(record.payload.as_ref()), next, part.of));
            }
            Some(_) | None => self.items.push(item),
        }
    }
}

impl Store {
    /// A page of at most `count_max` items of `agent`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn records(&self, agent: AgentRef, cursor: Cursor, count_max: u32) -> Result<Page, StoreError> {
        let count_max = usize::try_from(count_max.clamp(1, limit::RECORDS_PAGE_MAX)).unwrap_or(1);
        let streams = self.streams_from(agent, cursor).await?;
        let mut assembly = Assembly::default();
        let mut next = None;
        'streams: for stream in streams {
            let from = cursor.from.filter(|from| from.stream == stream).map_or(1, |from| from.seq);
            let mut gaps = self.gaps_from(agent, stream, from).await?.into_iter().peekable();
            let mut rows = self.batches_from(agent, stream, from);
            while let Some((first, last, received_at, offset, bytes)) = rows.try_next().await? {
                while let Some(gap) = gaps.next_if(|gap| gap.from < first) {
                    assembly.cut_open();
                    if assembly.full(count_max) {
                        next = Some(place(stream, gap.from)?);
                        break 'streams;
                    }
                    assembly.push(Item { id: place(stream, gap.from)?, content: ItemContent::Gap(gap) });
                }
                let count = u32::try_from(last.saturating_sub(first).saturating_add(1))
                    .map_err(|_| StoreError::Damaged("batch"))?;
                let records = batch::decode(&bytes, count).map_err(|_| StoreError::Damaged("batch"))?;
                for (seq, record) in (first..=last).zip(records) {
                    let id = place(stream, seq)?;
                    if id.seq < from {
                        continue;
                    }
                    if !assembly.continues(id, &record) {
                        assembly.cut_open();
                        if assembly.full(count_max) {
                            next = Some(id);
                            break 'streams;
                        }
                    }
                    assembly.add(id, record, received_at, offset);
                }
            }
            drop(rows);
            for gap in gaps {
                assembly.cut_open();
                if assembly.full(count_max) {
                    next = Some(place(stream, gap.from)?);
                    break 'streams;
                }
                assembly.push(Item { id: place(stream, gap.from)?, content: ItemContent::Gap(gap) });
            }
            // Its later parts are on their way, or its agent rolled the epoch: the next listing shows it.
            if let Some((item, ..)) = assembly.open.take() {
                tracing::debug!(record = %item.id, "a long record is not complete yet");
            }
        }
        Ok(Page { items: assembly.items, next })
    }

    async fn streams_from(&self, agent: AgentRef, cursor: Cursor) -> Result<Vec<StreamId>, StoreError> {
        let rows: Vec<(i64, i64)> =
            sqlx::query_as("select lane, epoch from streams where agent = $1 order by lane, epoch")
                .bind(agent.0)
                .fetch_all(&self.pool)
                .await?;
        let mut streams = Vec::with_capacity(rows.len());
        for (lane, epoch) in rows {
            let stream = StreamId { lane: lane_of(lane)?, epoch: Epoch::from_u64(epoch.cast_unsigned()) };
            let wanted = cursor.lane.is_none_or(|lane| lane == stream.lane)
                && cursor.from.is_none_or(|from| stream >= from.stream);
            if wanted {
                streams.push(stream);
            }
        }
        streams.sort_unstable();
        Ok(streams)
    }

    async fn gaps_from(
        &self,
        agent: AgentRef,
        stream: StreamId,
        from: u64,
    ) -> Result<Vec<GapRow>, StoreError> {
        let rows: Vec<(i64, i64, String, i64, i64, i64)> = sqlx::query_as(
            "select first, last, reason, records, bytes, received_at from gaps
             where agent = $1 and lane = $2 and epoch = $3 and first >= $4 order by first limit $5",
        )
        .bind(agent.0)
        .bind(lane_number(stream.lane))
        .bind(stream.epoch.as_u64().cast_signed())
        .bind(i64::try_from(from).unwrap_or(i64::MAX))
        .bind(i64::from(limit::RECORDS_PAGE_MAX) + 1)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(from, to, reason, records, bytes, received_at)| GapRow {
                stream,
                from,
                to,
                reason,
                records,
                bytes,
                received_at,
            })
            .collect())
    }

    fn batches_from(
        &self,
        agent: AgentRef,
        stream: StreamId,
        from: u64,
    ) -> impl futures_util::TryStream<Ok = (i64, i64, i64, Option<ClockOffset>, Bytes), Error = StoreError> + Unpin
    {
        let rows = sqlx::query_as::<_, BatchRow>(
            "select lane, epoch, first, last, received_at, clock_offset, batch from batches
             where agent = $1 and lane = $2 and epoch = $3 and last >= $4 order by first",
        )
        .bind(agent.0)
        .bind(lane_number(stream.lane))
        .bind(stream.epoch.as_u64().cast_signed())
        .bind(i64::try_from(from).unwrap_or(i64::MAX))
        .fetch(&self.pool);
        rows.map_ok(|(_, _, first, last, received_at, offset, batch)| {
            (first, last, received_at, offset.map(ClockOffset), Bytes::from(batch))
        })
        .map_err(StoreError::from)
    }
}

fn place(stream: StreamId, seq: i64) -> Result<RecordId, StoreError> {
    let seq = u64::try_from(seq).map_err(|_| StoreError::Damaged("record number"))?;
    Ok(RecordId { stream, seq })
}
