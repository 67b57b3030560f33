//! Messages between the programs of two agents, and what a hub of another mind can do to them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use outpost::agent::config::Config;
use outpost::agent::relay::{RelayError, RelayHandler, RelayMessage, RelayRefusal};
use outpost::agent::{Agent, StartError};
use outpost::id::{AgentId, AgentName, HandlerName, MessageId};
use outpost::limit;
use outpost::wire::error::ErrorCode;
use outpost::wire::key::KeyFile;
use outpost::wire::relay::{Delivery, NotDelivered, Receipt, Relay, RelayOutcome, Sender};
use tokio::sync::{Semaphore, mpsc};

use crate::hand_hub::{HandHub, Manner, Order};
use crate::raw_agent::{World, within};

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

fn handler(text: &str) -> HandlerName {
    text.parse().unwrap()
}

/// Takes what is not `no`, panics at `panic`, and waits with each for a place where it was told to.
struct Door {
    came: mpsc::UnboundedSender<RelayMessage>,
    places: Option<Arc<Semaphore>>,
}

impl RelayHandler for Door {
    async fn handle(&self, message: RelayMessage) -> Result<(), RelayRefusal> {
        self.came.send(message.clone()).unwrap();
        if let Some(places) = &self.places {
            places.acquire().await.unwrap().forget();
        }
        match message.payload.as_ref() {
            b"no" => Err(RelayRefusal::new("it said no")),
            b"panic" => panic!("it was told to"),
            _ => Ok(()),
        }
    }
}

/// A handler, and where one sees what came.
#[expect(clippy::disallowed_methods, reason = "what a test is sent is bounded by the test")]
fn door(places: Option<Arc<Semaphore>>) -> (Door, mpsc::UnboundedReceiver<RelayMessage>) {
    let (came, seen) = mpsc::unbounded_channel();
    (Door { came, places }, seen)
}

fn config(folder: &tempfile::TempDir, url: &str, key: &KeyFile) -> Config {
    let config = Config::new(folder.path()).with_hub(url, None).unwrap();
    std::fs::write(&config.key_file, key.to_line().expose().as_bytes()).unwrap();
    config
}

async fn connected(world: &World, agent: &str) {
    within(async {
        while !world.hub.is_connected(&name(agent)).await.unwrap() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_program_sends_to_anothers_handler_and_hears_what_becomes_of_it() {
    let rule = |from: &str, to: &str| outpost::hub::config::RelayRule {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
    };
    let world = World::with(|config| config.relay.allow = vec![rule("*", "*")]).await;
    let key = world.hub.store().add_agent(&name("ctl-1"), None).await.unwrap().key_file;
    let url = format!("http://{}", world.hub.agent_addr());
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let sender = Agent::start(config(&folders[0], &url, &world.key)).await.unwrap();
    connected(&world, "edge-1").await;
    let (send, door_name) = (sender.relay(), handler("door"));
    let to = name("ctl-1");
    let refused = |said: Result<Receipt, RelayError>| match said {
        Err(RelayError::NotDelivered(NotDelivered::Refused { code, detail })) => (code.unwrap(), detail),
        other => panic!("not refused: {other:?}"),
    };
    // Its own hub connection may be known to the hub before it is to the agent.
    let away = within(async {
        loop {
            match send.send(&to, &door_name, "anybody?", Delivery::Now).await {
                Err(RelayError::NoLink) => tokio::task::yield_now().await,
                said => return said,
            }
        }
    })
    .await;
    assert_eq!(refused(away).0, ErrorCode::RelayOffline);
    assert_eq!(send.send(&to, &door_name, "first", Delivery::Queued).await, Ok(Receipt::Queued));

    let (taking, mut came) = door(None);
    let builder = Agent::builder(config(&folders[1], &url, &key)).relay_handler("door", taking);
    let other = builder.start().await.unwrap();
    let first = within(came.recv()).await.unwrap();
    assert_eq!((&*first.payload, first.delivery), (b"first".as_slice(), Delivery::Queued));
    let from = Some(Sender { id: world.key.agent_id, name: Some(name("edge-1")) });
    assert_eq!(first.sender, from);
    let whole = Bytes::from(vec![3; limit::RELAY_BYTES_MAX]);
    assert_eq!(send.send(&to, &door_name, whole.clone(), Delivery::Now).await, Ok(Receipt::Delivered));
    assert_eq!(within(came.recv()).await.unwrap().payload, whole);
    let said = send.send(&to, &door_name, "no", Delivery::Now).await;
    assert_eq!(refused(said), (ErrorCode::RelayHandler, "it said no".to_owned()));
    assert_eq!(refused(send.send(&to, &door_name, "panic", Delivery::Now).await).0, ErrorCode::RelayHandler);
    assert_eq!(
        send.send(&to, &door_name, "on", Delivery::Now).await,
        Ok(Receipt::Delivered),
        "it goes on after a panic"
    );
    let said = send.send(&to, &handler("window"), "x", Delivery::Now).await;
    assert_eq!(refused(said), (ErrorCode::RelayHandler, "this agent has no handler `window`".to_owned()));
    let large = vec![3; limit::RELAY_BYTES_MAX + 1];
    let most = limit::RELAY_BYTES_MAX;
    let said = send.send(&to, &door_name, large, Delivery::Now).await;
    assert_eq!(said, Err(RelayError::TooLarge { bytes: most + 1, most }));
    // The hub's own program reaches it as well, and nobody is named.
    let own = world.hub.send(&to, &door_name, "from the hub", Delivery::Now).await;
    assert_eq!(own, Ok(Receipt::Delivered));
    while within(came.recv()).await.unwrap().sender.is_some() {}
    other.shutdown().await.unwrap();
    sender.shutdown().await.unwrap();
    assert_eq!(send.send(&to, &door_name, "late", Delivery::Now).await, Err(RelayError::NoLink));
    world.hub.shutdown().await;
}

fn relay(number: u64, payload: &'static [u8]) -> Relay {
    Relay {
        id: MessageId { hi: 9, lo: number },
        sender: Some(Sender { id: AgentId::from_bytes([7; 16]), name: Some(name("edge-7")) }),
        to: None,
        handler: handler("door"),
        payload: Bytes::from_static(payload),
        delivery: Delivery::Queued,
    }
}

#[tokio::test]
async fn a_message_that_comes_again_is_answered_again_and_handled_once() {
    let hub = HandHub::start(Manner::Proper).await;
    hub.orders.send_replace(vec![Order::Relay(relay(1, b"once"))]);
    let folder = tempfile::tempdir().unwrap();
    let places = Arc::new(Semaphore::new(0));
    let (taking, mut came) = door(Some(Arc::clone(&places)));
    let mut settings = config(&folder, &hub.url, &hub.key);
    settings.reconnect.min = Duration::from_millis(1);
    let agent = Agent::builder(settings).relay_handler("door", taking).start().await.unwrap();
    within(came.recv()).await.unwrap();
    // The session ends while it is handled; the next one has the message again, and so does one after it is done.
    hub.orders.send_replace(vec![Order::End, Order::Relay(relay(1, b"once"))]);
    hub.until("the second session", |seen| seen.sessions == 2).await;
    places.add_permits(1);
    hub.until("the answer", |seen| seen.relay_replies.len() == 1).await;
    hub.orders.send_replace(vec![Order::Relay(relay(1, b"once")), Order::Relay(relay(2, b"twice"))]);
    places.add_permits(1);
    hub.until("all answers", |seen| seen.relay_replies.len() == 3).await;
    hub.look(|seen| {
        assert!(seen.relay_replies.iter().all(|reply| reply.outcome == RelayOutcome::Delivered));
        let ids: Vec<u64> = seen.relay_replies.iter().map(|reply| reply.id.lo).collect();
        assert_eq!(ids, [1, 1, 2]);
    });
    assert_eq!(within(came.recv()).await.unwrap().payload, "twice");
    assert!(came.try_recv().is_err(), "handled once each");
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_agent_takes_no_more_from_a_hub_than_it_may_have_and_its_records_go_on() {
    let hub = HandHub::start(Manner::Proper).await;
    let folder = tempfile::tempdir().unwrap();
    let (taking, mut came) = door(Some(Arc::new(Semaphore::new(0))));
    let builder = Agent::builder(config(&folder, &hub.url, &hub.key)).relay_handler("door", taking);
    let agent = builder.start().await.unwrap();
    let large = vec![1; limit::RELAY_BYTES_MAX + 1].leak();
    let flood = (2..100).map(|number| relay(number, b"x"));
    hub.orders.send_replace([relay(1, large)].into_iter().chain(flood).map(Order::Relay).collect());
    hub.until("the answer to the large one", |seen| !seen.relay_replies.is_empty()).await;
    let refused = hub.look(|seen| seen.relay_replies[0].clone());
    assert_eq!((refused.id.lo, refused.outcome.name()), (1, "too_large"));
    within(came.recv()).await.unwrap();
    assert!(came.try_recv().is_err(), "one after the other");
    let record = outpost::outbox::NewRecord {
        recorded_at: outpost::time::WallTime(1),
        source: "test".to_owned(),
        kind: outpost::wire::message::RecordKind::Opaque,
        payload: "beside".into(),
        app: None,
    };
    agent.outbox().append(outpost::id::Lane::Events, vec![record]).await.unwrap();
    hub.until("the record", |seen| seen.records() == 1).await;
    // A handler that hangs does not keep the agent from stopping.
    tokio::time::timeout(limit::SHUTDOWN_STEP_TIMEOUT, agent.shutdown()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_session_that_ends_tells_its_senders_that_nobody_knows() {
    let hub = HandHub::start(Manner::Proper).await;
    let folder = tempfile::tempdir().unwrap();
    let agent = Arc::new(Agent::start(config(&folder, &hub.url, &hub.key)).await.unwrap());
    hub.until("the session", |seen| seen.heartbeats > 0).await;
    let said = Arc::new(Mutex::new(Vec::new()));
    // One more than may be on its way: it waits in its sender.
    let senders: Vec<_> = (0..=limit::RELAY_IN_FLIGHT + 1)
        .map(|_| {
            let (client, said) = (agent.relay(), Arc::clone(&said));
            tokio::spawn(async move {
                let outcome = client.send(&name("edge-2"), &handler("door"), "x", Delivery::Now).await;
                said.lock().unwrap().push(outcome);
            })
        })
        .collect();
    hub.until("the messages", |seen| seen.relays.len() == limit::RELAY_IN_FLIGHT).await;
    hub.orders.send_replace(vec![Order::End]);
    for sender in senders {
        within(sender).await.unwrap();
    }
    let said = std::mem::take(&mut *said.lock().unwrap());
    let unanswered = said.iter().filter(|said| **said == Err(NotDelivered::Unanswered.into())).count();
    let not_sent = said.iter().filter(|said| **said == Err(RelayError::NoLink)).count();
    assert_eq!((unanswered, not_sent), (limit::RELAY_IN_FLIGHT, 2), "{said:?}");
    Arc::into_inner(agent).unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn a_name_that_no_handler_may_have_keeps_an_agent_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let (taking, _came) = door(None);
    let started = Agent::builder(Config::new(folder.path())).relay_handler("a door", taking).start().await;
    let Err(StartError::HandlerName(error)) = started else { panic!("it started") };
    assert!(error.to_string().contains("`a door`"), "{error}");
}
