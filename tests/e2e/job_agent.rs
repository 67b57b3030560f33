//! A raw agent that knows of jobs: hears offers and cancels, and says whatever a test has it say of them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use outpost::id::{Epoch, JobId, Lane, RecordId, StreamId};
use outpost::obs::clock;
use outpost::time::WallTime;
use outpost::wire::batch;
use outpost::wire::job::{
    Answer, JobAck, JobOffer, JobOutput, JobRecord, JobResult, JobState, JobStatusChange, LogSummary,
    OutputLine, OutputStream, Refusal, ResultPayload,
};
use outpost::wire::message::{Codec, Message, Record, RecordKind, Records, StreamState};
use serde_json::{Value, json};

use crate::raw_agent::{RawAgent, World, register, within};

pub(crate) struct JobAgent {
    raw: RawAgent,
    epoch: u32,
    next: HashMap<Lane, u64>,
    acked: HashMap<Lane, u64>,
    pub(crate) offers: VecDeque<JobOffer>,
    pub(crate) cancels: VecDeque<JobId>,
}

impl JobAgent {
    pub(crate) async fn register(world: &World) -> Self {
        Self::register_as(world, 1).await
    }

    /// With lanes of the n-th epoch.
    pub(crate) async fn register_as(world: &World, epoch: u32) -> Self {
        let raw = world.connect().await;
        let (next, acked) = (HashMap::new(), HashMap::new());
        let (offers, cancels) = (VecDeque::new(), VecDeque::new());
        let mut agent = Self { raw, epoch, next, acked, offers, cancels };
        let Message::Register(mut message) = register() else { panic!("not a Register") };
        message.streams.entries = Lane::ALL
            .into_iter()
            .map(|lane| StreamState { stream: agent.stream(lane), first_unacked: 1, next: 1_000_000 })
            .collect();
        agent.raw.say(Message::Register(message)).await;
        let Message::RegisterAck(ack) = agent.raw.hear().await else { panic!("not a RegisterAck") };
        for mark in ack.marks.entries {
            agent.next.insert(mark.stream.lane, mark.acked + 1);
            agent.acked.insert(mark.stream.lane, mark.acked);
        }
        agent
    }

    fn stream(&self, lane: Lane) -> StreamId {
        StreamId { lane, epoch: Epoch::from_u64(u64::from(self.epoch) << 32 | 7) }
    }

    /// The place the next record of the logs lane will have, and `ahead` more.
    pub(crate) fn log_place(&self, ahead: u64) -> RecordId {
        RecordId { stream: self.stream(Lane::Logs), seq: self.next[&Lane::Logs] + ahead }
    }

    async fn hear(&mut self) -> Message {
        let message = self.raw.hear().await;
        match &message {
            Message::JobOffer(offer) => self.offers.push_back(offer.clone()),
            Message::CancelJob(job) => self.cancels.push_back(*job),
            Message::Ack(mark) if mark.stream.epoch == self.stream(mark.stream.lane).epoch => {
                self.acked.insert(mark.stream.lane, mark.acked);
            }
            _ => {}
        }
        message
    }

    /// The next offer.
    pub(crate) async fn offer(&mut self) -> JobOffer {
        within(async {
            loop {
                if let Some(offer) = self.offers.pop_front() {
                    return offer;
                }
                self.hear().await;
            }
        })
        .await
    }

    /// The next job to be cancelled.
    pub(crate) async fn cancel(&mut self) -> JobId {
        within(async {
            loop {
                if let Some(job) = self.cancels.pop_front() {
                    return job;
                }
                self.hear().await;
            }
        })
        .await
    }

    /// Hears and forgets whatever comes for so long.
    pub(crate) async fn linger(&mut self, time: Duration) {
        self.raw.linger(time).await;
    }

    /// Hears everything the hub has to say at present: it does what it was asked for before it answers several pings.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..8 {
            self.raw.say(Message::Ping).await;
            while self.hear().await != Message::Pong {}
        }
    }

    /// Says something that is no record.
    pub(crate) async fn answer(&mut self, job: JobId, answer: Answer) {
        self.raw.say(Message::JobAck(JobAck { job, answer })).await;
    }

    pub(crate) async fn refuse(&mut self, job: JobId, refusal: Refusal, detail: &str) {
        self.answer(job, Answer::Refused { refusal, detail: detail.to_owned() }).await;
    }

    /// Sends records, those of one lane in a row in one batch, and returns once the hub has committed them.
    pub(crate) async fn tell(&mut self, records: impl IntoIterator<Item = JobRecord>) {
        let records: Vec<_> = records.into_iter().collect();
        for batch in records.chunk_by(|left, right| lane_of(left) == lane_of(right)) {
            let encoded = batch.iter().map(|record| (record.kind(), record.clone().encode())).collect();
            self.tell_batch(lane_of(&batch[0]), encoded).await;
        }
    }

    pub(crate) async fn tell_raw(&mut self, lane: Lane, kind: RecordKind, payload: Bytes) {
        self.tell_batch(lane, vec![(kind, payload)]).await;
    }

    async fn tell_batch(&mut self, lane: Lane, records: Vec<(RecordKind, Bytes)>) {
        let first = self.next[&lane];
        let last = first + records.len() as u64 - 1;
        self.next.insert(lane, last + 1);
        let count = u32::try_from(records.len()).unwrap();
        let mut bytes = BytesMut::new();
        let recorded_at = WallTime(clock::wall_now().0);
        for (kind, payload) in records {
            let record =
                Record { recorded_at, source: "job".to_owned(), kind, payload, part: None, app: None };
            batch::push(record, &mut bytes);
        }
        let raw_len = u32::try_from(bytes.len()).unwrap();
        self.raw
            .say(Message::Records(Records {
                stream: self.stream(lane),
                first,
                count,
                codec: Codec::None,
                raw_len,
                batch: bytes.freeze(),
                clock_offset: None,
            }))
            .await;
        within(async {
            while self.acked[&lane] < last {
                self.hear().await;
            }
        })
        .await;
    }

    /// Accepts, runs and ends a job.
    pub(crate) async fn run(&mut self, job: JobId) {
        self.tell([accepted(job), running(job, 1), result(job, JobState::Succeeded)]).await;
    }
}

fn lane_of(record: &JobRecord) -> Lane {
    match record {
        JobRecord::Ack(_) | JobRecord::Status(_) | JobRecord::Result(_) => Lane::Control,
        JobRecord::Progress(_) => Lane::Events,
        JobRecord::Output(_) | JobRecord::Artifact(_) => Lane::Logs,
    }
}

pub(crate) fn accepted(job: JobId) -> JobRecord {
    JobRecord::Ack(JobAck { job, answer: Answer::Accepted(JobState::Accepted) })
}

pub(crate) fn running(job: JobId, run: u32) -> JobRecord {
    JobRecord::Status(JobStatusChange { job, run, state: JobState::Running, at: WallTime(2000) })
}

pub(crate) fn result(job: JobId, state: JobState) -> JobRecord {
    result_with(job, state, LogSummary { lines: Some(0), ..LogSummary::default() })
}

pub(crate) fn result_with(job: JobId, state: JobState, log: LogSummary) -> JobRecord {
    let exit_code = match state {
        JobState::Succeeded => Some(0),
        JobState::Failed => Some(3),
        _ => None,
    };
    JobRecord::Result(Box::new(JobResult {
        job,
        run: 1,
        state,
        exit_code,
        signal: None,
        reason: String::new(),
        started_at: Some(WallTime(2000)),
        finished_at: WallTime(3000),
        log,
        payload: ResultPayload::Inline(Bytes::from_static(b"{\"x\":1}")),
    }))
}

/// Lines that say their number; every third on stderr.
pub(crate) fn output(job: JobId, run: u32, lines: std::ops::RangeInclusive<u64>) -> JobRecord {
    let line = |number: u64| OutputLine {
        stream: if number.is_multiple_of(3) { OutputStream::Stderr } else { OutputStream::Stdout },
        at: WallTime(2000 + number),
        text: format!("line {number}").into(),
        continues: false,
    };
    let first_line = *lines.start();
    JobRecord::Output(JobOutput { job, run, first_line, lines: lines.map(line).collect() })
}

impl World {
    /// A call to the API that may carry a body: status and answer.
    pub(crate) async fn post(&self, path: &str, key: Option<&str>, body: impl Into<Vec<u8>>) -> (u16, Value) {
        let key = key.map(|key| ("Idempotency-Key", key.to_owned()));
        self.post_with(path, key.as_slice(), body).await
    }

    /// The same with any headers.
    pub(crate) async fn post_with(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
        body: impl Into<Vec<u8>>,
    ) -> (u16, Value) {
        let token = std::fs::read_to_string(self.folder.path().join("admin.token")).unwrap();
        let url = format!("http://{}{path}", self.hub.local_addr());
        let (headers, body) = (headers.to_vec(), body.into());
        let call = move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut request = agent.post(&url).header("Authorization", format!("Bearer {}", token.trim()));
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let mut answer = request.send(&body[..]).unwrap();
            (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
        };
        within(tokio::task::spawn_blocking(call)).await.unwrap()
    }

    /// Submits a job with these fields besides its kind; its id.
    pub(crate) async fn submit_with(&self, fields: Value) -> JobId {
        let mut spec = json!({"kind": "exec", "payload": {"command": ["true"]}});
        for (key, value) in fields.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let (status, job) = self.post("/v1/jobs?agent=edge-1", None, spec.to_string()).await;
        assert_eq!(status, 202, "{job}");
        job["job_id"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) async fn submit(&self) -> JobId {
        self.submit_with(json!({})).await
    }

    pub(crate) async fn job(&self, job: JobId) -> Value {
        let (status, shown) = self.get(&format!("/v1/jobs/{job}")).await;
        assert_eq!(status, 200, "{shown}");
        shown
    }

    pub(crate) async fn status_of(&self, job: JobId) -> String {
        self.job(job).await["status"].as_str().unwrap().to_owned()
    }

    /// The output's numbers and texts from a query.
    pub(crate) async fn lines(&self, job: JobId, query: &str) -> (Vec<(u64, String)>, Value) {
        let (status, log) = self.get(&format!("/v1/jobs/{job}/logs{query}")).await;
        assert_eq!(status, 200, "{log}");
        let line = |line: &Value| (line["n"].as_u64().unwrap(), line["text"].as_str().unwrap().to_owned());
        (log["lines"].as_array().unwrap().iter().map(line).collect(), log)
    }
}

/// What [`output`] wrote, as [`World::lines`] gives it.
pub(crate) fn numbered(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, String)> {
    numbers.into_iter().map(|number| (number, format!("line {number}"))).collect()
}
