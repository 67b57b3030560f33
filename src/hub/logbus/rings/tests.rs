//! Rings in virtual time. Bounds are those of unit tests (`limit`): 10 lines, 4 apps, 64 KiB.

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000;

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn line(seq: i64, name: &str, received_at: i64, text: &str) -> Line {
    let (app, text) = (app(name), text.to_owned());
    Line { seq, app, agent: None, job: None, at: HubTime(0), received_at, text, cut: false }
}

fn at(ms: i64) -> HubTime {
    HubTime(ms.unsigned_abs())
}

fn rings() -> Rings {
    Rings::new(0, 0, BTreeMap::new())
}

/// Lines of these apps, numbered from `first` on, all at the time 1000.
fn feed(rings: &mut Rings, first: i64, names: &[&str]) {
    let lines: Vec<_> = (first..).zip(names).map(|(seq, name)| line(seq, name, 1000, "x")).collect();
    let last = lines.last().unwrap().seq;
    rings.feed(at(1000), lines, last);
}

fn asked(names: &[&str], since: Option<i64>, count_max: usize) -> Range {
    let apps = (!names.is_empty()).then(|| names.iter().map(|name| app(name)).collect());
    Range { apps, since, count_max, bytes_max: usize::MAX }
}

fn seqs(found: &Found) -> Vec<i64> {
    found.lines.iter().map(|line| line.seq).collect()
}

#[test]
fn going_on_with_next_gives_each_line_once_and_in_order() {
    let mut rings = rings();
    feed(&mut rings, 1, &["a", "b", "a", "c", "b", "a"]);
    let first = rings.lines(at(1000), &asked(&["a", "b"], Some(0), 3));
    assert_eq!((seqs(&first), first.gap, first.next), (vec![1, 2, 3], false, 3));
    let rest = rings.lines(at(1000), &asked(&["a", "b"], Some(3), 3));
    assert_eq!((seqs(&rest), rest.gap, rest.next), (vec![5, 6], false, 6));
    let one = rings.lines(at(1000), &asked(&["c"], Some(0), 3));
    assert_eq!((seqs(&one), one.next), (vec![4], 6), "the place is behind all that was seen");
    assert_eq!(rings.lines(at(1000), &asked(&["c"], Some(6), 3)).lines, []);
}

#[test]
fn without_a_number_the_newest_lines_come() {
    let mut rings = rings();
    feed(&mut rings, 1, &["a", "b", "a", "c"]);
    let found = rings.lines(at(1000), &asked(&[], None, 3));
    assert_eq!((seqs(&found), found.gap, found.next), (vec![2, 3, 4], false, 4));
    assert_eq!(seqs(&rings.lines(at(1000), &asked(&["a"], None, 1))), [3]);
    assert_eq!(rings.lines(at(1000), &asked(&["nobody"], None, 3)).lines, [], "it is no error");
}

#[test]
fn an_answer_ends_at_its_bytes_and_the_next_one_goes_on_behind() {
    let mut rings = rings();
    feed(&mut rings, 1, &["a", "b", "a", "b"]);
    let one = line(1, "a", 1000, "x").weight();
    for (bytes_max, expected) in [(1, 1), (one, 1), (one + 1, 2), (3 * one, 3), (usize::MAX, 4)] {
        let (mut place, mut found) = (0, Vec::new());
        while place < 4 {
            let range = Range { bytes_max, ..asked(&["a", "b"], Some(place), 99) };
            let answer = rings.lines(at(1000), &range);
            assert_eq!(answer.lines.len(), expected.min(4 - found.len()), "{bytes_max}");
            found.extend(seqs(&answer));
            place = answer.next;
        }
        assert_eq!(found, [1, 2, 3, 4]);
        let newest = rings.lines(at(1000), &Range { bytes_max, ..asked(&[], None, 99) });
        assert_eq!((newest.lines.len(), newest.lines.last().unwrap().seq), (expected, 4), "{bytes_max}");
    }
}

#[test]
fn lines_beyond_a_rings_bound_fall_out_and_are_told_of() {
    let mut rings = rings();
    feed(&mut rings, 1, &["a"; limit::APP_LINES_MAX]);
    assert!(!rings.lines(at(1000), &asked(&["a"], Some(0), 99)).gap, "exactly the bound is kept");
    feed(&mut rings, 11, &["a", "b"]);
    let late = rings.lines(at(1000), &asked(&["a"], Some(0), 99));
    assert_eq!((seqs(&late), late.gap), ((2..=11).collect(), true));
    let just = rings.lines(at(1000), &asked(&["a"], Some(1), 99));
    assert!(!just.gap, "line 1 is the only one that is missing");
    assert!(!rings.lines(at(1000), &asked(&["b"], Some(0), 99)).gap, "another app lost nothing");
    assert_eq!(rings.figures().fallen["lines"], 1);
}

#[test]
fn lines_fall_out_after_an_hour() {
    let mut rings = rings();
    rings.feed(at(0), vec![line(1, "a", 0, "x"), line(2, "a", 1, "x")], 2);
    assert_eq!(seqs(&rings.lines(at(HOUR), &asked(&["a"], Some(0), 99))), [1, 2]);
    let later = rings.lines(at(HOUR + 1), &asked(&["a"], Some(0), 99));
    assert_eq!((seqs(&later), later.gap), (vec![2], true));
    assert!(!rings.lines(at(HOUR + 1), &asked(&["a"], Some(1), 99)).gap);
    assert_eq!(rings.apps(at(HOUR + 2)), [], "an app without lines is not listed");
    assert_eq!((rings.figures().bytes, rings.figures().fallen["age"]), (0, 2));
    // Who has had them all is not told of a gap when they go.
    assert!(!rings.lines(at(HOUR + 2), &asked(&["a"], Some(2), 99)).gap);
}

#[test]
fn the_app_that_said_nothing_for_longest_goes_when_there_are_too_many() {
    let mut rings = rings();
    feed(&mut rings, 1, &["a", "b", "c", "d", "a", "e"]);
    let names: Vec<_> = rings.apps(at(1000)).into_iter().map(|state| state.app.into_string()).collect();
    assert_eq!(names, ["a", "c", "d", "e"]);
    assert!(rings.lines(at(1000), &asked(&["b"], Some(0), 99)).gap);
    assert!(rings.lines(at(1000), &asked(&[], Some(0), 99)).gap);
    assert!(!rings.lines(at(1000), &asked(&["b"], Some(2), 99)).gap);
    assert!(!rings.lines(at(1000), &asked(&["a"], Some(0), 99)).gap);
    feed(&mut rings, 7, &["b"]);
    let back = rings.lines(at(1000), &asked(&["b"], Some(0), 99));
    assert_eq!((seqs(&back), back.gap), (vec![7], true), "what it had before is not forgotten to be missing");
    assert_eq!(rings.figures().fallen["apps"], 2);
}

#[test]
fn a_loud_app_silences_no_other() {
    let mut rings = rings();
    feed(&mut rings, 1, &["quiet"]);
    let long = "x".repeat(limit::APP_LINE_BYTES_MAX);
    for seq in 2..40 {
        rings.feed(at(1000), vec![line(seq, "loud", 1000, &long)], seq);
        assert!(rings.figures().bytes <= limit::APP_BYTES_ALL_MAX as u64);
    }
    let found = rings.lines(at(1000), &asked(&[], Some(0), 99));
    assert_eq!((found.lines[0].app.as_str(), found.gap), ("quiet", true));
    assert_eq!(found.lines.last().unwrap().seq, 39);
    assert!(found.lines.len() > 5, "as many as fit: {}", found.lines.len());
    assert!(rings.figures().fallen["bytes"] > 0);
}

#[test]
fn lines_that_are_dropped_are_gone_and_told_of_and_new_ones_are_not() {
    let mut rings = rings();
    feed(&mut rings, 1, &["a", "b", "a"]);
    // Line 4 is stored already, and not fed yet.
    assert_eq!(rings.drop_app(&app("a"), 4), 2);
    feed(&mut rings, 4, &["a", "a"]);
    let found = rings.lines(at(1000), &asked(&["a", "b"], Some(0), 99));
    assert_eq!((seqs(&found), found.gap), (vec![2, 5], true));
    assert!(!rings.lines(at(1000), &asked(&["b"], Some(0), 99)).gap);
    assert!(!rings.lines(at(1000), &asked(&["a"], Some(4), 99)).gap);
    assert_eq!((rings.drop_app(&app("nobody"), 5), rings.figures().fallen["dropped"]), (0, 3));
    // Who has had an app's last line is not told of a gap, though lines of others came behind it.
    feed(&mut rings, 6, &["b"]);
    assert_eq!(rings.drop_app(&app("a"), 6), 1);
    assert!(!rings.lines(at(1000), &asked(&["a"], Some(5), 99)).gap);
    assert!(rings.lines(at(1000), &asked(&["a"], Some(4), 99)).gap);
}

#[test]
fn after_a_restart_a_number_from_before_is_good_and_what_was_not_read_back_is_told_of() {
    // Lines 5 to 9 are worth reading; 5 and 6 have been read.
    let drops = BTreeMap::from([(app("b"), 6)]);
    let mut rings = Rings::new(4, 9, drops);
    feed(&mut rings, 5, &["a", "b"]);
    let early = rings.lines(at(1000), &asked(&["a"], Some(7), 99));
    assert_eq!((seqs(&early), early.gap, early.next), (vec![], false, 7), "its place is not moved back");
    feed(&mut rings, 7, &["a", "b", "a"]);
    let found = rings.lines(at(1000), &asked(&["a"], Some(7), 99));
    assert_eq!((seqs(&found), found.gap, found.next), (vec![9], false, 9));
    assert!(rings.lines(at(1000), &asked(&["a"], Some(3), 99)).gap);
    assert!(!rings.lines(at(1000), &asked(&["a"], Some(4), 99)).gap);
    assert_eq!(seqs(&rings.lines(at(1000), &asked(&["b"], Some(4), 99))), [8], "what was dropped stays so");
}

#[test]
fn a_number_that_was_never_given_begins_anew() {
    let mut rings = rings();
    feed(&mut rings, 1, &["a", "a"]);
    let found = rings.lines(at(1000), &asked(&["a"], Some(3), 99));
    assert_eq!((seqs(&found), found.gap, found.next), (vec![1, 2], true, 2));
}

#[test]
fn what_is_passed_over_is_told_of_and_a_line_is_taken_once() {
    let mut rings = rings();
    feed(&mut rings, 1, &["a", "b"]);
    feed(&mut rings, 1, &["a", "b", "a"]);
    assert_eq!(seqs(&rings.lines(at(1000), &asked(&[], Some(0), 99))), [1, 2, 3]);
    rings.pass_over(8, PassedOver::Behind);
    feed(&mut rings, 7, &["a", "a", "a"]);
    let found = rings.lines(at(1000), &asked(&["a"], Some(3), 99));
    assert_eq!((seqs(&found), found.gap), (vec![9], true));
    assert!(rings.lines(at(1000), &asked(&["new"], Some(3), 99)).gap);
    assert_eq!(rings.figures().fallen["behind"], 5);
}

proptest! {
    /// Whoever follows with `next` gets every line once and in order, or is told of a gap where one is missing; and all bounds
    /// hold at every step.
    #[test]
    fn nothing_is_missing_unsaid(
        steps in prop::collection::vec((0u8..8, 0i64..20_000, 0usize..9000, any::<bool>()), 1..120),
        chosen in prop::option::of(prop::collection::btree_set(0u8..6, 1..4)),
        count_max in 1usize..20,
        bytes_max in 1usize..40_000,
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        let mut rings = rings();
        let apps = chosen.map(|chosen| chosen.into_iter().map(|index| app(names[index as usize])).collect());
        let is_asked = |line: &AppName, apps: &Option<BTreeSet<AppName>>| apps.as_ref().is_none_or(|apps| apps.contains(line));
        let (mut now, mut seq, mut place) = (HOUR, 0, 0);
        // All lines that there ever were, and those that came to the follower.
        let (mut stored, mut followed): (Vec<(i64, AppName)>, Vec<i64>) = (Vec::new(), Vec::new());
        for (what, pause, length, looks) in steps {
            now += pause * 10;
            match what {
                6 => { rings.drop_app(&app("a"), seq); }
                7 => rings.age(at(now)),
                index => {
                    seq += 1;
                    let name = names[index as usize];
                    stored.push((seq, app(name)));
                    rings.feed(at(now), vec![line(seq, name, now, &"x".repeat(length))], seq);
                }
            }
            let figures = rings.figures();
            prop_assert!(figures.bytes <= limit::APP_BYTES_ALL_MAX as u64);
            prop_assert!(rings.apps.len() <= limit::APPS_MAX);
            prop_assert!(rings.apps.values().all(|ring| ring.len() <= limit::APP_LINES_MAX));
            prop_assert_eq!(rings.bytes, rings.apps.values().map(Ring::bytes).sum::<usize>());
            let fallen: u64 = figures.fallen.values().sum();
            prop_assert_eq!(figures.fed, figures.lines + fallen);
            if looks {
                let found = rings.lines(at(now), &Range { apps: apps.clone(), since: Some(place), count_max, bytes_max });
                prop_assert!(found.lines.len() <= count_max && found.next >= place);
                let expected: Vec<_> = stored
                    .iter()
                    .filter(|(seq, name)| *seq > place && *seq <= found.next && is_asked(name, &apps))
                    .map(|(seq, _)| *seq)
                    .collect();
                let came = seqs(&found);
                prop_assert!(came.is_sorted());
                prop_assert!(came.iter().all(|seq| expected.contains(seq)), "{came:?} of {expected:?}");
                if !found.gap {
                    prop_assert_eq!(&came, &expected);
                }
                followed.extend(came);
                place = found.next;
            }
        }
        prop_assert!(followed.windows(2).all(|pair| pair[0] < pair[1]), "once and in order: {followed:?}");
    }
}
