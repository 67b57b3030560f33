//! The page of examples/live.html in a real browser follows a job's log. Ignored where there may be none.

use rustix::process::Signal;
use serde_json::Value;

use super::subscriber::line;
use super::world::World;
use crate::chromium::Chromium;

/// Lines of each round.
const LINES: u32 = 10;

/// The lines among the payloads that the page shows.
fn lines(messages: &[String]) -> Vec<String> {
    let payloads = messages.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
    payloads.filter(|payload| payload["kind"] == "line").map(|payload| line(&payload)).collect()
}

#[test]
#[ignore = "needs chromium"]
fn a_page_sees_each_line_once_and_in_order_through_restarts_of_the_hub() {
    let mut world = World::new();
    world.add_agent("edge-1");
    world.run_agent("edge-1");
    let mut job = world.submit("edge-1", "input");
    let (topic, token) = (job.logs(), world.token(&job.logs()));
    let wanted = format!("url=ws://{}&topic={topic}&token={token}", world.api);
    let mut page = Chromium::open("examples/live.html", &wanted);
    let mut said = 0;
    let mut expected = Vec::new();
    let mut say = |job: &mut super::world::Job| {
        job.say(said + 1..=said + LINES);
        expected.extend((said + 1..=said + LINES).map(|number| format!("1:{number} line {number}")));
        said += LINES;
        expected.clone()
    };
    for round in 0..5 {
        let all = say(&mut job);
        let seen = page.wait_for("told of all lines", |_, messages| lines(messages).len() >= all.len());
        assert_eq!(lines(&seen), all, "round {round}");
        world.stop(if round % 2 == 0 { Signal::TERM } else { Signal::KILL });
        page.wait_for("away", |state, _| state.starts_with("closed 10"));
        // Nobody hears of these before the hub is back.
        say(&mut job);
        world.start();
    }
    let all = say(&mut job);
    job.end();
    let is_over = |_: &str, messages: &[String]| messages.iter().any(|text| text.contains(r#""kind":"end""#));
    let seen = page.wait_for("told of the end", is_over);
    assert_eq!(lines(&seen), all);
}
