//! Events of own streams.

use super::*;
use crate::time::millis;

impl World {
    async fn told(&self, whose: Whose, after: i64) -> Vec<(i64, String)> {
        let events = self.store.events(whose, after, i64::MAX, 1000).await.unwrap().unwrap();
        events.into_iter().map(|event| (event.mark.number, event.kind)).collect()
    }

    async fn label(&self, value: &str) -> Result<AgentRow, StoreError> {
        let changes = crate::hub::labels::LabelChanges::parse([("site", Some(value))]).unwrap();
        self.store.change_labels(&name("edge-1"), &changes).await
    }
}

#[tokio::test]
async fn a_change_is_told_once_in_the_order_of_commits_and_what_is_none_is_not() {
    let world = World::new().await;
    let whose = Whose::Agent(world.agent);
    let first = world.store.last_event().await.unwrap();
    assert_eq!(world.told(whose, 0).await, [(first.number, "added".to_owned())]);
    world.label("a").await.unwrap();
    world.label("a").await.unwrap();
    world.label("b").await.unwrap();
    let label = |number: i64| (first.number + number, "label".to_owned());
    assert_eq!(world.told(whose, first.number).await, [label(1), label(2)]);
    let other = world.store.add_agent(&name("edge-2"), None).await.unwrap();
    let other = world.store.agent_with_id(other.id).await.unwrap().unwrap();
    assert_eq!(world.told(whose, first.number).await.len(), 2, "of another agent");
    assert_eq!(world.told(Whose::Agent(other.agent), first.number).await.len(), 1);
    assert_eq!(world.told(Whose::Fleet, first.number).await.len(), 3);
}

#[tokio::test]
async fn what_is_rolled_back_is_not_told_and_leaves_no_hole() {
    let world = World::new().await;
    let last = world.store.last_event().await.unwrap();
    let mut transaction = world.store.write().await.unwrap();
    sqlx::query("update agents set state = 'revoked'").execute(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(world.store.last_event().await.unwrap(), last);
    world.label("a").await.unwrap();
    assert_eq!(world.store.last_event().await.unwrap().number, last.number + 1);
}

#[tokio::test]
async fn records_of_logs_and_heartbeats_write_no_event() {
    let mut world = World::new().await;
    let last = world.store.last_event().await.unwrap();
    for number in 0..3 {
        let stored = world.store(world.batch(LOGS, number, &["a"])).await;
        assert!(stored.is_ok(), "{stored:?}");
    }
    assert_eq!(world.store.last_event().await.unwrap(), last);
}

#[tokio::test]
async fn the_oldest_go_first_the_newest_never_and_whoever_misses_any_is_told() {
    let world = World::new().await;
    let whose = Whose::Agent(world.agent);
    let before = world.store.last_event().await.unwrap();
    for number in 0..10 {
        world.label(&number.to_string()).await.unwrap();
    }
    let last = world.store.last_event().await.unwrap();
    let now = HubTime(last.at.unsigned_abs());
    assert_eq!(world.store.trim_events(1000, now).await.unwrap(), 0);
    world.store.trim_events(4, now).await.unwrap();
    let events = async |after: i64| world.store.events(whose, after, i64::MAX, 100).await.unwrap();
    assert!(events(before.number).await.is_none() && events(last.number - 5).await.is_none());
    assert_eq!(events(last.number - 4).await.unwrap().len(), 4);
    assert!(!world.store.has_event(before).await.unwrap() && world.store.has_event(last).await.unwrap());
    let wrong = EventMark { at: last.at + 1, ..last };
    assert!(!world.store.has_event(wrong).await.unwrap());
    // Too old, all of them: the newest stays, and numbers go on.
    let later = HubTime(now.0 + millis(limit::STREAM_EVENTS_AGE) + 1);
    assert_eq!(world.store.trim_events(1000, later).await.unwrap(), 3);
    assert_eq!(world.store.trim_events(1000, later).await.unwrap(), 0);
    assert_eq!(world.store.last_event().await.unwrap(), last);
    assert_eq!(events(last.number).await.unwrap().len(), 0);
    world.label("x").await.unwrap();
    assert_eq!(world.store.last_event().await.unwrap().number, last.number + 1);
}
