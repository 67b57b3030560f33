//! A machine for the store that forgets: files, folders and databases with durable and volatile bytes.
//!
//! * A database is a log of changes. `commit` makes all of it durable; after a power cut the durable part and the first so
//!   many changes of the rest are there, each change whole. A database whose commit failed may keep what was refused.
//! * A write in place survives unsynced, torn or not at all. A name is durable after the sync of its folder.
//! * A process that is killed loses what it had not handed to the system, nothing else.
//! * The machine can be made to stop at any step that writes, to fail a sync, to be full, and to change bytes.
//!
//! Clones share the machine; [`Disk::copy`] makes another one.

mod data;
mod hand;
mod machine;
mod names;
mod open;
mod plain;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;

use crate::outbox::store::host::Fault;
use crate::time::BootTime;

use data::Data;
pub(crate) use data::Sickness;
pub(crate) use names::NameOrder;
use names::{Names, NodeId};
use plain::Plain;

/// The machine, as the store sees it and as the simulation does.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Clone)]
struct State {
    now: BootTime,
    rng: Rng,
    names: Names,
    nodes: BTreeMap<NodeId, Node>,
    next_node: NodeId,
    /// Counts processes: what an earlier one holds open is of no use any more.
    process: u64,
    held: bool,
    capacity: u64,
    /// Bytes that others take.
    others: u64,
    /// Steps that write until the machine stops.
    fuse: Option<u64>,
    stopped: bool,
    steps: u64,
    /// Syncs until one fails.
    bad_sync: Option<u32>,
}

#[derive(Debug, Clone)]
enum Node {
    Folder,
    File(Plain),
    Database(Data),
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the simulation are text")
}

/// The machine has stopped, or the process is an earlier one.
#[derive(Debug, thiserror::Error)]
#[error("the machine has stopped")]
struct Stopped;

impl From<Stopped> for Fault {
    fn from(stopped: Stopped) -> Self {
        Self::Broken(stopped.to_string())
    }
}

impl From<Stopped> for io::Error {
    fn from(stopped: Stopped) -> Self {
        Self::other(stopped)
    }
}

impl State {
    fn alive(&self, process: u64) -> Result<(), Stopped> {
        if self.stopped || process != self.process { Err(Stopped) } else { Ok(()) }
    }

    /// Before every step that writes.
    fn step(&mut self) -> Result<(), Stopped> {
        self.steps += 1;
        match &mut self.fuse {
            Some(0) => self.stopped = true,
            Some(left) => *left -= 1,
            None => {}
        }
        if self.stopped { Err(Stopped) } else { Ok(()) }
    }

    fn failing_sync(&mut self) -> bool {
        match &mut self.bad_sync {
            Some(0) => {
                self.bad_sync = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn database(&mut self, node: NodeId) -> Result<&mut Data, Fault> {
        match self.nodes.get_mut(&node) {
            Some(Node::Database(data)) => Ok(data),
            _ => Err(Fault::Broken("no database".to_owned())),
        }
    }

    fn takes(&self, node: NodeId) -> u64 {
        match self.nodes.get(&node) {
            Some(Node::Database(data)) => data.takes(),
            Some(Node::File(file)) => file.takes(),
            Some(Node::Folder) | None => 0,
        }
    }

    fn used(&self) -> u64 {
        self.names.below("").map(|(_, node)| self.takes(node)).sum()
    }

    fn room(&self) -> u64 {
        self.capacity.saturating_sub(self.others).saturating_sub(self.used())
    }

    fn add(&mut self, path: &str, node: Node) -> NodeId {
        self.next_node += 1;
        self.nodes.insert(self.next_node, node);
        self.names.put(path, self.next_node);
        self.next_node
    }

    fn find(&self, path: &str) -> Option<NodeId> {
        self.names.get(path)
    }

    /// A database's data file has no name of its own here.
    fn data_file(&self, path: &str) -> Option<&Data> {
        let folder = path.strip_suffix("/db")?;
        match self.nodes.get(&self.find(folder)?)? {
            Node::Database(data) => Some(data),
            Node::Folder | Node::File(_) => None,
        }
    }

    fn forget_nameless(&mut self) {
        let named: BTreeSet<NodeId> = self.names.nodes().collect();
        self.nodes.retain(|node, _| named.contains(node));
    }

    /// The process is gone.
    fn kill(&mut self) {
        (self.process, self.held, self.stopped, self.fuse) = (self.process + 1, false, false, None);
        let mut rng = self.rng.fork();
        for node in self.nodes.values_mut() {
            if let Node::Database(data) = node {
                data.kill(&mut rng);
            }
        }
        self.forget_nameless();
    }

    /// The power is gone.
    fn cut(&mut self) {
        (self.process, self.held, self.stopped, self.fuse) = (self.process + 1, false, false, None);
        let mut rng = self.rng.fork();
        for node in self.nodes.values_mut() {
            match node {
                Node::Database(data) => data.cut(&mut rng),
                Node::File(file) => file.cut(&mut rng),
                Node::Folder => {}
            }
        }
        for node in self.names.cut(&mut rng) {
            if let Some(database @ Node::Database(_)) = self.nodes.get_mut(&node) {
                // Its files went first.
                *database = Node::Folder;
            }
        }
        self.forget_nameless();
    }
}
