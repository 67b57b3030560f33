//! What the kernel says about processes: `/proc`, read and parsed.
//!
//! A process is named by its pid, its start time and the boot: a pid alone is used again.

use rustix::process::Pid;

use crate::job::process::{BootId, ProcessId};

impl BootId {
    /// This boot's.
    ///
    /// # Errors
    /// Where the kernel does not say: `/proc` is not there.
    pub fn current() -> std::io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        text.trim().parse().map_err(|_wrong| std::io::Error::other("the kernel's boot id is not a UUID"))
    }
}

impl ProcessId {
    /// The running (or not yet reaped) process with this pid.
    ///
    /// # Errors
    /// Where there is none, or `/proc` is not there.
    pub fn of(pid: u32) -> std::io::Result<Self> {
        let pid_of = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid_of = pid_of.ok_or_else(|| std::io::Error::other(format!("{pid} is not a pid")))?;
        let stat = Stat::read(pid_of)?;
        Ok(Self { pid, start_ticks: stat.start_ticks, boot: BootId::current()? })
    }

    pub(super) fn raw(self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }
}

/// What this module takes of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// Ended, but not reaped.
    pub(super) dead: bool,
    pub(super) group: i32,
    pub(super) start_ticks: u64,
}

impl Stat {
    pub(super) fn read(pid: Pid) -> std::io::Result<Self> {
        let bytes = std::fs::read(format!("/proc/{}/stat", pid.as_raw_pid()))?;
        Self::parse(&bytes)
            .ok_or_else(|| std::io::Error::other("cannot read the kernel's line about the process"))
    }

    /// `PID (NAME) STATE PPID PGRP ...`; a name may hold anything, blanks and brackets too.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let name_end = bytes.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(bytes.get(name_end.checked_add(1)?..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let group = fields.nth(1)?.parse().ok()?;
        let start_ticks = fields.nth(16)?.parse().ok()?;
        Some(Self { dead: matches!(state, "Z" | "X" | "x"), group, start_ticks })
    }
}

/// All processes that have not ended.
pub(super) fn living() -> std::io::Result<Vec<(Pid, Stat)>> {
    let mut living = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        // One that ends while it is looked at has ended.
        if let Some(pid) = pid
            && let Ok(stat) = Stat::read(pid)
            && !stat.dead
        {
            living.push((pid, stat));
        }
    }
    Ok(living)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_parses_whatever_the_name_holds() {
        let tail = "S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 2 3";
        for name in ["sh", "a b", "x) S 1 1", ")", ""] {
            let stat = Stat::parse(format!("9 ({name}) {tail}\n").as_bytes()).unwrap();
            assert_eq!(stat, Stat { dead: false, group: 77, start_ticks: 123_456 }, "{name}");
        }
        assert!(Stat::parse(format!("9 (sh) {}", tail.replace('S', "Z")).as_bytes()).unwrap().dead);
        for wrong in ["", "9 (sh", "9 (sh) S 1", "9 (sh) S 1 x"] {
            assert_eq!(Stat::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn this_process_is_found_in_this_boot() {
        let own = ProcessId::of(std::process::id()).unwrap();
        assert_eq!(own, ProcessId::of(std::process::id()).unwrap());
        assert_eq!(own.boot, BootId::current().unwrap());
        assert!(ProcessId::of(0).is_err());
        assert!(ProcessId::of(u32::MAX).is_err());
    }
}
