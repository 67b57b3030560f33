//! A process of this binary, started again for one of its tests, which does what the environment says and nothing where
//! it says nothing. It ends with the parent's pipe, or when it is dropped.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child as Process, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use outpost::obs::descriptors;
use serde::Serialize;
use serde::de::DeserializeOwned;

const ORDER: &str = "OUTPOST_TEST_LOAD";
/// Lines that wait to be looked at.
const LINES: usize = 100_000;

/// What the environment orders this process to do; also sees to it that it ends, and may have many sockets.
pub(crate) fn order<T: DeserializeOwned>() -> Option<T> {
    let order = std::env::var(ORDER).ok()?;
    std::thread::spawn(|| {
        let _end = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    descriptors::raise().unwrap();
    // What libtest wrote has no end of line.
    println!();
    Some(serde_json::from_str(&order).unwrap())
}

pub(crate) struct Child {
    process: Process,
    lines: Receiver<String>,
}

impl Child {
    /// Starts test `name` of this binary with an order.
    pub(crate) fn start<T: Serialize>(name: &str, order: &T) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"])
            .env(ORDER, serde_json::to_string(order).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (tell, lines) = sync_channel(LINES);
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { process, lines }
    }

    /// What it said since this was asked last.
    pub(crate) fn said(&self) -> impl Iterator<Item = String> {
        self.lines.try_iter()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
