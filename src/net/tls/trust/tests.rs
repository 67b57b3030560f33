//! The policy at every order of its clocks.

use proptest::prelude::*;

use super::*;

fn dates(from: u64, to: u64) -> Validity {
    Validity::new(HubTime(from), HubTime(to)).unwrap()
}

fn times(wall: u64, build: u64, floor: u64) -> Times {
    Times { wall: WallTime(wall), build: HubTime(build), floor: HubTime(floor) }
}

/// Small numbers, so that edges meet.
fn small() -> impl Strategy<Value = u64> {
    0..40_u64
}

fn span() -> impl Strategy<Value = Validity> {
    (small(), small()).prop_map(|(one, other)| dates(one.min(other), one.max(other)))
}

proptest! {
    #[test]
    fn the_second_look_is_at_a_time_when_all_of_the_chain_is_valid_and_the_nearest_there_is(
        wall in small(), build in small(), floor in small(), chain in prop::collection::vec(span(), 1..5),
    ) {
        let times = times(wall, build, floor);
        let good: Vec<u64> = (floor..100)
            .filter(|at| chain.iter().all(|dates| dates.contains(HubTime(*at))))
            .collect();
        let nearest = good.iter().copied().min_by_key(|at| at.abs_diff(times.present().0));
        prop_assert_eq!(times.second_look(&chain), nearest.map(HubTime));
    }

    #[test]
    fn the_present_is_never_before_any_of_what_is_known(wall in any::<u64>(), build in any::<u64>(), floor in any::<u64>()) {
        let present = times(wall, build, floor).present();
        prop_assert!(present >= HubTime(wall) && present >= HubTime(build) && present >= HubTime(floor));
        prop_assert!([wall, build, floor].contains(&present.0));
    }

    #[test]
    fn the_floor_only_rises_and_only_within_the_dates(told in prop::collection::vec((small(), span()), 0..20)) {
        let floor = TimeFloor::new(HubTime(7));
        let mut greatest = 7;
        for (at, valid) in told {
            let trust = [Trust::Settled(valid), Trust::Provisional { valid, present: HubTime(0) }];
            for trust in trust {
                trust.floor_from(HubTime(at)).into_iter().for_each(|at| floor.rise(at));
            }
            if valid.contains(HubTime(at)) {
                greatest = greatest.max(at);
            }
            prop_assert_eq!(floor.now(), HubTime(greatest));
        }
    }
}

#[test]
fn a_clock_at_1970_or_ten_years_ahead_finds_a_time_for_a_good_chain() {
    let (leaf, authority) = (dates(1_795_000, 1_830_000), dates(1_790_000, 2_100_000));
    let build = 1_700_000;
    assert_eq!(times(0, build, 0).second_look(&[leaf, authority]), Some(HubTime(1_795_000)));
    assert_eq!(times(2_110_000, build, 0).second_look(&[leaf, authority]), Some(HubTime(1_830_000)));
    assert_eq!(times(0, build, 1_800_000).second_look(&[leaf, authority]), Some(HubTime(1_800_000)));
}

#[test]
fn what_expired_before_the_floor_has_expired_whatever_the_clock_says() {
    let leaf = dates(100, 200);
    for wall in [0, 150, 10_000] {
        assert_eq!(times(wall, 0, 201).second_look(&[leaf]), None, "{wall}");
        assert!(times(wall, 0, 200).second_look(&[leaf]).is_some(), "{wall}");
        // The date of the build alone proves nothing.
        assert!(times(wall, 300, 0).second_look(&[leaf]).is_some(), "{wall}");
    }
    assert_eq!(times(150, 0, 0).second_look(&[leaf, dates(201, 300)]), None, "never valid together");
}

#[test]
fn a_plain_connection_moves_no_floor() {
    assert_eq!(Trust::Plain.floor_from(HubTime(5)), None);
}
