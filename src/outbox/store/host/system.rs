//! This machine.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::FallocateFlags;

use crate::obs::{clock, folder, random};
use crate::outbox::OpenError;
use crate::outbox::store::database::{SEGMENT_BYTES, SledDatabase};
use crate::outbox::store::lock::Lock;
use crate::time::{BootTime, WallTime};

use super::{Cells, Database, Fault, Held, Host};

/// This machine's files, clock and randomness; sled for the databases.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System;

impl Host for System {
    fn now(&self) -> BootTime {
        clock::boot_now()
    }

    fn wall(&self) -> WallTime {
        clock::wall_now()
    }

    fn random(&self) -> u32 {
        u32::from_be_bytes(random::bytes())
    }

    fn segment_bytes(&self) -> u64 {
        SEGMENT_BYTES as u64
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        folder::make(path)
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn Held>, OpenError> {
        Ok(Box::new(Lock::take(dir)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.file_name().into_string()));
        // A name that is not UTF-8 is none of ours.
        names.filter_map(|name| name.map(Result::ok).transpose()).collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        missing_is_fine(fs::remove_dir_all(path))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        missing_is_fine(fs::remove_file(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let file = File::create(&new)?;
        file.write_all_at(content, 0)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        folder::sync_name(path)
    }

    fn copy_file(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::copy(from, to).map(|_bytes| ())
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = File::open(path)?;
        let mut filled = 0;
        while let Some(rest @ [_, ..]) = buffer.get_mut(filled..) {
            match file.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn reserve_file(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fill(&file, bytes),
            other => Ok(other?),
        }
    }

    fn release_file(&self, path: &Path) -> io::Result<()> {
        missing_is_fine(OpenOptions::new().write(true).open(path).and_then(|file| {
            let length = file.metadata()?.len();
            file.set_len(length)
        }))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        // A file system that does not count its blocks.
        let unknown = stat.f_blocks == 0;
        Ok(if unknown { u64::MAX } else { stat.f_bavail.saturating_mul(stat.f_frsize) })
    }

    fn disk_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    fn open_cells(&self, path: &Path) -> io::Result<Box<dyn Cells>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Box::new(PlainFile(file)))
    }

    fn open_database(&self, dir: &Path) -> Result<Box<dyn Database>, Fault> {
        Ok(Box::new(SledDatabase::open(dir)?))
    }
}

/// Takes space where the file system has no fallocate: by writing.
fn fill(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    let mut at = file.metadata()?.len();
    while at < bytes {
        let length = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all_at(zeros.get(..length).unwrap_or_default(), at)?;
        at = at.saturating_add(length as u64);
    }
    Ok(())
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[derive(Debug)]
struct PlainFile(File);

impl Cells for PlainFile {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_filled_has_its_length_whatever_was_there() {
        let dir = tempfile::tempdir().unwrap();
        for already in [0, 5, 100_000, 200_000] {
            let path = dir.path().join(already.to_string());
            fs::write(&path, vec![1; already]).unwrap();
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            fill(&file, 150_001).unwrap();
            let mut expected = vec![1; already];
            expected.resize(already.max(150_001), 0);
            assert!(fs::read(&path).unwrap() == expected, "{already}");
        }
    }
}
