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
    assert!(world.path("kept/hub/hub.db").exists());
    let (exit, said) = world.fail("demo --keep kept");
    assert_eq!(exit, 73, "{said}");
}
