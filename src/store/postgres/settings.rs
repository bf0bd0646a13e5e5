//! Processes, tokens, settings, and sweeping what is past its window.

use std::time::Duration;

use sqlx::Row as _;

use super::db::Query;
use super::{PostgresStore, rows};
use crate::domain::time::Time;
use crate::engine::ports::batches::Batches as _;
use crate::engine::ports::records::{ProcessRow, Retention, TokenRow, Version};
use crate::engine::ports::reviewing::Reviewing as _;
use crate::engine::ports::sessions::Sessions as _;
use crate::engine::ports::store::StoreError;
use crate::store::batch;
use crate::store::rows::{int, json_text, token_columns};
use crate::store::rules::id_at;

const PUBLISH: &str = "\
    INSERT INTO processes (name, version, digest, source, published_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (name, version) DO NOTHING";
const DIGEST: &str = "SELECT digest FROM processes WHERE name = $1 AND version = $2";
const PROCESSES: &str = "SELECT name, version, digest FROM processes ORDER BY name COLLATE \"C\", version LIMIT $1";
const PROCESS: &str = "SELECT name, version, digest, source, published_at FROM processes WHERE name = $1 AND version = $2";
const ADD_TOKEN: &str = concat!("INSERT INTO tokens (", token_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
const TOKEN: &str = concat!("SELECT ", token_columns!(), " FROM tokens WHERE sha256 = $1");
const TOKENS: &str = concat!("SELECT ", token_columns!(), " FROM tokens ORDER BY name COLLATE \"C\"");
/// A token that was revoked before keeps its first date.
const REVOKE: &str = "UPDATE tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE name = $1";
const SET: &str = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const GET: &str = "SELECT value FROM settings WHERE name = $1";

const SWEEP_INBOX: &str = "DELETE FROM inbox WHERE ctid = ANY(ARRAY(SELECT ctid FROM inbox WHERE at < $1 LIMIT $2))";
const SWEEP_LIMITS: &str = "DELETE FROM limits WHERE ctid = ANY(ARRAY(SELECT ctid FROM limits WHERE ends_at < $1 LIMIT $2))";
const SWEEP_SIGNALS: &str = "DELETE FROM signals WHERE id IN (SELECT id FROM signals WHERE consumed_at < $1 LIMIT $2)";
/// Signals that a request did not look at any more before it ended.
const SWEEP_LATE: &str = "\
    DELETE FROM signals WHERE id IN (
        SELECT s.id FROM signals s JOIN past_requests r ON r.id = s.request
        WHERE s.consumed_at IS NULL AND s.at < $1 AND r.ended_at < $1 ORDER BY s.at, s.id LIMIT $2)";
const SWEEP_RAW: &str = "\
    UPDATE rejected SET raw = '' WHERE id IN (
        SELECT id FROM rejected WHERE id < $1 AND at < $3 AND raw <> '' ORDER BY id LIMIT $2)";
const SWEEP_REJECTED: &str = "\
    DELETE FROM rejected WHERE id IN (SELECT id FROM rejected WHERE id < $1 AND at < $3 ORDER BY id LIMIT $2)";
/// Ids are in order of time. What nobody has published stays.
const SWEEP_OUTBOX: &str = "\
    DELETE FROM outbox WHERE id IN (
        SELECT o.id FROM outbox o WHERE o.id < $1 AND o.at < $3 AND NOT EXISTS (
            SELECT 1 FROM (SELECT unnest(ids) AS id FROM unpublished WHERE first < $1) AS u WHERE u.id = o.id)
        ORDER BY o.id LIMIT $2)";

impl PostgresStore {
    pub(super) async fn add_process(&self, row: &ProcessRow) -> Result<String, StoreError> {
        batch::plain(&row.source)?;
        let query = sqlx::query(PUBLISH).bind(&row.name).bind(i64::from(row.version)).bind(&row.digest).bind(&row.source);
        let mut tx = self.db.others().begin().await?;
        tx.execute(query.bind(row.published_at.0)).await?;
        let digest = sqlx::query(DIGEST).bind(&row.name).bind(i64::from(row.version));
        let digest = tx.first(digest, |row| row.try_get("digest")).await?;
        tx.commit().await?;
        digest.ok_or(StoreError::NotFound("the process"))
    }

    pub(super) async fn list_processes(&self, limit: usize) -> Result<Vec<Version>, StoreError> {
        self.db.others().read(sqlx::query(PROCESSES).bind(int(limit)?), rows::version).await
    }

    pub(super) async fn one_process(&self, name: &str, version: u32) -> Result<ProcessRow, StoreError> {
        let found = self.db.others().read(sqlx::query(PROCESS).bind(name).bind(i64::from(version)), rows::process).await?;
        found.into_iter().next().ok_or(StoreError::NotFound("the process"))
    }

    pub(super) async fn insert_token(&self, token: &TokenRow) -> Result<(), StoreError> {
        batch::plain(&token.name)?;
        let query = sqlx::query(ADD_TOKEN).bind(&token.name).bind(&token.sha256[..]).bind(json_text(&token.roles)?);
        let query = query.bind(json_text(&token.processes)?).bind(json_text(&token.review_roles)?).bind(token.created_at.0);
        let query = query.bind(token.expires_at.map(|at| at.0)).bind(token.revoked_at.map(|at| at.0));
        self.db.others().write(query).await?;
        Ok(())
    }

    pub(super) async fn token_by_hash(&self, sha256: &[u8; 32]) -> Result<TokenRow, StoreError> {
        let found = self.db.others().read(sqlx::query(TOKEN).bind(&sha256[..]), rows::token).await?;
        found.into_iter().next().ok_or(StoreError::NotFound("the token"))
    }

    pub(super) async fn list_tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.db.others().read(sqlx::query(TOKENS), rows::token).await
    }

    pub(super) async fn end_token(&self, name: &str, at: Time) -> Result<bool, StoreError> {
        Ok(self.db.others().write(sqlx::query(REVOKE).bind(name).bind(at.0)).await? == 1)
    }

    pub(super) async fn setting_or(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut tx = self.db.others().begin().await?;
        tx.execute(sqlx::query(SET).bind(name).bind(fresh)).await?;
        let value = tx.first(sqlx::query(GET).bind(name), |row| row.try_get("value")).await?;
        tx.commit().await?;
        value.ok_or(StoreError::NotFound("the setting"))
    }

    /// At most `limit` rows of each kind.
    pub(super) async fn remove_old(&self, now: Time, keep: &Retention, rows: usize) -> Result<u64, StoreError> {
        let limit = int(rows)?;
        let before = |window: Duration| now.minus(window);
        // Ids are in order of time, but for the moment between their making and their row's.
        let ids = |sql: &'static str, window: Duration| -> Query<'static> {
            sqlx::query(sql).bind(id_at(before(window))).bind(limit).bind(before(window).0)
        };
        let times = |sql: &'static str, end: Time| -> Query<'static> { sqlx::query(sql).bind(end.0).bind(limit) };
        let steps = [
            times(SWEEP_INBOX, before(keep.inbox)),
            times(SWEEP_LIMITS, now),
            times(SWEEP_SIGNALS, before(keep.signals)),
            times(SWEEP_LATE, before(keep.signals)),
            ids(SWEEP_OUTBOX, keep.events),
            ids(SWEEP_RAW, keep.raw),
            ids(SWEEP_REJECTED, keep.rejected),
        ];
        let mut removed = 0;
        for step in steps {
            removed += self.db.others().write(step).await?;
        }
        self.make_months_ahead().await?;
        removed += self.fill_who(rows).await?;
        removed += self.sweep_snoozes(before(keep.sessions), rows).await?;
        removed += self.sweep_ends(before(keep.sessions), rows).await?;
        removed += self.sweep_presences(now, rows).await?;
        removed += self.sweep_batches(before(keep.sessions), rows).await?;
        removed += self.sweep_sessions(before(keep.sessions), rows).await?;
        if let Some(window) = keep.requests {
            // What is dropped does not come back: a machine whose clock has jumped ahead does not decide it.
            let now = now.min(self.time(self.db.others()).await?);
            removed += self.remove_requests(now.minus(window), rows).await?;
        }
        Ok(removed)
    }
}
