//! The flags with which an agent finds a hub, in commands that are printed to be run.

use std::path::Path;

use crate::wire::url::{AllowInsecure, HubUrl};

use super::shell;

/// To the hub at this URL, whose certificate comes of the authority in this file; `None`: one that the system believes, or no TLS.
pub(super) fn to(url: &str, ca: Option<&Path>) -> String {
    let allowed = |allow| HubUrl::parse(url, allow).is_ok();
    let insecure = match (allowed(AllowInsecure::No), allowed(AllowInsecure::Private)) {
        (true, _) => "",
        (false, true) => " --allow-insecure",
        (false, false) => " --allow-insecure=any",
    };
    format!("--hub {}{}{insecure}", shell::word(url), authority(ca))
}

/// To a hub whose URL nobody here knows.
pub(super) fn to_unknown(ca: Option<&Path>) -> String {
    format!("--hub URL{}", authority(ca))
}

fn authority(ca: Option<&Path>) -> String {
    ca.map_or(String::new(), |ca| format!(" --ca {}", shell::path(ca)))
}
