//! The store's contract.

mod events;
mod files;
mod identity;
mod pages;
mod relays;
mod totals;

use bytes::{Bytes, BytesMut};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::id::{AgentName, Epoch, RecordId, StreamId};
use crate::limit;
use crate::obs::secret_file;
use crate::time::{ClockOffset, HubTime, WallTime};
use crate::wire::batch;
use crate::wire::message::{Gap, GapReason, LossReason, LossReport, Part, Record, RecordKind, StreamMark};

struct World {
    folder: TempDir,
    store: Store,
    agent: AgentRef,
    replies: mpsc::Receiver<IngestReply>,
    reply: mpsc::Sender<IngestReply>,
}

const LOGS: StreamId = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(1 << 32 | 7) };

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

fn encode(payloads: &[&str]) -> Bytes {
    let mut out = BytesMut::new();
    for payload in payloads {
        batch::push(record(payload, None), &mut out);
    }
    out.freeze()
}

fn record(payload: &str, part: Option<Part>) -> Record {
    Record {
        recorded_at: WallTime(1000),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        part,
        app: None,
    }
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, _writer) = Store::open(folder.path(), Creation::Allowed).await.unwrap();
        store.add_agent(&name("edge-1"), None).await.unwrap();
        let agent = store.agent(&name("edge-1")).await.unwrap().agent;
        let (reply, replies) = mpsc::channel(16);
        Self { folder, store, agent, replies, reply }
    }

    fn batch(&self, stream: StreamId, previous: u64, payloads: &[&str]) -> Ingest {
        let mark = StreamMark { stream, acked: previous + payloads.len() as u64, acked_crc: 42 };
        let content = Content::Batch {
            batch: encode(payloads),
            clock_offset: Some(ClockOffset(500)),
            losses: Vec::new(),
            jobs: Vec::new(),
            app_lines: 0,
        };
        self.piece(previous, mark, content)
    }

    fn piece(&self, previous: u64, mark: StreamMark, content: Content) -> Ingest {
        Ingest {
            agent: self.agent,
            previous,
            mark,
            content,
            received_at: HubTime(9),
            bytes_max: None,
            reply: self.reply.clone(),
        }
    }

    async fn store(&mut self, ingest: Ingest) -> Result<StreamMark, StoreError> {
        self.store.reserve().await.unwrap().send(ingest);
        self.replies.recv().await.unwrap().map_err(|error| *error)
    }

    async fn mark(&self, stream: StreamId) -> u64 {
        self.store.marks(self.agent, vec![stream]).await.unwrap()[0].acked
    }

    async fn texts(&self) -> Vec<String> {
        let page = self.store.records(self.agent, Cursor { lane: None, from: None }, 1000).await.unwrap();
        page.items.iter().map(text).collect()
    }
}

fn text(item: &Item) -> String {
    match &item.content {
        ItemContent::Record { payload, whole, .. } => {
            let text = String::from_utf8(payload.to_vec()).unwrap();
            if *whole { text } else { format!("{text}?") }
        }
        ItemContent::Gap(gap) => format!("gap {}-{}", gap.from, gap.to),
    }
}

#[tokio::test]
async fn a_sum_of_bytes_that_cannot_be_is_added_up_anew_and_fails_nobody() {
    let mut world = World::new().await;
    world.store(world.batch(LOGS, 0, &["a", "b"])).await.unwrap();
    let before = world.store.stored_bytes(world.agent).await.unwrap();
    sqlx::query("update agents set stored_bytes = -7").execute(&world.store.pool).await.unwrap();
    let quota = std::num::NonZeroU64::new(u64::try_from(2 * before).unwrap());
    let within = Ingest { bytes_max: quota, ..world.batch(LOGS, 2, &["c", "d"]) };
    assert_eq!(world.store(within).await.unwrap().acked, 4);
    assert_eq!(world.store.stored_bytes(world.agent).await.unwrap(), 2 * before);
    let beyond = Ingest { bytes_max: quota, ..world.batch(LOGS, 4, &["e"]) };
    assert!(matches!(world.store(beyond).await, Err(StoreError::OverQuota { .. })));
}

#[tokio::test]
async fn a_batch_sent_twice_is_stored_once() {
    let mut world = World::new().await;
    let mark = world.store(world.batch(LOGS, 0, &["a", "b"])).await.unwrap();
    assert_eq!(mark.acked, 2);
    let again = world.store(world.batch(LOGS, 0, &["a", "b"])).await;
    assert!(matches!(again, Err(StoreError::MarkMoved)), "{again:?}");
    assert_eq!(world.texts().await, ["a", "b"]);
    assert_eq!(world.mark(LOGS).await, 2);
}

#[tokio::test]
async fn a_missed_compare_and_set_fails_that_piece_alone() {
    let mut world = World::new().await;
    let events = StreamId { lane: Lane::Events, ..LOGS };
    // One round: all three wait before the writer looks.
    let slots = [world.batch(LOGS, 0, &["a"]), world.batch(LOGS, 5, &["x"]), world.batch(events, 0, &["e"])];
    for ingest in slots {
        world.store.reserve().await.unwrap().send(ingest);
    }
    assert!(world.replies.recv().await.unwrap().is_ok());
    assert!(matches!(*world.replies.recv().await.unwrap().unwrap_err(), StoreError::MarkMoved));
    assert!(world.replies.recv().await.unwrap().is_ok());
    assert_eq!(world.texts().await, ["e", "a"]);
    assert_eq!(world.mark(LOGS).await, 1);
}

#[tokio::test]
async fn mark_and_data_move_in_one_transaction() {
    let mut world = World::new().await;
    world.store(world.batch(LOGS, 0, &["a"])).await.unwrap();
    // The place of the next batch is taken: its insert fails after its mark moved.
    sqlx::query(
        "insert into batches (agent, lane, epoch, first, last, received_at, batch) values ($1, 3, $2, 2, 2, 0, $3)",
    )
    .bind(world.agent.0)
    .bind(LOGS.epoch.as_u64().cast_signed())
    .bind(encode(&["other"]).to_vec())
    .execute(&world.store.pool)
    .await
    .unwrap();
    let failed = world.store(world.batch(LOGS, 1, &["b"])).await;
    assert!(matches!(failed, Err(StoreError::CannotCommit(_))), "{failed:?}");
    assert_eq!(world.mark(LOGS).await, 1);
    // The database itself can commit, and the next question finds that out.
    world.store.ready().await.unwrap();
}

#[tokio::test]
async fn a_database_that_cannot_commit_is_not_ready_and_keeps_its_marks() {
    let mut world = World::new().await;
    world.store(world.batch(LOGS, 0, &["a"])).await.unwrap();
    sqlx::query("create trigger full before insert on batches begin select raise(abort, 'disk full'); end")
        .execute(&world.store.pool)
        .await
        .unwrap();
    sqlx::query("create trigger full2 before insert on probe begin select raise(abort, 'disk full'); end")
        .execute(&world.store.pool)
        .await
        .unwrap();
    assert!(world.store(world.batch(LOGS, 1, &["b"])).await.is_err());
    let reason = world.store.ready().await.unwrap_err().to_string();
    assert!(reason.contains("disk full"), "{reason}");
    for trigger in ["drop trigger full", "drop trigger full2"] {
        sqlx::query(trigger).execute(&world.store.pool).await.unwrap();
    }
    world.store.ready().await.unwrap();
    world.store(world.batch(LOGS, 1, &["b"])).await.unwrap();
    assert_eq!(world.texts().await, ["a", "b"]);
}

#[tokio::test]
async fn gaps_stand_between_records_and_losses_are_kept() {
    let mut world = World::new().await;
    world.store(world.batch(LOGS, 0, &["a"])).await.unwrap();
    let gap = Gap { stream: LOGS, from: 2, to: 4, reason: GapReason::HubLost, records: 3, bytes: 0 };
    let mark = StreamMark { stream: LOGS, acked: 4, acked_crc: 0 };
    world.store(world.piece(1, mark, Content::Gap(gap))).await.unwrap();
    world.store(world.batch(LOGS, 4, &["e"])).await.unwrap();
    assert_eq!(world.texts().await, ["a", "gap 2-4", "e"]);
    let control = StreamId { lane: Lane::Control, ..LOGS };
    let report = LossReport { stream: LOGS, from: 1, to: 9, reason: LossReason::RolledBack };
    let mut ingest = world.batch(control, 0, &["l"]);
    if let Content::Batch { losses, .. } = &mut ingest.content {
        losses.push((1, report));
    }
    world.store(ingest).await.unwrap();
    assert_eq!(world.store.loss_rows(world.agent).await.unwrap()[0].reason, "rolled_back");
    assert_eq!(world.store.gap_rows(world.agent).await.unwrap()[0].reason, "hub_lost");
}

#[tokio::test]
async fn a_removed_agent_stores_nothing_more_and_frees_its_name() {
    let mut world = World::new().await;
    world.store(world.batch(LOGS, 0, &["a"])).await.unwrap();
    world.store.remove_agent(&name("edge-1")).await.unwrap();
    assert!(matches!(world.store(world.batch(LOGS, 1, &["b"])).await, Err(StoreError::NotWelcome)));
    assert!(matches!(world.store.agent(&name("edge-1")).await, Err(StoreError::NoAgent(_))));
    world.store.add_agent(&name("edge-1"), None).await.unwrap();
    let again = world.store.add_agent(&name("edge-1"), None).await;
    assert!(matches!(again, Err(StoreError::NameTaken(_))), "{again:?}");
    let connect = world.store.add_agent(&name("connect"), None).await;
    assert!(matches!(connect, Err(StoreError::NameReserved(_))), "{connect:?}");
}

#[tokio::test]
async fn credentials_open_only_what_they_fit() {
    let world = World::new().await;
    let issued = world.store.add_agent(&name("edge-2"), None).await.unwrap();
    let bearer = issued.key_file.bearer();
    let opened = world.store.authenticate(&bearer).await.unwrap().unwrap();
    assert_eq!(opened.mac_root, issued.key_file.key.mac_root());
    let other = world.store.add_agent(&name("edge-3"), None).await.unwrap();
    let mut wrong = bearer.clone();
    wrong.secret = other.key_file.key.bearer_secret();
    assert_eq!(world.store.authenticate(&wrong).await.unwrap().unwrap_err(), Denied::Unauthorized);
    let mut wrong = bearer.clone();
    wrong.key_id = "k9".parse().unwrap();
    assert_eq!(world.store.authenticate(&wrong).await.unwrap().unwrap_err(), Denied::KeyUnknown);
    let mut wrong = bearer.clone();
    wrong.agent_id = crate::id::AgentId::from_bytes([9; 16]);
    assert_eq!(world.store.authenticate(&wrong).await.unwrap().unwrap_err(), Denied::UnknownAgent);
    sqlx::query("update agents set state = 'revoked' where name = 'edge-2'")
        .execute(&world.store.pool)
        .await
        .unwrap();
    assert_eq!(world.store.authenticate(&bearer).await.unwrap().unwrap_err(), Denied::Revoked);
}

#[tokio::test]
async fn a_database_without_its_key_file_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    let key = world.folder.path().join("hub.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = std::fs::read(&key).unwrap();
    world.store.close().await;
    std::fs::remove_file(&key).unwrap();
    let missing = Store::open(world.folder.path(), Creation::Allowed).await.err().unwrap();
    assert!(matches!(missing, StoreError::KeyFileMissing { .. }), "{missing}");
    assert!(!key.exists());
    secret_file::write(&key, &[7; 32]).unwrap();
    let foreign = Store::open(world.folder.path(), Creation::Allowed).await.err().unwrap();
    assert!(matches!(foreign, StoreError::KeyFileForeign(_)), "{foreign}");
    std::fs::write(&key, &bytes[..31]).unwrap();
    let damaged = Store::open(world.folder.path(), Creation::Allowed).await.err().unwrap();
    assert!(matches!(damaged, StoreError::KeyFileDamaged(_)), "{damaged}");
    std::fs::write(&key, bytes).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let open = Store::open(world.folder.path(), Creation::Allowed).await.err().unwrap();
    assert!(matches!(open, StoreError::KeyFileOpen { mode: 0o640, .. }), "{open}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (store, _) = Store::open(world.folder.path(), Creation::Refused).await.unwrap();
    assert_eq!(store.hub_id(), world.store.hub_id());
}

#[tokio::test]
async fn the_audit_cannot_be_changed() {
    let world = World::new().await;
    let changed = sqlx::query("update audit set detail = 'x'").execute(&world.store.pool).await;
    assert!(changed.unwrap_err().to_string().contains("append-only"));
    assert!(sqlx::query("delete from audit").execute(&world.store.pool).await.is_err());
}

#[tokio::test]
async fn a_folder_in_use_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let _first = FolderLock::take(folder.path()).unwrap();
    let second = FolderLock::take(folder.path()).unwrap_err().to_string();
    assert!(second.contains(&std::process::id().to_string()), "{second}");
}
