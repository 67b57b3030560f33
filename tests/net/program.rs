//! A program with an agent inside, on one of the two machines.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use outpost::agent::Agent;
use outpost::agent::config::Config;
use outpost::agent::relay::{RelayError, RelayHandler, RelayMessage, RelayRefusal};
use outpost::id::Lane;
use outpost::outbox::NewRecord;
use outpost::time::WallTime;
use outpost::wire::message::RecordKind;
use outpost::wire::relay::{Delivery, Receipt};
use tokio::runtime::Runtime;

use crate::namespace::Namespace;
use crate::site::now;
use crate::tun;

/// More than a test here sends.
const WAITING_MAX: usize = 64;

/// What became of a message of so many bytes, and when.
pub(crate) struct Told {
    pub(crate) bytes: usize,
    pub(crate) outcome: Result<Receipt, RelayError>,
    pub(crate) after: Duration,
}

pub(crate) struct Program {
    /// Its threads are in the machine's network.
    runtime: Runtime,
    agent: Agent,
    came: Receiver<Vec<u8>>,
    told: (SyncSender<Told>, Receiver<Told>),
}

struct Door(SyncSender<Vec<u8>>);

impl RelayHandler for Door {
    async fn handle(&self, message: RelayMessage) -> Result<(), RelayRefusal> {
        self.0.try_send(message.payload.to_vec()).map_err(|error| RelayRefusal::new(error.to_string()))
    }
}

impl Program {
    /// An agent of this name, whose key is in the folder.
    pub(crate) fn start(machine: &Namespace, hub: &str, folder: &Path, name: &str) -> Self {
        let mut config = Config::new(folder.join(name)).with_hub(hub, Some("true")).unwrap();
        config.key_file = folder.join(format!("{name}.key"));
        let (taking, came) = sync_channel(WAITING_MAX);
        let place = machine.file();
        // What this thread starts is where it is, for good.
        let started: JoinHandle<(Runtime, Agent)> = std::thread::spawn(move || {
            tun::enter(&place);
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .max_blocking_threads(8)
                .enable_all()
                .build()
                .unwrap();
            let agent = runtime.block_on(Agent::builder(config).relay_handler("door", Door(taking)).start());
            (runtime, agent.unwrap())
        });
        let (runtime, agent) = started.join().unwrap();
        Self { runtime, agent, came, told: sync_channel(WAITING_MAX) }
    }

    /// Until it has a session.
    pub(crate) fn wait_connected(&self, within: Duration) {
        let begin = now();
        let probe = self.agent.relay();
        // Refused by the hub, which has no such agent: only then there is a session.
        let (to, handler) = ("nobody".parse().unwrap(), "door".parse().unwrap());
        while self.runtime.block_on(probe.send(&to, &handler, "", Delivery::Now)) == Err(RelayError::NoLink) {
            assert!(begin.elapsed() < within, "no session after {within:?}");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Sends without waiting; what becomes of it is told later.
    pub(crate) fn send(&self, to: &str, payload: &[u8], delivery: Delivery) {
        let (client, told) = (self.agent.relay(), self.told.0.clone());
        let (to, handler, payload) = (to.parse().unwrap(), "door".parse().unwrap(), payload.to_vec());
        let begin = now();
        self.runtime.spawn(async move {
            // One that finds no room is sent again, as a program would.
            let outcome = loop {
                match client.send(&to, &handler, payload.clone(), delivery).await {
                    Err(RelayError::Busy) => {}
                    outcome => break outcome,
                }
            };
            told.try_send(Told { bytes: payload.len(), outcome, after: begin.elapsed() }).unwrap();
        });
    }

    pub(crate) fn came(&self) -> Option<Vec<u8>> {
        self.came.try_recv().ok()
    }

    pub(crate) fn told(&self) -> Option<Told> {
        self.told.1.try_recv().ok()
    }

    pub(crate) fn append(&self, text: &str) {
        let record = NewRecord {
            recorded_at: WallTime(1_800_000_000_000),
            source: "test".to_owned(),
            kind: RecordKind::Opaque,
            payload: text.to_owned().into(),
            app: None,
        };
        self.runtime.block_on(self.agent.outbox().append(Lane::Events, vec![record])).unwrap();
    }

    pub(crate) fn is_drained(&self) -> bool {
        let stat = self.runtime.block_on(self.agent.outbox().stat()).unwrap();
        stat.lanes.values().all(|lane| lane.records == 0)
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.agent.shutdown()).unwrap();
    }
}
