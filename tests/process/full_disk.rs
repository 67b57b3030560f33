//! A hub whose disk is really full: it says so, acks nothing it cannot keep, and goes on when there is room.
//!
//! The disk is a small tmpfs in a mount namespace of the hub's own, so this needs no root where the system lets users
//! have namespaces. Where it does not, `scripts/test` lists it as left out.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::world::{Process, World, assert_same, numbered_lines, wait_for};

/// The way into a mount namespace on this machine.
fn unshare() -> &'static [&'static str] {
    let ways: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];
    let works = |way: &&&[&str]| {
        let tried = Command::new("unshare").args(**way).arg("true").stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let Some(way) = ways.iter().find(works) else {
        panic!("no mount namespace: allow user namespaces, or run as root");
    };
    way
}

/// The disk as the hub sees it, from outside its namespace.
fn disk(world: &World, hub: &Process) -> PathBuf {
    let inside = world.path("disk");
    PathBuf::from(format!("/proc/{}/root", hub.id())).join(inside.strip_prefix("/").unwrap())
}

/// Writes a file until nothing more goes in.
fn fill(path: PathBuf) {
    let mut file = std::fs::File::create(path).unwrap();
    for chunk in [64 * 1024, 1024, 1] {
        while file.write_all(&vec![0; chunk]).is_ok() {}
    }
}

#[test]
#[ignore = "needs a mount namespace: scripts/test runs it where there is one"]
fn a_full_disk_withholds_acks_and_room_lets_every_record_arrive_once() {
    let mut world = World::new();
    let hub = world.start_hub_on_disk(unshare(), "24m");
    let disk = disk(&world, &hub);
    // Outside of the namespace the token lies where it always does.
    std::fs::create_dir(world.path("hub")).unwrap();
    std::fs::copy(disk.join("hub/admin.token"), world.path("hub/admin.token")).unwrap();
    world.run(&format!("hub agent add edge-1 --key-out edge-1.key {}", world.remote()));
    let _agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"before\n");
    world.wait_drained("edge-1");
    assert_eq!(world.ready().0, 200);

    fill(disk.join("filler"));
    let lines = numbered_lines(100_000);
    world.emit("edge-1", "logs", &lines);
    wait_for("the hub to notice", || Some(world.ready().0).filter(|status| *status == 503));
    // More often than the hub has connections to its database: each attempt must leave its own fit for the next. Now and
    // then one succeeds, where the database's log begins anew in the room it has.
    let mut refused = 0;
    wait_for("it to say so again and again", || {
        let (status, reason) = world.ready();
        assert!(status == 200 || reason.contains("database or disk is full"), "{status} {reason}");
        refused += u32::from(status == 503);
        (refused >= 10).then_some(())
    });
    let waiting = world.waiting("edge-1").unwrap();
    assert!(waiting > 0, "what the hub cannot keep is not acked");
    let error = wait_for("the agent to hear it", || {
        world.status("edge-1")?["last_error"]["code"].as_str().map(str::to_owned)
    });
    assert_eq!(error, "storage_full");

    std::fs::remove_file(disk.join("filler")).unwrap();
    world.wait_drained("edge-1");
    assert_eq!(world.ready().0, 200);
    assert_same(&world.listed("edge-1", "logs"), &[b"before\n".as_slice(), &lines].concat());
}
