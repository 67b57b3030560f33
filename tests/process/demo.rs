//! The demo as a newcomer runs it.

use serde_json::{Value, json};

use crate::world::World;

#[test]
fn a_small_demo_is_clean_and_says_so_in_json() {
    let world = World::new();
    let output = world.run("demo --seed 7 --records 3000 --json --keep kept");
    let last = String::from_utf8(output).unwrap().lines().last().unwrap().to_owned();
    let report: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(report["appended"], 3000);
    assert_eq!(report["arrived"], 3000);
    for nothing in ["lost", "duplicate_effects", "out_of_order"] {
        assert_eq!(report[nothing], 0, "{report}");
    }
    assert!(report["cuts"].as_u64() >= Some(5) && report["kills"].as_u64() >= Some(3), "{report}");
    assert_eq!(report["seed"], json!(7));
    assert_eq!(report.get("jobs"), None, "{report}");
    assert!(world.path("kept/hub/hub.db").exists());
    let (exit, said) = world.fail("demo --keep kept");
    assert_eq!(exit, 73, "{said}");
}

#[test]
fn a_demo_with_jobs_runs_each_once_and_counts_them() {
    let world = World::new();
    let output = world.run("demo --seed 7 --records 3000 --jobs 24 --json --keep kept");
    let report: Value = serde_json::from_slice(&output).unwrap();
    let jobs = &report["jobs"];
    assert_eq!(jobs["submitted"], 24, "{report}");
    assert_eq!(jobs["succeeded"].as_u64().unwrap() + jobs["interrupted"].as_u64().unwrap(), 24, "{report}");
    for nothing in ["ran_twice", "results_missing", "results_twice", "lines_wrong"] {
        assert_eq!(jobs[nothing], 0, "{report}");
    }
    // Each job that succeeded noted its run, in a file of its own.
    let noted = std::fs::read_dir(world.path("kept/jobs")).unwrap().count() as u64;
    assert!(noted >= jobs["succeeded"].as_u64().unwrap(), "{noted} files: {report}");
}

#[test]
fn a_demo_says_what_happens_where_it_is_asked_to_and_nothing_else_where_all_is_well() {
    let world = World::new();
    let said = |flags: &str| {
        let command = format!("demo --agents 1 --records 10 --cuts 1 --jobs 1 --seed 7 {flags}");
        let output = world.command(&command).output().unwrap();
        assert!(output.status.success());
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (report, log) = said("");
    assert!(report.ends_with("0 have two, 0 have wrong lines.\n"), "{report}");
    assert_eq!(report.lines().count(), 3, "{report}");
    assert_eq!(log, "");
    assert_ne!(said("-v").1, "");
}

#[test]
fn a_number_of_jobs_out_of_range_is_refused() {
    let (exit, said) = World::new().fail("demo --jobs 10001");
    assert_eq!(exit, 64, "{said}");
    assert!(said.contains("10000"), "{said}");
}
