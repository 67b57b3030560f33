//! A service with a hub inside: agents connect to it, and it sends messages to the programs that run beside them.
//!
//! `cargo run --example embedded_hub -- ADDRESS DATA_FOLDER` reads lines `AGENT HANDLER TEXT` from its standard input, and
//! prints what becomes of each, until the input ends or Ctrl-C. An agent that is away gets its messages when it comes back.
//! examples/embedded_agent.rs has a handler `note`.

use std::error::Error;

use outpost::hub::Hub;
use outpost::hub::config::Config;
use outpost::wire::relay::{Delivery, Receipt};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [listen, data] = arguments()?;
    let config = Config { listen: listen.parse()?, data: data.into(), ..Config::default() };
    // Agents may send to each other, too, where the service says who: `.allow_relay(...)`.
    let hub = Hub::builder(config).start().await?;
    println!("listening on {}", hub.local_addr());
    let worked = tokio::select! {
        worked = work(&hub) => worked,
        stopped = tokio::signal::ctrl_c() => stopped.map_err(Into::into),
    };
    // Also where the work failed. What was queued is on disk, and goes out after the next start.
    hub.close().await;
    worked
}

/// The service's own work: one message for each line.
async fn work(hub: &Hub) -> Result<(), Box<dyn Error>> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match send(hub, &line).await {
            Ok(Receipt::Delivered) => println!("delivered"),
            Ok(Receipt::Queued) => println!("queued, {} agents are here", hub.peer_count()),
            Err(error) => println!("not sent: {error}"),
        }
    }
    Ok(())
}

async fn send(hub: &Hub, line: &str) -> Result<Receipt, Box<dyn Error>> {
    let mut words = line.splitn(3, ' ');
    let (Some(agent), Some(handler), Some(text)) = (words.next(), words.next(), words.next()) else {
        return Err("a line has to be AGENT HANDLER TEXT".into());
    };
    let agent = agent.parse()?;
    // Now where it is here; otherwise the hub keeps it, at most 24 hours.
    let delivery = if hub.is_connected(&agent).await? { Delivery::Now } else { Delivery::Queued };
    Ok(hub.send(&agent, &handler.parse()?, text.to_owned(), delivery).await?)
}

fn arguments() -> Result<[String; 2], &'static str> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: embedded_hub ADDRESS DATA_FOLDER")
}
