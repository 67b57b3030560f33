//! A hub's folder and bundles made for it, sound and otherwise: what is refused changes nothing.

use bytes::{Bytes, BytesMut};
use ed25519_dalek::SigningKey;
use sqlx::Row as _;
use tempfile::TempDir;

use super::*;
use crate::hub::store::{Creation, Cursor, ItemContent};
use crate::id::{Epoch, Lane, StreamId};
use crate::outbox::bundle::{Range, Writer};
use crate::time::{ClockOffset, WallTime};
use crate::wire::batch;
use crate::wire::entry::Entry;
use crate::wire::key::{AgentKey, KeyFile};
use crate::wire::message::{Codec, Gap, GapReason, LossReason, LossReport, Record, RecordKind, Records};

const LOGS: StreamId = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(1 << 32 | 7) };
const CONTROL: StreamId = StreamId { lane: Lane::Control, ..LOGS };

struct World {
    folder: TempDir,
    store: Store,
    key: KeyFile,
}

/// One chunk a range; every record says its number.
struct Made {
    key: KeyFile,
    signing: Option<SigningKey>,
    ranges: Vec<Range>,
    entries: Vec<Entry>,
}

fn text(seq: u64) -> String {
    format!("record {seq}")
}

fn records(stream: StreamId, first: u64, last: u64) -> Entry {
    let texts = (first..=last).map(text);
    let records = texts.map(|text| Record {
        recorded_at: WallTime(1000),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload: text.into(),
        part: None,
        app: None,
    });
    encoded(stream, first, records.collect())
}

fn encoded(stream: StreamId, first: u64, records: Vec<Record>) -> Entry {
    let mut encoded = BytesMut::new();
    let count = records.len().try_into().unwrap();
    records.into_iter().for_each(|record| batch::push(record, &mut encoded));
    Entry::Records(Records {
        stream,
        first,
        count,
        codec: Codec::None,
        raw_len: encoded.len().try_into().unwrap(),
        batch: encoded.freeze(),
        clock_offset: Some(ClockOffset(5)),
    })
}

fn gap(stream: StreamId, from: u64, to: u64) -> Entry {
    Entry::Gap(Gap { stream, from, to, reason: GapReason::Evicted, records: to - from + 1, bytes: 0 })
}

fn crc(seq: u64) -> u32 {
    batch::record_crc(seq, text(seq).as_bytes())
}

impl Made {
    fn write(&self) -> Vec<u8> {
        let KeyFile { hub_id, agent_id, key_id, key } = self.key.clone();
        let header = Header {
            hub_id,
            agent_id,
            bundle: BundleId::from_bytes([7; 16]),
            key_id,
            chunks: self.entries.len().try_into().unwrap(),
            ranges: self.ranges.clone(),
        };
        let (mut writer, first) = Writer::new(header, &key.mac_root(), self.signing.clone());
        let mut bytes = first.to_vec();
        for entry in &self.entries {
            bytes.extend_from_slice(&writer.chunk(vec![entry.clone()]).unwrap());
        }
        bytes.extend_from_slice(&writer.finish().unwrap());
        bytes
    }
}

impl World {
    async fn new() -> Self {
        Self::with(None).await
    }

    async fn with(identity: Option<&SigningKey>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, _writer) = Store::open(folder.path(), Creation::Allowed).await.unwrap();
        let public = identity.map(SigningKey::verifying_key);
        let key = store.add_agent(&"site".parse().unwrap(), public).await.unwrap().key_file;
        Self { folder, store, key }
    }

    fn made(&self, first: u64, last: u64) -> Made {
        let ranges = vec![Range { stream: LOGS, first, last, crc_before: 0 }];
        Made { key: self.key.clone(), signing: None, ranges, entries: vec![records(LOGS, first, last)] }
    }

    async fn import(&self, bytes: &[u8]) -> Result<Imported, ImportError> {
        let mut spool = Spool::create(self.folder.path()).unwrap();
        spool.push(bytes).unwrap();
        import(&self.store, spool).await
    }

    /// Everything in the database.
    async fn dump(&self) -> String {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder.path().join("hub.db"));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let tables = sqlx::query("select name from sqlite_master where type = 'table' order by name");
        let mut dump = String::new();
        for table in tables.fetch_all(&pool).await.unwrap() {
            let table: String = table.get(0);
            let columns = sqlx::query("select name from pragma_table_info($1)").bind(&table);
            let columns: Vec<String> = columns
                .fetch_all(&pool)
                .await
                .unwrap()
                .iter()
                .map(|column| format!("quote({})", column.get::<String, _>(0)))
                .collect();
            let sql = format!("select {} from {table} order by 1", columns.join(" || ',' || "));
            for row in sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap() {
                dump.push_str(&format!("{table}: {}\n", row.get::<String, _>(0)));
            }
        }
        pool.close().await;
        dump
    }

    /// The bundle is refused, and nothing has changed.
    async fn refused(&self, bytes: &[u8]) -> ImportError {
        let before = self.dump().await;
        let error = self.import(bytes).await.unwrap_err();
        assert_eq!(self.dump().await, before, "{error}");
        error
    }

    async fn texts(&self) -> Vec<String> {
        let agent = self.store.agent(&"site".parse().unwrap()).await.unwrap().agent;
        let page = self.store.records(agent, Cursor { lane: None, from: None }, 1000).await.unwrap();
        page.items
            .iter()
            .map(|item| match &item.content {
                ItemContent::Record { payload, .. } => String::from_utf8(payload.to_vec()).unwrap(),
                ItemContent::Gap(gap) => format!("gap {}-{}", gap.from, gap.to),
            })
            .collect()
    }

    async fn execute(&self, sql: &'static str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder.path().join("hub.db"));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
        pool.close().await;
    }
}

fn texts(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(text).collect()
}

#[tokio::test]
async fn a_bundle_is_stored_once_however_often_it_comes() {
    let world = World::new().await;
    let bundle = world.made(1, 5).write();
    let first = world.import(&bundle).await.unwrap();
    assert_eq!((first.records, first.gaps, first.known), (5, 0, 0));
    assert_eq!(first.marks[0].acked, 5);
    assert_eq!(first.marks[0].acked_crc, crc(5));
    assert_eq!(world.texts().await, texts(1..=5));
    let dump = world.dump().await;
    assert!(dump.contains("bundle_imported") && dump.contains("5 records, 0 gaps"), "{dump}");
    let again = world.import(&bundle).await.unwrap();
    assert_eq!((again.records, again.gaps, again.known), (0, 0, 5));
    assert_eq!(again.acks, first.acks, "the same acks");
    assert_eq!(world.dump().await, dump, "no effect, not even in the audit");
    let acks = Acks::decode(&first.acks, &world.key).unwrap();
    assert_eq!(acks.marks, first.marks);
}

#[tokio::test]
async fn who_waits_for_lines_of_apps_is_woken_by_a_bundle() {
    let world = World::new().await;
    let mut lines = world.store.watch_app_lines();
    world.import(&world.made(1, 5).write()).await.unwrap();
    assert!(futures_util::FutureExt::now_or_never(lines.changed()).is_some());
}

#[tokio::test]
async fn only_what_lies_above_the_mark_is_taken_gaps_and_losses_too() {
    let world = World::new().await;
    world.import(&world.made(1, 3).write()).await.unwrap();
    let report = LossReport { stream: LOGS, from: 1, to: 2, reason: LossReason::Quarantined };
    let loss = batch::loss_record(report, WallTime(3));
    let made = Made {
        ranges: vec![
            Range { stream: CONTROL, first: 1, last: 1, crc_before: 0 },
            Range { stream: LOGS, first: 2, last: 14, crc_before: 0 },
        ],
        entries: vec![
            encoded(CONTROL, 1, vec![loss]),
            records(LOGS, 2, 5),
            gap(LOGS, 6, 10),
            records(LOGS, 11, 14),
        ],
        ..world.made(1, 1)
    };
    let imported = world.import(&made.write()).await.unwrap();
    assert_eq!((imported.records, imported.gaps, imported.known), (7, 1, 2));
    let mut expected = texts(1..=5);
    expected.push("gap 6-10".to_owned());
    expected.extend(texts(11..=14));
    assert_eq!(world.texts().await[1..], expected);
    let agent = world.store.agent(&"site".parse().unwrap()).await.unwrap().agent;
    assert_eq!(world.store.loss_rows(agent).await.unwrap().len(), 1, "as a session's loss report");
    // Half of a gap is known: only the other half comes.
    let made = Made {
        ranges: vec![Range { stream: LOGS, first: 13, last: 20, crc_before: 0 }],
        entries: vec![gap(LOGS, 13, 20)],
        ..world.made(1, 1)
    };
    world.import(&made.write()).await.unwrap();
    assert_eq!(world.texts().await.last().unwrap(), "gap 15-20");
}

#[tokio::test]
async fn a_bundle_that_begins_beyond_the_mark_waits_for_the_one_before() {
    let world = World::new().await;
    world.import(&world.made(1, 3).write()).await.unwrap();
    let error = world.refused(&world.made(5, 9).write()).await;
    assert!(matches!(error, ImportError::EarlierMissing { first: 5, mark: 3, .. }), "{error}");
    assert!(error.to_string().starts_with("earlier bundle missing"), "{error}");
    // Also where another stream of the same bundle would fit.
    let both = Made {
        ranges: vec![
            Range { stream: CONTROL, first: 1, last: 1, crc_before: 0 },
            Range { stream: LOGS, first: 5, last: 9, crc_before: 0 },
        ],
        entries: vec![records(CONTROL, 1, 1), records(LOGS, 5, 9)],
        ..world.made(1, 1)
    };
    assert_eq!(world.refused(&both.write()).await.code().1, "earlier_bundle_missing");
    world.import(&world.made(4, 4).write()).await.unwrap();
    world.import(&both.write()).await.unwrap();
}

#[tokio::test]
async fn strangers_and_forgers_are_refused_and_nothing_changes() {
    let world = World::new().await;
    world.import(&world.made(1, 3).write()).await.unwrap();
    let with = |change: &dyn Fn(&mut KeyFile)| {
        let mut made = world.made(4, 6);
        change(&mut made.key);
        made.write()
    };
    let cases = [
        (with(&|key| key.hub_id = crate::id::HubId::from_bytes([9; 16])), "other_hub"),
        (with(&|key| key.agent_id = crate::id::AgentId::from_bytes([9; 16])), "unknown_agent"),
        (with(&|key| key.key_id = "k9".parse().unwrap()), "key_unknown"),
        (with(&|key| key.key = AgentKey::new([9; 32])), "not_verified"),
        (b"hello".to_vec(), "bad_bundle"),
        (Vec::new(), "bad_bundle"),
    ];
    for (bytes, name) in cases {
        let error = world.refused(&bytes).await;
        assert_eq!(error.code().1, name, "{error}");
    }
    let sound = world.made(4, 6).write();
    for end in (0..sound.len()).step_by(7) {
        assert_eq!(world.refused(&sound[..end]).await.code().1, "bad_bundle", "cut at {end}");
    }
    for at in (0..sound.len()).step_by(11) {
        let mut flipped = sound.clone();
        flipped[at] ^= 0x10;
        world.refused(&flipped).await;
    }
    let mut newer = sound.clone();
    newer[11] = 2;
    assert_eq!(world.refused(&newer).await.code().1, "newer_bundle");
    assert_eq!(world.refused(&[sound.as_slice(), b"x"].concat()).await.code().1, "bad_bundle");
    world.execute("update agents set state = 'revoked'").await;
    assert_eq!(world.refused(&sound).await.code().1, "revoked");
    world.execute("update agents set state = 'active'").await;
    world.import(&sound).await.unwrap();
    world.store.remove_agent(&"site".parse().unwrap()).await.unwrap();
    assert_eq!(world.refused(&sound).await.code().1, "unknown_agent");
}

#[tokio::test]
async fn an_agent_with_an_identity_must_sign() {
    let (own, other) = (SigningKey::from_bytes(&[5; 32]), SigningKey::from_bytes(&[6; 32]));
    let world = World::with(Some(&own)).await;
    let unsigned = world.refused(&world.made(1, 3).write()).await;
    assert!(matches!(unsigned, ImportError::Bundle(BundleError::Unsigned(_))), "{unsigned}");
    let forged = world.refused(&Made { signing: Some(other), ..world.made(1, 3) }.write()).await;
    assert!(matches!(forged, ImportError::Bundle(BundleError::Signature(_))), "{forged}");
    world.import(&Made { signing: Some(own), ..world.made(1, 3) }.write()).await.unwrap();
}

#[tokio::test]
async fn another_record_under_a_known_number_is_not_passed_over() {
    let world = World::new().await;
    world.import(&world.made(1, 3).write()).await.unwrap();
    let other = |first: u64, last: u64, crc_before: u32, shift: u64| Made {
        ranges: vec![Range { stream: LOGS, first, last, crc_before }],
        entries: vec![match records(LOGS, first + shift, last + shift) {
            Entry::Records(records) => Entry::Records(Records { first, ..records }),
            gap @ Entry::Gap(_) => gap,
        }],
        ..world.made(1, 1)
    };
    let error = world.refused(&other(2, 6, 0, 100).write()).await;
    assert!(matches!(error, ImportError::RolledBack { seq: 3, .. }), "{error}");
    let error = world.refused(&other(4, 6, crc(99), 0).write()).await;
    assert!(matches!(error, ImportError::RolledBack { seq: 3, .. }), "{error}");
    world.import(&other(4, 6, crc(3), 0).write()).await.unwrap();
}

#[tokio::test]
async fn records_that_do_not_decode_take_the_whole_bundle_with_them() {
    let world = World::new().await;
    let Entry::Records(sound) = records(LOGS, 4, 4) else { panic!() };
    let batch = Bytes::from_static(b"\x0a\x7f");
    let broken = Entry::Records(Records { raw_len: 2, batch, ..sound });
    let made = Made {
        ranges: vec![Range { stream: LOGS, first: 1, last: 4, crc_before: 0 }],
        entries: vec![records(LOGS, 1, 3), broken],
        ..world.made(1, 1)
    };
    let error = world.refused(&made.write()).await;
    assert!(matches!(error, ImportError::Records { first: 4, .. }), "{error}");
    world.import(&world.made(1, 3).write()).await.unwrap();
}
