//! Operators' tokens: a digest, a scope and an end of each. A revoked one keeps its row; its name is free again. One that has
//! expired stays in the list until its name or its place is wanted: then it counts as revoked from its end on.

use std::time::Duration;

use sqlx::SqliteConnection;

use crate::hub::token::{ApiToken, Scope};
use crate::id::{TokenId, TokenName};
use crate::limit;
use crate::obs::random;
use crate::secret::Secret;
use crate::time::{HubTime, millis};

use super::audit::{self, Action};
use super::{Store, StoreError, now};

/// A token that is to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is called.
    pub name: TokenName,
    /// What it may do.
    pub scope: Scope,
    /// How long; `None`: until it is revoked.
    pub valid: Option<Duration>,
}

/// A token as the store knows it.
#[derive(Debug, Clone)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// Its name.
    pub name: TokenName,
    /// SHA-256 of its secret.
    pub digest: Secret,
    /// What it may do.
    pub scope: Scope,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Who made it.
    pub created_by: String,
    /// From here on it opens nothing; `None` where it has no end.
    pub expires_at: Option<i64>,
}

impl TokenRow {
    /// Whether its time is over.
    pub fn is_expired(&self, at: HubTime) -> bool {
        self.expires_at.is_some_and(|end| end <= super::time(at))
    }
}

type Columns = (Vec<u8>, String, Vec<u8>, String, i64, String, Option<i64>);

fn row(columns: Columns) -> Result<TokenRow, StoreError> {
    let (id, name, digest, scope, created_at, created_by, expires_at) = columns;
    let digest: [u8; 32] = digest.try_into().map_err(|_| StoreError::Damaged("token digest"))?;
    Ok(TokenRow {
        id: TokenId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("token id"))?,
        name: name.parse().map_err(|_| StoreError::Damaged("token name"))?,
        digest: Secret::new(digest),
        scope: scope.parse().map_err(|_| StoreError::Damaged("token scope"))?,
        created_at,
        created_by,
        expires_at,
    })
}

/// Sees to it that the new token's name and a place are free. What has expired gives them up, and not before: until then the
/// list says when it ended.
async fn make_room(connection: &mut SqliteConnection, new: &TokenRow) -> Result<(), StoreError> {
    let retire = "update tokens set revoked_at = expires_at where revoked_at is null and expires_at <= $1";
    sqlx::query(sqlx::AssertSqlSafe(format!("{retire} and name = $2")))
        .bind(new.created_at)
        .bind(new.name.as_str())
        .execute(&mut *connection)
        .await?;
    let (same, mut all) = held(connection, new).await?;
    if same > 0 {
        return Err(StoreError::TokenNameTaken(new.name.clone()));
    }
    if all >= limit::TOKENS_MAX {
        sqlx::query(retire).bind(new.created_at).execute(&mut *connection).await?;
        (_, all) = held(connection, new).await?;
    }
    if all >= limit::TOKENS_MAX { Err(StoreError::TooManyTokens(all)) } else { Ok(()) }
}

/// Tokens of this name, and all.
async fn held(connection: &mut SqliteConnection, new: &TokenRow) -> Result<(i64, i64), StoreError> {
    let counts = sqlx::query_as(
        "select coalesce(sum(case when name = $1 then 1 else 0 end), 0), count(*) from tokens
         where revoked_at is null",
    );
    Ok(counts.bind(new.name.as_str()).fetch_one(connection).await?)
}

impl Store {
    /// Makes a token; its text is known to whoever gets this, and to nobody afterwards.
    ///
    /// # Errors
    /// `TokenNameTaken`, `TooManyTokens`, or what the database says.
    pub async fn add_token(&self, new: NewToken) -> Result<(ApiToken, TokenRow), StoreError> {
        let token = ApiToken::new(TokenId::from_bytes(random::bytes()), Secret::new(random::bytes()));
        let created_at = now();
        let valid = new.valid.map(|valid| i64::try_from(millis(valid)).unwrap_or(i64::MAX));
        let row = TokenRow {
            id: token.id,
            name: new.name,
            digest: token.digest(),
            scope: new.scope,
            created_at,
            created_by: self.actor.to_string(),
            expires_at: valid.map(|valid| created_at.saturating_add(valid)),
        };
        let mut transaction = self.write().await?;
        make_room(&mut transaction, &row).await?;
        sqlx::query(
            "insert into tokens (id, name, secret_sha256, scope, created_at, created_by, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(row.id.as_bytes().to_vec())
        .bind(row.name.as_str())
        .bind(row.digest.expose().to_vec())
        .bind(row.scope.name())
        .bind(row.created_at)
        .bind(&row.created_by)
        .bind(row.expires_at)
        .execute(&mut *transaction)
        .await?;
        let detail = format!("{} {}", row.id, row.scope);
        audit::note(&mut transaction, &self.actor, Action::TokenAdded, row.name.as_str(), &detail).await?;
        transaction.commit().await?;
        Ok((token, row))
    }

    /// Takes a token back: it opens nothing any more.
    ///
    /// # Errors
    /// `NoToken`, or what the database says.
    pub async fn revoke_token(&self, name: &TokenName) -> Result<TokenId, StoreError> {
        let mut transaction = self.write().await?;
        let revoked: Option<(Vec<u8>,)> = sqlx::query_as(
            "update tokens set revoked_at = $2 where name = $1 and revoked_at is null returning id",
        )
        .bind(name.as_str())
        .bind(now())
        .fetch_optional(&mut *transaction)
        .await?;
        let (id,) = revoked.ok_or_else(|| StoreError::NoToken(name.clone()))?;
        let id = TokenId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("token id"))?;
        let detail = id.to_string();
        audit::note(&mut transaction, &self.actor, Action::TokenRevoked, name.as_str(), &detail).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// All tokens that are not revoked, by name; expired ones too.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let rows: Vec<Columns> = sqlx::query_as(
            "select id, name, secret_sha256, scope, created_at, created_by, expires_at from tokens
             where revoked_at is null order by name",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(row).collect()
    }
}
