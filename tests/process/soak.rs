//! A conservation soak: two programs write, jobs run, hub and agent are killed at random, and in the end every record that
//! was confirmed has arrived exactly once and in order, and no job ran twice. `scripts/soak` runs it over a bad link.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use outpost::agent::intake::client::{self, Request};
use outpost::agent::intake::frame::{self, FrameError, Kind};

use crate::world::{Process, World, wait_for};

/// What one program writes at once, and how long it rests then: some thousand records a second.
const FRAME_RECORDS: u64 = 20;
const REST: Duration = Duration::from_millis(10);
/// Between two kills.
const QUIET_SECONDS: Range<f64> = 0.2..8.0;
/// Jobs that are submitted between two kills.
const JOBS: usize = 2;
/// What the two programs write to.
const LANES: [&str; 2] = ["events", "logs"];

/// What a program knows about the numbers it has written to its lane.
#[derive(Default)]
struct Written {
    confirmed: Vec<Range<u64>>,
    /// On their way when a connection broke: they may have become durable or not.
    perhaps: Vec<Range<u64>>,
}

fn line(lane: &str, number: u64) -> String {
    format!("{lane} {number} {}", "x".repeat(usize::try_from(number % 97).unwrap()))
}

/// Writes numbered lines to a lane until told to stop, over as many connections as the agent's deaths make it.
fn write(socket: PathBuf, lane: &'static str, stop: Arc<AtomicBool>) -> Written {
    let mut written = Written::default();
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(stream) = client::connect(&socket) else {
            std::thread::park_timeout(REST);
            continue;
        };
        let (mut sent, mut durable) = (next, next);
        if let Err(error) = write_over(stream, lane, &stop, &mut sent, &mut durable) {
            assert!(matches!(error, FrameError::Cut | FrameError::Io(_)), "{error}");
        }
        written.confirmed.push(next..durable);
        written.perhaps.push(durable..sent);
        next = sent;
    }
    written
}

fn write_over(
    mut stream: std::os::unix::net::UnixStream,
    lane: &str,
    stop: &AtomicBool,
    sent: &mut u64,
    durable: &mut u64,
) -> Result<(), FrameError> {
    let first = *sent;
    let request = serde_json::to_vec(&Request::Emit { lane: lane.to_owned(), app: None }).unwrap();
    stream.write_all(&frame::encode(Kind::Request, &request))?;
    while !stop.load(Ordering::Relaxed) {
        let mut body = BytesMut::new();
        let end = *sent + FRAME_RECORDS;
        (*sent..end).for_each(|number| frame::push_record(line(lane, number).as_bytes(), &mut body));
        *sent = end;
        stream.write_all(&frame::encode(Kind::Records, &body))?;
        while *durable < *sent {
            let answer = frame::read_blocking(&mut stream)?.ok_or(FrameError::Cut)?;
            if answer.kind == Kind::Error && String::from_utf8_lossy(&answer.body).contains("stopping") {
                return Err(FrameError::Cut);
            }
            assert_eq!(answer.kind, Kind::Durable, "{answer:?}");
            *durable = first + u64::from_be_bytes(*answer.body.first_chunk().unwrap());
        }
        std::thread::park_timeout(REST);
    }
    Ok(())
}

/// What the hub has of a lane, held against what was written to it; how many arrived.
fn check(world: &World, lane: &'static str, written: &Written) -> usize {
    let listed = String::from_utf8(world.listed("edge-1", lane)).unwrap();
    let mut last = None;
    let mut arrived = BTreeSet::new();
    for text in listed.lines() {
        let number: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(text, line(lane, number), "a record changed");
        assert!(last < Some(number), "{lane}: {number} came after {last:?}");
        last = Some(number);
        arrived.insert(number);
    }
    for confirmed in &written.confirmed {
        let missing: Vec<u64> = confirmed.clone().filter(|number| !arrived.contains(number)).collect();
        assert!(missing.is_empty(), "{lane}: confirmed and lost: {missing:?}");
    }
    let known =
        |number: &u64| written.confirmed.iter().chain(&written.perhaps).any(|range| range.contains(number));
    let strangers: Vec<_> = arrived.iter().filter(|number| !known(number)).collect();
    assert!(strangers.is_empty(), "{lane}: never written: {strangers:?}");
    arrived.len()
}

/// What was killed, and is started again.
fn kill_something(
    world: &mut World,
    hub: &mut Process,
    agent: &mut Process,
    random: &mut fastrand::Rng,
) -> &'static str {
    match random.u8(0..4) {
        0 => {
            hub.kill();
            *hub = world.start_hub();
            "hub"
        }
        1 => {
            agent.kill();
            *agent = world.start_agent("edge-1");
            "agent"
        }
        2 => {
            agent.kill();
            hub.kill();
            *agent = world.start_agent("edge-1");
            *hub = world.start_hub();
            "both"
        }
        _ => {
            assert_eq!(agent.terminate(), Some(0));
            *agent = world.start_agent("edge-1");
            "agent, politely"
        }
    }
}

/// A job that notes that it ran; its id and where.
fn submit(world: &World, number: usize) -> (String, PathBuf) {
    let path = world.path(&format!("ran-{number}"));
    // Some take long enough to be there when the agent is killed.
    let script = format!("echo ran >> {}; sleep {}; echo line {number}", path.display(), number % 3);
    (world.submit("edge-1", "", &script), path)
}

#[test]
#[ignore = "takes minutes: scripts/soak runs it over a bad link"]
#[expect(clippy::disallowed_methods, reason = "it runs for a given time")]
fn everything_confirmed_arrives_once_whatever_is_killed() {
    let minutes: f64 = std::env::var("OUTPOST_SOAK_MINUTES").map_or(0.5, |text| text.parse().unwrap());
    let seed = crate::seed::seed();
    println!("{minutes} minutes");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    let mut agent = world.start_agent("edge-1");
    let stop = Arc::new(AtomicBool::new(false));
    let writers = LANES.map(|lane| {
        let (socket, stop) = (world.path("edge-1.sock"), Arc::clone(&stop));
        std::thread::spawn(move || write(socket, lane, stop))
    });
    let (mut jobs, mut kills) = (Vec::new(), Vec::new());
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    while Instant::now() < end {
        for _ in 0..random.usize(0..=JOBS) {
            jobs.push(submit(&world, jobs.len()));
        }
        let quiet = QUIET_SECONDS.start + random.f64() * (QUIET_SECONDS.end - QUIET_SECONDS.start);
        let until = Instant::now() + Duration::from_secs_f64(quiet);
        while Instant::now() < until {
            std::thread::park_timeout(until - Instant::now());
        }
        kills.push(kill_something(&mut world, &mut hub, &mut agent, &mut random));
    }
    stop.store(true, Ordering::Relaxed);
    let written = writers.map(|writer| writer.join().unwrap());
    world.wait_drained("edge-1");
    let mut interrupted = 0;
    for (id, path) in &jobs {
        let job = wait_for("the job to be over", || {
            let job = world.job(id);
            matches!(job["status"].as_str(), Some("succeeded" | "interrupted")).then_some(job)
        });
        let runs = std::fs::read_to_string(path).unwrap_or_default().lines().count();
        assert!(runs <= 1, "{job} ran {runs} times");
        if job["status"] == "succeeded" {
            assert_eq!(runs, 1, "{job}");
        } else {
            interrupted += 1;
        }
    }
    world.wait_drained("edge-1");
    let arrived: Vec<usize> =
        LANES.into_iter().zip(&written).map(|(lane, written)| check(&world, lane, written)).collect();
    println!(
        "{} kills ({}), {} jobs ({interrupted} interrupted), records arrived: {arrived:?} of {LANES:?}; nothing lost, doubled or out of order",
        kills.len(),
        kills.join(", "),
        jobs.len()
    );
    assert!(arrived.iter().all(|count| *count > 0));
}
