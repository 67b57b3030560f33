//! The line between two interfaces: what it does to each packet.
//!
//! In each direction: lost by chance or by silence; else into a queue before a transmitter that takes its time for each
//! packet (one that finds the queue full is lost), then the delay. Packets stay in order.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use outpost::time::millis;

use crate::namespace::Namespace;
use crate::tun::Tun;

/// How often a direction looks whether the test is over.
const LOOK: Duration = Duration::from_millis(100);
/// Packets on the way in one direction; more than any line here holds.
const IN_TRANSIT_MAX: usize = 100_000;
/// Where the source address stands in an IPv4 packet.
const SOURCE: std::ops::Range<usize> = 12..16;

/// One direction of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// From the end of the transmission to the arrival.
    pub(crate) delay: Duration,
    /// `None`: as fast as the test can.
    pub(crate) bytes_per_second: Option<u64>,
    /// What waits for the transmitter at most.
    pub(crate) queue_bytes: u64,
    /// Of a hundred packets so many are lost.
    pub(crate) loss_percent: u32,
}

impl Shape {
    pub(crate) const CLEAN: Self =
        Self { delay: Duration::ZERO, bytes_per_second: None, queue_bytes: 1 << 20, loss_percent: 0 };
}

/// What can be changed while it runs, and what was seen.
#[derive(Default)]
struct Controls {
    dark: AtomicBool,
    stop: AtomicBool,
    /// An address from which nothing gets through any more.
    gone: Mutex<Option<[u8; 4]>>,
    /// Bytes that arrived, headers included: up, down.
    carried: [AtomicU64; 2],
    /// When the last packet arrived.
    last: Mutex<Option<Instant>>,
    /// How long a packet was due at most before it arrived, in milliseconds.
    late_ms: AtomicU64,
}

pub(crate) struct Link {
    controls: Arc<Controls>,
    threads: Vec<JoinHandle<()>>,
}

impl Link {
    /// Joins the agent's network with the hub's.
    pub(crate) fn new(agent: &Namespace, hub: &Namespace, shapes: [Shape; 2], seed: u64) -> Self {
        let controls = Arc::<Controls>::default();
        let ends = [Arc::new(Tun::new(agent)), Arc::new(Tun::new(hub))];
        let mut threads = Vec::new();
        for (way, shape) in shapes.into_iter().enumerate() {
            let (from, to) = (Arc::clone(&ends[way]), Arc::clone(&ends[1 - way]));
            let (sender, receiver) = sync_channel(IN_TRANSIT_MAX);
            let random = fastrand::Rng::with_seed(seed + way as u64);
            let (entry, exit) = (Arc::clone(&controls), Arc::clone(&controls));
            threads.push(std::thread::spawn(move || transmit(&from, &sender, &entry, shape, random)));
            threads.push(std::thread::spawn(move || arrive(&to, &receiver, &exit, way)));
        }
        Self { controls, threads }
    }

    /// Nothing gets through in either direction, without a word to anybody.
    pub(crate) fn go_dark(&self) {
        self.controls.dark.store(true, Ordering::Relaxed);
    }

    /// Everything from this address is lost from now on.
    pub(crate) fn forget(&self, address: [u8; 4]) {
        *self.controls.gone.lock().unwrap() = Some(address);
    }

    /// Bytes that arrived at the hub so far, headers included.
    pub(crate) fn carried_up(&self) -> u64 {
        self.controls.carried[0].load(Ordering::Relaxed)
    }

    /// The same at the agent.
    pub(crate) fn carried_down(&self) -> u64 {
        self.controls.carried[1].load(Ordering::Relaxed)
    }

    /// How long ago the last packet arrived.
    pub(crate) fn quiet_for(&self) -> Option<Duration> {
        self.controls.last.lock().unwrap().map(|last| last.elapsed())
    }

    /// How much too late a packet arrived at most: the machine's doing, not the line's.
    pub(crate) fn late(&self) -> Duration {
        Duration::from_millis(self.controls.late_ms.load(Ordering::Relaxed))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.controls.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A line does not wait for a processor: this thread comes first where the machine has other work.
fn hurry() {
    // Not where nobody may: the figures are then the machine's.
    let _refused = rustix::process::nice(-15);
}

/// Takes what an interface sends and puts it on its way.
#[expect(clippy::disallowed_methods, reason = "the line's time is real time")]
fn transmit(
    from: &Tun,
    to: &SyncSender<(Instant, Vec<u8>)>,
    controls: &Controls,
    shape: Shape,
    mut random: fastrand::Rng,
) {
    hurry();
    let mut free_at = Instant::now();
    while !controls.stop.load(Ordering::Relaxed) {
        let Some(packet) = from.read(LOOK) else { continue };
        let lost = random.u32(..100) < shape.loss_percent;
        if lost || controls.dark.load(Ordering::Relaxed) || is_gone(controls, &packet) {
            continue;
        }
        let now = Instant::now();
        let begin = free_at.max(now);
        if let Some(rate) = shape.bytes_per_second {
            let waiting = begin.duration_since(now).as_secs_f64() * rate as f64;
            if waiting > shape.queue_bytes as f64 {
                continue;
            }
            free_at = begin + Duration::from_secs_f64(packet.len() as f64 / rate as f64);
        } else {
            free_at = begin;
        }
        let _full = to.try_send((free_at + shape.delay, packet));
    }
}

fn is_gone(controls: &Controls, packet: &[u8]) -> bool {
    let gone = *controls.gone.lock().unwrap();
    gone.is_some_and(|gone| packet.get(SOURCE) == Some(&gone[..]))
}

/// Hands packets to the other interface when they are due.
#[expect(clippy::disallowed_methods, reason = "the line's time is real time")]
fn arrive(to: &Tun, from: &Receiver<(Instant, Vec<u8>)>, controls: &Controls, way: usize) {
    hurry();
    loop {
        match from.recv_timeout(LOOK) {
            Ok((due, packet)) => {
                while let Some(left) =
                    due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
                {
                    if controls.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::park_timeout(left.min(LOOK));
                }
                if controls.dark.load(Ordering::Relaxed) {
                    continue;
                }
                let now = Instant::now();
                to.write(&packet);
                controls.carried[way].fetch_add(packet.len() as u64, Ordering::Relaxed);
                controls.late_ms.fetch_max(millis(now.duration_since(due)), Ordering::Relaxed);
                *controls.last.lock().unwrap() = Some(now);
            }
            Err(RecvTimeoutError::Timeout) if controls.stop.load(Ordering::Relaxed) => return,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
