//! What the outbox is held against: an append-only log in plain files, with a group commit of its own.
//!
//! One thread takes whatever waits, writes it with one call, syncs where that is asked for, and answers. Records are a
//! length, a CRC-32C and the payload. A file is allocated ahead and closed at 4 MiB, as a generation is. It has no quota, no lanes, no acks, no
//! index, and no protection against what a power cut leaves half written: the least that any outbox must do.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use rustix::fs::FallocateFlags;
use tokio::sync::oneshot;

/// As `limit::GENERATION_BYTES`.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// As `limit::BATCH_BYTES`.
const READ_BYTES: usize = 32 * 1024;

/// Whether an append waits for the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    Each,
    Never,
}

type Waiting = (Vec<Vec<u8>>, oneshot::Sender<()>);

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    closed: bool,
}

/// The open log.
pub(crate) struct Segments {
    shared: Arc<(Mutex<Queue>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Segments {
    pub(crate) fn open(dir: &Path, sync: Sync) -> Self {
        let shared = Arc::new((Mutex::<Queue>::default(), Condvar::new()));
        let (queue, dir) = (Arc::clone(&shared), dir.to_owned());
        let thread = std::thread::spawn(move || write(&queue, &dir, sync));
        Self { shared, thread: Some(thread) }
    }

    /// Returns once the records are written, and synced where the log syncs.
    pub(crate) async fn append(&self, records: Vec<Vec<u8>>) {
        let (reply, answer) = oneshot::channel();
        self.shared.0.lock().unwrap().waiting.push((records, reply));
        self.shared.1.notify_one();
        answer.await.unwrap();
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        self.shared.0.lock().unwrap().closed = true;
        self.shared.1.notify_one();
        self.thread.take().into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn write((queue, wake): &(Mutex<Queue>, Condvar), dir: &Path, sync: Sync) {
    let (mut number, mut length) = (0, 0);
    let create = |number| allocated(&name(dir, number));
    let mut file = create(number);
    let mut bytes = Vec::new();
    loop {
        let mut queue = wake
            .wait_while(queue.lock().unwrap(), |queue| queue.waiting.is_empty() && !queue.closed)
            .unwrap();
        if queue.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        bytes.clear();
        for record in waiting.iter().flat_map(|(records, _)| records) {
            bytes.extend_from_slice(&u32::try_from(record.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(&crc32c::crc32c(record).to_be_bytes());
            bytes.extend_from_slice(record);
        }
        if length > 0 && length + bytes.len() > FILE_BYTES_MAX {
            number += 1;
            length = 0;
            file = create(number);
        }
        file.write_all(&bytes).unwrap();
        length += bytes.len();
        if sync == Sync::Each {
            file.sync_data().unwrap();
        }
        waiting.into_iter().for_each(|(_, reply)| reply.send(()).unwrap());
    }
}

/// A new file whose space is there before it is written, as a generation's is: without that each sync waits for the file
/// system's journal, ten times as long on a busy disk.
pub(crate) fn allocated(path: &Path) -> File {
    let file = File::create_new(path).unwrap();
    rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, FILE_BYTES_MAX as u64).unwrap();
    file
}

fn name(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("segment-{number:08}"))
}

/// Reads every record in order, checks it, and removes each file once it is read; how many there were.
pub(crate) fn drain(dir: &Path) -> u64 {
    let mut records = 0;
    for number in 0.. {
        let path = name(dir, number);
        let Ok(mut file) = File::open(&path) else { break };
        let (mut bytes, mut begin, mut piece) = (Vec::new(), 0, vec![0; READ_BYTES]);
        loop {
            let read = file.read(&mut piece).unwrap();
            bytes.drain(..begin);
            bytes.extend_from_slice(&piece[..read]);
            begin = 0;
            while let Some(head) = bytes[begin..].first_chunk::<8>() {
                let [a, b, c, d, crc @ ..] = *head;
                let end = begin + 8 + u32::from_be_bytes([a, b, c, d]) as usize;
                let Some(record) = bytes.get(begin + 8..end) else { break };
                assert_eq!(crc32c::crc32c(record), u32::from_be_bytes(crc));
                records += 1;
                begin = end;
            }
            if read == 0 {
                break;
            }
        }
        assert_eq!(begin, bytes.len());
        fs::remove_file(path).unwrap();
    }
    records
}
