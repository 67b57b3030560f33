//! What the kernel says about processes: `/proc`, read and parsed.
//!
//! A process is named by its pid, its start time and the boot: a pid alone is used again.

use std::fmt;
use std::str::FromStr;

use rustix::process::Pid;

/// One boot of this machine (`/proc/sys/kernel/random/boot_id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId(u128);

impl BootId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Its 16 bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// This boot's.
    ///
    /// # Errors
    /// Where the kernel does not say: `/proc` is not there.
    pub fn current() -> std::io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        text.trim().parse().map_err(|_wrong| std::io::Error::other("the kernel's boot id is not a UUID"))
    }
}

/// A text that is not a boot id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a boot id (a UUID)")]
pub struct ParseBootIdError;

impl FromStr for BootId {
    type Err = ParseBootIdError;

    fn from_str(text: &str) -> Result<Self, ParseBootIdError> {
        let digits: String = text.chars().filter(|letter| *letter != '-').collect();
        if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseBootIdError);
        }
        u128::from_str_radix(&digits, 16).map(Self).map_err(|_wrong| ParseBootIdError)
    }
}

impl fmt::Display for BootId {
    /// The kernel's form: a lower-case UUID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
        write!(f, "{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }
}

/// A process, told from every other one that ever had its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Its pid; also its process group.
    pub pid: u32,
    /// When it started, in clock ticks since the boot (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
    /// In which boot.
    pub boot: BootId,
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

    #[test]
    fn a_boot_id_has_the_kernels_form() {
        let text = "41e76c79-6549-4a6c-a0f2-749c01c53c48";
        let id: BootId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(BootId::from_bytes(id.to_bytes()), id);
        for wrong in
            ["", "41e76c79", "+1e76c79-6549-4a6c-a0f2-749c01c53c48", "z1e76c79-6549-4a6c-a0f2-749c01c53c48"]
        {
            assert_eq!(wrong.parse::<BootId>(), Err(ParseBootIdError), "{wrong}");
        }
    }
}
