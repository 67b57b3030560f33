//! A config file that holds a password, and that others can read.

use std::fs::File;
use std::path::Path;

use crate::net::proxy::Proxy;
use crate::obs::secret_file;

use super::raw::Raw;

/// What to say of this file; `None` where it holds no password, or is its owner's alone. `raw` is what it says, without
/// environment and flags.
pub(super) fn of(path: &Path, raw: &Raw) -> Option<String> {
    let proxy = raw.hub.proxy.as_ref()?;
    Proxy::parse(proxy.expose()).ok().filter(Proxy::has_credentials)?;
    let mode = secret_file::open_to_others(&File::open(path).ok()?).ok()??;
    Some(format!(
        "others than its owner can use the config file {} (its mode is {mode:03o}), and the password of a proxy is in it: run `chmod 600 {}`, and change the password if somebody may have read it",
        path.display(),
        path.display()
    ))
}
