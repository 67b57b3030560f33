//! What damage has done to one agent's disk, as far as it excuses the judge from asking for what nothing tells any more.

use std::collections::BTreeSet;
use std::path::Path;

use crate::id::{Lane, StreamId};
use crate::outbox::ledger::Ledger;
use crate::outbox::name::GenerationName;
use crate::sim::truth::{Folder, Truth};

/// Where bytes were changed.
#[derive(Debug, Clone, Default)]
pub(in crate::sim) struct Harm {
    /// Anywhere.
    any: bool,
    /// The power went at about that time: what the mark promised may be forgotten with what damage took.
    blurred: bool,
    /// How often in the core, since the last start: a row may be gone that said where a closed epoch ends, and of control the
    /// last block with another one.
    core: u32,
    /// In generations of these streams: the last block, which says the same, may be gone.
    streams: BTreeSet<StreamId>,
}

impl Harm {
    pub(in crate::sim) const fn is_any(&self) -> bool {
        self.any
    }

    /// Bytes of this file changed while the process was there, or was not.
    pub(in crate::sim) fn hit(&mut self, path: &str, is_down: bool) {
        let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let generation = name.strip_prefix("quarantine-").unwrap_or(name).parse::<GenerationName>();
        self.any = true;
        // The power may have gone just before.
        self.blurred |= is_down;
        self.core += u32::from(name == "core");
        self.streams.extend(generation.map(|name| name.stream));
    }

    /// The machine lost its power, or its disk became what a power cut would have left.
    pub(in crate::sim) fn power_lost(&mut self) {
        self.blurred |= self.any;
    }

    /// A start did not come to its end: it may have told of the core already.
    pub(super) fn interrupted(&mut self) {
        self.blurred |= self.core > 0;
    }

    /// After a start: what it cannot have found any more is not asked for. `has_room`: for the words that tell of it.
    pub(super) fn excuse(&mut self, folder: Folder, ledger: &Ledger, has_room: bool, truth: &mut Truth) {
        // On a full disk the next start tells.
        let told = ledger.next(Lane::Control) > 1 || !has_room;
        if std::mem::take(&mut self.blurred) {
            truth.forgive(folder, ledger, |_| true);
        }
        // Only where the hub is told that something of the core is lost.
        let hits = std::mem::take(&mut self.core);
        if hits > 0 && told {
            truth.forgive(folder, ledger, |stream| match stream.lane {
                Lane::Control => hits > 1,
                Lane::Events | Lane::Logs => self.streams.contains(&stream),
            });
        }
    }
}
