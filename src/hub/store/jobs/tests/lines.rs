//! Reading a job's output.

use futures_util::future::try_join_all;

use super::*;
use crate::wire::job::{JobOutput, OutputLine, OutputStream};

/// A job of which this many records of two lines each are here: one of stdout, one of stderr.
async fn with_lines(records: u64) -> (World, JobRow) {
    let mut world = World::new().await;
    let job = world.submit(EXEC).await;
    let line = |stream, number: u64| OutputLine {
        stream,
        at: WallTime(number),
        text: Bytes::from(number.to_string()),
        continues: false,
    };
    for first_line in (1..).step_by(2).take(records.try_into().unwrap()) {
        let lines = vec![line(OutputStream::Stdout, first_line), line(OutputStream::Stderr, first_line + 1)];
        world.say(JobRecord::Output(JobOutput { job, run: 1, first_line, lines })).await;
    }
    let row = world.store.job(job).await.unwrap();
    (world, row)
}

const ALL: LogQuery = LogQuery {
    from: LinePlace { run: 1, line: 1 },
    run: None,
    stream: None,
    count_max: 1000,
    bytes_max: usize::MAX,
    holes: Holes::Pass,
};

#[tokio::test]
async fn many_readers_of_logs_do_not_wait_for_each_other() {
    let (world, row) = with_lines(20).await;
    let logs = try_join_all((0..32).map(|_| world.store.job_lines(&row, ALL))).await.unwrap();
    assert!(logs.iter().all(|log| log.lines.len() == 40 && log.at_end));
}

#[tokio::test]
async fn pages_of_any_size_give_each_line_once() {
    let (world, row) = with_lines(9).await;
    for (stream, expected) in [(None, 18), (Some(OutputStream::Stderr), 9)] {
        for count_max in 1..20 {
            let mut query = LogQuery { count_max, stream, ..ALL };
            let mut numbers = Vec::new();
            for _page in 0..40 {
                let log = world.store.job_lines(&row, query).await.unwrap();
                assert!(log.missing.is_empty() && log.lines.len() <= count_max as usize);
                numbers.extend(log.lines.iter().map(|line| line.number));
                assert!(log.at_end || log.next > query.from);
                query.from = log.next;
                if log.at_end {
                    break;
                }
            }
            let mut once = numbers.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!((once.len(), &once), (expected, &numbers), "pages of {count_max}");
        }
    }
}
