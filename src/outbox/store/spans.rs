//! What a start learns from rows and names, without opening a generation: streams and their spans.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::id::StreamId;
use crate::outbox::ledger::{Span, Stream};
use crate::outbox::name::GenerationName;

use super::core::Rows;
use super::generation::QUARANTINE_PREFIX;
use super::host::Host;

/// Every stream that names or rows speak of, with its spans.
pub(super) fn spans(host: &dyn Host, dir: &Path, rows: &Rows) -> std::io::Result<BTreeMap<StreamId, Stream>> {
    let mut streams: BTreeMap<StreamId, Stream> = BTreeMap::new();
    let gap_streams = rows.gaps.iter().map(|gap| &gap.stream);
    for id in rows.nexts.keys().chain(rows.cursors.keys()).chain(gap_streams) {
        streams.entry(*id).or_default();
    }
    for (header, bytes) in &rows.control {
        let span = Span { bytes: *bytes, disk_bytes: *bytes };
        let stream = streams.entry(header.stream).or_default();
        stream.spans.insert(header.first, span);
        stream.next = stream.next.max(header.end());
    }
    for folder in host.list(dir)? {
        let Some(name) = name_of(&folder) else { continue };
        let disk_bytes = host.length(&dir.join(folder).join("db")).unwrap_or_default();
        let span = Span { bytes: disk_bytes, disk_bytes };
        streams.entry(name.stream).or_default().spans.insert(name.first, span);
    }
    for (id, stream) in &mut streams {
        if let Some((acked, crc)) = rows.cursors.get(id) {
            (stream.acked, stream.acked_crc) = (*acked, *crc);
        }
    }
    Ok(streams)
}

/// The generation that lies in a folder of this name, sound or set aside.
fn name_of(folder: &str) -> Option<GenerationName> {
    folder.strip_prefix(QUARANTINE_PREFIX).unwrap_or(folder).parse().ok()
}

/// The generations that were set aside.
pub(super) fn quarantined(host: &dyn Host, dir: &Path) -> std::io::Result<BTreeSet<GenerationName>> {
    let names = host.list(dir)?;
    Ok(names
        .iter()
        .filter(|name| name.starts_with(QUARANTINE_PREFIX))
        .filter_map(|name| name_of(name))
        .collect())
}

/// Where a generation lies.
pub(super) fn folder(host: &dyn Host, dir: &Path, name: GenerationName) -> PathBuf {
    let aside = dir.join(format!("{QUARANTINE_PREFIX}{name}"));
    if host.exists(&aside) { aside } else { dir.join(name.to_string()) }
}
