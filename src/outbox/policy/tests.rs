use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;
const SLACK: u64 = MIB / 4;
const GENERATION: u64 = limit::GENERATION_BYTES + SLACK;

fn room(used: u64) -> Room {
    let policy = LanePolicy { max_bytes: 64 * MIB, ..LanePolicy::of(Lane::Logs) };
    let (both_max, free, min_free) = (100 * MIB, 1000 * MIB, 10 * MIB);
    let (generation, slack) = (limit::GENERATION_BYTES, SLACK);
    Room {
        policy,
        generation,
        slack,
        used,
        writer: None,
        both_used: used,
        both_max,
        free,
        min_free,
        freed: 0,
    }
}

#[test]
fn a_quota_counts_what_a_new_generation_reserves() {
    assert_eq!(room(64 * MIB - GENERATION).shortage(1), None);
    let used = 64 * MIB - GENERATION + 1;
    assert_eq!(room(used).shortage(1), Some(Short::Lane { used, max: 64 * MIB }));
    // A writer with room takes no disk, whatever is used.
    let writer = Some(Writer { length: MIB, reserved: GENERATION, begun: true });
    let full = Room { writer, free: 0, ..room(64 * MIB) };
    assert_eq!(full.shortage(3 * MIB), None);
    assert!(matches!(full.shortage(3 * MIB + 1), Some(Short::Lane { .. })));
    // A full one gives back what it had reserved.
    let writer = Some(Writer { length: 4 * MIB, reserved: GENERATION, begun: true });
    let spare = SLACK;
    assert_eq!(Room { writer, ..room(64 * MIB - GENERATION + spare) }.shortage(MIB), None);
}

#[test]
fn the_whole_and_the_disk_bound_a_lane_below_its_quota() {
    let both_used = 100 * MIB - GENERATION + 1;
    let short = Room { both_used, ..room(0) }.shortage(1);
    assert_eq!(short, Some(Short::Both { used: both_used, max: 100 * MIB }));
    assert_eq!(Room { free: 10 * MIB + GENERATION, ..room(0) }.shortage(1), None);
    let low = Room { free: 10 * MIB + GENERATION - 1, ..room(0) };
    assert!(matches!(low.shortage(1), Some(Short::Disk { min_free, .. }) if min_free == 10 * MIB));
    // What was given back for it may be taken again, though the disk stays short.
    assert_eq!(Room { freed: GENERATION, ..low }.shortage(1), None);
    assert!(Room { freed: GENERATION - 1, ..low }.shortage(1).is_some());
}

#[test]
fn only_as_urgent_or_less_urgent_lanes_that_evict_make_room() {
    let held = PerLane::from_fn(|_| true);
    let lanes = PerLane::from_fn(LanePolicy::of);
    let lane_short = Short::Lane { used: 1, max: 1 };
    let disk = Short::Disk { free: 0, min_free: 1 };
    assert_eq!(victim(lane_short, Lane::Control, &lanes, &held), None);
    assert_eq!(victim(lane_short, Lane::Events, &lanes, &held), Some(Lane::Events));
    for lane in Lane::ALL {
        assert_eq!(victim(disk, lane, &lanes, &held), Some(Lane::Logs), "{lane}");
    }
    let no_logs = PerLane::from_fn(|lane| lane != Lane::Logs);
    assert_eq!(victim(disk, Lane::Control, &lanes, &no_logs), Some(Lane::Events));
    assert_eq!(victim(disk, Lane::Events, &lanes, &no_logs), Some(Lane::Events));
    assert_eq!(victim(disk, Lane::Logs, &lanes, &no_logs), None, "events never go for logs");
    let keeping = PerLane::from_fn(|lane| LanePolicy { on_full: OnFull::Block, ..LanePolicy::of(lane) });
    assert_eq!(victim(disk, Lane::Control, &keeping, &held), None);
    assert_eq!(victim(lane_short, Lane::Logs, &keeping, &held), None);
}

#[test]
fn the_default_headroom_is_a_hundredth_and_at_most_64_mib() {
    assert_eq!(min_free(16 * MIB), 16 * MIB / 100);
    assert_eq!(min_free(1 << 40), 64 * MIB);
}

const HOUR: Duration = Duration::from_secs(3600);

fn boot(hours: u32) -> BootTime {
    BootTime(HOUR * hours)
}

/// At hour 100 of this boot the hub said that it is hour 1,000,000 (in 2084).
fn clock(offset_hours: i64) -> HubClock {
    let hour = i64::try_from(HOUR.as_millis()).unwrap();
    let time = HubTime(1_000_000 * 3_600_000);
    HubClock { time, at: boot(100), offset: ClockOffset(offset_hours * hour) }
}

fn last(hour: u64, written: Written) -> LastRecord {
    LastRecord { recorded_at: WallTime(hour * 3_600_000), written }
}

#[test]
fn what_an_earlier_process_wrote_expires_by_its_corrected_time() {
    let found = Written::Before(boot(99));
    let expired = |hour| is_expired(24 * HOUR, &clock(0), boot(110), &last(hour, found));
    assert!(expired(999_986) && !expired(999_987), "hour 1,000,010 less 24");
    // The same with a clock that is ten hours behind.
    let expired = |hour| is_expired(24 * HOUR, &clock(10), boot(110), &last(hour, found));
    assert!(expired(999_976) && !expired(999_977));
}

#[test]
fn a_clock_that_jumps_makes_nothing_old() {
    let young = last(999_000, Written::Here(boot(109)));
    assert!(!is_expired(24 * HOUR, &clock(0), boot(110), &young), "written an hour ago, whatever it says");
    assert!(is_expired(24 * HOUR, &clock(0), boot(133), &young));
    // A clock that was not set yet says 1970.
    let unset = last(3, Written::Before(boot(99)));
    assert!(!is_expired(24 * HOUR, &clock(0), boot(110), &unset), "found eleven hours ago");
    assert!(is_expired(24 * HOUR, &clock(0), boot(123), &unset));
    let ahead = last(2_000_000, Written::Before(boot(99)));
    assert!(!is_expired(24 * HOUR, &clock(0), boot(200), &ahead));
}

/// The store's loop, on numbers.
#[derive(Debug, Clone)]
struct Model {
    lanes: PerLane<LanePolicy>,
    generations: PerLane<Vec<u64>>,
    both_max: u64,
    free: u64,
    min_free: u64,
}

impl Model {
    fn room(&self, lane: Lane, freed: u64) -> Room {
        let sum = |lane| self.generations.of(lane).iter().sum::<u64>();
        Room {
            policy: *self.lanes.of(lane),
            generation: self.lanes.of(lane).generation_bytes(512 * 1024),
            slack: SLACK,
            used: sum(lane),
            writer: None,
            both_used: sum(Lane::Events) + sum(Lane::Logs),
            both_max: self.both_max,
            free: self.free,
            min_free: self.min_free,
            freed,
        }
    }

    /// Evicts as far as it may; gives the lanes that lost a generation and what is still short.
    fn make_room(&mut self, lane: Lane, bytes: u64) -> (Vec<Lane>, Option<Short>) {
        let (mut lost, mut freed) = (Vec::new(), 0);
        loop {
            let Some(short) = self.room(lane, freed).shortage(bytes) else { return (lost, None) };
            let held = PerLane::from_fn(|lane| !self.generations.of(lane).is_empty());
            let Some(victim) = victim(short, lane, &self.lanes, &held) else { return (lost, Some(short)) };
            let bytes = self.generations.of_mut(victim).remove(0);
            freed += bytes;
            self.free += bytes;
            lost.push(victim);
        }
    }
}

fn on_full() -> impl Strategy<Value = OnFull> {
    prop_oneof![Just(OnFull::Refuse), Just(OnFull::Evict), Just(OnFull::Block)]
}

fn generations() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(512 * 1024u64..5 * MIB, 0..12)
}

proptest! {
    #[test]
    fn eviction_ends_takes_only_what_it_may_and_no_more_than_it_needs(
        policies in (on_full(), on_full()),
        held in (generations(), generations()),
        quotas in (2 * MIB..64 * MIB, 2 * MIB..64 * MIB, 2 * MIB..100 * MIB),
        disk in (0..64 * MIB, 0..64 * MIB),
        logs in any::<bool>(),
        bytes in 1..2 * MIB,
    ) {
        let lane = if logs { Lane::Logs } else { Lane::Events };
        let policy = |lane, on_full, max_bytes| LanePolicy { on_full, max_bytes, ..LanePolicy::of(lane) };
        let before = Model {
            lanes: PerLane::from_fn(|lane| match lane {
                Lane::Control => LanePolicy::of(lane),
                Lane::Events => policy(lane, policies.0, quotas.0),
                Lane::Logs => policy(lane, policies.1, quotas.1),
            }),
            generations: PerLane::from_fn(|lane| match lane {
                Lane::Control => vec![MIB],
                Lane::Events => held.0.clone(),
                Lane::Logs => held.1.clone(),
            }),
            both_max: quotas.2,
            free: disk.0,
            min_free: disk.1,
        };
        let mut after = before.clone();
        let (lost, short) = after.make_room(lane, bytes);
        prop_assert_eq!(after.generations.of(Lane::Control).len(), 1);
        for victim in &lost {
            prop_assert_eq!(before.lanes.of(*victim).on_full, OnFull::Evict);
            prop_assert!(*victim >= lane, "{} for {}", victim, lane);
        }
        if before.room(lane, 0).shortage(bytes).is_none() {
            prop_assert!(lost.is_empty());
        }
        match short {
            // It takes what it may, and on a short disk no more than it gave back.
            None => {
                let room = after.room(lane, 0);
                let taken = room.generation.max(bytes) + SLACK;
                prop_assert!(room.used + taken <= room.policy.max_bytes);
                prop_assert!(room.both_used + taken <= room.both_max);
                prop_assert!(after.free >= taken + after.min_free || after.free >= before.free + taken);
            }
            Some(Short::Lane { .. }) => {
                let own = after.generations.of(lane);
                prop_assert!(own.is_empty() || after.lanes.of(lane).on_full != OnFull::Evict);
            }
            Some(Short::Both { .. } | Short::Disk { .. }) => {
                for victim in [Lane::Events, Lane::Logs].into_iter().filter(|victim| *victim >= lane) {
                    let kept = after.lanes.of(victim).on_full != OnFull::Evict;
                    prop_assert!(kept || after.generations.of(victim).is_empty());
                }
            }
        }
    }
}
