//! The local socket: records from programs on this machine, and questions about the agent. docs/socket.md is the letter.
//!
//! * `emit` answers when its records are durable. While one append is under way the frames that come meanwhile are
//!   gathered for the next, at most [`limit::INTAKE_FRAMES_IN_FLIGHT`]: order is kept and a sync is shared. What is not
//!   read yet waits in the program's socket: that is the back-pressure.
//! * The kernel says who is connected; the user id goes into the record's source.
//! * A stop lets the append under way finish and says how many records were taken.

mod bundle;
pub mod client;
mod emit;
pub mod frame;
pub mod lines;
mod session;

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limit;
use crate::outbox::Outbox;
use crate::time::WallTime;

use super::identity::IdentityFiles;
use super::state::State;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Above the kernel's bound.
    #[error("the socket path {} has {bytes} bytes, at most {max} are possible; choose a shorter one with --socket P", path.display(), max = limit::SOCKET_PATH_BYTES_MAX)]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// Another process answers there.
    #[error("another agent answers on {}; stop it or choose another path with --socket P", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something that is no socket lies there.
    #[error("{} exists and is not a socket; move it away or choose another path with --socket P", path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen on {}: {source}; choose another path with --socket P", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Checks a socket path against the kernel's bound.
///
/// # Errors
/// Where it is too long.
pub fn check_path(path: &Path) -> Result<(), SocketError> {
    let bytes = path.as_os_str().len();
    if bytes > limit::SOCKET_PATH_BYTES_MAX {
        return Err(SocketError::TooLong { path: path.to_owned(), bytes });
    }
    Ok(())
}

/// Listens on `path`; a socket that a killed agent left behind is replaced.
///
/// # Errors
/// See [`SocketError`].
pub async fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    check_path(path)?;
    let failed = |source| SocketError::Io { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::Occupied { path: path.to_owned() });
        }
        Ok(_) => {
            if UnixStream::connect(path).await.is_ok() {
                return Err(SocketError::InUse { path: path.to_owned() });
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// What the intake serves.
#[derive(Debug, Clone)]
pub(super) struct Intake {
    pub(super) outbox: Outbox,
    pub(super) state: State,
    pub(super) stop: CancellationToken,
    pub(super) wall_clock: fn() -> WallTime,
    pub(super) identity: IdentityFiles,
}

impl Intake {
    /// Serves until it is stopped and every connection has ended.
    pub(super) async fn run(self, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(limit::INTAKE_CONNECTIONS_MAX));
        let tracker = TaskTracker::new();
        loop {
            let place = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let Ok(place) = place else { break };
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _address)) => {
                    let intake = self.clone();
                    tracker.spawn(async move {
                        session::serve(stream, intake).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: a moment later there may be one.
                    tracing::warn!(%error, "the local socket does not accept");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
        tracker.close();
        tracker.wait().await;
    }
}
