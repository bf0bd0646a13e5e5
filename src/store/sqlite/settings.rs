//! Processes, tokens, settings, and sweeping what is past its window.

use sqlx::Row as _;

use super::{SqliteStore, rows};
use crate::domain::time::Time;
use crate::engine::ports::records::{ProcessRow, Retention, TokenRow};
use crate::engine::ports::store::StoreError;
use crate::store::batch;
use crate::store::rows::{int, json_text, token_columns};

const PUBLISH: &str = "\
    INSERT INTO processes (name, version, digest, source, published_at) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (name, version) DO NOTHING";
const DIGEST: &str = "SELECT digest FROM processes WHERE name = ?1 AND version = ?2";
const PROCESSES: &str = "SELECT name, version, digest, source, published_at FROM processes ORDER BY name, version";
const ADD_TOKEN: &str = concat!("INSERT INTO tokens (", token_columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
const TOKEN: &str = concat!("SELECT ", token_columns!(), " FROM tokens WHERE sha256 = ?1");
const TOKENS: &str = concat!("SELECT ", token_columns!(), " FROM tokens ORDER BY name");
/// A token that was revoked before keeps its first date.
const REVOKE: &str = "UPDATE tokens SET revoked_at = COALESCE(revoked_at, ?2) WHERE name = ?1";
const SET: &str = "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
const GET: &str = "SELECT value FROM settings WHERE name = ?1";

/// Rows come in order of time: only the first ones are looked at.
const SWEEP_INBOX: &str = "DELETE FROM inbox WHERE rowid IN (SELECT rowid FROM inbox ORDER BY rowid LIMIT ?2) AND at < ?1";
const SWEEP_LIMITS: &str =
    "DELETE FROM limits WHERE (key, starts_at) IN (SELECT key, starts_at FROM limits WHERE ends_at < ?1 LIMIT ?2)";
const SWEEP_SIGNALS: &str = "DELETE FROM signals WHERE id IN (SELECT id FROM signals WHERE consumed_at < ?1 LIMIT ?2)";
/// An event's id is older than its publication, and ids are in order of time: `?3` ends the range that is looked at.
const SWEEP_OUTBOX: &str = "\
    DELETE FROM outbox WHERE id IN (
        SELECT o.id FROM outbox o WHERE o.id < ?1 AND o.at < ?3 AND o.id NOT IN (SELECT id FROM unpublished)
        ORDER BY o.id LIMIT ?2)";

impl SqliteStore {
    pub(super) async fn add_process(&self, row: &ProcessRow) -> Result<String, StoreError> {
        batch::plain(&row.source)?;
        let query = sqlx::query(PUBLISH).bind(&row.name).bind(row.version).bind(&row.digest).bind(&row.source);
        let mut tx = self.db.begin().await?;
        tx.execute(query.bind(row.published_at.0)).await?;
        let digest = sqlx::query(DIGEST).bind(&row.name).bind(row.version);
        let digest = tx.first(digest, |row| row.try_get("digest")).await?;
        tx.commit().await?;
        digest.ok_or(StoreError::NotFound("the process"))
    }

    pub(super) async fn list_processes(&self) -> Result<Vec<ProcessRow>, StoreError> {
        self.db.read(sqlx::query(PROCESSES), rows::process).await
    }

    pub(super) async fn insert_token(&self, token: &TokenRow) -> Result<(), StoreError> {
        batch::plain(&token.name)?;
        let query = sqlx::query(ADD_TOKEN).bind(&token.name).bind(&token.sha256[..]).bind(json_text(&token.roles)?);
        let query = query.bind(json_text(&token.processes)?).bind(json_text(&token.review_roles)?).bind(token.created_at.0);
        let query = query.bind(token.expires_at.map(|at| at.0)).bind(token.revoked_at.map(|at| at.0));
        self.db.write(query).await?;
        Ok(())
    }

    pub(super) async fn token_by_hash(&self, sha256: &[u8; 32]) -> Result<TokenRow, StoreError> {
        let found = self.db.read(sqlx::query(TOKEN).bind(&sha256[..]), rows::token).await?;
        found.into_iter().next().ok_or(StoreError::NotFound("the token"))
    }

    pub(super) async fn list_tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.db.read(sqlx::query(TOKENS), rows::token).await
    }

    pub(super) async fn end_token(&self, name: &str, at: Time) -> Result<bool, StoreError> {
        Ok(self.db.write(sqlx::query(REVOKE).bind(name).bind(at.0)).await? == 1)
    }

    pub(super) async fn setting_or(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut tx = self.db.begin().await?;
        tx.execute(sqlx::query(SET).bind(name).bind(fresh)).await?;
        let value = tx.first(sqlx::query(GET).bind(name), |row| row.try_get("value")).await?;
        tx.commit().await?;
        value.ok_or(StoreError::NotFound("the setting"))
    }

    /// At most `limit` rows of each table.
    pub(super) async fn remove_old(&self, now: Time, limit: usize) -> Result<u64, StoreError> {
        let keep = Retention::default();
        let limit = int(limit)?;
        let events = now.minus(keep.events);
        let mut removed = self.db.write(sqlx::query(SWEEP_INBOX).bind(now.minus(keep.inbox).0).bind(limit)).await?;
        removed += self.db.write(sqlx::query(SWEEP_LIMITS).bind(now.0).bind(limit)).await?;
        removed += self.db.write(sqlx::query(SWEEP_SIGNALS).bind(now.minus(keep.signals).0).bind(limit)).await?;
        let outbox = sqlx::query(SWEEP_OUTBOX).bind(crate::store::rules::id_at(events)).bind(limit).bind(events.0);
        removed += self.db.write(outbox).await?;
        Ok(removed)
    }
}
