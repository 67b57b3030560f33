//! Records arrive once, in order, whoever goes away meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use outpost::hub::store::{Creation, Store};
use outpost::obs::clock::boot_now;
use outpost::wire::envelope;
use outpost::wire::message::Message;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::raw_agent::{RawAgent, World, records, register, within};

#[tokio::test]
async fn records_are_acked_after_the_commit_and_listed() {
    let world = World::new().await;
    let (mut agent, marks) = world.register().await;
    assert_eq!(marks[0].acked, 0);
    agent.say(records(1, &["a", "b"])).await;
    assert_eq!(agent.acked().await, 2);
    // Overlaps what is stored: only the new part counts.
    agent.say(records(2, &["b", "c"])).await;
    assert_eq!(agent.acked().await, 3);
    assert_eq!(world.texts().await, ["a", "b", "c"]);
    let (_, view) = world.get("/v1/agents/edge-1").await;
    assert_eq!(view["connected"], true, "{view}");
    assert_eq!(view["streams"][0]["acked"], 3, "{view}");
    assert!(view["session"]["clock_offset_ms"].as_i64().unwrap().abs() < 60_000, "{view}");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_hub_that_goes_says_so_and_goes_on_where_it_was() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    agent.say(records(1, &["a"])).await;
    assert_eq!(agent.acked().await, 1);
    let world = world.restart().await;
    assert_eq!(agent.closed().await, (1001, "going_away".to_owned()));
    let (mut agent, marks) = world.register().await;
    assert_eq!(marks[0].acked, 1);
    assert_ne!(marks[0].acked_crc, 0);
    agent.say(records(1, &["a", "b"])).await;
    assert_eq!(agent.acked().await, 2);
    assert_eq!(world.texts().await, ["a", "b"]);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn the_second_login_wins_and_outlives_the_first() {
    let world = World::new().await;
    let (mut first, _) = world.register().await;
    first.say(records(1, &["a"])).await;
    assert_eq!(first.acked().await, 1);
    let (mut second, marks) = world.register().await;
    assert_eq!(marks[0].acked, 1);
    assert_eq!(first.closed().await, (1000, "replaced".to_owned()));
    second.say(records(2, &["b"])).await;
    assert_eq!(second.acked().await, 2);
    assert_eq!(world.hub.peer_count(), 1);
    world.hub.shutdown().await;
}

/// Asks and never reads an answer, until the connection breaks.
async fn ask_for_ever(mut deaf: RawAgent) -> u64 {
    let mut asked = 0;
    loop {
        let frame = deaf.sealed(Message::Ping).freeze();
        if deaf.ws.send(Frame::Binary(frame)).await.is_err() {
            return asked;
        }
        asked += 1;
    }
}

#[tokio::test]
async fn an_agent_removed_by_another_process_is_told_so_and_its_session_ends_soon() {
    for says in [None, Some("too late")] {
        let world = World::new().await;
        let (mut agent, _) = world.register().await;
        // A second store on the folder is what `hub agent remove --data` opens.
        let (beside, _writer) = Store::open(world.folder.path(), Creation::Refused).await.unwrap();
        beside.remove_agent(&"edge-1".parse().unwrap()).await.unwrap();
        if let Some(says) = says {
            agent.say(records(1, &[says])).await;
        }
        assert_eq!(agent.closed().await, (1008, "unknown_agent".to_owned()), "not `replaced`: {says:?}");
        world.hub.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_reads_is_dropped_and_blocks_nobody_else() {
    let write_timeout = Duration::from_secs(1);
    let world = World::with(|config| config.write_timeout = write_timeout).await;
    // Its kernel takes as little as it may, so that the hub's writes soon make no progress.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    let mut deaf = world.connect_on(socket).await;
    deaf.register().await;
    let deaf = tokio::spawn(ask_for_ever(deaf));
    let world = world.another("edge-2").await;
    let (mut other, _) = world.register().await;
    let (mut delivered, mut meanwhile) = (0, 0);
    let began = boot_now();
    let dropped = async {
        loop {
            delivered += 1;
            other.say(records(delivered, &["y"])).await;
            assert_eq!(other.acked().await, delivered);
            let (_, status) = world.get("/v1/status").await;
            if status["counters"]["sessions_ended"]["write_timeout"] == 1 {
                break;
            }
            meanwhile += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), dropped).await.expect("the deaf peer is dropped");
    // The sockets' buffers are filled first, and the machine may be busy.
    let took = boot_now().since(began);
    assert!(took < write_timeout * 20, "{took:?}");
    assert!(meanwhile > 1, "the other one delivered while the deaf one was served");
    let asked = within(deaf).await.unwrap();
    assert!(asked > 1_000, "{asked} questions were answered or waited");
    assert_eq!(world.hub.peer_count(), 1, "the other one stays");
    within(world.hub.shutdown()).await;
}

/// Logs in and sends what follows the mark, as far as it gets before another login takes its place.
async fn login_and_send(world: &World) -> Option<()> {
    let mut agent = world.connect().await;
    let frame = agent.sealed(register()).freeze();
    agent.ws.send(Frame::Binary(frame)).await.ok()?;
    loop {
        let Some(Ok(message)) = within(agent.ws.next()).await else { return None };
        let Frame::Binary(frame) = message else { continue };
        let opened = envelope::open(&frame, &agent.down, 1 << 21).unwrap().into_message().unwrap();
        match opened {
            Message::RegisterAck(ack) => {
                let first = ack.marks.entries[0].acked + 1;
                let texts: Vec<String> = (first..first + 3).map(|number| number.to_string()).collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let frame = agent.sealed(records(first, &texts)).freeze();
                agent.ws.send(Frame::Binary(frame)).await.ok()?;
            }
            Message::Ack(_) => return Some(()),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logins_of_one_agent_at_the_same_time_store_each_record_once() {
    let world = Arc::new(World::new().await);
    for _ in 0..5 {
        let logins: Vec<_> = (0..8)
            .map(|_| {
                let world = Arc::clone(&world);
                tokio::spawn(async move { login_and_send(&world).await })
            })
            .collect();
        for login in logins {
            login.await.unwrap();
        }
    }
    let texts = world.texts().await;
    assert!(!texts.is_empty(), "the last login of each round is replaced by nobody");
    let expected: Vec<String> = (1..=texts.len()).map(|number| number.to_string()).collect();
    assert_eq!(texts, expected);
}

/// A bundle of the agent's logs, with these records.
pub(crate) fn bundle(key: &outpost::wire::key::KeyFile, records: Message) -> Vec<u8> {
    use outpost::outbox::bundle::{Header, Range, Writer};
    use outpost::wire::entry::Entry;
    let Message::Records(records) = records else { panic!("records") };
    let (first, last) = (records.first, records.last());
    let ranges = vec![Range { stream: records.stream, first, last, crc_before: 0 }];
    let header = Header {
        hub_id: key.hub_id,
        agent_id: key.agent_id,
        bundle: outpost::id::BundleId::from_bytes([7; 16]),
        key_id: key.key_id.clone(),
        chunks: 1,
        ranges,
    };
    let (mut writer, first) = Writer::new(header, &key.key.mac_root(), None);
    let chunk = writer.chunk(vec![Entry::Records(records)]).unwrap();
    [first, chunk, writer.finish().unwrap()].concat()
}

#[tokio::test]
async fn a_bundle_beside_a_live_session_moves_the_mark_and_the_session_comes_back() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    agent.say(records(1, &["a", "b"])).await;
    assert_eq!(agent.acked().await, 2);
    let mut spool = outpost::hub::import::Spool::create(world.folder.path()).unwrap();
    spool.push(&bundle(&world.key, records(1, &["a", "b", "c", "d", "e"]))).unwrap();
    let imported = outpost::hub::import::import(world.hub.store(), spool).await.unwrap();
    assert_eq!((imported.records, imported.known), (3, 2));
    // The session goes on from its own mark, which is not the database's any more.
    agent.say(records(3, &["c"])).await;
    assert_eq!(agent.closed().await, (1000, "replaced".to_owned()));
    let (mut agent, marks) = world.register().await;
    assert_eq!(marks[0].acked, 5);
    agent.say(records(6, &["f"])).await;
    assert_eq!(agent.acked().await, 6);
    assert_eq!(world.texts().await, ["a", "b", "c", "d", "e", "f"]);
    world.hub.shutdown().await;
}
