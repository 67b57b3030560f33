//! Jobs on a disk that has no room for what is to be written of them; signed ones beside.

mod signed;

mod locked;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use tokio_util::sync::CancellationToken;

use super::actor::Actor;
use super::follower::End;
use super::{SealKeys, Settings, Surroundings};
use crate::agent::state::State;
use crate::exec::Handlers;
use crate::id::JobId;
use crate::job::JobState;
use crate::job::journal::{Entry, Stage};
use crate::job::process::BootId;
use crate::limit;
use crate::outbox::job::{JobChange, ReservationChange, SpecChange};
use crate::outbox::store::host::Host;
use crate::outbox::{Options, Outbox};
use crate::sim::disk::Disk;
use crate::time::{BootTime, HubTime, WallTime};

const DIR: &str = "/data/outbox";
const NOW: WallTime = WallTime(1_800_000_000_000);

struct World {
    disk: Disk,
    job: JobId,
}

impl World {
    /// An agent that ended while the journal said this of a job.
    async fn left(stage: Stage) -> Self {
        let disk = Disk::new(Rng::with_seed(1), 64 << 20);
        disk.set_now(BootTime(Duration::from_secs(100)));
        let world = Self { disk, job: JobId::from_time(NOW.0, [7; 10]) };
        let spec = Bytes::from_static(br#"{"kind":"exec","payload":{"argv":["true"]}}"#);
        world.leave(HubTime(NOW.0), stage, spec).await;
        world
    }

    /// Writes the job's row as a process that ends then.
    async fn leave(&self, created_at: HubTime, stage: Stage, spec: Bytes) {
        let outbox = self.open();
        let change = JobChange {
            job: self.job,
            row: Entry { created_at, run: 1, stage }.encode().into(),
            spec: SpecChange::Put(spec),
            reservation: ReservationChange::Take,
            forget: None,
            records: Vec::new(),
        };
        outbox.change_job(change).await.unwrap();
        outbox.close().await.unwrap();
    }

    fn open(&self) -> Outbox {
        Outbox::open_on(Arc::new(self.disk.clone()), Path::new(DIR), Options::default()).unwrap()
    }

    /// An opening on a full disk has given up what was kept for that, and others leave what another one takes, and less
    /// than a job's words take.
    fn fill(&self) {
        let dir = Path::new(DIR);
        self.disk.remove_file(&dir.join("BALLAST")).unwrap();
        self.disk.release_file(&dir.join("core/db")).unwrap();
        let free = self.disk.free_bytes(dir).unwrap();
        self.disk.set_others(free - (limit::CORE_LAST_BYTES + limit::CORE_COMMIT_BYTES) / 2);
    }

    async fn actor(&self) -> Actor {
        let with = Surroundings {
            outbox: self.open(),
            state: State::default(),
            wall_clock: || NOW,
            keys: SealKeys::default(),
            operator_keys: None,
        };
        let stop = CancellationToken::new();
        Actor::restore(Settings::default(), Handlers::default(), with, stop).await.unwrap()
    }

    fn stage(&self, actor: &Actor) -> Stage {
        actor.journal.get(self.job).unwrap().stage
    }
}

#[tokio::test]
async fn a_job_found_begun_on_a_full_disk_ends_when_there_is_room() {
    let boot = BootId::from_bytes([9; 16]);
    let running = Stage::Running { accepted_at: NOW, boot, process: None, started_at: NOW };
    let world = World::left(running).await;
    world.fill();
    let mut actor = world.actor().await;
    assert_eq!(world.stage(&actor), running, "there is no room to say how it ended");
    actor.tend().await;
    assert_eq!(world.stage(&actor), running);
    world.disk.set_others(0);
    actor.tend().await;
    assert_eq!(world.stage(&actor), Stage::Finished { state: JobState::Interrupted, at: NOW });
    actor.tend().await;
    let control = actor.with.outbox.stat().await.unwrap().lane(crate::id::Lane::Control).records;
    assert_eq!(control, 1, "it is told once");
    actor.with.outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_job_whose_turn_comes_on_a_full_disk_has_another_when_there_is_room() {
    let world = World::left(Stage::Accepted { at: NOW }).await;
    world.fill();
    let mut actor = world.actor().await;
    assert_eq!(actor.begin(world.job).await, None, "nothing runs before the journal says so");
    actor.over(world.job, End::Refused).await;
    assert_eq!(actor.deferred.iter().map(|(_, job)| *job).collect::<Vec<_>>(), [world.job]);
    world.disk.set_others(0);
    assert_eq!(actor.begin(world.job).await, Some(2));
    actor.with.outbox.close().await.unwrap();
}
