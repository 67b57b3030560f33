//! A service that has its own work, with an agent inside: what it measures reaches the hub even if the link is down
//! now and the machine is switched off before it is up again.
//!
//! `cargo run --example embedded_agent -- HUB_URL KEY_FILE DATA_FOLDER` runs it until Ctrl-C or SIGTERM. `outpost records list`
//! shows its records, and `outpost job submit` runs jobs beside its work.

use std::error::Error;
use std::time::Duration;

use outpost::agent::Agent;
use outpost::agent::config::Config;
use outpost::id::Lane;
use outpost::obs::clock;
use outpost::outbox::{NewRecord, Outbox};
use outpost::wire::message::RecordKind;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [hub, key, data] = arguments()?;
    let mut config = Config::new(data).with_hub(&hub, None)?;
    config.key_file = key.into();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // No hub is needed to start, nor a key: records are kept until there are both.
    let agent = Agent::start(config).await?;
    let worked = tokio::select! {
        worked = work(agent.outbox()) => worked,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    // Also where the work failed. What is not delivered yet stays on disk for the next start.
    agent.shutdown().await?;
    worked
}

/// The service's own work: how busy the machine is, four times a second.
async fn work(outbox: &Outbox) -> Result<(), Box<dyn Error>> {
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    loop {
        ticks.tick().await;
        let load = tokio::fs::read_to_string("/proc/loadavg").await?;
        let record = NewRecord {
            recorded_at: clock::wall_now(),
            source: "loadavg".to_owned(),
            kind: RecordKind::Opaque,
            payload: load.trim_end().to_owned().into(),
        };
        // On disk once this returns; a full disk or lane is an error that says so.
        let appended = outbox.append(Lane::Events, vec![record]).await?;
        println!("{}", appended.last);
    }
}

fn arguments() -> Result<[String; 3], &'static str> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: embedded_agent HUB_URL KEY_FILE DATA_FOLDER")
}
