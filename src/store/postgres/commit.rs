//! One batch in one transaction, one statement per table: the fence, then new requests and rejections, then steps, then the lanes
//! that were released, then what all of them send.
//!
//! Arrays become rows by `SELECT unnest($1), unnest($2)`, side by side. As a table (`FROM unnest($1, $2)`) PostgreSQL would keep each
//! array in a store of its own first, which costs more than what most of these statements do with them.

use uuid::Uuid;

use super::PostgresStore;
use super::db::Tx;
use crate::domain::request::chain::Entry;
use crate::engine::ports::records::Event;
use crate::engine::ports::store::{StoreError, WorkerId, Write, Written};
use crate::faults::bug;
use crate::store::batch::{self, Tally};
use crate::store::mistake::sql;
use crate::store::pack::pack;
use crate::store::rows::int;

/// Waits for nobody but one who deletes the row, and makes that one wait until this transaction ends. The transaction says in a setting
/// of its own who writes: a trigger (of an auditor, of the tests) can hold that against a request's owner.
const FENCE: &str = "SELECT set_config('mozhao.worker', $1::TEXT, TRUE) FROM workers WHERE id = $1 FOR KEY SHARE";
/// Entries, events and counters: three tables in one statement, since each statement costs a round trip, and none of these waits
/// for another. (What new requests count and what steps count has different names, so neither of two batches waits for the other's rows.)
const BESIDE: &str = "\
    WITH entries_written AS (
        INSERT INTO entries (request, seq, packed) SELECT unnest($2::UUID[]), unnest($3::BIGINT[]), unnest($4::BYTEA[])),
    to_publish AS (INSERT INTO unpublished (worker, first, ids) SELECT $1, $5::UUID, $6::UUID[] WHERE $5 IS NOT NULL),
    events_written AS (
        INSERT INTO outbox (id, request, seq, topic, body, reply_to, correlation, at)
        SELECT unnest($6::UUID[]), unnest($7::UUID[]), unnest($8::BIGINT[]), unnest($9::TEXT[]), unnest($10::BYTEA[]),
            unnest($11::TEXT[]), unnest($12::TEXT[]), unnest($13::BIGINT[]))
    INSERT INTO tallies AS t (worker, name, n) SELECT $1, unnest($14::TEXT[]), unnest($15::BIGINT[])
    ON CONFLICT (worker, name) DO UPDATE SET n = t.n + EXCLUDED.n";

/// What a batch writes beside its requests' rows.
#[derive(Debug, Default)]
pub(super) struct Beside<'a> {
    /// Ledger entries, as they were written together.
    pub(super) entries: Vec<(Uuid, &'a [Entry])>,
    /// Events to publish.
    pub(super) events: Vec<&'a Event>,
    /// Counters.
    pub(super) tally: Tally,
}

impl PostgresStore {
    pub(super) async fn write_batch(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        let mut parts = batch::parts(batch)?;
        let mut tx = self.db.engine().begin().await?;
        if !alive(&mut tx, worker).await? {
            tx.rollback().await?;
            return Err(StoreError::Fenced);
        }
        let mut beside = Beside::default();
        let new = super::accept::keys(&mut tx, &mut parts).await?;
        let lanes = super::accept::lanes(&mut tx, &new, &parts).await?;
        super::accept::requests(&mut tx, new, lanes, &mut parts, &mut beside).await?;
        super::accept::rejects(&mut tx, &mut parts, &mut beside).await?;
        super::advance::advances(&mut tx, worker, &mut parts, &mut beside).await?;
        beside.write(&mut tx, worker).await?;
        tx.commit().await?;
        Ok(parts.answers)
    }
}

/// Does the worker's row exist? If so, it does until this transaction ends.
pub(super) async fn alive(tx: &mut Tx<'_>, worker: WorkerId) -> Result<bool, StoreError> {
    let fence = sql(FENCE, "fence_unlocked", "FOR KEY SHARE", "");
    Ok(tx.first(sqlx::query(fence).bind(worker), |_| Ok(())).await?.is_some() || bug("fence_unread"))
}

impl Beside<'_> {
    async fn write(self, tx: &mut Tx<'_>, worker: WorkerId) -> Result<(), StoreError> {
        let counts = self.tally.into_counts();
        if self.entries.is_empty() && self.events.is_empty() && counts.is_empty() {
            return Ok(());
        }
        let (names, counts): (Vec<&str>, Vec<i64>) = counts.into_iter().unzip();
        let (entries, events) = (&self.entries, &self.events);
        let first = |entries: &[Entry]| int(entries.first().map_or(0, |entry| entry.seq));
        let query = sqlx::query(BESIDE)
            .bind(worker)
            .bind(entries.iter().map(|(request, _)| *request).collect::<Vec<_>>())
            .bind(entries.iter().map(|(_, entries)| first(entries)).collect::<Result<Vec<_>, _>>()?)
            .bind(entries.iter().map(|(_, entries)| pack(entries)).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.id).min())
            .bind(events.iter().map(|event| event.id).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.request).collect::<Vec<_>>())
            .bind(events.iter().map(|event| int(event.seq)).collect::<Result<Vec<_>, _>>()?)
            .bind(events.iter().map(|event| event.topic.as_str()).collect::<Vec<_>>())
            .bind(events.iter().map(|event| &event.body[..]).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.reply_to.as_deref()).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.correlation.as_deref()).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.at.0).collect::<Vec<_>>())
            .bind(names)
            .bind(counts);
        tx.execute(query).await?;
        Ok(())
    }
}
