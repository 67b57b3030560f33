//! What surrounds an agent: its socket for local programs, its threads, its end.

use std::time::Duration;

/// A Unix socket's path, by the kernel (sun_path less its NUL).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;
/// One frame of the local socket: a full-sized record, its batch and their lengths.
pub const INTAKE_FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Records of one frame on the local socket.
pub const INTAKE_BATCH_RECORDS: usize = 512;
/// Payload bytes after which a frame on the local socket is closed.
pub const INTAKE_BATCH_BYTES: usize = 256 * 1024;
/// Frames one program may have sent that are not durable yet.
pub const INTAKE_FRAMES_IN_FLIGHT: usize = 8;
/// Programs connected to the local socket at once.
pub const INTAKE_CONNECTIONS_MAX: usize = 64;
/// A local program that connected and asks nothing for this long is dropped: others may wait for its place.
pub const INTAKE_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A local program that does not read an answer for this long is dropped.
pub const INTAKE_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// A command that asks the agent a question waits so long for each part of the answer.
pub const INTAKE_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Threads of an agent's runtime: its two tasks that work hard are the link and the intake.
pub const AGENT_THREADS: usize = 2;
/// How long a stopping agent waits for its jobs: their grace by default, and as long again to write it down.
pub const SHUTDOWN_JOBS_TIMEOUT: Duration = Duration::from_secs(20);
/// Each other step of a shutdown.
pub const SHUTDOWN_STEP_TIMEOUT: Duration = Duration::from_secs(5);
