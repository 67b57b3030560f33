//! A million records: the memory of the process that takes them, the disk they lie on, opening after that process was
//! killed, and what is left once they are drained. Each process is this bench, started again.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use outpost::id::Lane;
use outpost::outbox::{Options, Outbox};

use crate::cost::allocated;
use crate::report::{Report, Target};
use crate::turns::{PAYLOAD_BYTES, fill, folder, generations, read_and_ack};

const RECORDS: u64 = 1_000_000;
const OPENINGS: usize = 5;
const ROLE: &str = "OUTPOST_BENCH_ROLE";
const FOLDER: &str = "OUTPOST_BENCH_FOLDER";

/// Runs as the child the environment names; whether it did.
pub(crate) fn is_child() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    let dir = std::env::var_os(FOLDER).unwrap();
    outpost::obs::heap::keep_small();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(child(&role, Path::new(&dir)));
    true
}

async fn child(role: &str, dir: &Path) {
    let begin = Instant::now();
    let outbox = Outbox::open(dir, Options::default()).unwrap();
    let opened = begin.elapsed();
    if role == "fill" {
        fill(&outbox, RECORDS).await;
    }
    println!("{} {} {}", opened.as_secs_f64() * 1e3, memory("VmRSS:"), memory("VmHWM:"));
    // Until it is killed.
    std::future::pending::<()>().await;
}

/// Megabytes (10^6).
fn memory(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// Runs a child until it has said its figures, then kills it.
fn run(role: &str, dir: &Path) -> [f64; 3] {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .env(ROLE, role)
        .env(FOLDER, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let figures: Vec<f64> = line.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    figures.try_into().unwrap()
}

pub(crate) async fn measure(report: &mut Report) {
    let folder = folder();
    let [_, _, peak] = run("fill", folder.path());
    report.figure("fill_1m/peak_rss", peak, "MB", Target::AtMost(30.0));
    let mut openings: Vec<[f64; 3]> = (0..OPENINGS).map(|_| run("open", folder.path())).collect();
    openings.sort_by(|left, right| left[0].total_cmp(&right[0]));
    report.figure("open_1m_after_kill/time", openings[OPENINGS / 2][0], "ms", Target::AtMost(50.0));
    openings.sort_by(|left, right| left[1].total_cmp(&right[1]));
    report.figure("open_1m_after_kill/rss", openings[OPENINGS / 2][1], "MB", Target::AtMost(15.0));

    let outbox = Outbox::open(folder.path(), Options::default()).unwrap();
    let disk = allocated(folder.path(), "logs-") as f64 / (RECORDS as usize * PAYLOAD_BYTES) as f64;
    report.figure("disk/1m_queued", disk, "x payload", Target::AtMost(1.05));
    let mut left = RECORDS;
    for state in outbox.streams().await.unwrap().into_iter().filter(|state| state.stream.lane == Lane::Logs) {
        left -= read_and_ack(&outbox, state.stream, state.first_unacked).await;
    }
    assert_eq!(left, 0, "everything was there");
    outbox.close().await.unwrap();
    assert_eq!(generations(folder.path()), 0, "a drained outbox keeps no generation");
    let core = allocated(folder.path(), "core") as f64 / (1024.0 * 1024.0);
    report.figure("drained_1m/core", core, "MiB", Target::AtMost(16.0));
    report.figure("drained_1m/all", allocated(folder.path(), "") as f64 / 1e6, "MB", Target::AtMost(5.0));
}
