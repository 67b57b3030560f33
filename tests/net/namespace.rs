//! A network namespace, held by a process that ends with the test.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

/// One machine's network.
pub(crate) struct Namespace {
    holder: Child,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let setup = "ip link set lo up
            echo reno > /proc/sys/net/ipv4/tcp_congestion_control
            echo ready
            exec cat >/dev/null";
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-ec", setup])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        let read = holder.stdout.as_mut().unwrap().read_exact(&mut ready);
        assert!(read.is_ok() && ready == *b"ready\n", "no network namespace can be made here");
        Self { holder }
    }

    /// The namespace as a file, to enter it with.
    pub(crate) fn file(&self) -> File {
        File::open(self.path()).unwrap()
    }

    /// A program that runs in it, with nothing of our environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path()))
            .args(["--", program])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Runs a shell script in it, which must succeed.
    pub(crate) fn shell(&self, script: &str) {
        let output = self.command("sh").args(["-ec", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // `cat` ends with its input.
        if let Some(mut input) = self.holder.stdin.take() {
            let _ = input.flush();
        }
        let _ = self.holder.wait();
    }
}
