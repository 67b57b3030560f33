//! Ten thousand sockets that say nothing, and an agent among them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outpost::obs::clock::boot_now;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use tokio::sync::Notify;

use crate::agent::{self, Agent, Line, News};
use crate::child::{self, Child};
use crate::hub::{Site, wait_for};

const SOCKETS: u64 = 10_000;
/// Loopback addresses they come from, the agent's own among them: fewer would meet the bound of each address first.
const ADDRESSES: u64 = 50;
/// A socket that was dropped comes again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// Times that the agent comes in.
const LOGINS: u32 = 20;
/// Far below what an agent waits for an answer.
const LOGIN_MAX: Duration = Duration::from_secs(5);
/// Of the hub, at most.
const MEMORY_KIB_MAX: u64 = 256 * 1024;

#[derive(Serialize, Deserialize)]
struct Order {
    hub: SocketAddr,
}

#[tokio::test]
#[ignore = "a process of the other tests"]
async fn process() {
    let Some(Order { hub }) = child::order() else { return };
    let opened = Arc::new(AtomicU64::new(0));
    let mut sockets = tokio::task::JoinSet::new();
    for number in 0..SOCKETS {
        sockets.spawn(be_silent(hub, u8::try_from(1 + number % ADDRESSES).unwrap(), Arc::clone(&opened)));
        if number % 500 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        println!("opened {}", opened.load(Ordering::Relaxed));
    }
}

/// Connects, says nothing until it is dropped, and comes again.
async fn be_silent(hub: SocketAddr, last: u8, opened: Arc<AtomicU64>) {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(Ipv4Addr::new(127, 0, 0, last).into(), 0)).unwrap();
        if let Ok(mut stream) = socket.connect(hub).await {
            opened.fetch_add(1, Ordering::Relaxed);
            // Until the end, or a reset.
            let _end = stream.read(&mut [0]).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[test]
#[ignore = "ten thousand sockets: scripts/test runs it where file descriptors allow it"]
fn ten_thousand_silent_sockets_keep_no_agent_out() {
    let mut site = Site::new();
    let keys = site.add_agents(1);
    let hub = site.start();
    let silent = Child::start("silence::process", &Order { hub: hub.address });
    let mut opened = 0;
    wait_for("the silent sockets to be there", || {
        let said = silent.said().filter_map(|line| line.strip_prefix("opened ")?.parse::<u64>().ok());
        opened = said.max().unwrap_or(opened);
        (opened >= SOCKETS).then_some(())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let agent = Agent { key: keys[0].clone(), identity: None, hub: hub.address, line: Line::Plain };
    let mut longest = Duration::ZERO;
    for _ in 0..LOGINS {
        let began = boot_now();
        let registered = Notify::new();
        let tell = |news| {
            if let News::Registered = news {
                registered.notify_one();
            }
        };
        let ended = runtime.block_on(agent::attempt(&agent, registered.notified(), tell));
        let registered_at = ended.registered_at.expect("the agent was kept out");
        longest = longest.max(registered_at.since(began));
    }
    // Some may wait to be accepted still.
    let figures = wait_for("the sockets beyond the bound to be dropped", || {
        let figures = hub.status()["admission"].clone();
        let beyond = SOCKETS - figures["unproven_max"].as_u64()?;
        (figures["unproven_dropped"].as_u64()? >= beyond).then_some(figures)
    });
    let (memory, descriptors) = (hub.memory_most_kib(), hub.descriptors());
    println!(
        "{SOCKETS} silent sockets: an agent came in {LOGINS} times, within {} ms at most; sockets that had proved \
         nothing: {} of {}, {} were dropped; descriptors of the hub: {descriptors}; memory: {memory} KiB at most",
        longest.as_millis(),
        figures["unproven"],
        figures["unproven_max"],
        figures["unproven_dropped"]
    );
    let (unproven, most) = (figures["unproven"].as_u64().unwrap(), figures["unproven_max"].as_u64().unwrap());
    assert!(unproven <= most && most < SOCKETS, "{figures}");
    assert!(longest <= LOGIN_MAX, "{longest:?}");
    assert!(memory <= MEMORY_KIB_MAX, "{memory} KiB of {MEMORY_KIB_MAX}");
}
