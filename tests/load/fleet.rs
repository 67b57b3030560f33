//! A process full of agents that connect for ever, and what it says of them:
//!
//! ```text
//! registered AGENT AT          go_away AGENT AT RETRY_AFTER          (AT: boot time in ms)
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use outpost::agent::pace::{Backlog, Pace, Settings};
use outpost::obs::clock::boot_now;
use outpost::time::millis;
use serde::{Deserialize, Serialize};

use crate::agent::{self, Agent, Line, News};
use crate::child;

#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) hub: SocketAddr,
    /// A file with one key a line.
    pub(crate) keys: PathBuf,
    /// Between one agent's first dial and the next one's.
    pub(crate) apart_ms: u64,
}

/// What such a process said.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said {
    Registered { agent: usize, at_ms: u64 },
    GoAway { agent: usize, at_ms: u64, retry_after_ms: u64 },
}

impl Said {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let mut number = || words.next()?.parse::<u64>().ok();
        let (agent, at_ms) = (usize::try_from(number()?).ok()?, number()?);
        match kind {
            "registered" => Some(Self::Registered { agent, at_ms }),
            "go_away" => Some(Self::GoAway { agent, at_ms, retry_after_ms: number()? }),
            _ => None,
        }
    }
}

#[tokio::test]
#[ignore = "a process of the other tests"]
async fn process() {
    let Some(order) = child::order::<Order>() else { return };
    let keys = std::fs::read_to_string(order.keys).unwrap();
    let mut agents = tokio::task::JoinSet::new();
    for (agent, line) in keys.lines().enumerate() {
        let apart = Duration::from_millis(order.apart_ms * agent as u64);
        let dials = Agent { key: line.parse().unwrap(), identity: None, hub: order.hub, line: Line::Plain };
        agents.spawn(live(agent, dials, apart));
    }
    agents.join_all().await;
}

async fn live(agent: usize, dials: Agent, first: Duration) {
    let mut pace = Pace::new(Settings::default());
    tokio::time::sleep(first).await;
    loop {
        let tell = |news| {
            let at = millis(boot_now().0);
            match news {
                News::Registered => println!("registered {agent} {at}"),
                News::GoAway(wait) => println!("go_away {agent} {at} {}", millis(wait)),
            }
        };
        let ended = agent::attempt(&dials, std::future::pending(), tell).await;
        let now = boot_now();
        if let Some(since) = ended.registered_at {
            pace.session_ended(now.since(since));
        }
        tokio::time::sleep(pace.delay(now, Backlog::Empty, ended.advice)).await;
    }
}
