//! Sums over everything, for who watches; and a database that does not answer.

use sqlx::pool::PoolConnection;

use super::*;

impl Store {
    /// Whoever reads waits until these are dropped.
    pub(in crate::hub) async fn hang(&self) -> Vec<PoolConnection<Sqlite>> {
        let mut held = Vec::new();
        for _ in 0..READERS_MAX {
            held.push(self.pool.acquire().await.unwrap());
        }
        held
    }

    /// As after a commit that failed.
    pub(in crate::hub) fn doubt(&self) {
        self.health.note(Some("a test's".to_owned()));
    }
}

impl World {
    /// A gap in the stream with this epoch, as the agent words it.
    async fn lose(&mut self, epoch: u64, reason: GapReason, records: u64) {
        let stream = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(epoch << 32) };
        let mark = StreamMark { stream, acked: 9, acked_crc: 1 };
        let gap = Gap { stream, from: 1, to: 9, reason, records, bytes: 0 };
        let piece = self.piece(0, mark, Content::Gap(gap));
        self.store(piece).await.unwrap();
    }
}

#[tokio::test]
async fn no_agents_word_makes_the_sums_overflow_or_hides_what_others_lost() {
    let mut world = World::new().await;
    let most = i64::MAX.cast_unsigned();
    for epoch in 1..=3 {
        world.lose(epoch, GapReason::Evicted, most).await;
    }
    world.lose(4, GapReason::Evicted, 5).await;
    world.lose(5, GapReason::Expired, 7).await;
    let totals = world.store.totals().await.unwrap();
    let lost: Vec<_> =
        totals.lost.iter().map(|(lane, reason, records)| (*lane, reason.as_str(), *records)).collect();
    let clamped = 3 * (1 << 40) + 5;
    assert_eq!(lost, [(Lane::Logs, "evicted", clamped), (Lane::Logs, "expired", 7)]);
    assert_eq!(totals.agents, [("active".to_owned(), 1)]);
    // A column that became negative is shown as nothing.
    sqlx::query("update agents set stored_bytes = -1").execute(&world.store.pool).await.unwrap();
    let totals = world.store.totals().await.unwrap();
    assert_eq!((totals.stored_bytes, totals.stored_bytes_most), (0, 0));
}
