//! Records emitted while the hub is away, and hubs and agents killed while they travel.

use crate::world::{World, assert_same, numbered_lines, wait_for};

const LINES: usize = 100_000;
const KILLS: usize = 5;

/// A world whose agent holds `LINES` durable lines that no hub has seen.
fn offline_backlog(lines: usize) -> (World, crate::world::Process, crate::world::Process) {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    hub.kill();
    let agent = world.start_agent("edge-1");
    let receipt = world.emit("edge-1", "logs", &numbered_lines(lines));
    assert_eq!(receipt["accepted"], lines, "{receipt}");
    assert_eq!(world.waiting("edge-1"), Some(lines as u64));
    (world, hub, agent)
}

/// Waits until fewer records wait than `left`.
fn wait_below(world: &World, left: usize) {
    world.wait_below("edge-1", left as u64);
}

#[test]
fn what_was_emitted_without_a_hub_arrives_while_the_hub_is_killed() {
    let (mut world, mut hub, _agent) = offline_backlog(LINES);
    for kill in 1..=KILLS {
        hub = world.start_hub();
        wait_below(&world, LINES - LINES * kill / (KILLS + 2));
        hub.kill();
    }
    drop(hub);
    let _hub = world.start_hub();
    world.wait_drained("edge-1");
    assert_same(&world.listed("edge-1", "logs"), &numbered_lines(LINES));
}

#[test]
fn what_was_emitted_arrives_while_the_agent_is_killed() {
    let (mut world, _dead, mut agent) = offline_backlog(LINES);
    let _hub = world.start_hub();
    for kill in 1..=KILLS {
        wait_below(&world, LINES - LINES * kill / (KILLS + 2));
        agent.kill();
        agent = world.start_agent("edge-1");
    }
    world.wait_drained("edge-1");
    assert_same(&world.listed("edge-1", "logs"), &numbered_lines(LINES));
}

#[test]
fn what_was_emitted_arrives_while_both_are_killed() {
    let (mut world, mut hub, mut agent) = offline_backlog(LINES);
    for kill in 1..=KILLS {
        hub = world.start_hub();
        wait_below(&world, LINES - LINES * kill / (KILLS + 2));
        hub.kill();
        agent.kill();
        agent = world.start_agent("edge-1");
    }
    drop(hub);
    let _hub = world.start_hub();
    world.wait_drained("edge-1");
    drop(agent);
    assert_same(&world.listed("edge-1", "logs"), &numbered_lines(LINES));
}

#[test]
fn backlogs_around_every_batch_and_window_drain() {
    for lines in [1, 65, 1_000, 200_000] {
        let (mut world, _dead, _agent) = offline_backlog(lines);
        let _hub = world.start_hub();
        world.wait_drained("edge-1");
        assert_same(&world.listed("edge-1", "logs"), &numbered_lines(lines));
    }
}

#[test]
fn new_records_flow_beside_a_backlog_and_lanes_keep_apart() {
    let (mut world, _dead, _agent) = offline_backlog(20_000);
    let _hub = world.start_hub();
    world.emit("edge-1", "events", b"door open\n");
    world.wait_drained("edge-1");
    assert_same(&world.listed("edge-1", "events"), b"door open\n");
    assert_same(&world.listed("edge-1", "logs"), &numbered_lines(20_000));
}

#[test]
fn bytes_come_out_as_they_went_in() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let _agent = world.start_agent("edge-1");
    let mut log = Vec::new();
    for number in 0..10_000u32 {
        log.extend_from_slice(format!("2026-11-21 {number} ").as_bytes());
        log.extend(number.to_le_bytes().iter().filter(|byte| **byte != b'\n'));
        log.extend_from_slice(if number % 7 == 0 { b"\r\n" } else { b"\n" });
        if number % 1000 == 0 {
            log.extend(std::iter::repeat_n(b'x', 40_000));
            log.push(b'\n');
            log.push(b'\n');
        }
    }
    world.emit("edge-1", "logs", &log);
    world.wait_drained("edge-1");
    assert_same(&world.listed("edge-1", "logs"), &log);
}

/// Runs a statement on the hub's own database, beside the hub.
fn on_hub_database(world: &World, statement: &'static str) {
    use sqlx::Connection as _;
    let path = world.path("hub/hub.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut database =
            sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
        sqlx::query(statement).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
    });
}

#[test]
fn a_hub_that_cannot_commit_acks_nothing_and_the_agent_keeps_everything() {
    let (mut world, _dead, _agent) = offline_backlog(10_000);
    on_hub_database(
        &world,
        "create trigger full before insert on batches begin select raise(abort, 'disk full'); end",
    );
    let _hub = world.start_hub();
    wait_for("the hub to say that it cannot commit", || {
        assert_eq!(
            world.waiting("edge-1").unwrap_or(10_000),
            10_000,
            "nothing is stored, nothing may be acked"
        );
        world.status("edge-1").filter(|status| status["last_error"]["code"] == "storage_full")
    });
    assert_eq!(world.waiting("edge-1"), Some(10_000));
    on_hub_database(&world, "drop trigger full");
    world.wait_drained("edge-1");
    assert_same(&world.listed("edge-1", "logs"), &numbered_lines(10_000));
}
