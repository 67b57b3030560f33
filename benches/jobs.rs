//! From the submission of a job over the API until its handler is called on a connected agent: the hub's commit, the
//! doorbell, the offer, the agent's two commits. Hub and agent share this process and talk over loopback.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a bench reads a clock")]

mod report;

use std::io::Write as _;
use std::time::{Duration, Instant};

use outpost::agent::Agent;
use outpost::agent::config::Config as AgentConfig;
use outpost::exec::{JobContext, JobHandler, Outcome};
use outpost::hub::Hub;
use outpost::hub::config::Config as HubConfig;
use report::{Report, Target};
use tokio::sync::mpsc;

/// Submissions that are counted, one after the other.
const JOBS: usize = 1_000;
/// And those before, which are not.
const WARM_UP: usize = 100;

/// Says when it was called.
struct Clocked(mpsc::Sender<Instant>);

impl JobHandler for Clocked {
    async fn run(&self, _job: JobContext) -> Outcome {
        self.0.send(Instant::now()).await.unwrap();
        Outcome::succeeded()
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

/// One append and fdatasync of the same disk.
fn syncs(folder: &std::path::Path) -> Vec<Duration> {
    let mut file = std::fs::File::create(folder.join("syncs")).unwrap();
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let begin = Instant::now();
            file.write_all(&[7; 512]).unwrap();
            file.sync_data().unwrap();
            begin.elapsed()
        })
        .collect();
    times.sort();
    times
}

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let times = runtime.block_on(measure(folder.path()));
    let mut report = Report::new("jobs");
    report.figure("submit_to_running/p50", percentile(&times, 50), "ms", Target::AtMost(2.0));
    report.figure("submit_to_running/p99", percentile(&times, 99), "ms", Target::AtMost(10.0));
    let syncs = syncs(folder.path());
    // For comparison: what three commits cost at least on this disk.
    report.figure("three_fdatasyncs/p50", 3.0 * percentile(&syncs, 50), "ms", Target::AtMost(f64::INFINITY));
    report.write("jobs");
}

async fn measure(folder: &std::path::Path) -> Vec<Duration> {
    let data = folder.join("hub");
    let listen = "127.0.0.1:0".parse().unwrap();
    let hub = Hub::start(HubConfig { data: data.clone(), listen, ..HubConfig::default() }).await.unwrap();
    let url = format!("http://{}", hub.local_addr());
    let key = hub.store().add_agent(&"edge-1".parse().unwrap(), None).await.unwrap().key_file;
    let config = AgentConfig::new(folder.join("agent")).with_hub(&url, None).unwrap();
    std::fs::create_dir_all(folder.join("agent")).unwrap();
    std::fs::write(&config.key_file, key.to_line().expose()).unwrap();
    let (called, mut calls) = mpsc::channel(1);
    let agent = Agent::builder(config).handler("clocked", Clocked(called)).start().await.unwrap();
    let token = std::fs::read_to_string(data.join("admin.token")).unwrap();
    let http: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(30))).build().into();
    let mut times = Vec::with_capacity(JOBS);
    for number in 0..WARM_UP + JOBS {
        let post = http
            .post(format!("{url}/v1/jobs?agent=edge-1"))
            .header("Authorization", format!("Bearer {}", token.trim()))
            .header("Content-Type", "application/json");
        let begin = Instant::now();
        let submitted = tokio::task::spawn_blocking(move || post.send(r#"{"kind": "clocked"}"#).unwrap());
        let called = calls.recv().await.unwrap();
        if number >= WARM_UP {
            times.push(called.duration_since(begin));
        }
        let mut answer = submitted.await.unwrap();
        assert_eq!(answer.status(), 202);
        // The next one finds a hub that has nothing more to do for this one.
        let job: serde_json::Value = answer.body_mut().read_json().unwrap();
        let ended = http
            .get(format!("{url}/v1/jobs/{}?wait=10", job["job_id"].as_str().unwrap()))
            .header("Authorization", format!("Bearer {}", token.trim()));
        let mut ended = tokio::task::spawn_blocking(move || ended.call().unwrap()).await.unwrap();
        let job: serde_json::Value = ended.body_mut().read_json().unwrap();
        assert_eq!(job["logs_complete"], true, "{job}");
    }
    agent.shutdown().await.unwrap();
    hub.shutdown().await;
    times.sort();
    times
}
