//! The hub's memory: one SQLite file, `DATA/hub.db`, and its key file beside it.
//!
//! Invariants: a mark moves only by compare-and-set (`where acked = old`) and only in the transaction that stores what
//! it covers; marks are never deleted; nothing is reported as stored before its commit is on disk (WAL with
//! synchronous = FULL). All records come through one writer task (`ingest`) that puts what many connections hand over
//! into one transaction; everything else uses short transactions of its own.

mod agents;
mod app_lines;
mod audit;
mod error;
mod events;
mod ingest;
mod invites;
mod jobs;
mod keys;
mod labels;
mod lock;
mod login;
mod records;
mod relays;
mod rotation;
mod seal;
mod status;
#[cfg(test)]
mod tests;
mod tokens;
mod totals;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, SqlitePool, Transaction};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::id::{HubId, Lane};
use crate::obs::{clock, folder, random};
use crate::time::HubTime;
use crate::wire::jwt::JwtKey;
use crate::wire::mac::MacKey;

pub use super::labels::Labels;
pub use agents::{AgentRow, AgentState, Issued, Particulars};
pub use app_lines::{AppBatch, AppReach};
pub use audit::{Actor, AuditRow, Departure, News};
pub use error::StoreError;
pub use events::{Event, EventMark, FleetCounts, Whose};
pub use ingest::{Content, Feed, Import, Ingest, IngestReply, Slot};
pub use invites::{Enrolled, Invited, Uninvited};
pub(super) use jobs::facts;
pub use jobs::{
    Answered, Asked, Changed, Fact, GroupSubmission, GroupSubmitted, Holes, Inbox, JobCursor, JobError,
    JobFilter, JobLine, JobLog, JobOrder, JobPage, JobRow, LinePlace, LogQuery, Submission, Submitted,
};
pub(super) use keys::fresh_id as fresh_key_id;
pub use keys::{Credential, Denied};
pub use lock::FolderLock;
pub use login::{Login, Welcome};
pub use records::{Cursor, Item, ItemContent, Page};
pub use relays::{KeptMessage, KeptRelay, NewRelay};
pub use rotation::Kept;
pub use status::{Access, GapRow, InstanceRow, KeyRow, LossRow, StreamRow};
pub use tokens::{NewToken, TokenRow};
pub use totals::Totals;

use seal::Sealer;

/// How long a transaction waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for everything but the writer.
const READERS_MAX: u32 = 4;
/// Pages of the log before it is folded into the database: 32 MiB.
const CHECKPOINT_PAGES: &str = "8192";

/// An agent inside the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgentRef(pub(crate) i64);

/// Whether opening may make a new database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// `hub run`: the first start makes one.
    Allowed,
    /// Everything else works on a hub that is there.
    Refused,
}

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
    /// For what a power cut may undo: commits without waiting for the disk.
    lazy: SqlitePool,
    hub_id: HubId,
    sealer: Arc<Sealer>,
    writer: mpsc::Sender<ingest::Work>,
    health: Arc<ingest::Health>,
    changes: Arc<jobs::Changes>,
    /// Who does what this handle is used for.
    actor: Actor,
}

impl Store {
    /// Opens `folder`'s database and starts its writer, which ends when `Store::close` was called.
    ///
    /// # Errors
    /// Where the folder, the database or the key file cannot be used; each says what to do.
    pub async fn open(folder: &Path, creation: Creation) -> Result<(Self, JoinHandle<()>), StoreError> {
        let database = folder.join("hub.db");
        let there = database.exists();
        if !there && creation == Creation::Refused {
            return Err(StoreError::NoHub(folder.to_owned()));
        }
        make_folder(folder)?;
        make_database(&database)?;
        let options = SqliteConnectOptions::new()
            .filename(&database)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .disable_statement_logging();
        let pool = PoolOptions::<Sqlite>::new()
            .max_connections(READERS_MAX)
            // After a commit that failed, one that the driver takes to be in a transaction is of no use any more.
            .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
            .connect_with(options.clone())
            .await
            .map_err(|error| StoreError::Open { path: database.clone(), error })?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        let lazy = PoolOptions::<Sqlite>::new()
            .max_connections(1)
            .connect_lazy_with(options.clone().synchronous(SqliteSynchronous::Normal));
        let (hub_id, sealer) = installation(&pool, &database, &folder.join("hub.key")).await?;
        let connection = ingest::Database::open(options).await?;
        let health = Arc::new(ingest::Health::default());
        let (writer, work) = mpsc::channel(crate::limit::INGEST_QUEUE);
        let changes = Arc::new(jobs::Changes::default());
        let task = tokio::spawn(ingest::run(connection, work, Arc::clone(&health), Arc::clone(&changes)));
        let sealer = Arc::new(sealer);
        let actor = Actor::Local;
        Ok((Self { pool, lazy, hub_id, sealer, writer, health, changes, actor }, task))
    }

    /// The same store; what is done through this handle is noted as done by `actor`.
    #[must_use]
    pub fn by(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// Which installation this is.
    pub fn hub_id(&self) -> HubId {
        self.hub_id
    }

    /// What signs the tokens of this installation.
    pub fn jwt_key(&self) -> JwtKey {
        self.sealer.jwt_key(self.hub_id)
    }

    /// What signs the tokens of Outpost's own live streams.
    pub fn stream_key(&self) -> MacKey {
        self.sealer.stream_key(self.hub_id)
    }

    /// Stops the writer after what it was given; what comes later is refused with `Closed`.
    pub async fn close(&self) {
        if self.writer.send(ingest::Work::Stop).await.is_err() {
            tracing::debug!("the writer had stopped before");
        }
    }

    /// Ends the connections to the database, once the writer is through.
    pub async fn close_pool(&self) {
        self.lazy.close().await;
        self.pool.close().await;
    }

    async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("begin immediate").await?)
    }
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    folder::make(path).map_err(|error| StoreError::Folder { path: path.to_owned(), error })
}

/// Records are nobody else's to read, whoever made the folder; the files beside the database get its mode.
fn make_database(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let options = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    options.map(|_made| ()).map_err(|error| StoreError::Folder { path: path.to_owned(), error })
}

/// Reads who this hub is, or makes it up at the first start.
async fn installation(
    pool: &SqlitePool,
    database: &Path,
    key_file: &Path,
) -> Result<(HubId, Sealer), StoreError> {
    let sealer = Sealer::read(key_file)?;
    let mut transaction = pool.begin_with("begin immediate").await?;
    let row: Option<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("select hub_id, key_check from installation where one = 1")
            .fetch_optional(&mut *transaction)
            .await?;
    if let Some((hub_id, key_check)) = row {
        let missing =
            || StoreError::KeyFileMissing { database: database.to_owned(), key: key_file.to_owned() };
        let sealer = sealer.ok_or_else(missing)?;
        if !sealer.matches(&key_check) {
            return Err(StoreError::KeyFileForeign(PathBuf::from(key_file)));
        }
        let hub_id = HubId::try_from(hub_id.as_slice()).map_err(|_| StoreError::Damaged("hub_id"))?;
        return Ok((hub_id, sealer));
    }
    // The key file first: a crash between leaves a key without a database, which the next start uses.
    let sealer = sealer.map_or_else(|| Sealer::create(key_file), Ok)?;
    let hub_id = HubId::from_bytes(random::bytes());
    sqlx::query("insert into installation (one, hub_id, key_check, created_at) values (1, $1, $2, $3)")
        .bind(hub_id.as_bytes().to_vec())
        .bind(sealer.check_value()?)
        .bind(now())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok((hub_id, sealer))
}

/// The hub's clock, as the database keeps it.
fn now() -> i64 {
    i64::try_from(clock::wall_now().0).unwrap_or(i64::MAX)
}

/// A point in hub time, as the database keeps it.
fn time(at: HubTime) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// A record's number as the database keeps it.
fn number(seq: u64) -> Result<i64, StoreError> {
    i64::try_from(seq).map_err(|_| StoreError::NumberTooLarge(seq))
}

fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::Control => 1,
        Lane::Events => 2,
        Lane::Logs => 3,
    }
}

fn lane_of(number: i64) -> Result<Lane, StoreError> {
    match number {
        1 => Ok(Lane::Control),
        2 => Ok(Lane::Events),
        3 => Ok(Lane::Logs),
        _ => Err(StoreError::Damaged("lane")),
    }
}
