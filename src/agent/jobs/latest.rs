//! How late it is at least, for an agent with operator keys: the highest hub time that a hub with this agent's key ever
//! said, and the time since. A hub that lies about the time can make it later, never earlier: what has expired stays so,
//! also across a restart.
//!
//! ```text
//!  row `operator`    {"latest_ms": N, "keys": ["opp1....", ...]}
//! ```
//! * The row is durable before a job is accepted at the time it says, and at least once a minute.
//! * It names the keys that it was kept with. Where none of them is there any more, nothing that was signed before can
//!   pass, and the time begins anew: so an agent that was told the year 2100 is not lost. Where one was taken away, what
//!   was accepted under it and has not begun does not begin any more, and the same holds where there was none.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::JobId;
use crate::limit;
use crate::obs::clock::boot_now;
use crate::outbox::{Outbox, StoreError};
use crate::time::{BootTime, HubTime};
use crate::wire::operator::OperatorKeys;

const ROW: &str = "operator";

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Row {
    latest_ms: u64,
    keys: BTreeSet<String>,
}

/// How late it is at least.
#[derive(Debug)]
pub(super) struct Latest {
    keys: BTreeSet<String>,
    /// It was that, at that moment.
    seen: (HubTime, BootTime),
    kept: Option<HubTime>,
    /// Jobs of an earlier process that do not begin any more.
    void: BTreeSet<JobId>,
}

impl Latest {
    /// What an earlier process kept. `registered`: hub time at the last registration, for an agent that had no operator
    /// keys until now. `open`: jobs that are not over.
    ///
    /// # Errors
    /// Where the outbox cannot be read.
    pub(super) async fn restore(
        keys: &OperatorKeys,
        outbox: &Outbox,
        registered: Option<HubTime>,
        open: impl Iterator<Item = JobId>,
    ) -> Result<Self, StoreError> {
        let keys: BTreeSet<String> = keys.texts().collect();
        let row: Option<Row> = outbox.get(ROW).await?.and_then(|row| serde_json::from_slice(&row).ok());
        let stands = row.as_ref().is_some_and(|row| row.keys.is_subset(&keys));
        let latest = match &row {
            Some(row) if row.keys.is_disjoint(&keys) => HubTime(0),
            Some(row) => HubTime(row.latest_ms),
            None => registered.unwrap_or_default(),
        };
        let void = if stands { BTreeSet::new() } else { open.collect() };
        let kept = row.filter(|row| row.keys == keys).map(|row| HubTime(row.latest_ms));
        Ok(Self { keys, seen: (latest, boot_now()), kept, void })
    }

    /// A hub with this agent's key says that it is this time now.
    pub(super) fn see(&mut self, time: HubTime) {
        if time > self.now() {
            self.seen = (time, boot_now());
        }
    }

    /// How late it is at least.
    pub(super) fn now(&self) -> HubTime {
        let (time, at) = self.seen;
        time.after(boot_now().since(at))
    }

    /// Whether this job was accepted when other keys, or none, said what may be run.
    pub(super) fn is_void(&self, job: JobId) -> bool {
        self.void.contains(&job)
    }

    /// That job is over.
    pub(super) fn settled(&mut self, job: JobId) {
        self.void.remove(&job);
    }

    /// Keeps the time, where a minute has passed since it was kept.
    pub(super) async fn keep_sometimes(&mut self, outbox: &Outbox) -> Result<(), StoreError> {
        let now = self.now();
        if self.kept.is_some_and(|kept| kept.distance(now) < limit::OPERATOR_TIME_INTERVAL) {
            return Ok(());
        }
        self.keep(outbox).await
    }

    /// Keeps the time; durable when this returns.
    ///
    /// # Errors
    /// Where the outbox cannot write, or jobs that do not begin any more could not all be ended yet: with the new keys in
    /// the row they would.
    pub(super) async fn keep(&mut self, outbox: &Outbox) -> Result<(), StoreError> {
        if !self.void.is_empty() {
            let detail =
                format!("{} jobs accepted under other operator keys are not over yet", self.void.len());
            return Err(StoreError::Invalid { detail });
        }
        let now = self.now();
        let row = Row { latest_ms: now.0, keys: self.keys.clone() };
        outbox.put(ROW, serde_json::to_vec(&row).unwrap_or_default().into()).await?;
        self.kept = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::outbox::Options;
    use crate::wire::identity::public_to_line;

    const JOB: JobId = JobId::from_bytes([7; 16]);
    const LATE: HubTime = HubTime(4_000_000_000_000);

    fn keys(seeds: &[u8]) -> OperatorKeys {
        let texts =
            seeds.iter().map(|seed| public_to_line(&SigningKey::from_bytes(&[*seed; 32]).verifying_key()));
        OperatorKeys::parse(&texts.collect::<Vec<_>>()).unwrap()
    }

    async fn restore(outbox: &Outbox, seeds: &[u8]) -> Latest {
        Latest::restore(&keys(seeds), outbox, Some(HubTime(5)), [JOB].into_iter()).await.unwrap()
    }

    #[tokio::test]
    async fn the_time_outlives_the_process_and_goes_on_but_never_back() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(dir.path(), Options::default()).unwrap();
        let mut latest = restore(&outbox, &[1]).await;
        assert!(latest.now() >= HubTime(5) && latest.now() < HubTime(1_000_000), "the last registration's");
        latest.settled(JOB);
        latest.see(LATE);
        latest.see(HubTime(9));
        assert!(latest.now() >= LATE);
        latest.keep(&outbox).await.unwrap();
        let again = restore(&outbox, &[1, 2]).await;
        assert!(again.now() >= LATE && !again.is_void(JOB), "another key beside it changes nothing");
        outbox.close().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_accepted_under_other_keys_or_none_is_void_until_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(dir.path(), Options::default()).unwrap();
        let mut latest = restore(&outbox, &[1, 2]).await;
        assert!(latest.is_void(JOB), "there were no keys before");
        latest.see(LATE);
        latest.keep(&outbox).await.unwrap_err();
        assert!(restore(&outbox, &[1, 2]).await.is_void(JOB), "a crash here changes nothing");
        latest.settled(JOB);
        latest.keep(&outbox).await.unwrap();
        assert!(!restore(&outbox, &[1, 2]).await.is_void(JOB));
        let fewer = restore(&outbox, &[1]).await;
        assert!(fewer.is_void(JOB) && fewer.now() >= LATE, "one was taken away, one is left");
        let others = restore(&outbox, &[3]).await;
        assert!(
            others.is_void(JOB) && others.now() < LATE,
            "nothing signed before can pass: time begins anew"
        );
        outbox.close().await.unwrap();
    }
}
