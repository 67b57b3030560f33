//! What the store holds open on the model disk.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::outbox::store::host::{Batch, Cells, Database, Fault, Held, Scan, Tree, Visit};

use super::data::{Data, Put};
use super::names::NodeId;
use super::plain::Plain;
use super::{Node, State, locked};

/// Something held open by a process that may be gone by now.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) node: NodeId,
    pub(super) process: u64,
}

impl Handle {
    /// Runs a call that changes nothing.
    fn read<T>(&self, call: impl FnOnce(&Data) -> Result<T, Fault>) -> Result<T, Fault> {
        let state = locked(&self.state);
        state.alive(self.process)?;
        match state.nodes.get(&self.node) {
            Some(Node::Database(data)) => call(data),
            _ => Err(Fault::Broken("the database is gone".to_owned())),
        }
    }

    /// Runs a call that writes.
    fn write<T>(&self, call: impl FnOnce(&mut Data) -> T) -> Result<T, Fault> {
        let mut state = locked(&self.state);
        state.alive(self.process)?;
        state.step()?;
        let data = state.database(self.node)?;
        if let Some(fault) = &data.failed {
            return Err(fault.clone());
        }
        Ok(call(data))
    }
}

#[derive(Debug)]
pub(super) struct OpenDatabase {
    pub(super) handle: Handle,
    pub(super) abandoned: bool,
}

impl Drop for OpenDatabase {
    fn drop(&mut self) {
        let mut state = locked(&self.handle.state);
        if self.abandoned || state.alive(self.handle.process).is_err() {
            return;
        }
        let mut rng = state.rng.fork();
        if let Ok(data) = state.database(self.handle.node) {
            if data.failed.is_some() {
                data.kill(&mut rng);
            }
            data.open = false;
        }
    }
}

fn sick(data: &Data, tree: Tree, key: &[u8]) -> Result<(), Fault> {
    if data.is_sick(tree, key) { Err(unreadable()) } else { Ok(()) }
}

fn unreadable() -> Fault {
    Fault::Broken("corruption detected at a read".to_owned())
}

impl Database for OpenDatabase {
    fn insert(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let put = (tree, Bytes::copy_from_slice(key), Some(Bytes::copy_from_slice(value)));
        self.handle.write(|data| data.write(vec![put]))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), Fault> {
        let put = |(key, value): (Vec<u8>, Option<Vec<u8>>)| -> Put {
            (Tree::Main, Bytes::from(key), value.map(Bytes::from))
        };
        let puts = batch.into_iter().map(put).collect();
        self.handle.write(|data| data.write(puts))
    }

    fn get(&mut self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.handle.read(|data| {
            sick(data, tree, key)?;
            Ok(data.tree(tree).and_then(|tree| tree.get(key)).map(|value| value.to_vec()))
        })
    }

    fn scan(&mut self, tree: Tree, key: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
        self.handle.read(|data| {
            // A damaged place is read by whoever comes by, also where its row is gone.
            let sick = data.first_sick(tree, key);
            let reaches = |at: &Bytes| sick.is_some_and(|sick| sick <= at);
            let entries =
                data.tree(tree).into_iter().flat_map(|tree| tree.range(Bytes::copy_from_slice(key)..));
            for (key, value) in entries {
                if reaches(key) {
                    return Err(unreadable());
                }
                if visit(key, value) == Scan::Stop {
                    return Ok(());
                }
            }
            sick.map_or(Ok(()), |_| Err(unreadable()))
        })
    }

    fn commit(&mut self) -> Result<(), Fault> {
        let mut state = locked(&self.handle.state);
        state.alive(self.handle.process)?;
        state.step()?;
        let room = state.room();
        let failing = state.failing_sync();
        let data = state.database(self.handle.node)?;
        if let Some(fault) = &data.failed {
            return Err(fault.clone());
        }
        let fault = if data.is_committed() {
            None
        } else if failing {
            Some(Fault::Broken("input/output error".to_owned()))
        } else if data.len() > data.reserved && room == 0 {
            Some(Fault::Full("no space left on device".to_owned()))
        } else {
            None
        };
        if let Some(fault) = fault {
            data.failed = Some(fault.clone());
            return Err(fault);
        }
        data.commit();
        Ok(())
    }

    fn length(&self) -> Result<u64, Fault> {
        self.handle.read(|data| Ok(data.len()))
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), Fault> {
        let mut state = locked(&self.handle.state);
        state.alive(self.handle.process)?;
        state.step()?;
        let room = state.room();
        let data = state.database(self.handle.node)?;
        let more = bytes.saturating_sub(data.takes());
        if more > room {
            return Err(Fault::Full(format!("{more} bytes wanted, {room} are free")));
        }
        data.reserved = data.reserved.max(bytes);
        Ok(())
    }

    fn release(&mut self) -> Result<(), Fault> {
        let mut state = locked(&self.handle.state);
        state.alive(self.handle.process)?;
        let data = state.database(self.handle.node)?;
        data.reserved = 0;
        Ok(())
    }

    fn sync_new(&mut self) -> Result<(), Fault> {
        self.commit()
    }

    fn close(self: Box<Self>) -> Result<(), Fault> {
        self.handle.read(|_| Ok(()))
    }

    fn abandon(mut self: Box<Self>) {
        self.abandoned = true;
    }
}

#[derive(Debug)]
pub(super) struct OpenFile(pub(super) Handle);

impl OpenFile {
    fn with<T>(&self, call: impl FnOnce(&mut Plain) -> io::Result<T>, writes: bool) -> io::Result<T> {
        let mut state = locked(&self.0.state);
        state.alive(self.0.process).map_err(io::Error::other)?;
        if writes {
            state.step().map_err(io::Error::other)?;
        }
        match state.nodes.get_mut(&self.0.node) {
            Some(Node::File(file)) => call(file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Cells for OpenFile {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let read = |file: &mut Plain| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = file.bytes.get(from..from.saturating_add(buffer.len()));
            buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        };
        self.with(read, false)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        self.with(
            |file| {
                file.write(at, bytes);
                Ok(())
            },
            true,
        )
    }

    fn sync(&mut self) -> io::Result<()> {
        if locked(&self.0.state).failing_sync() {
            return Err(io::Error::other("input/output error"));
        }
        self.with(
            |file| {
                file.sync();
                Ok(())
            },
            true,
        )
    }
}

/// The folder's lock.
#[derive(Debug)]
pub(super) struct OpenLock {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) process: u64,
}

impl Held for OpenLock {}

impl Drop for OpenLock {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        if state.alive(self.process).is_ok() {
            state.held = false;
        }
    }
}
