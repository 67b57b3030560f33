//! A process of the harness: this test binary, started again for one of its tests, which does what the environment says
//! and nothing where it says nothing. Killed when dropped.

use std::collections::VecDeque;
use std::io::Read;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use outpost::obs::clock::boot_now;
use outpost::time::BootTime;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::time::Timespec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::report::Report;

const ORDER: &str = "OUTPOST_TEST_POWER";
/// A child that hangs ends itself after this.
const CHILD_TIMEOUT: Duration = Duration::from_secs(600);

/// What the environment orders this process to do; also sees to it that it ends.
pub(crate) fn order<T: DeserializeOwned>() -> Option<T> {
    let order = std::env::var(ORDER).ok()?;
    std::thread::spawn(|| {
        let begun = boot_now();
        while boot_now().since(begun) < CHILD_TIMEOUT {
            std::thread::park_timeout(CHILD_TIMEOUT);
        }
        eprintln!("the child hangs");
        std::process::exit(1);
    });
    // What libtest wrote has no end of line.
    println!();
    Some(serde_json::from_str(&order).unwrap())
}

/// The command that starts test `name` of this binary with an order.
pub(crate) fn command<T: Serialize>(name: &str, order: &T) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(ORDER, serde_json::to_string(order).unwrap()).stdin(Stdio::null());
    command
}

/// A running one that reports.
pub(crate) struct Child {
    process: std::process::Child,
    output: ChildStdout,
    text: Vec<u8>,
    reports: VecDeque<Report>,
    ended: bool,
}

impl Child {
    pub(crate) fn start<T: Serialize>(name: &str, order: &T) -> Self {
        let mut process = command(name, order).stdout(Stdio::piped()).spawn().unwrap();
        let output = process.stdout.take().unwrap();
        Self { process, output, text: Vec::new(), reports: VecDeque::new(), ended: false }
    }

    /// The next report; `None` at the end, or where none comes before the deadline.
    pub(crate) fn next(&mut self, deadline: BootTime) -> Option<Report> {
        while self.reports.is_empty() && !self.ended {
            let left = deadline.since(boot_now());
            let left = Timespec::try_from(left).unwrap();
            let mut ready = [PollFd::new(&self.output, PollFlags::IN)];
            match poll(&mut ready, Some(&left)) {
                Ok(0) => return None,
                Ok(_) => self.read(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("{error}"),
            }
        }
        self.reports.pop_front()
    }

    fn read(&mut self) {
        let mut bytes = [0; 64 * 1024];
        let length = self.output.read(&mut bytes).unwrap();
        self.ended = length == 0;
        self.text.extend_from_slice(&bytes[..length]);
        while let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.text.drain(..=end).collect();
            self.reports.extend(String::from_utf8_lossy(&line).trim_end().parse::<Report>());
        }
    }

    /// Everything that was said and not read yet; all there is where the child is stopped or dead.
    pub(crate) fn rest(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.next(boot_now())).collect()
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap()
    }

    /// Returns once none of its threads runs any more.
    pub(crate) fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "the child ended on its own: {status:?}");
    }

    pub(crate) fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Also where it is stopped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
