//! The life of a job in the store, whatever comes in whatever order.

mod lines;
mod secrets;

use bytes::{Bytes, BytesMut};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::hub::store::{AgentRow, Content, Creation, Ingest, IngestReply, Login, Store};
use crate::id::{Epoch, Lane, RecordId, SessionId, StreamId};
use crate::job::{JobSpec, JobState};
use crate::limit;
use crate::time::{ClockOffset, HubTime, WallTime};
use crate::wire::batch;
use crate::wire::job::{
    Answer, JobAck, JobArtifact, JobRecord, JobResult, JobStatusChange, LogSummary, Refusal, ResultPayload,
};
use crate::wire::message::{Gap, GapReason, Part, Record, RecordKind, StreamMark};

const NOW: HubTime = HubTime(1_800_000_000_000);
const HOUR: u64 = 3_600_000;

struct World {
    _folder: TempDir,
    store: Store,
    agent: AgentRow,
    replies: mpsc::Receiver<IngestReply>,
    reply: mpsc::Sender<IngestReply>,
    next: [u64; 3],
}

fn stream(lane: Lane) -> StreamId {
    StreamId { lane, epoch: Epoch::from_u64(1 << 32 | 7) }
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, _writer) = Store::open(folder.path(), Creation::Allowed).await.unwrap();
        let name = "edge-1".parse().unwrap();
        store.add_agent(&name, None).await.unwrap();
        let agent = store.agent(&name).await.unwrap();
        let (reply, replies) = mpsc::channel(16);
        Self { _folder: folder, store, agent, replies, reply, next: [1; 3] }
    }

    async fn submit(&self, spec: &'static str) -> JobId {
        let bytes = Bytes::from_static(spec.as_bytes());
        let spec = JobSpec::parse(&bytes).unwrap();
        let submission = Submission {
            agent: self.agent.clone(),
            spec,
            bytes,
            signature: None,
            idempotency_key: None,
            open_max: None,
        };
        self.store.submit_job(submission, NOW).await.unwrap().job()
    }

    async fn log_in(&self, session: SessionId, instance: crate::id::InstanceId) {
        let (agent, key_id) = (&self.agent, &"k1".parse().unwrap());
        let login = Login { agent, key_id, session, instance, hostname: "h", agent_version: "v" };
        self.store.log_in(login).await.unwrap().unwrap();
    }

    async fn offer(&self) -> usize {
        self.store.take_offers(self.agent.agent, Inbox::Queued, 9, NOW).await.unwrap().len()
    }

    /// Stores one record of the agent's.
    async fn say(&mut self, record: JobRecord) {
        let lane = match record.kind() {
            RecordKind::JobProgress => Lane::Events,
            RecordKind::JobOutput | RecordKind::JobArtifact => Lane::Logs,
            _ => Lane::Control,
        };
        let (kind, payload) = (record.kind(), record.encode());
        self.say_raw(lane, kind, payload, None).await;
    }

    async fn say_raw(&mut self, lane: Lane, kind: RecordKind, payload: Bytes, part: Option<Part>) {
        let record =
            Record { recorded_at: WallTime(1000), source: "job".to_owned(), kind, payload, part, app: None };
        let seq = self.take_number(lane);
        let jobs = facts(lane, [(seq, &record)].into_iter());
        let mut batch = BytesMut::new();
        batch::push(record, &mut batch);
        let clock_offset = Some(ClockOffset(500));
        let content =
            Content::Batch { batch: batch.freeze(), clock_offset, losses: Vec::new(), jobs, app_lines: 0 };
        self.store_piece(lane, seq, seq, content).await;
    }

    fn take_number(&mut self, lane: Lane) -> u64 {
        let slot = &mut self.next[lane as usize];
        *slot += 1;
        *slot - 1
    }

    async fn store_piece(&mut self, lane: Lane, first: u64, last: u64, content: Content) {
        let mark = StreamMark { stream: stream(lane), acked: last, acked_crc: 1 };
        let (agent, reply) = (self.agent.agent, self.reply.clone());
        let ingest =
            Ingest { agent, previous: first - 1, mark, content, received_at: NOW, bytes_max: None, reply };
        self.store.reserve().await.unwrap().send(ingest);
        self.replies.recv().await.unwrap().unwrap();
    }

    async fn status(&self, job: JobId) -> JobState {
        self.store.job(job).await.unwrap().status
    }
}

const EXEC: &str = r#"{"kind": "exec", "give_up_after": "1h"}"#;

fn accepted(job: JobId) -> JobRecord {
    JobRecord::Ack(JobAck { job, answer: Answer::Accepted(JobState::Accepted) })
}

fn running(job: JobId, run: u32) -> JobRecord {
    JobRecord::Status(JobStatusChange {
        job,
        run,
        state: JobState::Running,
        at: WallTime(2000 * u64::from(run)),
    })
}

fn result(job: JobId, state: JobState, log: LogSummary) -> JobRecord {
    JobRecord::Result(Box::new(JobResult {
        job,
        run: 1,
        state,
        exit_code: Some(3),
        signal: Some(9),
        reason: "because\0".to_owned(),
        started_at: Some(WallTime(2000)),
        finished_at: WallTime(3000),
        log,
        payload: ResultPayload::Inline(Bytes::new()),
    }))
}

/// All orders of `0..count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    (0..count)
        .flat_map(|place| {
            shorter.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(place, count - 1);
                order
            })
        })
        .collect()
}

#[tokio::test]
async fn every_order_of_ack_status_and_result_ends_the_same() {
    let mut world = World::new().await;
    for order in orders(6) {
        let job = world.submit(EXEC).await;
        world.offer().await;
        let mut last = JobState::Offered;
        for index in &order {
            // Each twice: sent again under another epoch.
            match index % 3 {
                0 => world.say(accepted(job)).await,
                1 => world.say(running(job, 1)).await,
                _ => world.say(result(job, JobState::Failed, LogSummary::default())).await,
            }
            let status = world.status(job).await;
            assert!(status >= last, "{order:?}: {last} became {status}");
            last = status;
        }
        let row = world.store.job(job).await.unwrap();
        let found = (row.status, row.exit_code, row.signal, row.reason.as_str(), row.run, row.by_hub);
        assert_eq!(found, (JobState::Failed, Some(3), Some(9), "because", 1, false), "{order:?}");
        // Corrected by the batch's offset.
        let times = (row.accepted_at, row.started_at, row.finished_at);
        assert_eq!(times, (Some(1500), Some(2500), Some(3500)), "{order:?}");
    }
}

#[tokio::test]
async fn an_agents_result_is_final_whatever_else_happens() {
    let mut world = World::new().await;
    let session = SessionId::from_bytes([1; 16]);
    let instance = crate::id::InstanceId::from_bytes([2; 16]);
    let seed = crate::seed::seed();
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..60 {
        let job = world.submit(EXEC).await;
        let mut steps = Vec::new();
        let mut told: Option<JobState> = None;
        for _ in 0..10 {
            let agent = world.agent.agent;
            let busy = Answer::Refused { refusal: Refusal::Busy, detail: String::new() };
            let invalid = Answer::Refused { refusal: Refusal::Invalid, detail: String::new() };
            let step = random.u32(0..12);
            steps.push(step);
            let before = world.status(job).await;
            match step {
                0 => drop(world.offer().await),
                1 => world.say(accepted(job)).await,
                2 => world.say(running(job, random.u32(1..3))).await,
                3 | 4 => {
                    let state = if step == 3 { JobState::Failed } else { JobState::Succeeded };
                    world.say(result(job, state, LogSummary::default())).await;
                    told = told.or(Some(state));
                }
                5 => drop(world.store.answer_offer(agent, &JobAck { job, answer: busy }, NOW).await.unwrap()),
                6 => drop(
                    world.store.answer_offer(agent, &JobAck { job, answer: invalid }, NOW).await.unwrap(),
                ),
                7 => {
                    let answer = Answer::Accepted(JobState::Running);
                    world.store.answer_offer(agent, &JobAck { job, answer }, NOW).await.unwrap();
                }
                8 => drop(world.store.cancel_job(job, NOW).await),
                9 => drop(
                    world.store.sweep_jobs(NOW.after(std::time::Duration::from_secs(90_000))).await.unwrap(),
                ),
                10 => world.log_in(session, instance).await,
                _ => world.store.note_offline(agent, session, NOW).await.unwrap(),
            }
            let row = world.store.job(job).await.unwrap();
            let context = format!("seed {seed:?}, steps {steps:?}: {before} became {}", row.status);
            assert_eq!(told.is_some(), row.status.is_final() && !row.by_hub, "{context}");
            if let Some(told) = told {
                assert_eq!((row.status, row.reason.as_str()), (told, "because"), "{context}");
            }
            if before == JobState::Lost && told.is_none() {
                assert_eq!(row.status, JobState::Lost, "{context}");
            }
            // Nothing takes an accepted job back into the queue.
            if matches!(before, JobState::Accepted | JobState::Running) {
                assert!(row.status >= before, "{context}");
            }
        }
    }
}

#[tokio::test]
async fn a_second_run_counts_from_its_own_start() {
    let mut world = World::new().await;
    let job = world.submit(EXEC).await;
    for record in [accepted(job), running(job, 2), running(job, 1)] {
        world.say(record).await;
    }
    let row = world.store.job(job).await.unwrap();
    assert_eq!((row.status, row.run, row.started_at), (JobState::Running, 2, Some(4500)));
}

#[tokio::test]
async fn an_agent_that_is_replaced_is_not_away() {
    let world = World::new().await;
    let (first, second) = (SessionId::from_bytes([1; 16]), SessionId::from_bytes([2; 16]));
    let instance = crate::id::InstanceId::from_bytes([3; 16]);
    let agent = world.agent.agent;
    let job = world.submit(EXEC).await;
    let away = async || world.store.job(job).await.unwrap().offline_since;
    assert!(away().await.is_some(), "it was never here");
    world.log_in(first, instance).await;
    assert_eq!(away().await, None);
    world.log_in(second, instance).await;
    // The end of the first is noted after the second came.
    world.store.note_offline(agent, first, NOW).await.unwrap();
    assert_eq!(away().await, None);
    world.store.note_offline(agent, second, NOW).await.unwrap();
    let since = i64::try_from(NOW.0).unwrap();
    assert_eq!(away().await, Some(since));
    // A hub that starts later does not make it shorter.
    world.store.note_start(HubTime(NOW.0 + HOUR)).await.unwrap();
    assert_eq!(away().await, Some(since));
    // One that was killed while an agent was there counts from its own start.
    world.log_in(first, instance).await;
    world.store.note_start(HubTime(NOW.0 + HOUR)).await.unwrap();
    assert_eq!(away().await, Some(since + 3_600_000));
}

#[tokio::test]
async fn what_is_lost_of_a_log_completes_it() {
    let mut world = World::new().await;
    let job = world.submit(EXEC).await;
    let end = Some(RecordId { stream: stream(Lane::Logs), seq: 2 });
    world
        .say(result(job, JobState::Failed, LogSummary { end, lines: Some(9), ..LogSummary::default() }))
        .await;
    let complete = async |world: &World| {
        let row = world.store.job(job).await.unwrap();
        world.store.logs_complete(&row).await.unwrap()
    };
    assert!(!complete(&world).await);
    world.say_raw(Lane::Logs, RecordKind::Opaque, Bytes::from_static(b"x"), None).await;
    assert!(!complete(&world).await);
    let gap =
        Gap { stream: stream(Lane::Logs), from: 2, to: 3, reason: GapReason::Evicted, records: 2, bytes: 0 };
    world.store_piece(Lane::Logs, 2, 3, Content::Gap(gap)).await;
    assert!(complete(&world).await);
    let row = world.store.job(job).await.unwrap();
    let query = LogQuery {
        from: "1".parse().unwrap(),
        run: None,
        stream: None,
        count_max: 9,
        bytes_max: usize::MAX,
        holes: Holes::Pass,
    };
    assert_eq!(world.store.job_lines(&row, query).await.unwrap().missing, [(1, 1, 9)]);
}

#[tokio::test]
async fn an_artifact_is_found_by_its_first_part() {
    let mut world = World::new().await;
    let job = world.submit(EXEC).await;
    let artifact = |name: &str| JobArtifact {
        job,
        run: 1,
        name: name.to_owned(),
        content: Bytes::from(vec![7; 20_000]),
    };
    let long = JobRecord::Artifact(artifact("core")).encode();
    let (kind, cut) = (RecordKind::JobArtifact, 13_000);
    world.say_raw(Lane::Logs, kind, long.slice(..cut), Some(Part { index: 1, of: 2 })).await;
    world.say_raw(Lane::Logs, kind, long.slice(cut..), Some(Part { index: 2, of: 2 })).await;
    world.say(JobRecord::Artifact(JobArtifact { content: Bytes::new(), ..artifact("empty") })).await;
    let row = world.store.job(job).await.unwrap();
    let found = world.store.job_artifacts(&row).await.unwrap();
    let epoch = stream(Lane::Logs).epoch.as_u64().cast_signed();
    assert_eq!(found, [("core".to_owned(), 1, epoch, 1), ("empty".to_owned(), 1, epoch, 3)]);
    for end in 0..60 {
        // Cut anywhere, also within its head: never a panic.
        let head = JobRecord::decode_first_part(kind, &long.slice(..end));
        assert!(head.is_none_or(|head| head.name == "core"));
    }
}

#[tokio::test]
async fn a_long_result_is_found_in_its_records() {
    let mut world = World::new().await;
    let job = world.submit(EXEC).await;
    let place = |seq| RecordId { stream: stream(Lane::Logs), seq };
    let part = |index| Some(Part { index, of: 2 });
    world.say_raw(Lane::Logs, RecordKind::JobPayload, Bytes::from_static(b"long "), part(1)).await;
    let mut ended = result(job, JobState::Succeeded, LogSummary::default());
    if let JobRecord::Result(ended) = &mut ended {
        ended.payload = ResultPayload::At { first: place(1), last: place(2) };
    }
    world.say(ended).await;
    let row = world.store.job(job).await.unwrap();
    assert_eq!(world.store.job_content(&row).await.unwrap().1, None, "half of it");
    world.say_raw(Lane::Logs, RecordKind::JobPayload, Bytes::from_static(b"result"), part(2)).await;
    let (spec, payload) = world.store.job_content(&row).await.unwrap();
    assert_eq!(
        (spec.unwrap().as_ref(), payload.unwrap().as_ref()),
        (EXEC.as_bytes(), b"long result".as_ref())
    );
}

#[tokio::test]
async fn the_jobs_of_a_removed_agent_are_over() {
    let mut world = World::new().await;
    let running_job = world.submit(EXEC).await;
    world.offer().await;
    world.say(accepted(running_job)).await;
    let queued = world.submit(EXEC).await;
    world.store.remove_agent(&"edge-1".parse().unwrap()).await.unwrap();
    assert_eq!(world.status(running_job).await, JobState::Lost);
    assert_eq!(world.status(queued).await, JobState::Cancelled);
    assert_eq!(world.store.job(queued).await.unwrap().agent_name, None);
}

#[tokio::test]
async fn a_waiter_is_told_of_its_own_agent_only() {
    use futures_util::FutureExt as _;
    let mut world = World::new().await;
    let job = world.submit(EXEC).await;
    let other = crate::hub::store::AgentRef(999);
    let (mut changed, mut others) =
        (world.store.watch_jobs(world.agent.agent), world.store.watch_jobs(other));
    assert!(changed.changed().now_or_never().is_none());
    world.say(accepted(job)).await;
    assert!(changed.changed().now_or_never().is_some());
    assert!(changed.changed().now_or_never().is_none());
    assert!(others.changed().now_or_never().is_none());
}

#[tokio::test]
async fn a_job_is_judged_when_it_is_read() {
    let mut world = World::new().await;
    let away = HubTime(
        u64::try_from(world.store.job(world.submit(EXEC).await).await.unwrap().offline_since.unwrap())
            .unwrap(),
    );
    let (expiring, taken) = (world.submit(r#"{"kind": "exec"}"#).await, world.submit(EXEC).await);
    world.say(accepted(taken)).await;
    let at = async |job, now| world.store.job_at(job, now).await.unwrap().status;
    assert_eq!(at(taken, HubTime(away.0 + HOUR - 1)).await, JobState::Accepted);
    assert_eq!(at(taken, HubTime(away.0 + HOUR)).await, JobState::Lost);
    assert_eq!(at(expiring, HubTime(NOW.0 + 24 * HOUR - 1)).await, JobState::Queued);
    assert_eq!(at(expiring, HubTime(NOW.0 + 24 * HOUR)).await, JobState::Expired);
}

#[tokio::test]
async fn an_end_that_was_told_to_a_hub_before_a_restore_is_taken_at_the_second_word() {
    let mut world = World::new().await;
    let [told, coming] = [world.submit(EXEC).await, world.submit(EXEC).await];
    assert_eq!(world.offer().await, 2);
    let patience = u64::try_from(limit::JOB_RESULT_PATIENCE.as_millis()).unwrap();
    let answer = |job| JobAck { job, answer: Answer::Accepted(JobState::Failed) };
    for (after, expected) in
        [(0, JobState::Offered), (patience - 1, JobState::Offered), (patience, JobState::Failed)]
    {
        let now = HubTime(NOW.0 + after);
        for job in [told, coming] {
            world.store.answer_offer(world.agent.agent, &answer(job), now).await.unwrap();
            assert_eq!(world.status(job).await, expected, "{after}");
        }
    }
    let row = world.store.job(told).await.unwrap();
    assert!(row.by_hub && row.reason.contains("told its end before"), "{}", row.reason);
    // The agent's result, late as it is, has the last word.
    world.say(accepted(coming)).await;
    world.say(result(coming, JobState::Succeeded, LogSummary::default())).await;
    assert_eq!(world.status(coming).await, JobState::Succeeded);
    assert_eq!(world.status(told).await, JobState::Failed);
}
