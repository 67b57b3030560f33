//! Lines of apps as server-sent events: from before what is still there, while they come, and to somebody who is slow.

use outpost::limit;
use serde_json::{Value, json};

use crate::asked::ask;
use crate::raw_agent::{RawAgent, World, records_of};
use crate::raw_http::RawHttp;

/// An event as it came: `id`, `event`, `data`.
#[derive(Debug, PartialEq)]
pub(crate) struct Event {
    id: Option<i64>,
    name: String,
    data: Value,
}

/// Somebody who follows, and reads only when asked to.
pub(crate) struct Follower {
    http: RawHttp,
    /// What came and is not a whole event yet.
    rest: String,
    /// The longest piece of the answer.
    longest: usize,
}

impl Follower {
    pub(crate) async fn new(world: &World, path: &str, last: &str) -> Self {
        Self::on(RawHttp::connect(world.hub.local_addr()).await, world, path, last).await
    }

    async fn on(mut http: RawHttp, world: &World, path: &str, last: &str) -> Self {
        let token = std::fs::read_to_string(world.folder.path().join("admin.token")).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {}\r\nLast-Event-ID: {last}\r\n\r\n",
            token.trim()
        );
        let answer = http.ask(request).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
        Self { http, rest: String::new(), longest: 0 }
    }

    /// The next event; `None` where the answer is over.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let event = event.to_owned();
                self.rest = rest.to_owned();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                // A heartbeat, or how long to wait before one comes back.
                let Some(data) = field("data: ") else { continue };
                return Some(Event {
                    id: field("id: ").map(|id| id.parse().unwrap()),
                    name: field("event: ").unwrap().to_owned(),
                    data: serde_json::from_str(data).unwrap(),
                });
            }
            let piece = self.http.piece().await?;
            self.longest = self.longest.max(piece.len());
            self.rest.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn gap(&mut self) -> Value {
        let event = self.event().await.unwrap();
        assert_eq!((event.name.as_str(), event.id), ("gap", None), "{event:?}");
        event.data
    }

    /// The number that the next heartbeat carries; nothing else comes before it.
    async fn heartbeat(&mut self) -> i64 {
        assert_eq!(self.rest, "");
        let piece = tokio::time::timeout(4 * limit::FOLLOW_HEARTBEAT, self.http.piece_at_last()).await;
        let piece = String::from_utf8(piece.expect("a heartbeat").unwrap()).unwrap();
        let (id, rest) = piece.split_once('\n').unwrap();
        assert_eq!(rest, ": still here\n\n", "{id}");
        id.strip_prefix("id: ").unwrap().parse().unwrap()
    }

    /// The number and text of the next event, which is a line.
    pub(crate) async fn line(&mut self) -> (i64, String) {
        let Event { id, name, data } = self.event().await.unwrap();
        assert_eq!(name, "line", "{data}");
        assert_eq!(data["seq"], id.unwrap(), "the id is the number");
        (id.unwrap(), data["text"].as_str().unwrap().to_owned())
    }

    async fn lines(&mut self, count: usize) -> Vec<(i64, String)> {
        let mut lines = Vec::new();
        for _ in 0..count {
            lines.push(self.line().await);
        }
        lines
    }
}

/// Says lines of the app `web`, and waits until they are stored.
async fn tell(agent: &mut RawAgent, first: u64, texts: &[String]) {
    let records: Vec<_> = texts.iter().map(|text| (Some("web"), text.as_bytes())).collect();
    agent.say(records_of(first, &records)).await;
    let last = first + texts.len() as u64 - 1;
    while agent.acked().await < last {}
}

fn texts(numbers: std::ops::RangeInclusive<i64>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

fn numbered(numbers: std::ops::RangeInclusive<i64>) -> Vec<(i64, String)> {
    numbers.clone().zip(texts(numbers)).collect()
}

const PATH: &str = "/v1/apps/web/logs/follow";

#[tokio::test]
async fn who_comes_back_with_a_number_from_before_the_ring_is_told_of_the_gap_and_goes_on() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    for first in [1, 301, 601] {
        tell(&mut agent, first, &texts(first.cast_signed()..=first.cast_signed() + 299)).await;
    }
    let mut whole = Follower::new(&world, PATH, "").await;
    assert_eq!(whole.lines(900).await, numbered(1..=900));
    tell(&mut agent, 901, &texts(901..=1010)).await;
    assert_eq!(whole.lines(110).await, numbered(901..=1010), "who has had them is told of no gap");
    // Lines 1 to 10 have fallen out of the ring.
    for (path, last) in
        [(PATH, "3"), ("/v1/apps/web/logs/follow?since=3", ""), ("/v1/logs/follow?since=900", "3")]
    {
        let mut late = Follower::new(&world, path, last).await;
        assert_eq!(late.gap().await, json!({"since": 3}), "{path}");
        assert_eq!(late.lines(1000).await, numbered(11..=1010), "{path}");
    }
    let mut late = Follower::new(&world, PATH, "3").await;
    assert_eq!(late.gap().await["since"], 3);
    // Whose connection ends before a line came asks again with the same number, and is told again.
    drop(late);
    let mut late = Follower::new(&world, PATH, "3").await;
    assert_eq!(late.gap().await["since"], 3);
    let mut just = Follower::new(&world, "/v1/apps/web/logs/follow?since=3", "10").await;
    let mut anew = Follower::new(&world, PATH, "").await;
    let mut newest = Follower::new(&world, PATH, "1010").await;
    let mut other = Follower::new(&world, "/v1/apps/till/logs/follow", "3").await;
    for (follower, first) in [(&mut late, 11), (&mut just, 11), (&mut anew, 11)] {
        assert_eq!(follower.lines(1000).await, numbered(first..=1010));
    }
    // All of them go on with what comes now.
    agent.say(records_of(1011, &[(Some("till"), b"open"), (Some("web"), b"line 1012")])).await;
    for follower in [&mut whole, &mut late, &mut just, &mut anew, &mut newest] {
        assert_eq!(follower.line().await, (1012, "line 1012".to_owned()));
    }
    assert_eq!(other.line().await, (1011, "open".to_owned()), "another app lost nothing");
    // A hub whose database is older than the one who asks says so, and begins anew.
    let mut ahead = Follower::new(&world, PATH, "5000").await;
    assert_eq!(ahead.gap().await["since"], 5000);
    assert_eq!(ahead.line().await.0, 12);
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn lines_that_are_dropped_are_a_gap_for_who_had_them_not_and_none_for_who_had_them() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    tell(&mut agent, 1, &texts(1..=5)).await;
    let mut follower = Follower::new(&world, PATH, "").await;
    assert_eq!(follower.lines(5).await, numbered(1..=5));
    let dropped = ask(&world, "DELETE", "/v1/apps/web/logs", &[], "").await;
    assert_eq!(dropped.json(), json!({"dropped": 5}));
    tell(&mut agent, 6, &texts(6..=6)).await;
    assert_eq!(follower.line().await, (6, "line 6".to_owned()));
    let mut late = Follower::new(&world, PATH, "2").await;
    assert_eq!(late.gap().await, json!({"since": 2}));
    assert_eq!(late.line().await.0, 6);
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn who_was_told_nothing_for_long_knows_its_place_all_the_same() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    tell(&mut agent, 1, &texts(1..=2)).await;
    let mut follower = Follower::new(&world, PATH, "").await;
    assert_eq!(follower.lines(2).await, numbered(1..=2));
    agent.say(records_of(3, &[(Some("till"), b"a"), (Some("till"), b"b")])).await;
    while agent.acked().await < 4 {}
    assert_eq!(follower.heartbeat().await, 4, "the newest line of all apps");
    drop(agent);
    world.hub.shutdown().await;
}

/// A line of as many bytes as a line may have, which says its number.
fn long_text(number: i64) -> String {
    format!("{number:0>width$}", width = limit::APP_LINE_BYTES_MAX)
}

#[tokio::test]
async fn one_who_takes_nothing_delays_no_other_and_goes_on_behind_what_it_was_passed_over_with() {
    const AT_ONCE: i64 = 50;
    // More than its ring has (1000 lines, 8 MiB) and the sockets' buffers.
    const LINES: i64 = 2500;
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    tell(&mut agent, 1, &[long_text(1)]).await;
    let mut fast = Follower::new(&world, PATH, "").await;
    let narrow = RawHttp::connect_narrow(world.hub.local_addr()).await;
    let mut slow = Follower::on(narrow, &world, PATH, "").await;
    assert_eq!(fast.line().await.0, 1);
    assert_eq!(slow.line().await.0, 1);
    let mut next = 2;
    while next <= LINES {
        let last = next + AT_ONCE - 1;
        let told: Vec<_> = (next..=last).map(long_text).collect();
        tell(&mut agent, next.cast_unsigned(), &told).await;
        for number in next..=last {
            assert_eq!(fast.line().await, (number, long_text(number)), "each at once, and no gap");
        }
        next = last + 1;
    }
    let (mut seen, mut gaps, mut told_of) = (1, 0, false);
    while seen < next - 1 {
        let Some(event) = slow.event().await else {
            // Hung up on, where the machine took long for all of that: it goes on as any client does.
            slow = Follower::new(&world, PATH, &seen.to_string()).await;
            continue;
        };
        if event.name == "gap" {
            let since = event.data["since"].as_i64().unwrap();
            assert!(since >= seen, "{event:?} behind line {seen}");
            (gaps, told_of) = (gaps + 1, true);
            continue;
        }
        let number = event.id.unwrap();
        assert!(number > seen, "each once, and in order: {number} behind {seen}");
        assert!(
            number == seen + 1 || told_of,
            "nothing was said of what is missing between {seen} and {number}"
        );
        assert_eq!(event.data["text"], long_text(number));
        (seen, told_of) = (number, false);
    }
    assert!(gaps > 0, "its ring has no more than 1000 lines");
    // One chunk, its last line, and what frames them.
    for follower in [&slow, &fast] {
        assert!(follower.longest <= 2 * limit::FOLLOW_CHUNK_BYTES, "{} bytes at once", follower.longest);
    }
    drop(agent);
    world.hub.shutdown().await;
}
