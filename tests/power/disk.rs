//! Mounts that are taken back whatever becomes of the test, and who may have them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::image::Image;

/// Bytes of the disks that lose their power.
const IMAGE_BYTES: u64 = 96 * 1024 * 1024;

static DEVICES: Mutex<()> = Mutex::new(());

/// One test at a time has disks of its own: they are held in memory.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mounted file system; unmounted when dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// The ext4 file system in a file, through a loop device that goes with it.
    pub(crate) fn image(file: &Path, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        run(
            "mount",
            [
                OsStr::new("-t"),
                "ext4".as_ref(),
                "-o".as_ref(),
                "loop,noatime".as_ref(),
                file.as_ref(),
                folder.as_ref(),
            ],
        );
        Self(folder.to_owned())
    }

    /// A file system in memory with room for so many MiB.
    pub(crate) fn memory(folder: &Path, mebibytes: u32) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={mebibytes}m");
        run(
            "mount",
            [
                OsStr::new("-t"),
                "tmpfs".as_ref(),
                "-o".as_ref(),
                size.as_ref(),
                "tmpfs".as_ref(),
                folder.as_ref(),
            ],
        );
        Self(folder.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status().is_ok_and(|status| status.success());
        if !unmounted {
            // Busy: it goes when the last file of it is closed.
            let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        }
    }
}

/// A new ext4 file system of `bytes` in a file.
pub(crate) fn format(file: &Path, bytes: u64) {
    std::fs::File::create(file).unwrap().set_len(bytes).unwrap();
    let options = ["-q", "-F", "-b", "4096", "-m", "0", "-J", "size=4", "-E"];
    let options = options.map(OsStr::new).into_iter();
    run(
        "mkfs.ext4",
        options.chain(["nodiscard,lazy_itable_init=0,lazy_journal_init=0".as_ref(), file.as_os_str()]),
    );
}

/// The bytes of a new disk.
pub(crate) fn formatted(folder: &Path) -> Vec<u8> {
    let file = folder.join("new.img");
    format(&file, IMAGE_BYTES);
    std::fs::read(&file).unwrap()
}

/// Mounts a disk as cut number `cut` left it: the kernel replays its journal. A file of its own for each, because `mount`
/// takes a loop device that still stands on the same file, with what it remembers of it.
pub(crate) fn after_cut(image: &Image, folder: &Path, cut: u32) -> (Mounted, PathBuf) {
    let file = folder.join(format!("cut-{cut}.img"));
    image.save(&file);
    (Mounted::image(&file, &folder.join("cut")), file)
}

fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}
