use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::id::{Epoch, Lane};
use crate::wire::message::GapReason;

const ID: StreamId = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(7) };

fn gap(from: u64, to: u64, reason: GapReason) -> Gap {
    let records = to - from + 1;
    Gap { stream: ID, from, to, reason, records, bytes: 10 * records }
}

fn evicted(from: u64, to: u64) -> Gap {
    gap(from, to, GapReason::Evicted)
}

fn declare(gaps: &mut Gaps, new: Gap) -> GapChange {
    let change = gaps.plan(&new);
    gaps.apply(&change);
    change
}

fn held(gaps: &Gaps) -> Vec<Gap> {
    gaps.iter().copied().collect()
}

#[test]
fn neighbours_of_one_reason_become_one_gap_and_others_stay_apart() {
    let mut gaps = Gaps::default();
    let first = declare(&mut gaps, evicted(1, 10));
    assert_eq!(first, GapChange { gone: vec![], put: vec![evicted(1, 10)] });
    declare(&mut gaps, evicted(21, 30));
    assert_eq!(held(&gaps).len(), 2);
    let joined = declare(&mut gaps, evicted(11, 20));
    assert_eq!(joined.gone, [evicted(1, 10), evicted(21, 30)]);
    assert_eq!(held(&gaps), [evicted(1, 30)]);
    let expired = gap(31, 40, GapReason::Expired);
    declare(&mut gaps, expired);
    assert_eq!(held(&gaps), [evicted(1, 30), expired]);
}

#[test]
fn what_was_lost_before_keeps_its_reason_when_the_rest_goes() {
    let mut gaps = Gaps::default();
    let corrupt = gap(51, 60, GapReason::Corrupt);
    declare(&mut gaps, corrupt);
    declare(&mut gaps, evicted(1, 100));
    assert_eq!(held(&gaps), [evicted(1, 50), corrupt, evicted(61, 100)]);
    let again = declare(&mut gaps, evicted(1, 100));
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn a_mark_takes_the_gaps_below_it_and_cuts_the_one_it_stands_in() {
    let mut gaps = Gaps::default();
    declare(&mut gaps, evicted(1, 10));
    declare(&mut gaps, evicted(21, 30));
    let mark = |acked| StreamMark { stream: ID, acked, acked_crc: 0 };
    let cut = gaps.take(mark(4));
    assert_eq!((cut.gone, cut.put), (vec![evicted(1, 10)], vec![evicted(5, 10)]));
    assert!(gaps.take(mark(4)).is_empty());
    assert_eq!(gaps.take(mark(20)).gone, [evicted(5, 10)]);
    assert_eq!(held(&gaps), [evicted(21, 30)]);
}

#[test]
fn what_is_left_lies_around_the_gaps() {
    let mut gaps = Gaps::default();
    declare(&mut gaps, evicted(1, 10));
    declare(&mut gaps, evicted(21, 30));
    assert_eq!(gaps.around(ID, 1, 41), [(11, 20), (31, 40)]);
    assert_eq!(gaps.around(ID, 15, 31), [(15, 20)]);
    assert_eq!(gaps.around(ID, 25, 25), []);
    assert_eq!(gaps.at(ID, 10), Some(&evicted(1, 10)));
    assert_eq!(gaps.at(ID, 11), None);
    assert_eq!(gaps.after(ID, 11), Some(&evicted(21, 30)));
}

fn reason() -> impl Strategy<Value = GapReason> {
    prop_oneof![Just(GapReason::Evicted), Just(GapReason::Expired), Just(GapReason::Corrupt)]
}

proptest! {
    /// Against one reason a number: the first one that was declared.
    #[test]
    fn any_order_of_losses_covers_each_number_once(
        losses in prop::collection::vec((1u64..60, 0u64..25, reason()), 1..20),
        acked in 0u64..90,
    ) {
        let mut gaps = Gaps::default();
        let mut model: BTreeMap<u64, GapReason> = BTreeMap::new();
        for (from, more, reason) in losses {
            declare(&mut gaps, gap(from, from + more, reason));
            (from..=from + more).for_each(|seq| { model.entry(seq).or_insert(reason); });
        }
        gaps.take(StreamMark { stream: ID, acked, acked_crc: 0 }).gone.clear();
        model.retain(|seq, _| *seq > acked);
        let told: BTreeMap<u64, GapReason> = gaps
            .iter()
            .flat_map(|gap| (gap.from..=gap.to).map(move |seq| (seq, gap.reason)))
            .collect();
        prop_assert_eq!(&told, &model);
        let held = held(&gaps);
        prop_assert!(held.windows(2).all(|pair| pair[0].to < pair[1].from));
        prop_assert!(held.windows(2).all(|pair| {
            pair[0].reason != pair[1].reason || pair[0].to + 1 < pair[1].from
        }), "{held:?}");
        prop_assert!(held.iter().all(|gap| gap.records == gap.to - gap.from + 1), "{held:?}");
        let around: Vec<u64> = gaps.around(ID, 1, 91).into_iter().flat_map(|(a, b)| a..=b).collect();
        prop_assert!(around.iter().copied().eq((1..=90).filter(|seq| !model.contains_key(seq))));
    }
}
