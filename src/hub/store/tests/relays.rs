//! Messages that wait for agents: their order, their end, and who takes them along.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::hub::store::{KeptMessage, KeptRelay, NewRelay};
use crate::id::{HandlerName, MessageId};

const NOW: HubTime = HubTime(1_800_000_000_000);

fn id(lo: u64) -> MessageId {
    MessageId { hi: 4, lo }
}

impl World {
    async fn keep(&self, number: u64, payload: &[u8], now: HubTime) -> KeptRelay {
        self.keep_for("door", number, payload, now).await
    }

    async fn keep_for(&self, handler: &str, number: u64, payload: &[u8], now: HubTime) -> KeptRelay {
        let handler = handler.parse().unwrap();
        let payload = Bytes::copy_from_slice(payload);
        let new = NewRelay {
            id: id(number),
            recipient: self.agent,
            sender: None,
            handler: &handler,
            payload: &payload,
        };
        self.store.keep_relay(new, now).await.unwrap()
    }

    async fn oldest(&self, now: HubTime) -> Option<KeptMessage> {
        self.store.oldest_relay(self.agent, &[], now).await.unwrap()
    }
}

#[tokio::test]
async fn messages_go_out_in_the_order_they_came_and_only_what_is_named_is_forgotten() {
    let world = World::new().await;
    assert_eq!(world.oldest(NOW).await, None);
    for number in 1..=3 {
        assert_eq!(world.keep(number, &[1], NOW).await, KeptRelay::Yes);
    }
    let first = world.oldest(NOW).await.unwrap();
    assert_eq!((first.id, first.sender.clone()), (id(1), None));
    world.store.forget_relay(first.number, id(2)).await.unwrap();
    assert_eq!(world.oldest(NOW).await, Some(first.clone()), "a number of another message");
    for number in 1..=3 {
        let oldest = world.oldest(NOW).await.unwrap();
        assert_eq!(oldest.id, id(number));
        world.store.forget_relay(oldest.number, oldest.id).await.unwrap();
    }
    assert_eq!(world.oldest(NOW).await, None);
}

#[tokio::test]
async fn the_mail_of_handlers_that_are_held_is_passed_over_and_keeps_its_place() {
    let world = World::new().await;
    for (number, handler) in [(1, "door"), (2, "gate"), (3, "door"), (4, "window")] {
        assert_eq!(world.keep_for(handler, number, &[1], NOW).await, KeptRelay::Yes);
    }
    let handler = |name: &str| name.parse().unwrap();
    let oldest = async |held: &[HandlerName]| {
        let oldest = world.store.oldest_relay(world.agent, held, NOW).await.unwrap();
        oldest.map(|message| message.id)
    };
    assert_eq!(oldest(&[handler("door")]).await, Some(id(2)));
    assert_eq!(oldest(&[handler("door"), handler("gate")]).await, Some(id(4)));
    assert_eq!(oldest(&[handler("door"), handler("gate"), handler("window")]).await, None);
    assert_eq!(oldest(&[]).await, Some(id(1)));
}

#[tokio::test]
async fn a_message_is_over_after_a_day_and_leaves_its_room_at_once() {
    let world = World::new().await;
    let whole = vec![1; usize::try_from(limit::RELAY_QUEUE_BYTES_MAX).unwrap()];
    assert_eq!(world.keep(1, &whole, NOW).await, KeptRelay::Yes);
    let full = KeptRelay::Full { messages: 1, bytes: limit::RELAY_QUEUE_BYTES_MAX };
    let last = NOW.after(limit::RELAY_QUEUE_TIME - Duration::from_millis(1));
    assert_eq!(world.keep(2, &[1], last).await, full);
    assert!(world.oldest(last).await.is_some());
    assert_eq!(world.store.sweep_relays(last).await.unwrap(), 0);
    let over = NOW.after(limit::RELAY_QUEUE_TIME);
    assert_eq!(world.oldest(over).await, None, "whether it was swept or not");
    assert_eq!(world.keep(2, &[2], over).await, KeptRelay::Yes);
    assert_eq!(world.store.sweep_relays(over).await.unwrap(), 1);
    assert_eq!(world.oldest(over).await.unwrap().id, id(2));
}

#[tokio::test]
async fn so_many_messages_wait_however_little_is_in_them() {
    let world = World::new().await;
    for number in 0..limit::RELAY_QUEUE_MESSAGES_MAX {
        assert_eq!(world.keep(number, &[], NOW).await, KeptRelay::Yes);
    }
    let full = KeptRelay::Full { messages: limit::RELAY_QUEUE_MESSAGES_MAX, bytes: 0 };
    assert_eq!(world.keep(9999, &[], NOW).await, full);
}

#[tokio::test]
async fn an_agent_that_goes_takes_its_messages_along() {
    let world = World::new().await;
    let other = name("edge-2");
    world.store.add_agent(&other, None).await.unwrap();
    let sender = Some(world.store.agent(&other).await.unwrap().agent);
    let (handler, payload) = ("door".parse().unwrap(), Bytes::from_static(b"x"));
    let new = NewRelay { id: id(2), recipient: world.agent, sender, handler: &handler, payload: &payload };
    assert_eq!(world.keep(1, &[1], NOW).await, KeptRelay::Yes);
    assert_eq!(world.store.keep_relay(new, NOW).await.unwrap(), KeptRelay::Yes);
    world.store.remove_agent(&other).await.unwrap();
    assert_eq!(world.store.keep_relay(new, NOW).await.unwrap(), KeptRelay::Gone);
    let first = world.oldest(NOW).await.unwrap();
    world.store.forget_relay(first.number, first.id).await.unwrap();
    assert_eq!(world.oldest(NOW).await, None, "what it had sent is gone");
    assert_eq!(world.keep(3, &[1], NOW).await, KeptRelay::Yes);
    world.store.revoke_agent(&name("edge-1")).await.unwrap();
    assert_eq!(world.oldest(NOW).await, None);
    assert_eq!(world.keep(4, &[1], NOW).await, KeptRelay::Gone);
}
