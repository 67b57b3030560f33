//! Names of the model disk: what a name stands for changes at once, and durably when its folder is synced.

use std::collections::BTreeMap;

use fastrand::Rng;

/// A file, folder or database, whatever it is called at present.
pub(super) type NodeId = u64;

/// How changes of names survive a power cut that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum NameOrder {
    /// The first so many of them, as a journal writes them.
    #[default]
    Journal,
    /// Any of them: all that is promised by the standard.
    Loose,
}

#[derive(Debug, Clone)]
enum Change {
    Put { path: String, node: NodeId },
    Move { from: String, to: String, node: NodeId },
    Drop { path: String },
}

impl Change {
    fn touches(&self, folder: &str) -> bool {
        let (path, other) = match self {
            Self::Put { path, .. } | Self::Drop { path } => (path, path),
            Self::Move { from, to, .. } => (from, to),
        };
        parent(path) == folder || parent(other) == folder
    }
}

/// All names, by their whole path.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    live: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
    pending: Vec<Change>,
    order: NameOrder,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn apply(names: &mut BTreeMap<String, NodeId>, change: &Change) {
    match change {
        Change::Put { path, node } => {
            names.insert(path.clone(), *node);
        }
        Change::Move { from, to, node } => {
            let moved: Vec<(String, NodeId)> =
                names.iter().filter(|(path, _)| is_below(path, from)).map(|(p, n)| (p.clone(), *n)).collect();
            names.retain(|path, _| !is_below(path, from) && !is_below(path, to));
            for (path, node) in moved {
                names.insert(format!("{to}{}", &path[from.len()..]), node);
            }
            names.insert(to.clone(), *node);
        }
        Change::Drop { path } => names.retain(|name, _| !is_below(name, path)),
    }
}

impl Names {
    pub(super) fn set_order(&mut self, order: NameOrder) {
        self.order = order;
    }

    pub(super) fn get(&self, path: &str) -> Option<NodeId> {
        self.live.get(path).copied()
    }

    /// Names right below a folder.
    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let below = self.live.keys().filter(|path| parent(path) == folder);
        below.map(|path| path[folder.len() + 1..].to_owned()).collect()
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.pending.push(change);
    }

    pub(super) fn put(&mut self, path: &str, node: NodeId) {
        self.change(Change::Put { path: path.to_owned(), node });
    }

    /// A name that is durable at once.
    pub(super) fn put_durable(&mut self, path: &str, node: NodeId) {
        self.live.insert(path.to_owned(), node);
        self.durable.insert(path.to_owned(), node);
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Option<()> {
        let node = self.get(from)?;
        self.change(Change::Move { from: from.to_owned(), to: to.to_owned(), node });
        Some(())
    }

    pub(super) fn remove(&mut self, path: &str) {
        if self.get(path).is_some() {
            self.change(Change::Drop { path: path.to_owned() });
        }
    }

    /// What was changed in the folder is durable; where a journal is written, everything before it too.
    pub(super) fn sync(&mut self, folder: &str) {
        let last = self.pending.iter().rposition(|change| change.touches(folder));
        let Some(last) = last else { return };
        let order = self.order;
        let mut index = 0;
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let synced = index <= last && (order == NameOrder::Journal || change.touches(folder));
            index += 1;
            if synced {
                apply(durable, change);
            }
            !synced
        });
    }

    /// After a power cut. Gives the nodes that were being removed and may have been left half removed.
    pub(super) fn cut(&mut self, rng: &mut Rng) -> Vec<NodeId> {
        let pending = std::mem::take(&mut self.pending);
        let kept = rng.usize(0..=pending.len());
        let mut half = Vec::new();
        for (index, change) in pending.iter().enumerate() {
            let survives = match self.order {
                NameOrder::Journal => index < kept,
                NameOrder::Loose => rng.bool(),
            };
            if survives {
                apply(&mut self.durable, change);
            } else if let Change::Drop { path } = change
                && (index == kept || self.order == NameOrder::Loose)
                && rng.bool()
            {
                half.extend(self.durable.get(path).copied());
            }
        }
        self.live.clone_from(&self.durable);
        half
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.live.values().chain(self.durable.values()).copied()
    }

    /// Names below a folder with their nodes.
    pub(super) fn below(&self, folder: &str) -> impl Iterator<Item = (&str, NodeId)> {
        self.live
            .iter()
            .filter(move |(path, _)| is_below(path, folder))
            .map(|(path, node)| (path.as_str(), *node))
    }
}
