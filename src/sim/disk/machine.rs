//! The machine as the store sees it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::outbox::OpenError;
use crate::outbox::store::host::{Cells, Database, Fault, Held, Host};
use crate::time::{BootTime, WallTime, millis};

use super::data::{Data, Sickness};
use super::open::{Handle, OpenDatabase, OpenFile, OpenLock};
use super::plain::Plain;
use super::{Disk, Node, text};

/// A database's least useful size here, so that few records fill a generation.
const SEGMENT_BYTES: u64 = 1024;
/// Bytes that opening a database needs to be free.
const OPEN_BYTES: u64 = 4096;

impl Host for Disk {
    fn now(&self) -> BootTime {
        self.state().now
    }

    fn wall(&self) -> WallTime {
        WallTime(millis(self.state().now.0))
    }

    fn random(&self) -> u32 {
        self.state().rng.u32(..)
    }

    fn segment_bytes(&self) -> u64 {
        SEGMENT_BYTES
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.find(text(path)).is_none() {
            let node = state.add(text(path), Node::Folder);
            state.names.put_durable(text(path), node);
        }
        Ok(())
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn Held>, OpenError> {
        let mut state = self.state();
        if std::mem::replace(&mut state.held, true) {
            return Err(OpenError::Locked { path: dir.to_owned(), pid: None });
        }
        Ok(Box::new(OpenLock { state: Arc::clone(&self.0), process: state.process }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive(state.process)?;
        Ok(state.names.list(text(dir)))
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state();
        state.find(text(path)).is_some() || state.data_file(text(path)).is_some()
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.find(text(path)).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.add(text(path), Node::Folder);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        Ok(state.names.rename(text(from), text(to)).ok_or(io::ErrorKind::NotFound)?)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.names.remove(text(path));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.failing_sync() {
            return Err(io::Error::other("input/output error"));
        }
        state.names.sync(text(path));
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.alive(state.process)?;
        match state.find(text(path)).and_then(|node| state.nodes.get(&node)) {
            Some(Node::File(file)) => Ok(file.bytes.clone()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.room() < content.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = state.add(text(path), Node::File(Plain::durable(content.to_vec())));
        state.names.put_durable(text(path), node);
        Ok(())
    }

    fn copy_file(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let bytes = match state.data_file(text(from)) {
            Some(data) => data.raw(),
            None => match state.find(text(from)).and_then(|node| state.nodes.get(&node)) {
                Some(Node::File(file)) => file.bytes.clone(),
                _ => return Err(io::ErrorKind::NotFound.into()),
            },
        };
        if state.room() < bytes.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.add(text(to), Node::File(Plain::durable(bytes)));
        Ok(())
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        if let Some(data) = state.data_file(text(path)) {
            return Ok(data.len());
        }
        match state.find(text(path)).and_then(|node| state.nodes.get(&node)) {
            Some(Node::File(file)) => Ok(file.takes()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.state();
        state.alive(state.process)?;
        let bytes = match state.data_file(text(path)) {
            Some(data) => data.raw(),
            None => match state.find(text(path)).and_then(|node| state.nodes.get(&node)) {
                Some(Node::File(file)) => file.bytes.clone(),
                _ => return Err(io::ErrorKind::NotFound.into()),
            },
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let rest = &bytes[from..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn reserve_file(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let node = state.find(text(path));
        let taken = node.map_or(0, |node| state.takes(node));
        if bytes.saturating_sub(taken) > state.room() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = node.unwrap_or_else(|| state.add(text(path), Node::File(Plain::default())));
        if let Some(Node::File(file)) = state.nodes.get_mut(&node) {
            file.reserved = bytes;
        }
        Ok(())
    }

    fn release_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        // A database's file is its folder here.
        let node = path.parent().and_then(|folder| state.find(text(folder)));
        if let Some(Node::Database(data)) = node.and_then(|node| state.nodes.get_mut(&node)) {
            data.reserved = 0;
        }
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.state().room())
    }

    fn disk_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.state().capacity)
    }

    fn open_cells(&self, path: &Path) -> io::Result<Box<dyn Cells>> {
        let mut state = self.state();
        state.step()?;
        let node = match state.find(text(path)) {
            Some(node) => node,
            None => state.add(text(path), Node::File(Plain::default())),
        };
        Ok(Box::new(OpenFile(Handle { state: Arc::clone(&self.0), node, process: state.process })))
    }

    fn open_database(&self, dir: &Path) -> Result<Box<dyn Database>, Fault> {
        let mut state = self.state();
        state.step()?;
        let broken = |text: &str| Err(Fault::Broken(text.to_owned()));
        let Some(node) = state.find(text(dir)) else { return broken("no such folder") };
        if state.room() < OPEN_BYTES {
            return Err(Fault::Full("no space to open a database".to_owned()));
        }
        if let Some(found @ Node::Folder) = state.nodes.get_mut(&node) {
            *found = Node::Database(Data::default());
        }
        let data = state.database(node)?;
        if data.sickness == Sickness::Unopenable {
            return broken("the database panicked: it is damaged");
        }
        if std::mem::replace(&mut data.open, true) {
            return broken("the database is open already");
        }
        let handle = Handle { state: Arc::clone(&self.0), node, process: state.process };
        Ok(Box::new(OpenDatabase { handle, abandoned: false }))
    }
}
