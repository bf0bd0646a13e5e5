//! An owner's step: the guarded row first, then what goes with it.

use super::accept::ENTRY;
use super::commit::send;
use super::db::Tx;
use super::rows;
use crate::domain::time::Time;
use crate::engine::ports::records::{DefectRow, ReviewRow};
use crate::engine::ports::store::{Advance, ReviewChange, StoreError, WorkerId, Written};
use crate::faults::bug;
use crate::store::mistake::sql;
use crate::store::rows::{int, json_text};

/// Guarded by owner, head and, where it must be quiet, by signals. `wake_at` is `rules::wake_after` in SQL.
const ADVANCE: &str = "\
    UPDATE requests SET
        seq = ?4, head = ?5, version = ?6, state = ?7, step = ?8, reason = ?9, parked = ?10, review = ?11,
        owner = CASE WHEN ?12 THEN owner END,
        deaths = CASE WHEN ?12 THEN deaths ELSE 0 END,
        wake_at = CASE
            WHEN ?14 IS NOT NULL THEN NULL
            WHEN signalled > ?17 OR (?7 = 'queued' AND turn) THEN CASE WHEN ?12 THEN COALESCE(wake_at, ?13) ELSE ?19 END
            WHEN ?7 = 'queued' AND NOT ?12 THEN COALESCE(?13, expires_at)
            ELSE ?13 END,
        ended_at = ?14, person = ?15, updated_at = ?16, seen = ?17
    WHERE id = ?1 AND owner = ?2 AND seq = ?3 AND (NOT ?18 OR signalled <= ?17)
    RETURNING lane";
const STANDING: &str = "SELECT 1 FROM requests WHERE id = ?1 AND owner = ?2 AND seq = ?3 AND signalled > ?4";
const CONSUME: &str = "UPDATE signals SET consumed_at = ?3, answer = ?4 WHERE id = ?1 AND request = ?2 AND consumed_at IS NULL";
const PAYLOAD: &str = "UPDATE payloads SET body = ?2 WHERE request = ?1";
const REVIEW: &str = "\
    INSERT INTO reviews (id, request, process, process_version, name, slot, customer, options, role, four_eyes, state, version, claimed_by,
        claimed_until, escalated, decision, opened_at, due_at, closed_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
const CLOSE: &str = "\
    UPDATE reviews SET state = ?2, closed_at = ?3, claimed_by = NULL, claimed_until = NULL WHERE id = ?1 AND closed_at IS NULL";
/// A decision that was not applied: the question is asked anew.
const REOPEN: &str = "\
    UPDATE reviews SET state = 'open', decision = NULL, decided_by = NULL, first_by = NULL WHERE id = ?1 AND state = 'deciding'";
/// The first example stays; version and last time move on.
const DEFECT: &str = "\
    INSERT INTO defects (fingerprint, process, version, slot, connector, class, code, status, pattern, detail, sample, count, first_seen,
        last_seen)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1, ?12, ?13)
    ON CONFLICT (fingerprint) DO UPDATE
    SET count = count + 1, version = excluded.version, last_seen = MAX(last_seen, excluded.last_seen)";

/// Writes one step; what came of it, and the request's lane.
pub(super) async fn advance(
    tx: &mut Tx<'_>,
    worker: WorkerId,
    advance: &Advance,
    now: Time,
) -> Result<(Written, Option<String>), StoreError> {
    let id = advance.request;
    let expect = int(advance.expect_seq)?;
    let seen = int(advance.seen)?;
    let summary = &advance.summary;
    let query = sqlx::query(guarded()).bind(id).bind(worker).bind(expect).bind(int(summary.seq)?).bind(&summary.head[..]);
    let query = query.bind(summary.version).bind(summary.state).bind(&summary.step).bind(&summary.reason).bind(&summary.parked);
    let query = query.bind(summary.review).bind(summary.owned).bind(summary.wake_at.map(|at| at.0));
    let query = query.bind(summary.ended_at.map(|at| at.0)).bind(summary.person).bind(summary.at.0).bind(seen);
    let query = query.bind(advance.quiet).bind(now.0);
    let Some(lane) = tx.first(query, |row| sqlx::Row::try_get(row, "lane")).await? else {
        let standing = sqlx::query(STANDING).bind(id).bind(worker).bind(expect).bind(seen);
        let signalled = advance.quiet && tx.first(standing, |_| Ok(())).await?.is_some();
        return Ok((if signalled { Written::Signalled } else { Written::Lost }, None));
    };
    for entry in &advance.entries {
        let row = sqlx::query(ENTRY).bind(id).bind(int(entry.seq)?).bind(entry.at.0);
        tx.execute(row.bind(&entry.body[..]).bind(&entry.hash[..])).await?;
    }
    if let Some(payload) = &advance.payload {
        tx.execute(sqlx::query(PAYLOAD).bind(id).bind(&payload[..])).await?;
    }
    for consumed in &advance.consumed {
        tx.execute(sqlx::query(CONSUME).bind(consumed.signal).bind(id).bind(summary.at.0).bind(&consumed.answer)).await?;
    }
    if let Some(change) = &advance.review {
        change_review(tx, change, summary.at).await?;
    }
    if let Some(defect) = &advance.defect {
        count(tx, defect).await?;
    }
    send(tx, worker, &advance.events).await?;
    Ok((Written::Advanced, lane))
}

/// The guarded update, or one of its known bugs.
fn guarded() -> impl sqlx::SqlSafeStr {
    if bug("guard_unread") {
        return sql(ADVANCE, "guard_unread", "owner = ?2 AND seq = ?3", "TRUE");
    }
    if bug("head_kept") {
        return sql(ADVANCE, "head_kept", "head = ?5", "head = head");
    }
    sql(ADVANCE, "signals_unread", " AND (NOT ?18 OR signalled <= ?17)", "")
}

async fn change_review(tx: &mut Tx<'_>, change: &ReviewChange, at: Time) -> Result<(), StoreError> {
    let (id, state) = match change {
        ReviewChange::Open(row) => return open(tx, row).await,
        ReviewChange::Reopened(id) => {
            tx.execute(sqlx::query(REOPEN).bind(id)).await?;
            return Ok(());
        }
        ReviewChange::Decided(id) => (id, "decided"),
        ReviewChange::Cancelled(id) => (id, "cancelled"),
    };
    tx.execute(sqlx::query(CLOSE).bind(id).bind(state).bind(at.0)).await?;
    Ok(())
}

async fn open(tx: &mut Tx<'_>, row: &ReviewRow) -> Result<(), StoreError> {
    let decision = rows::decision(row)?;
    let query = sqlx::query(REVIEW).bind(row.id).bind(row.request).bind(&row.process).bind(row.process_version).bind(&row.name);
    let query = query.bind(&row.slot).bind(&row.customer).bind(json_text(&row.options)?).bind(&row.role).bind(row.four_eyes);
    let query = query.bind(&row.state).bind(row.version).bind(&row.claimed_by).bind(row.claimed_until.map(|at| at.0));
    let query = query.bind(row.escalated).bind(decision).bind(row.opened_at.0).bind(row.due_at.0);
    tx.execute(query.bind(row.closed_at.map(|at| at.0))).await?;
    Ok(())
}

async fn count(tx: &mut Tx<'_>, row: &DefectRow) -> Result<(), StoreError> {
    let query = sqlx::query(DEFECT).bind(&row.fingerprint).bind(&row.process).bind(row.version).bind(&row.slot);
    let query = query.bind(&row.connector).bind(&row.class).bind(&row.code).bind(row.status.map(i64::from)).bind(&row.pattern);
    let query = query.bind(&row.detail).bind(row.sample).bind(row.first_seen.0).bind(row.last_seen.0);
    tx.execute(query).await?;
    Ok(())
}
