//! A hub that is watched: what an attack moved among its counters, and what it left in its database.

use std::collections::BTreeMap;

use outpost::hub::config::Config;
use outpost::wire::key::KeyFile;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

use crate::raw_agent::{World, records, within};

/// Says when an agent was last there; a session that ends moves it, whoever ended it.
const PRESENCE: [&str; 2] = ["offline_since", "session"];
/// The same, as the streams of who watches tell it: the rows of these tables with these words.
const TOLD_OF_PRESENCE: [(&str, &str); 2] =
    [("sqlite_sequence ", "'stream_events'"), ("stream_events ", "'disconnected'")];

/// A hub with the agent that is attacked (`world.key`), and one that must not notice.
pub(crate) struct Scene {
    pub(crate) world: World,
    honest: KeyFile,
    counters: BTreeMap<String, u64>,
    rows: Vec<String>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let world = World::with(change).await;
        let honest = world.hub.store().add_agent(&"honest".parse().unwrap(), None).await.unwrap().key_file;
        let mut scene = Self { world, honest, counters: BTreeMap::new(), rows: Vec::new() };
        scene.set().await;
        scene
    }

    /// The attack begins here.
    pub(crate) async fn set(&mut self) {
        self.counters = self.counters().await;
        self.rows = dump(&mut self.database().await).await;
    }

    /// Changes the registry behind the hub's back.
    pub(crate) async fn plant(&self, sql: &str, bytes: &[u8]) {
        let agent = self.world.key.agent_id.as_bytes().to_vec();
        let change = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(bytes.to_vec()).bind(agent);
        assert_eq!(change.execute(&mut self.database().await).await.unwrap().rows_affected(), 1, "{sql}");
    }

    /// These counters ([`names`]) moved, by so much, and no other; nothing was stored; and another agent delivers as before.
    pub(crate) async fn moved(mut self, expected: &[(&str, u64)]) {
        self.check(expected).await;
        self.world.key = self.honest.clone();
        let (mut agent, _) = self.world.register().await;
        agent.say(records(1, &["of an honest agent"])).await;
        assert_eq!(agent.acked().await, 1);
        self.world.hub.shutdown().await;
    }

    /// The first half of [`Self::moved`], for an attack that goes on.
    pub(crate) async fn check(&self, expected: &[(&str, u64)]) {
        let mut moved = self.counters().await;
        for (name, before) in &self.counters {
            *moved.get_mut(name).unwrap() -= before;
        }
        // What upgrades presented is counted in `auth_ok`, too.
        let beside = |name: &str| name.starts_with("frames_") || name.starts_with("credentials.");
        moved.retain(|name, by| *by > 0 && !beside(name));
        let mut counted = BTreeMap::new();
        for (name, by) in expected {
            for name in names(name) {
                *counted.entry(name).or_default() += by;
            }
        }
        assert_eq!(moved, counted, "the counters that moved");
        assert_eq!(dump(&mut self.database().await).await, self.rows, "something was stored");
    }

    /// The counter moved since the attack began; what a session leaves behind takes its time.
    pub(crate) async fn until_moved(&self, name: &str) {
        let before = self.counters.get(name).copied().unwrap_or_default();
        let wait = async { while self.counters().await.get(name).is_none_or(|value| *value == before) {} };
        within(wait).await;
    }

    async fn counters(&self) -> BTreeMap<String, u64> {
        let (code, status) = self.world.get("/v1/status").await;
        assert_eq!(code, 200, "{status}");
        let mut flat = BTreeMap::new();
        for (name, value) in status["counters"].as_object().unwrap() {
            match value {
                Value::Object(by_name) => flat.extend(
                    by_name.iter().map(|(inner, value)| (format!("{name}.{inner}"), value.as_u64().unwrap())),
                ),
                value => drop(flat.insert(name.clone(), value.as_u64().unwrap())),
            }
        }
        flat
    }

    async fn database(&self) -> SqliteConnection {
        let path = self.world.folder.path().join("hub.db");
        SqliteConnectOptions::new().filename(path).connect().await.unwrap()
    }
}

/// `refused.X` is a session that ended for X before it registered: an end, and a refusal.
fn names(name: &str) -> Vec<String> {
    match name.strip_prefix("refused.") {
        Some(why) => ["auth_failed", "sessions_ended"].map(|group| format!("{group}.{why}")).to_vec(),
        None => vec![name.to_owned()],
    }
}

/// Every row of every table as text, but for when agents were there, and what streams tell of that.
async fn dump(database: &mut SqliteConnection) -> Vec<String> {
    let tables = "select name from sqlite_master where type = 'table' order by name";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *database).await.unwrap();
    assert!(tables.iter().any(|table| table == "batches"), "{tables:?}");
    let mut rows = Vec::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("select name from pragma_table_info($1)")
            .bind(&table)
            .fetch_all(&mut *database)
            .await
            .unwrap();
        let columns = columns.iter().filter(|column| !PRESENCE.contains(&column.as_str()));
        let row = columns.map(|column| format!("quote({column})")).collect::<Vec<_>>().join(" || ' ' || ");
        let select = sqlx::AssertSqlSafe(format!("select '{table} ' || {row} from {table} order by 1"));
        rows.extend(sqlx::query_scalar::<_, String>(select).fetch_all(&mut *database).await.unwrap());
    }
    rows.retain(|row| !TOLD_OF_PRESENCE.iter().any(|told| row.starts_with(told.0) && row.contains(told.1)));
    rows
}
