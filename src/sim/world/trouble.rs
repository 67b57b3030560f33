//! What goes wrong, one kind a function.

use std::time::Duration;

use crate::sim::agent::{Agent, Death};
use crate::sim::disk::Disk;
use crate::sim::scenario::Trouble;

use super::{Image, World};

/// Steps of the disk within which an agent that is to die does.
const FUSE_STEPS: u64 = 40;
const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;

impl World {
    /// One trouble of the scenario.
    pub(super) fn trouble(&mut self) {
        let Some(trouble) = self.rng.choice(self.scenario.troubles.clone()) else { return };
        let index = self.rng.usize(0..self.agents.len());
        if self.trace {
            println!("           {trouble:?} ({index})");
        }
        match trouble {
            Trouble::Cut | Trouble::Stall | Trouble::WireFlip => self.trouble_cable(trouble),
            Trouble::Kill => self.arm(index, Death::Kill),
            Trouble::PowerCut => self.arm(index, Death::PowerCut),
            Trouble::Stop => {
                let (agents, _, _, mut around) = self.split();
                agents[index].stop(&mut around);
            }
            Trouble::HubCrash => {
                let (_, hub, cables, mut around) = self.split();
                hub.crash(cables, &mut around);
            }
            Trouble::HubFull => self.hub.full = !self.hub.full,
            Trouble::FailedSync => {
                let after = self.rng.u32(0..10);
                self.agents[index].disk.fail_sync(Some(after));
                self.restart_degraded();
            }
            Trouble::FullDisk => self.fill(index),
            Trouble::DiskFlip => self.flip(index),
            Trouble::ClockJump => {
                let ms = self.rng.i64(-60 * YEAR_MS..30 * YEAR_MS);
                self.agents[index].wall_offset = if self.rng.bool() { ms } else { 0 };
            }
            Trouble::Restored => self.restore(index),
            Trouble::Wiped => {
                self.kill(index);
                let folder = self.agents[index].folder;
                self.agents[index].disk.wipe();
                self.images.clear();
                self.truth.folder_restored(folder, 0);
            }
            Trouble::Cloned | Trouble::SecondLogin => self.second(trouble),
            Trouble::HubRestored => self.restore_hub(),
        }
        self.sweep();
    }

    fn trouble_cable(&mut self, trouble: Trouble) {
        let lines: Vec<u64> = self.cables.keys().copied().collect();
        let Some(line) = self.rng.choice(lines) else { return };
        let until = self.now.after(Duration::from_millis(self.rng.u64(0..40_000)));
        let Some(cable) = self.cables.get_mut(&line) else { return };
        match (trouble, self.rng.u8(0..3)) {
            (Trouble::Cut, 0) => cable.up.cut(),
            (Trouble::Cut, 1) => cable.down.cut(),
            (Trouble::Cut, _) => {
                cable.up.cut();
                cable.down.cut();
            }
            (Trouble::Stall, 0) => cable.up.stall(until),
            (Trouble::Stall, _) => cable.down.stall(until),
            (_, 0) => cable.up.flip(&mut self.rng),
            _ => cable.down.flip(&mut self.rng),
        }
    }

    /// The process ends now, or within a call into the store.
    fn arm(&mut self, index: usize, death: Death) {
        if self.rng.bool() {
            let steps = self.rng.u64(0..FUSE_STEPS);
            self.agents[index].armed = death;
            self.agents[index].disk.stop_after(steps);
        } else {
            let (agents, _, _, mut around) = self.split();
            agents[index].die(&mut around, Some(death));
        }
    }

    fn kill(&mut self, index: usize) {
        let (agents, _, _, mut around) = self.split();
        agents[index].die(&mut around, Some(Death::Kill));
    }

    /// What takes nothing more until it is started again is started again.
    pub(super) fn restart_degraded(&mut self) {
        for index in 0..self.agents.len() {
            let process = self.agents[index].process.as_ref();
            if process
                .is_some_and(|process| process.store.poisoned().is_some() || self.agents[index].harm.is_any())
            {
                let (agents, _, _, mut around) = self.split();
                agents[index].stop(&mut around);
            }
        }
    }

    /// Others fill the disk, or make room.
    fn fill(&mut self, index: usize) {
        let disk = &self.agents[index].disk;
        let others = if self.rng.bool() { 0 } else { disk.capacity() - self.rng.u64(0..3 << 20) };
        disk.set_others(others);
    }

    fn flip(&mut self, index: usize) {
        if self.agents[index].process.is_none() && self.rng.u8(0..4) == 0 {
            return self.flip_mark(index);
        }
        let fits =
            |path: &str| path.contains("/events-") || path.contains("/logs-") || path.ends_with("/core");
        let sickness = self.rng.choice([
            crate::sim::disk::Sickness::None,
            crate::sim::disk::Sickness::Unreadable,
            crate::sim::disk::Sickness::Unopenable,
        ]);
        let sickness = sickness.unwrap_or_default();
        let damaged = self.agents[index].disk.damage_database(&mut self.rng, sickness, fits);
        if let Some(path) = &damaged {
            let is_down = self.agents[index].process.is_none();
            self.agents[index].harm.hit(path, is_down);
            self.truth.damaged = true;
        }
        if damaged.as_ref().is_some_and(|path| path.ends_with("/core")) {
            // A job whose row is damaged is not run again, and nobody knows how it ended.
            self.truth.jobs.excuse();
            self.truth.core_damaged = true;
        }
        self.split().3.say(|| format!("{sickness:?}: {damaged:?}"));
    }

    /// A byte of the mark changes while nobody has it open: what else is damaged may go without a word.
    fn flip_mark(&mut self, index: usize) {
        let path = std::path::Path::new("/data/outbox/mark");
        if self.agents[index].disk.damage_file(&mut self.rng, path) {
            self.agents[index].harm.hit("mark", true);
            self.truth.damaged = true;
        }
    }

    /// An image is taken, or the disk becomes one that was.
    fn restore(&mut self, index: usize) {
        let folder = self.agents[index].folder;
        if self.images.is_empty() || self.rng.bool() {
            let disk = self.agents[index].disk.copy();
            self.images.push(Image { folder, disk, reports: self.truth.reports() });
            return;
        }
        let chosen = self.rng.usize(0..self.images.len());
        if self.images[chosen].folder != folder {
            return;
        }
        self.kill(index);
        let image = &self.images[chosen];
        self.agents[index].disk.restore(&image.disk);
        let reports = image.reports;
        self.images.retain(|image| image.reports <= reports);
        self.truth.folder_restored(folder, reports);
        // The image is what a power cut would have left.
        self.agents[index].harm.power_lost();
    }

    /// Another agent of the same name: with a copy of the folder, or with one of its own.
    fn second(&mut self, trouble: Trouble) {
        if self.agents.len() > 1 {
            return;
        }
        let disk = match trouble {
            Trouble::Cloned => self.agents[0].disk.copy(),
            _ => Disk::new(self.rng.fork(), self.scenario.disk_bytes),
        };
        disk.set_order(self.scenario.order);
        self.agents.push(Agent::new(1, disk, self.now));
        self.truth.jobs.excuse();
    }

    /// A backup of the hub is made, or taken back.
    fn restore_hub(&mut self) {
        if self.hub_image.is_none() || self.rng.bool() {
            self.hub_image = Some(self.hub.store.clone());
            return;
        }
        let Some(image) = self.hub_image.clone() else { return };
        let (agents, hub, cables, mut around) = self.split();
        hub.crash(cables, &mut around);
        // Acks on their way would arrive later as well as now, or never: it is the same.
        for agent in agents.iter_mut() {
            agent.end_session(&mut around, Duration::ZERO);
        }
        let holds = |folder: usize, id: crate::id::RecordId| {
            let process = agents[folder].process.as_ref();
            let held = process.and_then(|process| process.store.ledger().stream(id.stream));
            held.is_some_and(|stream| stream.acked < id.seq && id.seq < stream.next)
        };
        around.truth.hub_restored(&image.marks, holds);
        let kept: Vec<_> = image.relays.values().map(|(_, payload)| payload.clone()).collect();
        around.truth.relays.hub_restored(&kept);
        hub.store = image;
    }
}
