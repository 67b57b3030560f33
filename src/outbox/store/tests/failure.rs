//! Processes that end early and disks that refuse. Each runs in a child: this test binary, started again.

use super::*;

/// The process that `a_killed_process_loses_nothing` kills; does nothing otherwise.
#[tokio::test]
async fn appends_until_it_is_killed() {
    let Ok(dir) = std::env::var("OUTPOST_TEST_KILLED_DIR") else { return };
    let outbox = open(Path::new(&dir));
    let mut number = 0;
    loop {
        let mut lasts = Vec::new();
        for lane in Lane::ALL {
            let last = outbox.append(lane, numbered(number..number + 20)).await.unwrap().last;
            lasts.push(last.to_string());
        }
        number += 20;
        println!("\ndurable {}", lasts.join(" "));
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing() {
    use std::io::BufRead;
    let dir = tempfile::tempdir().unwrap();
    let mut epochs = Vec::new();
    for lines in [1, 40, 7] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "outbox::store::tests::failure::appends_until_it_is_killed", "--nocapture"])
            .env("OUTPOST_TEST_KILLED_DIR", dir.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        let durable = output.lines().map_while(Result::ok).filter(|line| line.starts_with("durable "));
        let last = durable.take(lines).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let outbox = open(dir.path());
        for text in last.split(' ').skip(1) {
            let last: RecordId = text.parse().unwrap();
            let records = drain(&outbox, last.stream, 1).await;
            assert!(records.len() as u64 >= last.seq, "{last}: {}", records.len());
            assert!(records.iter().zip(numbered(0..last.seq)).all(|(got, put)| got.payload == put.payload));
            assert!(!epochs.contains(&last.stream), "{last}");
            epochs.push(last.stream);
        }
        let listed: Vec<_> = outbox.streams().await.unwrap().into_iter().map(|state| state.stream).collect();
        assert!(epochs.iter().all(|stream| listed.contains(stream)));
        outbox.close().await.unwrap();
    }
}

/// The process whose files may not grow any more; does nothing where `a_write_that_fails_degrades_the_store` did not
/// start it.
#[tokio::test]
async fn appends_until_a_write_fails() {
    let Ok(dir) = std::env::var("OUTPOST_TEST_REFUSED_DIR") else { return };
    let lane: Lane = std::env::var("OUTPOST_TEST_REFUSED_LANE").unwrap().parse().unwrap();
    let outbox = open(Path::new(&dir));
    for lane in Lane::ALL {
        outbox.append(lane, numbered(0..100)).await.unwrap();
    }
    let before = outbox.streams().await.unwrap();
    let stream = current(&outbox, lane).stream;
    limit_file_size(256 * 1024);
    let error = loop {
        let records = (0..64).map(|_| record(&"x".repeat(8192))).collect();
        match outbox.append(lane, records).await {
            Ok(appended) => println!("\ndurable {}", appended.last),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Degraded { .. }), "{error}");
    assert!(error.to_string().contains("until a restart"), "{error}");
    let held = current(&outbox, lane);

    // The disk is well again; the store is not, and says so in every lane and call.
    limit_file_size(1 << 40);
    for lane in Lane::ALL {
        let again = outbox.append(lane, numbered(0..1)).await;
        assert!(matches!(again, Err(AppendError::Degraded { .. })), "{lane}: {again:?}");
    }
    let degraded = |result| matches!(result, Err(StoreError::Degraded { .. }));
    assert!(degraded(outbox.put("name", Bytes::from_static(b"value")).await));
    assert!(degraded(ack(&outbox, stream, 50).await));
    assert!(outbox.stat().await.unwrap().degraded);
    // What was durable stays readable, and nothing else is. The database that failed may refuse to be read, from any row on.
    assert_eq!(current(&outbox, lane), held);
    assert_eq!(outbox.cursor(stream).await.unwrap().acked, 0);
    for state in before {
        let durable = current(&outbox, state.stream.lane).next - 1;
        match readable(&outbox, state.stream).await {
            (records, None) => assert_eq!(records, durable, "{}", state.stream),
            (records, Some(StoreError::Unreadable { .. } | StoreError::Degraded { .. })) => {
                assert_eq!(state.stream, stream, "{records} of {durable}");
                assert!(records < durable, "{records} of {durable}");
            }
            (records, Some(error)) => panic!("{}: {records} of {durable}: {error}", state.stream),
        }
    }
    assert!(degraded(outbox.close().await));
    println!("\nrefused after {}", RecordId { stream, seq: held.next - 1 });
}

/// How many records come before the end, or before an error.
async fn readable(outbox: &Outbox, stream: StreamId) -> (u64, Option<StoreError>) {
    let mut next = 1;
    loop {
        match outbox.read(stream, next, limit::BATCH_BYTES).await {
            Ok(Some(Reading::Records(batch))) => {
                assert_eq!(batch.first, next);
                next += u64::from(batch.count);
            }
            Ok(Some(Reading::Gap(gap))) => panic!("a gap: {gap:?}"),
            Ok(None) => return (next - 1, None),
            Err(error) => return (next - 1, Some(error)),
        }
    }
}

fn limit_file_size(bytes: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), maximum }).unwrap();
}

#[tokio::test]
async fn a_write_that_fails_degrades_the_store_and_keeps_what_was_durable() {
    for lane in Lane::ALL {
        let dir = tempfile::tempdir().unwrap();
        // A shell ignores the signal for us, which then is an error of the write.
        let output = std::process::Command::new("sh")
            .args(["-c", r#"trap '' XFSZ; exec "$0" "$@""#])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "outbox::store::tests::failure::appends_until_a_write_fails", "--nocapture"])
            .env("OUTPOST_TEST_REFUSED_DIR", dir.path())
            .env("OUTPOST_TEST_REFUSED_LANE", lane.name())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(last) = text.lines().find_map(|line| line.strip_prefix("refused after ")) else {
            panic!("{lane}: {text}{}", String::from_utf8_lossy(&output.stderr));
        };
        let last: RecordId = last.parse().unwrap();

        let outbox = open(dir.path());
        assert!(!outbox.stat().await.unwrap().degraded);
        let records = drain(&outbox, last.stream, 1).await;
        assert_eq!(
            records.len() as u64,
            last.seq,
            "{last}: nothing is lost, and nothing that was refused comes"
        );
        assert!(records.iter().zip(numbered(0..100)).all(|(got, put)| got.payload == put.payload));
        outbox.append(lane, numbered(0..1)).await.unwrap();
        outbox.close().await.unwrap();
    }
}
