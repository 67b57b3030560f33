//! Frames that were made, but not by the agent for this place: reflected, recorded, of another session.

use outpost::wire::message::Message;
use tokio::net::TcpSocket;

use crate::raw_agent::{RawAgent, World, records, register};
use crate::scene::Scene;

const BAD_MAC: [(&str, u64); 2] = [("auth_ok", 1), ("refused.bad_mac", 1)];

/// The end of who sends what does not verify.
async fn ends_for_its_mac(agent: &mut RawAgent) {
    assert_eq!(agent.closed().await, (1008, "bad_mac".to_owned()));
}

#[tokio::test]
async fn a_challenge_sent_back_opens_nothing() {
    let scene = Scene::new().await;
    let mut agent = scene.world.connect().await;
    agent.send(agent.challenge.clone()).await;
    ends_for_its_mac(&mut agent).await;
    scene.moved(&BAD_MAC).await;
}

#[tokio::test]
async fn a_register_ack_sent_back_ends_the_session() {
    let mut scene = Scene::new().await;
    let mut agent = scene.world.connect().await;
    agent.say(register()).await;
    let ack = agent.hear_frame().await;
    scene.set().await;
    // Number 2, as the agent's next one would be.
    agent.send(ack).await;
    ends_for_its_mac(&mut agent).await;
    scene.moved(&[("sessions_ended.bad_mac", 1)]).await;
}

#[tokio::test]
async fn a_register_of_another_session_registers_nobody() {
    let scene = Scene::new().await;
    let mut first = scene.world.connect().await;
    let recorded = first.sealed(register()).freeze();
    let mut second = scene.world.connect().await;
    second.send(recorded.clone()).await;
    ends_for_its_mac(&mut second).await;
    scene.check(&[("auth_ok", 2), ("refused.bad_mac", 1)]).await;
    // The session it was made for takes it.
    first.send(recorded).await;
    assert!(matches!(first.hear().await, Message::RegisterAck(_)));
    scene.world.hub.shutdown().await;
}

#[tokio::test]
async fn records_of_another_session_are_not_stored() {
    let mut scene = Scene::new().await;
    let mut first = scene.world.connect().await;
    let (mut second, _) = scene.world.register().await;
    first.seq = second.seq;
    let recorded = first.sealed(records(1, &["recorded"])).freeze();
    scene.set().await;
    second.send(recorded).await;
    ends_for_its_mac(&mut second).await;
    scene.moved(&[("sessions_ended.bad_mac", 1)]).await;
}

/// Everything an agent said is said again, from the upgrade on: the hub's nonce is another.
#[tokio::test]
async fn a_whole_recorded_session_ends_at_its_first_frame() {
    let mut scene = Scene::new().await;
    let (nonce, socket) = ([7; 32], || TcpSocket::new_v4().unwrap());
    let mut agent = scene.world.connect_with(nonce, socket()).await;
    let said = [agent.sealed(register()).freeze(), agent.sealed(records(1, &["once"])).freeze()];
    agent.send(said[0].clone()).await;
    assert!(matches!(agent.hear().await, Message::RegisterAck(_)));
    agent.send(said[1].clone()).await;
    assert_eq!(agent.acked().await, 1);
    drop(agent);
    scene.until_moved("sessions_ended.closed").await;
    scene.set().await;
    let mut thief = scene.world.connect_with(nonce, socket()).await;
    thief.send(said[0].clone()).await;
    ends_for_its_mac(&mut thief).await;
    scene.moved(&BAD_MAC).await;
}

#[tokio::test]
async fn a_frame_said_twice_ends_the_session_and_is_stored_once() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    let frame = agent.sealed(records(1, &["once"])).freeze();
    agent.send(frame.clone()).await;
    assert_eq!(agent.acked().await, 1);
    agent.send(frame).await;
    assert_eq!(agent.closed().await, (1008, "bad_sequence".to_owned()));
    assert_eq!(world.texts().await, ["once"]);
    world.hub.shutdown().await;
}
