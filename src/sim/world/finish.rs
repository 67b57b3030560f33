//! The end of a run: everything is looked at once more, or everything has to arrive.

use std::time::Duration;

use crate::limit;
use crate::time::BootTime;

use super::World;

/// Rounds within which everything arrives once nothing goes wrong any more.
const ROUNDS_MAX: u32 = 20_000;
/// And virtual time: a login that was replaced waits a minute, and a job is offered again after half of one.
const TIME_MAX: Duration = Duration::from_secs(3600);

impl World {
    /// What is open is not only counted but read.
    pub(super) fn end_of_safety(&mut self) {
        self.end_troubles();
        for index in 0..self.agents.len() {
            let (agents, _, _, mut around) = self.split();
            agents[index].die(&mut around, None);
            agents[index].start_at = BootTime::default();
            agents[index].start(&mut around);
            assert!(agents[index].process.is_some(), "agent {index} does not start without a trouble");
            agents[index].audit(&mut around);
        }
    }

    fn end_troubles(&mut self) {
        self.is_calm = true;
        self.hub.full = false;
        self.hub.up_at = BootTime::default();
        for agent in &self.agents {
            agent.disk.calm();
        }
        for cable in self.cables.values_mut() {
            cable.up.stall(BootTime::default());
            cable.down.stall(BootTime::default());
        }
        self.restart_degraded();
    }

    /// A fresh record of each lane and the whole backlog arrive, and nothing is left.
    pub(super) fn end_of_liveness(&mut self) {
        self.end_troubles();
        // What agents know of their disks is that old: until they look again a full one evicts.
        self.now = self.now.after(limit::FREE_LOOK_INTERVAL.max(limit::DISK_RETRY_INTERVAL));
        let began = self.now;
        let mut fresh: Vec<Option<Vec<usize>>> = vec![None; self.agents.len()];
        let mut before = 0;
        for _ in 0..ROUNDS_MAX {
            for index in 0..self.agents.len() {
                self.agent_turn(index);
                let (agents, _, _, mut around) = self.split();
                if fresh[index].is_none() {
                    fresh[index] = agents[index].append_fresh(&mut around);
                }
                agents[index].job_step(&mut around);
                while agents[index].handle_message(&mut around) {}
                agents[index].tend(&mut around);
            }
            for line in self.hub.lines() {
                self.line_turn(line);
            }
            let (_, hub, _, mut around) = self.split();
            hub.write(&mut around);
            self.sweep();
            let fresh = fresh.iter().flatten().flatten();
            let arrived = fresh.clone().count() >= 3 * self.agents.len()
                && fresh.into_iter().all(|serial| self.truth.is_at_hub(*serial));
            if arrived && self.is_done() {
                return;
            }
            let moved = self.truth.delivered != std::mem::replace(&mut before, self.truth.delivered);
            self.now = self.now.after(Duration::from_millis(if moved { 10 } else { 400 }));
            if self.now.since(began) > TIME_MAX {
                break;
            }
        }
        panic!(
            "not everything arrives in {:?}: fresh {fresh:?}, open messages {:?}, open jobs {:?}, open records:\n{}{}",
            self.now.since(began),
            self.truth.relays.open(),
            self.hub.store.open_jobs().collect::<Vec<_>>(),
            self.truth.open_text(),
            self.agents.iter().map(|agent| agent.left()).collect::<String>(),
        );
    }

    fn is_done(&self) -> bool {
        let jobs = self.truth.jobs.is_excused() || self.hub.store.open_jobs().next().is_none();
        let messages = self.hub.store.relays.is_empty() && self.truth.relays.open().is_empty();
        jobs && messages
            && self.truth.open_count() == 0
            && self.agents.iter().all(|agent| agent.is_drained() && agent.is_idle())
    }
}
