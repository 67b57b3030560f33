//! File descriptors of this process: each connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many there may be; `None` where there is no bound.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Allows this process as many as it may allow itself: the usual 1024 are kept low for programs that use `select`.
///
/// # Errors
/// Where the system refuses.
pub fn raise() -> std::io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
