//! What a process and a folder take.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::world::{Process, wait_for};

/// The kernel's clock ticks in `/proc/PID/stat`, a second.
const TICKS: f64 = 100.0;

fn status(process: &Process, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// Megabytes (10^6) of memory at present.
pub(crate) fn resident(process: &Process) -> f64 {
    status(process, "VmRSS:")
}

/// And the most since [`forget_peak`].
pub(crate) fn peak(process: &Process) -> f64 {
    status(process, "VmHWM:")
}

pub(crate) fn forget_peak(process: &Process) {
    std::fs::write(format!("/proc/{}/clear_refs", process.id()), "5").unwrap();
}

/// Seconds of CPU a process has used, its threads included.
pub(crate) fn cpu(process: &Process) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / TICKS
}

/// Bytes of the blocks a folder's files take, without what is only reserved behind their ends; of those entries whose name
/// begins with `prefix`.
pub(crate) fn used(path: &Path, prefix: &str) -> u64 {
    walk(path, prefix, |metadata| (metadata.blocks() * 512).min(metadata.len().next_multiple_of(4096)))
}

/// Bytes of all blocks a folder takes; one that is being cleared counts when it no longer changes.
pub(crate) fn settled(path: &Path) -> f64 {
    wait_for("the outbox to give its disk back", || {
        let kept = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
        (!kept.into_iter().any(|name| name.to_string_lossy().starts_with("logs-"))).then_some(())
    });
    walk(path, "", |metadata| metadata.blocks() * 512) as f64
}

fn walk(path: &Path, prefix: &str, bytes: fn(&std::fs::Metadata) -> u64) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let chosen = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let bytes = chosen.map(|entry| {
        // It may be removed while we look.
        let Ok(metadata) = entry.metadata() else { return 0 };
        if metadata.is_dir() { walk(&entry.path(), "", bytes) } else { bytes(&metadata) }
    });
    bytes.sum()
}
