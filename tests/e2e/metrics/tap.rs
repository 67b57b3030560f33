//! Between an agent and its hub: passes every byte on and counts it, and where frames can be read, those, too.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(super) struct Tap {
    pub(super) address: SocketAddr,
    counts: Arc<Mutex<Counts>>,
    /// To the hub, and to the agent.
    flips: [Arc<AtomicBool>; 2],
    _tasks: JoinSet<()>,
}

/// Where something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Hub,
    Agent,
}

/// What passed, over all connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// To the hub.
    pub(super) up: Way,
    /// To the agent.
    pub(super) down: Way,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) bytes: u64,
    /// WebSocket frames with a message of the protocol; none where they cannot be read.
    pub(super) messages: u64,
    pub(super) pings: u64,
}

/// Whether what passes can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Plain,
    Tls,
}

impl Tap {
    pub(super) async fn before(hub: SocketAddr, wire: Wire) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, counts) = (listener.local_addr().unwrap(), Arc::<Mutex<Counts>>::default());
        let flips = [Arc::<AtomicBool>::default(), Arc::default()];
        let (mut tasks, counted, flipped) = (JoinSet::new(), Arc::clone(&counts), flips.clone());
        tasks.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((agent, _)) = listener.accept().await {
                let (from_agent, to_agent) = agent.into_split();
                // A hub that went is dialled again all the same.
                let Ok(hub) = TcpStream::connect(hub).await else { continue };
                let (from_hub, to_hub) = hub.into_split();
                let [up, down] = [Arc::clone(&counted), Arc::clone(&counted)];
                let [flip_up, flip_down] = flipped.clone();
                let count_up = move |seen| up.lock().unwrap().up.add(seen);
                let count_down = move |seen| down.lock().unwrap().down.add(seen);
                ways.spawn(pass(from_agent, to_hub, wire, flip_up, count_up));
                ways.spawn(pass(from_hub, to_agent, wire, flip_down, count_down));
            }
        });
        Self { address, counts, flips, _tasks: tasks }
    }

    /// Changes the last byte of what passes next: where it is a message, of its MAC.
    pub(super) fn flip(&self, to: To) {
        let [hub, agent] = &self.flips;
        let flip = if to == To::Hub { hub } else { agent };
        flip.store(true, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap()
    }
}

impl Way {
    fn add(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.messages += more.messages;
        self.pings += more.pings;
    }
}

/// Counts before it passes on: who has a byte finds it counted.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    wire: Wire,
    flip: Arc<AtomicBool>,
    count: impl Fn(Way),
) {
    let (mut buffer, mut reader) = ([0; 16 * 1024], Reader::default());
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if flip.swap(false, Ordering::Relaxed) {
            buffer[length - 1] ^= 1;
        }
        let bytes = &buffer[..length];
        let seen = if wire == Wire::Plain { reader.read(bytes) } else { Way::default() };
        count(Way { bytes: length as u64, ..seen });
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// One direction of one connection: the head of the upgrade, then WebSocket frames.
#[derive(Default)]
struct Reader {
    held: Vec<u8>,
    is_upgraded: bool,
    /// Of a frame's payload, still to come.
    skip: u64,
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) -> Way {
        self.held.extend(bytes);
        let mut seen = Way::default();
        while let Some(length) = self.next(&mut seen) {
            self.held.drain(..length);
        }
        seen
    }

    /// How many bytes were made out at the front.
    fn next(&mut self, seen: &mut Way) -> Option<usize> {
        if !self.is_upgraded {
            let end = self.held.windows(4).position(|end| end == b"\r\n\r\n")?;
            self.is_upgraded = true;
            return Some(end + 4);
        }
        if self.skip > 0 {
            let length = usize::try_from(self.skip).unwrap().min(self.held.len());
            self.skip -= length as u64;
            return (length > 0).then_some(length);
        }
        // RFC 6455, 5.2.
        let (first, second) = (*self.held.first()?, *self.held.get(1)?);
        let (payload, extended) = match second & 0x7F {
            126 => (u64::from(u16::from_be_bytes(self.held.get(2..4)?.try_into().unwrap())), 2),
            127 => (u64::from_be_bytes(self.held.get(2..10)?.try_into().unwrap()), 8),
            short => (u64::from(short), 0),
        };
        let length = 2 + extended + if second & 0x80 == 0 { 0 } else { 4 };
        self.held.get(..length)?;
        match first & 0x0F {
            0x2 => seen.messages += 1,
            0x9 => seen.pings += 1,
            _ => {}
        }
        self.skip = payload;
        Some(length)
    }
}
