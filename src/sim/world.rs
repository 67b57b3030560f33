//! The world: agents, hub and cables, and one step after the other, drawn from one seed.

mod finish;
mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;

use crate::id::JobId;
use crate::session::tests::fixture;
use crate::time::BootTime;

use super::agent::Agent;
use super::around::Around;
use super::cable::Cable;
use super::disk::Disk;
use super::hub::{Hub, HubStore};
use super::scenario::{Mode, Scenario};
use super::truth::{Folder, Truth};

/// A disk as it was.
struct Image {
    folder: Folder,
    disk: Disk,
    reports: u64,
}

/// Everything there is.
pub(super) struct World {
    scenario: Scenario,
    rng: Rng,
    now: BootTime,
    truth: Truth,
    hub: Hub,
    agents: Vec<Agent>,
    cables: BTreeMap<u64, Cable>,
    next_line: u64,
    images: Vec<Image>,
    hub_image: Option<HubStore>,
    trace: bool,
    /// Nothing goes wrong any more.
    is_calm: bool,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    pub(super) delivered: u64,
    pub(super) declared: u64,
    pub(super) hub_lost: u64,
    pub(super) forgiven: u64,
    pub(super) handled: u64,
}

impl World {
    pub(super) fn new(scenario: &Scenario, trace: bool) -> Self {
        let mut rng = Rng::with_seed(scenario.seed);
        let now = fixture::START;
        let disk = Disk::new(rng.fork(), scenario.disk_bytes);
        disk.set_order(scenario.order);
        Self {
            scenario: scenario.clone(),
            now,
            truth: Truth::default(),
            hub: Hub::new(now),
            agents: vec![Agent::new(0, disk, now)],
            cables: BTreeMap::new(),
            next_line: 0,
            images: Vec::new(),
            hub_image: None,
            trace,
            is_calm: false,
            rng,
        }
    }

    /// The whole run; panics where a promise is broken.
    pub(super) fn run(mut self) -> Figures {
        for _ in 0..self.scenario.steps {
            self.step();
            if self.rng.u32(0..self.scenario.calm) == 0 {
                self.trouble();
            }
        }
        match self.scenario.mode {
            Mode::Safety => self.end_of_safety(),
            Mode::Liveness => self.end_of_liveness(),
        }
        Figures {
            delivered: self.truth.delivered,
            declared: self.truth.declared,
            hub_lost: self.truth.hub_lost.len() as u64,
            forgiven: self.truth.forgiven,
            handled: self.truth.relays.handled,
        }
    }

    /// The parts a step works on, side by side.
    fn split(&mut self) -> (&mut Vec<Agent>, &mut Hub, &mut BTreeMap<u64, Cable>, Around<'_>) {
        let Self { scenario, rng, now, truth, hub, agents, cables, trace, is_calm, .. } = self;
        let around = Around { now: *now, rng, truth, scenario, trace: *trace, is_calm: *is_calm };
        (agents, hub, cables, around)
    }

    fn step(&mut self) {
        let agent = self.rng.usize(0..self.agents.len());
        match self.rng.u8(0..40) {
            0..=13 => self.agent_turn(agent),
            14..=25 => self.hub_turn(),
            26..=29 => {
                let (_, hub, _, mut around) = self.split();
                hub.write(&mut around);
            }
            30..=32 => {
                let (agents, _, _, mut around) = self.split();
                agents[agent].append(&mut around);
            }
            33 | 34 if self.scenario.jobs => {
                let (agents, _, _, mut around) = self.split();
                agents[agent].job_step(&mut around);
            }
            35 if self.scenario.jobs => self.order_job(),
            36 => self.pass(1000),
            37 => self.pass(20_000),
            _ => self.pass(50),
        }
        if self.scenario.relays && self.rng.u8(0..6) == 0 {
            let (agents, _, _, mut around) = self.split();
            agents[agent].relay_step(&mut around);
        }
        self.sweep();
    }

    /// An operator submits a job, or cancels one.
    fn order_job(&mut self) {
        let open: Vec<JobId> = self.hub.store.open_jobs().map(|(id, _)| *id).collect();
        if open.len() < 3 {
            let random = std::array::from_fn(|_| self.rng.u8(..));
            let on_crash = if self.rng.bool() { "report" } else { "rerun" };
            let spec = Bytes::from(format!(r#"{{"kind":"exec","on_crash":"{on_crash}"}}"#));
            let (_, hub, _, around) = self.split();
            let job = JobId::from_time(around.hub_now().0, random);
            hub.submit(job, spec, &around);
        } else if let Some(job) = self.rng.choice(open) {
            self.hub.store.jobs.entry(job).and_modify(|job| job.cancel = true);
            self.hub.ring();
        }
    }

    fn agent_turn(&mut self, index: usize) {
        let line = self.next_line;
        let (agents, hub, cables, mut around) = self.split();
        let agent = &mut agents[index];
        agent.start(&mut around);
        let Some(process) = &agent.process else { return };
        match &process.session {
            Some(session) => {
                let line = session.line;
                let cable = cables.entry(line).or_default();
                agent.turn(cable, &mut around);
            }
            None if around.now >= agent.dial_at && hub.is_up(around.now) => {
                let nonce = around.bytes();
                agent.connect(line, nonce, &mut around);
                hub.accept(line, nonce, &mut around);
                cables.insert(line, Cable::default());
                self.next_line += 1;
            }
            None => agent.tend(&mut around),
        }
    }

    fn hub_turn(&mut self) {
        let lines = self.hub.lines();
        if let Some(line) = self.rng.choice(lines) {
            self.line_turn(line);
        }
    }

    fn line_turn(&mut self, line: u64) {
        let (_, hub, cables, mut around) = self.split();
        hub.turn(line, cables.entry(line).or_default(), &mut around);
    }

    /// Time passes, at most so many milliseconds.
    fn pass(&mut self, ms_max: u64) {
        let ms = self.rng.u64(0..=ms_max);
        self.now = self.now.after(Duration::from_millis(ms));
        let (agents, _, _, mut around) = self.split();
        for agent in agents {
            agent.tend(&mut around);
        }
    }

    /// Ends of cables that nobody holds are closed.
    fn sweep(&mut self) {
        let sessions = self.agents.iter().filter_map(|agent| agent.process.as_ref()?.session.as_ref());
        let held: Vec<u64> = sessions.map(|session| session.line).collect();
        let lines = self.hub.lines();
        for (line, cable) in &mut self.cables {
            if !held.contains(line) {
                cable.up.close();
            }
            if !lines.contains(line) {
                cable.down.close();
            }
        }
        self.cables.retain(|line, _| held.contains(line) || lines.contains(line));
    }
}
