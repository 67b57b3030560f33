use super::*;
use crate::id::{Epoch, Lane, StreamId};

const STREAM: StreamId = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(1 << 32) };

fn state(first_unacked: u64, next: u64) -> StreamState {
    StreamState { stream: STREAM, first_unacked, next }
}

fn mark(acked: u64, acked_crc: u32) -> StreamMark {
    StreamMark { stream: STREAM, acked, acked_crc }
}

fn local(cursor: u64, crc: Option<u32>) -> LocalMark {
    LocalMark { stream: STREAM, cursor, crc }
}

fn rolled(from: u64, to: u64) -> Verdict {
    Verdict::RolledBack(LossReport { stream: STREAM, from, to, reason: LossReason::RolledBack })
}

#[test]
fn equal_marks_go_on() {
    assert_eq!(judge(&state(5, 9), &mark(4, 7), Some(&local(4, Some(7)))), Verdict::Equal);
    assert_eq!(judge(&state(1, 1), &mark(0, 0), Some(&local(0, None))), Verdict::Equal);
    assert_eq!(judge(&state(5, 9), &mark(4, 7), None), Verdict::Equal);
}

#[test]
fn an_agent_behind_drops_up_to_the_mark() {
    assert_eq!(judge(&state(5, 9), &mark(8, 7), Some(&local(4, Some(7)))), Verdict::Behind);
    assert_eq!(judge(&state(5, 9), &mark(5, 0), Some(&local(4, Some(7)))), Verdict::Behind);
}

#[test]
fn a_restored_hub_gets_a_gap_for_exactly_the_hole() {
    let gap = Gap { stream: STREAM, from: 3, to: 9, reason: GapReason::HubLost, records: 7, bytes: 0 };
    // A different CRC below the cursor means nothing: the agent no longer holds that record.
    assert_eq!(judge(&state(10, 20), &mark(2, 7), Some(&local(9, Some(8)))), Verdict::HubRestored(gap));
    assert_eq!(
        judge(&state(10, 10), &mark(0, 0), Some(&local(9, None))),
        Verdict::HubRestored(Gap { from: 1, records: 9, ..gap })
    );
}

#[test]
fn a_mark_at_or_above_next_means_the_disk_went_back() {
    assert_eq!(judge(&state(5, 9), &mark(9, 0), Some(&local(4, None))), rolled(9, 9));
    assert_eq!(judge(&state(5, 9), &mark(u64::MAX, 0), None), rolled(9, u64::MAX));
    assert_eq!(judge(&state(1, 1), &mark(1, 0), None), rolled(1, 1));
}

#[test]
fn another_record_under_the_same_number_means_the_disk_went_back() {
    assert_eq!(judge(&state(5, 9), &mark(7, 1), Some(&local(4, Some(2)))), rolled(5, 7));
    assert_eq!(judge(&state(5, 9), &mark(4, 1), Some(&local(4, Some(2)))), rolled(4, 4), "at the cursor too");
}

#[test]
fn an_unknown_crc_is_not_compared() {
    assert_eq!(judge(&state(5, 9), &mark(7, 0), Some(&local(4, Some(2)))), Verdict::Behind);
    assert_eq!(judge(&state(5, 9), &mark(7, 2), Some(&local(4, None))), Verdict::Behind);
    assert_eq!(judge(&state(5, 9), &mark(7, 2), Some(&local(4, Some(0)))), Verdict::Behind);
}

/// Every small state against every mark and every knowledge of the CRC.
#[test]
fn all_small_cases_fall_where_the_drawing_says() {
    for next in 1..8u64 {
        for first_unacked in 1..=next {
            for acked in 0..10u64 {
                for (hub_crc, own_crc) in
                    [(0, None), (1, None), (1, Some(1)), (1, Some(2)), (0, Some(2)), (1, Some(0))]
                {
                    let cursor = first_unacked - 1;
                    let verdict = judge(
                        &state(first_unacked, next),
                        &mark(acked, hub_crc),
                        Some(&local(cursor, own_crc)),
                    );
                    let crc_differs = (hub_crc, own_crc) == (1, Some(2)) && acked > 0;
                    let rolled = acked >= next || (crc_differs && acked >= cursor);
                    match verdict {
                        Verdict::RolledBack(report) => {
                            assert!(rolled);
                            assert!(report.from >= 1 && report.from <= report.to && report.to == acked);
                        }
                        Verdict::HubRestored(gap) => {
                            assert!(!rolled && acked < cursor);
                            assert_eq!((gap.from, gap.to, gap.records), (acked + 1, cursor, cursor - acked));
                        }
                        Verdict::Equal => assert!(!rolled && acked == cursor),
                        Verdict::Behind => assert!(!rolled && acked > cursor),
                    }
                }
            }
        }
    }
}
