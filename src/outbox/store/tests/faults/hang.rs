//! A disk that keeps the store's thread in one call.

use std::sync::Condvar;

use super::*;
use crate::time::BootTime;

/// Lets commits through, or holds them.
#[derive(Debug, Default)]
struct Valve {
    state: Mutex<Commits>,
    wake: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Commits {
    #[default]
    Pass,
    /// The next one is held.
    Held,
    /// One is held.
    Hangs,
}

impl Valve {
    fn set(&self, commits: Commits) {
        *self.state.lock().unwrap() = commits;
        self.wake.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        if *state == Commits::Held {
            *state = Commits::Hangs;
            self.wake.notify_all();
        }
        while *state == Commits::Hangs {
            state = self.wake.wait(state).unwrap();
        }
    }

    fn wait_for_hang(&self) {
        let limit = Duration::from_secs(20);
        let state = self.state.lock().unwrap();
        let waited = self.wake.wait_timeout_while(state, limit, |state| *state != Commits::Hangs).unwrap();
        assert!(!waited.1.timed_out(), "no commit was held");
    }
}

fn degraded<T: std::fmt::Debug>(result: &Result<T, AppendError>) -> bool {
    matches!(result, Err(AppendError::Degraded { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_hangs_is_answered_after_a_minute_and_never_counts() {
    let disk = Disk::new(Rng::with_seed(1), 256 << 20);
    let valve = Arc::new(Valve::default());
    let hook = Arc::clone(&valve);
    let host = Failing::hooked(disk.clone(), move |what| {
        if what == "commit" {
            hook.pass();
        }
    });
    disk.set_now(BootTime(Duration::from_secs(100)));
    let open = |host: &Failing| Outbox::open_on(Arc::new(host.clone()), Path::new(DIR), Options::default());
    let outbox = open(&host).unwrap();
    for lane in Lane::ALL {
        outbox.append(lane, vec![record("before")]).await.unwrap();
    }
    let streams = Lane::ALL.map(|lane| current(&outbox, lane).stream);
    assert!(!outbox.stat().await.unwrap().degraded);

    valve.set(Commits::Held);
    let waiting = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.append(Lane::Logs, vec![record("hangs")]).await }
    });
    tokio::task::spawn_blocking({
        let valve = Arc::clone(&valve);
        move || valve.wait_for_hang()
    })
    .await
    .unwrap();
    disk.set_now(BootTime(Duration::from_secs(159)));
    let queued = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.append(Lane::Events, vec![record("queued")]).await }
    });
    disk.set_now(BootTime(Duration::from_secs(160)));
    assert!(degraded(&waiting.await.unwrap()));
    assert!(degraded(&queued.await.unwrap()));
    // While it hangs: refused at once, and said.
    assert!(degraded(&outbox.append(Lane::Control, vec![record("new")]).await));
    assert!(outbox.stat().await.unwrap().degraded);
    let read = outbox.read(streams[0], 1, 1000).await;
    assert!(matches!(read, Err(StoreError::Degraded { .. })), "{read:?}");

    // It comes back after all, and has even succeeded.
    valve.set(Commits::Pass);
    let mut records = None;
    let deadline = std::time::Duration::from_secs(20);
    let started = crate::obs::clock::boot_now();
    while crate::obs::clock::boot_now().since(started) < deadline {
        match outbox.read(streams[0], 1, limit::BATCH_BYTES).await {
            Ok(read) => {
                records = read;
                break;
            }
            Err(error) => assert!(matches!(error, StoreError::Degraded { .. }), "{error}"),
        }
        tokio::task::yield_now().await;
    }
    assert!(matches!(records, Some(Reading::Records(_))), "what was durable is served: {records:?}");
    for (lane, stream) in Lane::ALL.into_iter().zip(streams) {
        assert!(degraded(&outbox.append(lane, vec![record("later")]).await));
        assert_eq!(drain(&outbox, stream, 1).await.len(), 1, "{lane}");
    }
    assert!(outbox.stat().await.unwrap().degraded);
    assert!(matches!(outbox.close().await, Err(StoreError::Degraded { .. })));

    disk.kill();
    let outbox = open(&host).unwrap();
    for stream in streams {
        let records = drain(&outbox, stream, 1).await;
        assert_eq!(records.len(), 1, "what was refused is not delivered: {stream}");
    }
    outbox.append(Lane::Logs, vec![record("after")]).await.unwrap();
    outbox.close().await.unwrap();
}
