//! Offers, cancels and answers pass between two registered ends, and at no other time.

use bytes::Bytes;

use super::world::World;
use crate::id::{JobId, MessageId};
use crate::limit;
use crate::session::{AgentEvent, HubEvent};
use crate::time::HubTime;
use crate::wire::job::{Answer, JobAck, JobOffer, JobState, Refusal};

fn offer(number: u8) -> JobOffer {
    JobOffer {
        job: JobId::from_bytes([number; 16]),
        created_at: HubTime(7),
        spec: Bytes::from_static(br#"{"kind": "exec"}"#),
        signature: None,
    }
}

fn busy(job: JobId) -> JobAck {
    JobAck { job, answer: Answer::Refused { refusal: Refusal::Busy, detail: String::new() } }
}

fn offers(world: &World) -> Vec<(MessageId, JobOffer)> {
    let offers = world.agent_events.iter().filter_map(|event| match event {
        AgentEvent::JobOffer { id, offer } => Some((*id, offer.clone())),
        _ => None,
    });
    offers.collect()
}

fn answers(world: &World) -> Vec<JobAck> {
    let acks = world.hub_events.iter().filter_map(|event| match event {
        HubEvent::JobAck(ack) => Some(ack.clone()),
        _ => None,
    });
    acks.collect()
}

#[test]
fn an_offer_arrives_as_it_was_and_its_answer_comes_back() {
    let mut world = World::plain();
    world.settle();
    world.hub.offer_job(offer(1));
    world.hub.cancel_job(offer(2).job);
    world.settle();
    let [(id, arrived)] = offers(&world).try_into().unwrap();
    assert_eq!(arrived, offer(1));
    assert!(world.agent_events.contains(&AgentEvent::CancelJob(offer(2).job)));
    world.agent.answer_offer(id, busy(arrived.job));
    let state = JobAck { job: arrived.job, answer: Answer::Accepted(JobState::Running) };
    world.agent.answer_offer(id, state.clone());
    world.settle();
    assert_eq!(answers(&world), [busy(arrived.job), state]);
}

#[test]
fn nothing_of_jobs_passes_before_the_registration() {
    let mut world = World::plain();
    assert!(!world.hub.takes_orders());
    world.hub.offer_job(offer(1));
    world.hub.cancel_job(offer(1).job);
    world.agent.answer_offer(MessageId::NONE, busy(offer(1).job));
    world.settle();
    assert!(world.is_registered());
    assert_eq!((offers(&world), answers(&world)), (Vec::new(), Vec::new()));
    assert!(!world.agent_events.iter().any(|event| matches!(event, AgentEvent::CancelJob(_))));
}

#[test]
fn a_hub_that_asks_faster_than_it_reads_loses_the_oldest_answers() {
    let mut world = World::plain();
    world.settle();
    for number in 0..=limit::JOB_ANSWERS_MAX {
        world.agent.answer_offer(MessageId::NONE, busy(offer(u8::try_from(number).unwrap()).job));
    }
    world.settle();
    let jobs: Vec<_> = answers(&world).into_iter().map(|ack| ack.job).collect();
    assert_eq!(jobs.len(), limit::JOB_ANSWERS_MAX);
    assert_eq!(jobs[0], offer(1).job);
}

#[test]
fn the_hub_stops_taking_orders_for_a_peer_that_does_not_read() {
    let mut world = World::plain();
    world.settle();
    for _ in 0..limit::JOB_ORDERS_MAX {
        assert!(world.hub.takes_orders());
        world.hub.offer_job(offer(1));
    }
    assert!(!world.hub.takes_orders());
    world.settle();
    assert!(world.hub.takes_orders());
    assert_eq!(offers(&world).len(), limit::JOB_ORDERS_MAX);
}
