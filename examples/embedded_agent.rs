//! A service that has its own work, with an agent inside: what it measures reaches the hub even if the link is down
//! now and the machine is switched off before it is up again.
//!
//! `cargo run --example embedded_agent -- HUB_URL KEY_FILE DATA_FOLDER` runs it until Ctrl-C or SIGTERM. `outpost records list`
//! shows its records, and `outpost job submit` runs jobs beside its work. Other agents, where the hub lets them, and the
//! hub's own program send it messages: it keeps them as records.

use std::error::Error;
use std::time::Duration;

use outpost::agent::Agent;
use outpost::agent::config::Config;
use outpost::agent::relay::{RelayHandler, RelayMessage, RelayRefusal};
use outpost::id::Lane;
use outpost::obs::clock;
use outpost::outbox::{NewRecord, Outbox};
use outpost::wire::message::RecordKind;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [hub, key, data] = arguments()?;
    let mut config = Config::new(data).with_hub(&hub, None)?;
    config.key_file = key.into();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // No hub is needed to start, nor a key: records are kept until there are both.
    let (outbox, ready) = watch::channel(None);
    let agent = Agent::builder(config).relay_handler("note", Notes(ready)).start().await?;
    outbox.send_replace(Some(agent.outbox().clone()));
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
        // On disk once this returns; a full disk or lane is an error that says so.
        let appended = outbox.append(Lane::Events, vec![record("loadavg", load.trim_end())]).await?;
        println!("{}", appended.last);
    }
}

fn record(source: &str, text: &str) -> NewRecord {
    NewRecord {
        recorded_at: clock::wall_now(),
        source: source.to_owned(),
        kind: RecordKind::Opaque,
        payload: text.to_owned().into(),
        app: None,
    }
}

/// Takes messages for `note`. Their sender hears that one is delivered when it is on disk here.
struct Notes(watch::Receiver<Option<Outbox>>);

impl RelayHandler for Notes {
    async fn handle(&self, message: RelayMessage) -> Result<(), RelayRefusal> {
        let text =
            std::str::from_utf8(&message.payload).map_err(|_| RelayRefusal::new("a note has to be UTF-8"))?;
        // A message may come before the agent was handed to the service. What fails is tried again where the hub keeps it.
        let outbox = self.0.clone().wait_for(Option::is_some).await.ok().and_then(|outbox| outbox.clone());
        let outbox = outbox.ok_or_else(|| RelayRefusal::for_now("the service is stopping"))?;
        let appended = outbox.append(Lane::Events, vec![record("note", text)]).await;
        appended.map(|_| ()).map_err(|error| RelayRefusal::for_now(error.to_string()))
    }
}

fn arguments() -> Result<[String; 3], &'static str> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: embedded_agent HUB_URL KEY_FILE DATA_FOLDER")
}
