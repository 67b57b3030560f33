//! What the broker says of itself.

use std::time::Duration;

use serde_json::{Value, json};

use super::topic::Topic;

/// The broker now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    /// Where there are other nodes.
    pub(super) cluster: Option<Nodes>,
    pub(super) uptime: Duration,
    /// Topics.
    pub(super) registered: usize,
    /// Topics that somebody listens to.
    pub(super) active: usize,
    pub(super) clients: u64,
    pub(super) sockets: u64,
}

/// Their names, in no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topics {
    pub(super) registered: Vec<Topic>,
    pub(super) active: Vec<Topic>,
}

/// The nodes that this one knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nodes {
    /// Itself among them.
    pub(super) count: usize,
    pub(super) linked: Linked,
}

/// Whether Redis is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linked {
    There,
    Away,
}

/// Where there is no cluster.
const NO_CLUSTER: i64 = -1;

impl Status {
    /// One word for all of it.
    pub(super) fn word(&self) -> &'static str {
        match self.cluster {
            Some(Nodes { linked: Linked::Away, .. }) => "degraded",
            Some(Nodes { linked: Linked::There, .. }) | None => "ok",
        }
    }

    /// Without the names of topics.
    pub(super) fn to_json(&self) -> Value {
        let nodes = self.cluster.map_or(NO_CLUSTER, |nodes| i64::try_from(nodes.count).unwrap_or(i64::MAX));
        json!({
            "status": self.word(),
            "version": env!("CARGO_PKG_VERSION"),
            "uptime": uptime(self.uptime),
            "registered_topics": self.registered,
            "active_topics": self.active,
            "connected_clients": self.clients,
            "connected_sockets": self.sockets,
            "cluster_nodes": nodes,
        })
    }

    /// With them.
    pub(super) fn with_topics(&self, topics: &Topics) -> Value {
        let mut json = self.to_json();
        if let Some(object) = json.as_object_mut() {
            object.insert("topic_list".to_owned(), names(&topics.registered));
            object.insert("active_topic_list".to_owned(), names(&topics.active));
        }
        json
    }
}

fn names(topics: &[Topic]) -> Value {
    let mut names: Vec<_> = topics.iter().map(Topic::as_str).collect();
    names.sort_unstable();
    json!(names)
}

/// As Go writes a duration that was rounded to seconds: `3h22m0s`, `22m0s`, `7s`.
fn uptime(duration: Duration) -> String {
    let half_up = u64::from(duration.subsec_millis() >= 500);
    let seconds = duration.as_secs().saturating_add(half_up);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_are_written_as_go_writes_them() {
        for (ms, text) in [
            (0, "0s"),
            (499, "0s"),
            (500, "1s"),
            (59_499, "59s"),
            (59_500, "1m0s"),
            (3_600_000, "1h0m0s"),
            (12_120_000, "3h22m0s"),
            (12_119_500, "3h22m0s"),
            (360_005_000, "100h0m5s"),
        ] {
            assert_eq!(uptime(Duration::from_millis(ms)), text, "{ms} ms");
        }
    }

    #[test]
    fn the_names_of_topics_are_told_where_they_are_asked_for() {
        let topics = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let status = Status {
            cluster: None,
            uptime: Duration::from_secs(12_120),
            registered: 2,
            active: 1,
            clients: 2,
            sockets: 3,
        };
        let plain = json!({
            "status": "ok", "version": env!("CARGO_PKG_VERSION"), "uptime": "3h22m0s", "registered_topics": 2,
            "active_topics": 1, "connected_clients": 2, "connected_sockets": 3, "cluster_nodes": -1,
        });
        assert_eq!(status.to_json(), plain);
        for (linked, word) in [(Linked::There, "ok"), (Linked::Away, "degraded")] {
            let json = Status { cluster: Some(Nodes { count: 2, linked }), ..status.clone() }.to_json();
            assert_eq!((&json["status"], &json["cluster_nodes"]), (&json!(word), &json!(2)));
        }
        let all = status.with_topics(&Topics { registered: topics(&["b", "a"]), active: topics(&["b"]) });
        assert_eq!((&all["topic_list"], &all["active_topic_list"]), (&json!(["a", "b"]), &json!(["b"])));
        assert_eq!(all.as_object().unwrap().len(), plain.as_object().unwrap().len() + 2);
    }
}
