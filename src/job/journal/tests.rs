use proptest::prelude::*;

use super::*;

const BOOT: BootId = BootId::from_bytes([1; 16]);
const NEVER: HubTime = HubTime(u64::MAX);

fn job(number: u8) -> JobId {
    JobId::from_bytes([number; 16])
}

fn accepted(created_at: u64) -> Entry {
    Entry { created_at: HubTime(created_at), run: 0, stage: Stage::Accepted { at: WallTime(created_at) } }
}

fn finished(created_at: u64, at: u64) -> Entry {
    let stage = Stage::Finished { state: JobState::Succeeded, at: WallTime(at) };
    Entry { created_at: HubTime(created_at), run: 1, stage }
}

fn running(process: Option<ProcessId>) -> Entry {
    let stage = Stage::Running { accepted_at: WallTime(1), boot: BOOT, process, started_at: WallTime(2) };
    Entry { created_at: HubTime(1), run: 1, stage }
}

fn offered(journal: &Journal, number: u8, created_at: u64) -> Offered {
    journal.offered(job(number), HubTime(created_at), NEVER, HubTime(created_at), 2)
}

#[test]
fn an_offer_is_new_once_and_then_answered_with_its_state() {
    let mut journal = Journal::default();
    assert_eq!(offered(&journal, 1, 5), Offered::New);
    journal.set(job(1), accepted(5));
    assert_eq!(offered(&journal, 1, 5), Offered::Duplicate(JobState::Accepted));
    journal.set(job(1), running(None));
    assert_eq!(offered(&journal, 1, 5), Offered::Duplicate(JobState::Running));
    journal.set(job(1), finished(5, 9));
    assert_eq!(offered(&journal, 1, 5), Offered::Duplicate(JobState::Succeeded));
    assert_eq!((journal.open_count(), journal.counts()), (0, BTreeMap::from([("succeeded", 1)])));
}

#[test]
fn a_full_queue_is_busy_and_a_finished_job_makes_room() {
    let mut journal = Journal::default();
    journal.set(job(1), accepted(1));
    journal.set(job(2), running(None));
    assert_eq!(offered(&journal, 3, 3), Offered::Refused(Refusal::Busy));
    assert_eq!(offered(&journal, 2, 3), Offered::Duplicate(JobState::Running));
    journal.set(job(2), finished(2, 9));
    assert_eq!(offered(&journal, 3, 3), Offered::New);
}

#[test]
fn what_is_late_is_expired_to_the_millisecond() {
    let journal = Journal::default();
    let at = |now| journal.offered(job(1), HubTime(1), HubTime(100), HubTime(now), 2);
    assert_eq!(at(99), Offered::New);
    assert_eq!(at(100), Offered::Refused(Refusal::Expired));
}

#[test]
fn a_cancel_depends_on_how_far_the_job_is() {
    let mut journal = Journal::default();
    assert_eq!(journal.cancelled(job(1)), Cancelled::Unknown);
    journal.set(job(1), accepted(1));
    assert_eq!(journal.cancelled(job(1)), Cancelled::Waiting);
    journal.set(job(1), running(None));
    assert_eq!(journal.cancelled(job(1)), Cancelled::Begun);
    journal.set(job(1), finished(1, 2));
    assert_eq!(journal.cancelled(job(1)), Cancelled::Finished(JobState::Succeeded));
}

#[test]
fn a_restart_finds_survivors_only_in_the_same_boot() {
    let process = ProcessId { pid: 7, start_ticks: 8, boot: BOOT };
    let mut journal = Journal::default();
    journal.set(job(1), running(Some(process)));
    let starting = Stage::Starting { accepted_at: WallTime(2), boot: BOOT };
    journal.set(job(2), Entry { stage: starting, ..accepted(2) });
    journal.set(job(3), accepted(3));
    let survivors = |boot| -> Vec<_> {
        let found = journal.found(boot).into_iter().map(|(_, found)| match found {
            Found::Waiting => None,
            Found::Begun { survivor, .. } => Some(survivor),
        });
        found.collect()
    };
    assert_eq!(survivors(BOOT), [Some(Survivor::Group(process)), Some(Survivor::Unknown), None]);
    assert_eq!(survivors(BootId::from_bytes([2; 16])), [Some(Survivor::None), Some(Survivor::None), None]);
}

#[test]
fn what_was_forgotten_is_too_old_and_nothing_young_is_forgotten() {
    let day = 24 * 3600 * 1000;
    let mut journal = Journal::default();
    let count = limit::JOBS_REMEMBERED as u64 + 5;
    for number in 0..count {
        journal.set(job(u8::try_from(number).unwrap()), finished(1000 + number, 2000 + number));
    }
    assert_eq!(journal.forgettable(WallTime(2000 + 90 * day), 100), []);
    let now = WallTime(2002 + 90 * day);
    assert_eq!(journal.forgettable(now, 1), [job(0)]);
    let gone = journal.forgettable(now, 100);
    assert_eq!(gone, [job(0), job(1)]);
    let remembered = encode_remembered(journal.remembered_without(&gone).unwrap());
    journal.forget(&gone);
    let rows: Vec<_> = journal.jobs.iter().map(|(job, entry)| (*job, entry.encode())).collect();
    let restored =
        Journal::restore(rows.iter().map(|(job, row)| (*job, row.as_slice())), Some(&remembered)).unwrap();
    assert_eq!(restored, journal);
    assert_eq!(offered(&restored, 0, 1000), Offered::Refused(Refusal::TooOld));
    assert_eq!(offered(&restored, 200, 1001), Offered::Refused(Refusal::TooOld));
    assert_eq!(offered(&restored, 200, 1002), Offered::New);
    assert_eq!(offered(&restored, 2, 1002), Offered::Duplicate(JobState::Succeeded));
}

#[test]
fn the_hard_bound_forgets_young_ones_too() {
    let mut journal = Journal::default();
    let count = limit::JOBS_REMEMBERED_MAX as u64 + 3;
    for number in 0..count {
        journal.set(job(u8::try_from(number).unwrap()), finished(number, number));
    }
    assert_eq!(journal.forgettable(WallTime(count), 100), [job(0), job(1), job(2)]);
}

#[test]
fn damaged_and_later_rows_are_told_apart() {
    let row = running(Some(ProcessId { pid: 7, start_ticks: 8, boot: BOOT })).encode();
    for end in 0..row.len() {
        assert_eq!(row::decode(&row[..end]), Err(RowError::Damaged), "{end}");
    }
    let later = [&[2], &row[1..]].concat();
    assert!(row::decode(&later).unwrap_err().to_string().contains("newer program"));
    assert_eq!(row::decode(&[row.as_slice(), &[0]].concat()), Err(RowError::Damaged));
}

/// What happens to an agent, in any order.
#[derive(Debug, Clone)]
enum Event {
    Offer(u8),
    Start,
    Started(u8),
    Finish(u8),
    Cancel(u8),
    /// A cancel's or finish's row does not become durable: the agent is killed before.
    Killed(u8),
    Restart,
    Reboot,
    Forget,
}

fn event() -> impl Strategy<Value = Event> {
    let number = 0..40u8;
    prop_oneof![
        6 => number.clone().prop_map(Event::Offer),
        6 => Just(Event::Start),
        4 => number.clone().prop_map(Event::Started),
        6 => number.clone().prop_map(Event::Finish),
        2 => number.clone().prop_map(Event::Cancel),
        1 => number.prop_map(Event::Killed),
        1 => Just(Event::Restart),
        1 => Just(Event::Reboot),
        1 => Just(Event::Forget),
    ]
}

/// An agent that does what the journal says: only rows outlive a restart.
#[derive(Debug, Default)]
struct Agent {
    journal: Journal,
    rows: BTreeMap<JobId, Vec<u8>>,
    remembered: Option<Vec<u8>>,
    boot: u8,
    now: u64,
    /// Processes that exist now.
    alive: BTreeSet<JobId>,
    /// How often each job's process was made, and each result told.
    starts: BTreeMap<JobId, u32>,
    results: BTreeMap<JobId, u32>,
}

impl Agent {
    fn write(&mut self, job: JobId, entry: Entry) {
        self.rows.insert(job, entry.encode());
        self.journal.set(job, entry);
        if let Stage::Finished { .. } = entry.stage {
            *self.results.entry(job).or_default() += 1;
        }
    }

    fn boot(&self) -> BootId {
        BootId::from_bytes([self.boot; 16])
    }

    fn finish(&mut self, job: JobId, state: JobState) {
        let before = *self.journal.get(job).unwrap();
        self.write(job, Entry { stage: Stage::Finished { state, at: WallTime(self.now) }, ..before });
    }

    /// Jobs with an even number run again after a crash.
    fn on_crash(job: JobId) -> OnCrash {
        if job.as_bytes()[0].is_multiple_of(2) { OnCrash::Rerun } else { OnCrash::Report }
    }

    fn restart(&mut self) {
        let rows: Vec<_> = self.rows.iter().map(|(job, row)| (*job, row.as_slice())).collect();
        self.journal = Journal::restore(rows, self.remembered.as_deref()).unwrap();
        for (job, found) in self.journal.found(self.boot()) {
            let Found::Begun { survivor, .. } = found else { continue };
            if survivor != Survivor::None {
                self.alive.remove(&job);
            }
            assert!(!self.alive.contains(&job), "{job} is still alive");
            match Journal::after_crash(Self::on_crash(job)) {
                AfterCrash::Interrupted => self.finish(job, JobState::Interrupted),
                AfterCrash::Rerun => {
                    let before = *self.journal.get(job).unwrap();
                    self.write(job, before.put_back());
                }
            }
        }
        assert_eq!(self.alive, BTreeSet::new(), "nothing outlives a restart");
    }

    fn apply(&mut self, event: &Event) {
        self.now += 10 * 24 * 3600 * 1000;
        match event {
            Event::Offer(number) => {
                let (id, created_at) = (job(*number), HubTime(u64::from(*number)));
                if self.journal.offered(id, created_at, NEVER, HubTime(self.now), 8) == Offered::New {
                    self.write(
                        id,
                        Entry { stage: Stage::Accepted { at: WallTime(self.now) }, ..accepted(created_at.0) },
                    );
                }
            }
            Event::Start => {
                let waits = |id: &JobId| matches!(self.journal.jobs[id].stage, Stage::Accepted { .. });
                let Some(id) = self.journal.open().find(waits) else { return };
                let before = self.journal.jobs[&id];
                let accepted_at = before.stage.accepted_at().unwrap();
                let stage = Stage::Starting { accepted_at, boot: self.boot() };
                self.write(id, Entry { run: before.run + 1, stage, ..before });
                assert!(self.alive.insert(id), "{id} runs twice at once");
                *self.starts.entry(id).or_default() += 1;
            }
            Event::Started(number) => {
                let Some(before) = self.journal.get(job(*number)).copied() else { return };
                let Stage::Starting { accepted_at, boot } = before.stage else { return };
                let process = Some(ProcessId { pid: 1 + u32::from(*number), start_ticks: self.now, boot });
                let stage = Stage::Running { accepted_at, boot, process, started_at: WallTime(self.now) };
                self.write(job(*number), Entry { stage, ..before });
            }
            Event::Finish(number) => {
                if self.alive.remove(&job(*number)) {
                    self.finish(job(*number), JobState::Succeeded);
                }
            }
            Event::Cancel(number) => match self.journal.cancelled(job(*number)) {
                Cancelled::Unknown => {
                    let stage = Stage::Finished { state: JobState::Cancelled, at: WallTime(self.now) };
                    let created_at = HubTime(u64::from(*number));
                    if self.journal.forgotten.is_none_or(|forgotten| created_at > forgotten) {
                        self.write(job(*number), Entry { created_at, run: 0, stage });
                    }
                }
                Cancelled::Waiting => self.finish(job(*number), JobState::Cancelled),
                Cancelled::Begun => {
                    self.alive.remove(&job(*number));
                    self.finish(job(*number), JobState::Cancelled);
                }
                Cancelled::Finished(_) => {}
            },
            Event::Killed(number) => {
                // The process ended, its row was not written: the restart must not take that for "not begun".
                self.alive.remove(&job(*number));
                self.restart();
            }
            Event::Restart => self.restart(),
            Event::Reboot => {
                self.boot += 1;
                self.alive.clear();
                self.restart();
            }
            Event::Forget => {
                let gone = self.journal.forgettable(WallTime(self.now), 4);
                if let Some(newest) = self.journal.remembered_without(&gone) {
                    self.remembered = Some(encode_remembered(newest));
                }
                gone.iter().for_each(|job| drop(self.rows.remove(job)));
                self.journal.forget(&gone);
            }
        }
    }
}

proptest! {
    #[test]
    fn in_any_order_of_events_a_job_runs_once_and_is_told_once(
        events in proptest::collection::vec(event(), 1..300)
    ) {
        let mut agent = Agent::default();
        for event in &events {
            agent.apply(event);
            prop_assert!(agent.journal.open_count() <= 8);
            for (job, starts) in &agent.starts {
                prop_assert!(*starts == 1 || Agent::on_crash(*job) == OnCrash::Rerun, "{job} ran {starts} times");
            }
            for (job, results) in &agent.results {
                prop_assert_eq!(*results, 1, "{} was told more than once", job);
            }
        }
        agent.restart();
        for (id, entry) in &agent.journal.jobs {
            let told = agent.results.contains_key(id);
            prop_assert_eq!(told, entry.stage.is_finished(), "{}", id);
        }
    }
}

#[test]
fn a_job_whose_later_rows_may_be_lost_is_found_begun_and_one_that_is_over_stays_so() {
    let mut journal = Journal::default();
    journal.set(job(1), accepted(1));
    journal.set(job(2), finished(2, 9));
    journal.set(job(3), accepted(3));
    for number in 1..3 {
        journal.doubt(job(number));
    }
    assert!(journal.is_doubtful(job(1)) && !journal.is_doubtful(job(2)));
    let begun = Found::Begun { survivor: Survivor::Unknown, started_at: None };
    assert_eq!(journal.found(BOOT), [(job(1), begun), (job(3), Found::Waiting)]);
    journal.set(job(1), finished(1, 10));
    assert!(!journal.is_doubtful(job(1)), "its row is the last one now");
}

#[test]
fn a_journal_that_may_lack_jobs_refuses_what_was_created_before() {
    let mut journal = Journal::default();
    journal.forget_until(HubTime(100));
    assert_eq!(offered(&journal, 1, 100), Offered::Refused(Refusal::TooOld));
    assert_eq!(offered(&journal, 1, 101), Offered::New);
}
