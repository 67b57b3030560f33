//! What has arrived at the hub, as its API says.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::RECORDS;
use crate::world::{Process, World, wait_for};

/// Asks one hub over one connection.
pub(crate) struct Arrivals {
    http: ureq::Agent,
    url: String,
    token: String,
}

impl Arrivals {
    pub(crate) fn new(world: &World) -> Self {
        let http = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(30))).build().into();
        let token = std::fs::read_to_string(world.path("hub/admin.token")).unwrap();
        let ready: Value = serde_json::from_slice(&std::fs::read(world.path("hub.ready")).unwrap()).unwrap();
        let url = format!("http://{}/v1/agents/edge-1", ready["listen"].as_str().unwrap());
        Self { http, url, token: token.trim().to_owned() }
    }

    /// Records of the logs lane that the hub has stored.
    pub(crate) fn count(&self) -> u64 {
        let request = self.http.get(&self.url).header("Authorization", format!("Bearer {}", self.token));
        let agent: Value = request.call().unwrap().body_mut().read_json().unwrap();
        let streams = agent["streams"].as_array().unwrap().iter();
        streams
            .filter(|stream| stream["lane"] == "logs")
            .map(|stream| stream["acked"].as_u64().unwrap())
            .sum()
    }
}

/// Starts the hub and waits for everything: seconds until the first record was there, records a second from then on,
/// seconds until all were.
pub(crate) fn drain(world: &mut World) -> (f64, f64, f64, Process) {
    let hub = world.start_hub();
    let begin = Instant::now();
    let arrivals = Arrivals::new(world);
    let some = wait_for("the first record", || Some(arrivals.count()).filter(|count| *count > 0));
    let first = begin.elapsed().as_secs_f64();
    wait_for("the last record", || Some(arrivals.count()).filter(|count| *count == RECORDS));
    let whole = begin.elapsed().as_secs_f64();
    (first, (RECORDS - some) as f64 / (whole - first), whole, hub)
}
