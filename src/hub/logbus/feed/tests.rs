//! Rings that follow a real database. Bounds are those of unit tests (`limit`): 10 lines, 4096 bytes that are read back.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::hub::Hub;
use crate::hub::config::Config;
use crate::hub::ingest::Intake;
use crate::hub::logbus::{Found, Range};
use crate::hub::store::{AgentRef, Content, Creation, Ingest, IngestReply};
use crate::id::{AppName, Epoch, StreamId};
use crate::time::WallTime;
use crate::wire::message::{Codec, RecordKind, Records};

const LOGS: StreamId = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(7) };
const HOURS: u64 = 3_600_000;
/// Nothing here takes longer unless it is broken.
const DEADLINE: Duration = Duration::from_secs(30);

/// An agent that says lines of apps to a store.
struct Agent {
    store: Store,
    intake: Intake,
    agent: AgentRef,
    next: u64,
    reply: mpsc::Sender<IngestReply>,
    replies: mpsc::Receiver<IngestReply>,
}

impl Agent {
    async fn new(store: &Store) -> Self {
        let name = "edge-1".parse().unwrap();
        store.add_agent(&name, None).await.unwrap();
        let agent = store.agent(&name).await.unwrap().agent;
        let (reply, replies) = mpsc::channel(1);
        let intake = Intake::new(agent, &[], reply.clone());
        Self { store: store.clone(), intake, agent, next: 1, reply, replies }
    }

    /// One batch with a line of each of these apps, of so many bytes.
    async fn say_at(&mut self, at: HubTime, apps: &[&str], length: usize) {
        let mut batch = BytesMut::new();
        for app in apps {
            let record = Record {
                recorded_at: WallTime(1),
                source: "test".to_owned(),
                kind: RecordKind::Opaque,
                payload: vec![b'x'; length].into(),
                part: None,
                app: Some(app.parse().unwrap()),
            };
            batch::push(record, &mut batch);
        }
        let records = Records {
            stream: LOGS,
            first: self.next,
            count: u32::try_from(apps.len()).unwrap(),
            codec: Codec::None,
            raw_len: u32::try_from(batch.len()).unwrap(),
            batch: batch.freeze(),
            clock_offset: None,
        };
        let ingest = self.intake.records(&records, 0, at).unwrap();
        self.store(ingest).await;
    }

    async fn say(&mut self, apps: &[&str]) {
        self.say_at(hub_time(), apps, 1).await;
    }

    /// A batch that nobody can read any more.
    async fn say_damaged(&mut self, lines: u32) {
        let mark = crate::wire::message::StreamMark { stream: LOGS, acked: self.next, acked_crc: 0 };
        let content = Content::Batch {
            batch: Bytes::from_static(b"\xff\xff\xff"),
            clock_offset: None,
            losses: Vec::new(),
            jobs: Vec::new(),
            app_lines: lines,
        };
        let (agent, previous, reply) = (self.agent, self.next - 1, self.reply.clone());
        let received_at = hub_time();
        self.store(Ingest { agent, previous, mark, content, received_at, bytes_max: None, reply }).await;
        let mark = crate::wire::message::StreamMark { stream: LOGS, acked: self.next - 1, acked_crc: 0 };
        self.intake = Intake::new(self.agent, &[mark], self.reply.clone());
    }

    async fn store(&mut self, ingest: Ingest) {
        self.next = ingest.mark.acked + 1;
        self.store.reserve().await.unwrap().send(ingest);
        self.replies.recv().await.unwrap().unwrap();
    }
}

async fn world() -> (TempDir, Store, Agent) {
    let folder = tempfile::tempdir().unwrap();
    let (store, _writer) = Store::open(folder.path(), Creation::Allowed).await.unwrap();
    let agent = Agent::new(&store).await;
    (folder, store, agent)
}

/// Rings that have been there before anything was stored.
fn watching() -> LogBus {
    LogBus::new(Rings::new(0, 0, BTreeMap::new()))
}

fn found(logbus: &LogBus, app: &str, since: i64) -> Found {
    let apps = Some([app.parse().unwrap()].into());
    logbus.lines(&Range { apps, since: Some(since), count_max: 99, bytes_max: usize::MAX })
}

fn seqs(found: &Found) -> Vec<i64> {
    found.lines.iter().map(|line| line.seq).collect()
}

fn hours_ago(hours: u64) -> HubTime {
    HubTime(hub_time().0 - hours * HOURS)
}

/// Whatever there is.
async fn read_all(logbus: &LogBus, store: &Store) {
    while advance(logbus, store).await.unwrap() == More::Yes {}
}

#[tokio::test]
async fn rings_that_are_filled_anew_have_the_last_hour_alone() {
    let (_folder, store, mut agent) = world().await;
    agent.say_at(hours_ago(2), &["web", "web"], 1).await;
    agent.say(&["web", "till"]).await;
    agent.say(&["web"]).await;
    let logbus = open(&store).await.unwrap();
    read_all(&logbus, &store).await;
    assert_eq!(logbus.rings().figures().fed, 3, "what is too old is not even read");
    let all = found(&logbus, "web", 0);
    assert_eq!((seqs(&all), all.gap, all.next), (vec![3, 5], true, 5));
    assert!(!found(&logbus, "web", 2).gap, "lines 1 and 2 are all that is missing");
    assert!(found(&logbus, "nobody", 1).gap);
}

#[tokio::test]
async fn rings_that_are_filled_anew_have_no_more_than_their_reach() {
    let (_folder, store, mut agent) = world().await;
    for length in [600, 1500, 1500, 700] {
        agent.say_at(hub_time(), &["web"], length).await;
    }
    let reach = |bytes: i64| store.app_reach(oldest(hub_time()), bytes);
    let sizes: Vec<_> =
        store.app_batches(1, 9).await.unwrap().iter().map(|batch| batch.bytes.len() as i64).collect();
    let (last, two) = (sizes[3], sizes[2] + sizes[3]);
    for (bytes, from) in [(0, 5), (last - 1, 5), (last, 4), (two - 1, 4), (two, 3), (i64::MAX, 1)] {
        assert_eq!(
            (reach(bytes).await.unwrap().from, reach(bytes).await.unwrap().next),
            (from, 5),
            "{bytes}"
        );
    }
    let logbus = open(&store).await.unwrap();
    read_all(&logbus, &store).await;
    assert_eq!(seqs(&found(&logbus, "web", 0)), [2, 3, 4], "{sizes:?} of {}", limit::APP_REACH_BYTES);
}

#[tokio::test]
async fn what_is_too_far_behind_is_passed_over_and_told_of_and_what_is_not_is_read() {
    let (_folder, store, mut agent) = world().await;
    for length in [1500, 1500, 1500] {
        agent.say_at(hub_time(), &["web"], length).await;
    }
    let logbus = watching();
    read_all(&logbus, &store).await;
    assert_eq!(logbus.rings().figures().fallen["behind"], 0, "they are read before anybody looks");
    // More than a page, which is read, and behind it more than the reach.
    let page = usize::try_from(limit::APP_BATCHES_PAGE).unwrap();
    for _ in 0..page {
        agent.say_at(hub_time(), &["web"], 50).await;
    }
    for _ in 0..page {
        agent.say_at(hub_time(), &["web"], 100).await;
    }
    read_all(&logbus, &store).await;
    let figures = logbus.rings().figures();
    let passed = i64::try_from(figures.fallen["behind"]).unwrap();
    assert!(passed > 0 && figures.fed + figures.fallen["behind"] == 131, "{figures:?}");
    assert_eq!(logbus.rings().seen(), 131);
    let late = found(&logbus, "web", 66);
    assert!(late.gap && late.lines.last().unwrap().seq == 131);
    assert!(found(&logbus, "nobody", 66).gap, "nobody knows whose they were");
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_is_told_of_and_the_others_are_read() {
    let (_folder, store, mut agent) = world().await;
    agent.say(&["web", "till"]).await;
    agent.say_damaged(3).await;
    agent.say(&["web"]).await;
    for logbus in [watching(), open(&store).await.unwrap()] {
        read_all(&logbus, &store).await;
        let all = found(&logbus, "web", 0);
        assert_eq!((seqs(&all), all.gap, all.next), (vec![1, 6], true, 6));
        assert!(found(&logbus, "till", 4).gap, "nobody knows whose they were");
        assert!(!found(&logbus, "web", 5).gap, "they are lines 3 to 5");
        assert_eq!(logbus.rings().figures().fallen["damaged"], 3);
    }
}

#[tokio::test]
async fn lines_that_are_dropped_before_they_are_read_back_do_not_come() {
    let (_folder, store, mut agent) = world().await;
    let (web, nobody): (AppName, AppName) = ("web".parse().unwrap(), "nobody".parse().unwrap());
    agent.say(&["web", "till"]).await;
    let logbus = watching();
    assert_eq!(logbus.drop_app(&store, &web).await.unwrap(), 0, "its ring has none yet");
    agent.say(&["web"]).await;
    read_all(&logbus, &store).await;
    assert_eq!(seqs(&found(&logbus, "web", 0)), [3]);
    assert_eq!(seqs(&found(&logbus, "till", 0)), [2]);
    let again = open(&store).await.unwrap();
    read_all(&again, &store).await;
    assert_eq!(seqs(&found(&again, "web", 0)), [3], "nor after a restart");
    // Of an app that surely has none nothing is noted.
    assert_eq!(logbus.drop_app(&store, &nobody).await.unwrap(), 0);
    assert_eq!(store.app_drops().await.unwrap(), [(web, 2)]);
}

#[tokio::test]
async fn who_waits_is_woken_by_lines_and_by_nothing_else() {
    let (_folder, store, mut agent) = world().await;
    let logbus = watching();
    let mut changed = logbus.watch();
    read_all(&logbus, &store).await;
    assert!(futures_util::FutureExt::now_or_never(changed.changed()).is_none());
    agent.say(&["web"]).await;
    read_all(&logbus, &store).await;
    tokio::time::timeout(DEADLINE, changed.changed()).await.unwrap();
    assert_eq!(seqs(&found(&logbus, "web", 0)), [1]);
}

#[tokio::test]
async fn what_is_too_old_is_forgotten_at_one_look_however_much_it_is() {
    let (_folder, store, mut agent) = world().await;
    for _ in 0..3 * limit::APP_SWEEP_BATCH {
        agent.say_at(hours_ago(2), &["web"], 1).await;
    }
    agent.say(&["web"]).await;
    let batches = async || store.app_batches(1, 99).await.unwrap().len();
    assert_eq!(batches().await, 7);
    sweep(&watching(), &store).await;
    assert_eq!(batches().await, 1);
}

#[tokio::test]
async fn lines_that_never_cease_keep_nothing_from_being_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        data: folder.path().to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        ..Config::default()
    };
    let hub = Hub::start(config).await.unwrap();
    let mut agent = Agent::new(hub.store()).await;
    // A first line, whose end is that the hub has looked once.
    agent.say(&["web"]).await;
    agent.say_at(hours_ago(2), &["web"], 1).await;
    let there = async || {
        let batches = hub.store().app_batches(1, 9999).await.unwrap();
        batches.iter().any(|batch| batch.received_at < hours_ago(1).0.cast_signed())
    };
    tokio::time::timeout(DEADLINE, async {
        while there().await {
            agent.say(&["web"]).await;
        }
    })
    .await
    .expect("the old batch to be forgotten");
    hub.shutdown().await;
}
