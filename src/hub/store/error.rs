//! What can go wrong with the hub's store, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::id::{AgentName, TokenName};

/// The store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made or read.
    #[error("the hub's folder {path}: {error}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another hub works in the folder.
    #[error("the hub's folder {path} is in use by process {holder}; stop it or choose another with --data")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The pid the holder wrote down.
        holder: String,
    },
    /// No hub has been started in the folder.
    #[error("there is no hub in {0}; start one with `outpost hub run --data {0}`")]
    NoHub(PathBuf),
    /// The key file cannot be read or made.
    #[error("the hub's key file {path}: {error}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The database is there and its key file is not.
    #[error(
        "{database} needs its key file {key}, which is missing; restore it from the backup (a new one would lock every agent out)"
    )]
    KeyFileMissing {
        /// The database.
        database: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The key file is not 32 bytes long.
    #[error("the hub's key file {0} is damaged (it must be 32 bytes); restore it from the backup")]
    KeyFileDamaged(PathBuf),
    /// Others can read the key file.
    #[error(
        "others than its owner can use the hub's key file {path} (its mode is {mode:03o}): run `chmod 600 {path}`; whoever read it can open every sealed key in a copy of the database"
    )]
    KeyFileOpen {
        /// The file.
        path: PathBuf,
        /// Its rights.
        mode: u32,
    },
    /// The key file belongs to another database.
    #[error("the hub's key file {0} was not made for this database; restore the pair that belongs together")]
    KeyFileForeign(PathBuf),
    /// A sealed value does not open.
    #[error("a sealed value of the database does not open with hub.key; the row is damaged")]
    Unsealable,
    /// A row holds what nobody wrote.
    #[error("the database is damaged: {0}")]
    Damaged(&'static str),
    /// The name is taken.
    #[error(
        "there is already an agent `{0}`; choose another name, remove it first, or let it enrol anew with `outpost hub agent invite`"
    )]
    NameTaken(AgentName),
    /// The name cannot be used.
    #[error("`{0}` cannot be an agent's name; choose another")]
    NameReserved(AgentName),
    /// No such agent.
    #[error("there is no agent `{0}`; `outpost hub agent list` shows them")]
    NoAgent(AgentName),
    /// No such token.
    #[error("there is no token `{0}`; `outpost hub token list` shows them")]
    NoToken(TokenName),
    /// The name is another token's.
    #[error("there is already a token `{0}`; choose another name, or revoke it first")]
    TokenNameTaken(TokenName),
    /// They would be more than an agent may have.
    #[error("agent `{agent}` would have {count} labels, the limit is {max}; nothing was changed", max = crate::limit::LABELS_MAX)]
    TooManyLabels {
        /// Whose.
        agent: AgentName,
        /// As many.
        count: i64,
    },
    /// Each is kept in memory.
    #[error("there are {0} tokens, as many as a hub takes; revoke some with `outpost hub token revoke`")]
    TooManyTokens(i64),
    /// The mark in the database is not the one this session goes on from.
    #[error("the mark moved under this session; nothing was stored")]
    MarkMoved,
    /// The agent was removed while it was connected.
    #[error("the agent was removed; nothing was stored")]
    NotWelcome,
    /// The agent was revoked while it was connected.
    #[error("the agent was revoked; nothing was stored")]
    Revoked,
    /// The hub stores as much of the agent as it may.
    #[error(
        "the hub stores {stored} bytes of this agent and its quota is {most}; nothing more is taken until [quota] bytes is raised in the hub's config"
    )]
    OverQuota {
        /// Bytes stored.
        stored: u64,
        /// The quota, for the lane that the records are of.
        most: u64,
    },
    /// The agent is revoked and would have to be welcome.
    #[error("`{0}` is revoked; let it enrol anew with `outpost hub agent invite {0}`")]
    NotActive(AgentName),
    /// An import's source ended before its last piece.
    #[error("the import ended before its last piece; nothing was stored")]
    Abandoned,
    /// A number is above what the database holds.
    #[error("number {0} is above 2^63 - 1")]
    NumberTooLarge(u64),
    /// The writer has stopped.
    #[error("the store is closed")]
    Closed,
    /// The round a batch was part of did not commit.
    #[error("the database cannot commit: {0}")]
    CannotCommit(String),
    /// The database's file cannot be used.
    #[error(
        "the hub's database {path}: {error}; restore it from a backup, or choose another folder with --data"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        error: sqlx::Error,
    },
    /// Anything else the database says.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought to this version.
    #[error("database: {0}; a newer version of outpost may have written it: install that one again")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}
