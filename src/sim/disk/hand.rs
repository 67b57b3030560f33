//! What the simulation does to the machine, and asks of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;

use crate::limit;
use crate::time::BootTime;

use super::data::Sickness;
use super::names::{NameOrder, Names, NodeId};
use super::{Disk, Node, State, locked, text};

impl Disk {
    pub(crate) fn new(rng: Rng, capacity: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: BootTime::default(),
            rng,
            names: Names::default(),
            nodes: BTreeMap::new(),
            next_node: 0,
            process: 0,
            held: false,
            capacity,
            others: 0,
            fuse: None,
            stopped: false,
            steps: 0,
            bad_sync: None,
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.0)
    }

    /// Another machine with what a power cut at this moment would leave of this one's disk.
    pub(crate) fn copy(&self) -> Self {
        let mut state = self.state().clone();
        state.rng = self.state().rng.fork();
        state.bad_sync = None;
        state.cut();
        Self(Arc::new(Mutex::new(state)))
    }

    /// The disk becomes as another one is; time goes on.
    pub(crate) fn restore(&self, from: &Self) {
        let image = from.copy().state().clone();
        let mut state = self.state();
        (state.names, state.nodes, state.next_node) = (image.names, image.nodes, image.next_node);
        state.kill();
    }

    /// Everything is removed.
    pub(crate) fn wipe(&self) {
        let mut state = self.state();
        state.names = Names::default();
        state.kill();
    }

    pub(crate) fn kill(&self) {
        self.state().kill();
    }

    pub(crate) fn cut_power(&self) {
        self.state().cut();
    }

    pub(crate) fn set_now(&self, now: BootTime) {
        self.state().now = now;
    }

    pub(crate) fn set_order(&self, order: NameOrder) {
        self.state().names.set_order(order);
    }

    /// Nothing more happens on the machine.
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
    }

    /// Stops the machine after so many steps that write.
    pub(crate) fn stop_after(&self, steps: u64) {
        self.state().fuse = Some(steps);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Steps that wrote so far.
    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    /// Lets a sync fail, after so many that do not; `None` for no more failures.
    pub(crate) fn fail_sync(&self, after: Option<u32>) {
        self.state().bad_sync = after;
    }

    /// Nothing goes wrong from here on.
    pub(crate) fn calm(&self) {
        let mut state = self.state();
        (state.fuse, state.bad_sync, state.others) = (None, None, 0);
    }

    /// Lets others take so many bytes.
    pub(crate) fn set_others(&self, bytes: u64) {
        self.state().others = bytes;
    }

    /// Whether others leave more than the core of an outbox ever asks for at once.
    pub(crate) fn has_room(&self) -> bool {
        self.state().room() > 2 * limit::CORE_AHEAD_BYTES
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.state().capacity
    }

    /// Bytes without what is only reserved, of everything whose name begins like this.
    pub(crate) fn bytes_of(&self, folder: &Path, prefix: &str) -> u64 {
        let state = self.state();
        let prefix = format!("{}/{prefix}", text(folder));
        let named = state.names.below(text(folder)).filter(|(path, _)| path.starts_with(&prefix));
        named
            .map(|(_, node)| match state.nodes.get(&node) {
                Some(Node::Database(data)) => data.len(),
                Some(Node::File(file)) => file.bytes.len() as u64,
                Some(Node::Folder) | None => 0,
            })
            .sum()
    }

    /// Changes a value of a random database whose name fits; says which.
    pub(crate) fn damage_database(
        &self,
        rng: &mut Rng,
        sickness: Sickness,
        fits: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let mut state = self.state();
        let names: Vec<(String, NodeId)> = state
            .names
            .below("")
            .filter(|(path, _)| fits(path))
            .map(|(path, node)| (path.to_owned(), node))
            .collect();
        let (path, node) = rng.choice(names)?;
        match state.nodes.get_mut(&node) {
            Some(Node::Database(data)) => data.damage(rng, sickness).then_some(path),
            _ => None,
        }
    }

    /// Changes a byte of a small file; says whether there was one.
    pub(crate) fn damage_file(&self, rng: &mut Rng, path: &Path) -> bool {
        let mut state = self.state();
        let Some(node) = state.find(text(path)) else { return false };
        match state.nodes.get_mut(&node) {
            Some(Node::File(file)) => file.damage(rng),
            _ => false,
        }
    }
}
