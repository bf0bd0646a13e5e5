//! Owners' steps: all guarded rows that go on in one statement, those that end in another, then, for those that it returned, what goes with them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sqlx::Row as _;
use uuid::Uuid;

use super::commit::Beside;
use super::db::{Query, Tx};
use super::rows;
use crate::engine::ports::records::{DefectRow, ReviewRow};
use crate::engine::ports::store::{Advance, ReviewChange, StoreError, WorkerId, Written};
use crate::faults::bug;
use crate::store::batch::Parts;
use crate::store::mistake::sql;
use crate::store::rows::{int, json_text};

/// What every step says of its request.
macro_rules! steps {
    ($more:literal) => {
        concat!(
            "(SELECT unnest($2::UUID[]) AS id, unnest($3::BIGINT[]) AS expect, unnest($4::BIGINT[]) AS seq, unnest($5::BYTEA[]) AS head,
                unnest($6::BIGINT[]) AS version, unnest($7::TEXT[]) AS state, unnest($8::TEXT[]) AS step,
                unnest($9::TEXT[]) AS reason, unnest($10::TEXT[]) AS parked, unnest($11::UUID[]) AS review,
                unnest($12::BOOLEAN[]) AS person, unnest($13::BIGINT[]) AS at, unnest($14::BIGINT[]) AS seen,
                unnest($15::BOOLEAN[]) AS quiet, ",
            $more,
            ") AS a
            WHERE r.id = a.id AND r.id = ANY($2::UUID[])
                AND r.owner = $1 AND r.seq = a.expect AND (NOT a.quiet OR r.signalled <= a.seen)"
        )
    };
}
/// Guarded by owner, head and, where it must be quiet, by signals. `wake_at` is `rules::wake_after` in SQL. A row that somebody holds
/// is waited for, and then all of this is computed from its new version.
const ADVANCE: &str = concat!(
    "UPDATE open_requests AS r SET
        seq = a.seq, head = a.head, version = a.version, state = a.state, step = a.step, reason = a.reason, parked = a.parked,
        review = a.review,
        owner = CASE WHEN a.owned THEN r.owner END,
        deaths = CASE WHEN a.owned THEN r.deaths ELSE 0 END,
        wake_at = CASE
            WHEN r.signalled > a.seen OR (a.state = 'queued' AND r.turn)
                THEN CASE WHEN a.owned THEN COALESCE(r.wake_at, a.wake_at) ELSE mozhao_now() END
            WHEN a.state = 'queued' AND NOT a.owned THEN COALESCE(a.wake_at, r.expires_at)
            ELSE a.wake_at END,
        person = a.person, updated_at = a.at, seen = a.seen
    FROM ",
    steps!("unnest($16::BOOLEAN[]) AS owned, unnest($17::BIGINT[]) AS wake_at"),
    " RETURNING r.id, NULL::TEXT"
);
/// The same guard; the row moves. Whoever waited for it finds none, and looks among the past ones: a move by UPDATE would fail them.
const END: &str = concat!(
    "WITH ended AS (
        DELETE FROM open_requests AS r USING ",
    steps!("unnest($16::BIGINT[]) AS ended_at"),
    " RETURNING r.id, r.process, a.version, r.customer, r.producer, r.message, r.channel, r.reply_to, r.correlation, r.traceparent,
            r.lane, r.lane_no, r.turn, r.over_limit, a.seq, a.head, a.state, a.step, a.reason, a.parked, a.review, r.signalled, a.seen,
            a.person, r.accepted_at, a.at, r.expires_at, a.ended_at)
    INSERT INTO past_requests (id, process, version, customer, producer, message, channel, reply_to, correlation, traceparent, lane,
        lane_no, turn, over_limit, seq, head, state, step, reason, parked, review, signalled, seen, person, accepted_at, updated_at,
        expires_at, ended_at, deaths)
    SELECT *, 0 FROM ended
    RETURNING id, lane"
);
const SIGNALLED: &str = "\
    SELECT r.id FROM unnest($2::UUID[], $3::BIGINT[], $4::BIGINT[]) AS a (id, expect, seen) JOIN open_requests r ON r.id = a.id
    WHERE r.id = ANY($2::UUID[]) AND r.owner = $1 AND r.seq = a.expect AND r.signalled > a.seen";
/// It becomes the turn of the lanes' first open requests, and these become due. The lanes are locked since `accept::LOCK_LANES`. Their
/// numbers are asked for before their ids: of all indexes one alone has the least of them.
const HAND_OVER: &str = "\
    WITH firsts AS MATERIALIZED (
        SELECT ended.lane, (SELECT MIN(r.lane_no) FROM open_requests r WHERE r.lane = ended.lane AND r.ended_at IS NULL) AS no
        FROM unnest($1::TEXT[]) AS ended (lane)),
    heads AS (
        SELECT n.id FROM firsts f CROSS JOIN LATERAL (
            SELECT r.id, r.turn FROM open_requests r
            WHERE r.lane = f.lane AND r.lane_no = f.no AND r.ended_at IS NULL LIMIT 1) AS n
        WHERE f.no IS NOT NULL AND NOT n.turn),
    next AS (SELECT id FROM open_requests WHERE id = ANY(ARRAY(SELECT id FROM heads)) ORDER BY id FOR NO KEY UPDATE)
    UPDATE open_requests SET turn = TRUE, wake_at = mozhao_now() WHERE id = ANY(ARRAY(SELECT id FROM next)) AND ended_at IS NULL";
/// The least and the greatest of them pick the months: a list of ids does not, in a plan for any list.
const PAYLOADS: &str = "\
    UPDATE payloads AS p SET body = a.body FROM unnest($1::UUID[], $2::BYTEA[]) AS a (request, body)
    WHERE p.request = a.request AND p.request = ANY($1::UUID[]) AND p.request >= $3 AND p.request <= $4";
const CONSUME: &str = "\
    UPDATE signals AS s SET consumed_at = a.at, answer = a.answer
    FROM unnest($1::UUID[], $2::UUID[], $3::BIGINT[], $4::TEXT[]) AS a (id, request, at, answer)
    WHERE s.id = a.id AND s.id = ANY($1::UUID[]) AND s.request = a.request AND s.consumed_at IS NULL";
const REVIEWS: &str = "\
    INSERT INTO reviews (id, request, process, process_version, name, slot, customer, options, role, four_eyes, state, version, claimed_by,
        claimed_until, escalated, decision, opened_at, due_at, closed_at)
    SELECT * FROM unnest($1::UUID[], $2::UUID[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::TEXT[],
        $10::BOOLEAN[], $11::TEXT[], $12::BIGINT[], $13::TEXT[], $14::BIGINT[], $15::BIGINT[], $16::BYTEA[], $17::BIGINT[], $18::BIGINT[],
        $19::BIGINT[])";
const CLOSE: &str = "\
    UPDATE reviews AS v SET state = a.state, closed_at = a.at, claimed_by = NULL, claimed_until = NULL
    FROM unnest($1::UUID[], $2::TEXT[], $3::BIGINT[]) AS a (id, state, at)
    WHERE v.id = a.id AND v.id = ANY($1::UUID[]) AND v.closed_at IS NULL";
/// A decision that was not applied: the question is asked anew.
const REOPEN: &str = "\
    UPDATE reviews SET state = 'open', decision = NULL, decided_by = NULL, first_by = NULL \
    WHERE id = ANY($1::UUID[]) AND state = 'deciding'";
/// The first example stays; version and last time move on.
const DEFECTS: &str = "\
    INSERT INTO defects AS d (fingerprint, process, version, slot, connector, class, code, status, pattern, detail, sample, count,
        first_seen, last_seen)
    SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::BIGINT[], $9::TEXT[],
        $10::TEXT[], $11::UUID[], $12::BIGINT[], $13::BIGINT[], $14::BIGINT[])
    ON CONFLICT (fingerprint) DO UPDATE
    SET count = d.count + EXCLUDED.count, version = EXCLUDED.version, last_seen = GREATEST(d.last_seen, EXCLUDED.last_seen)";

/// Writes the steps and answers for them.
pub(super) async fn advances<'a>(
    tx: &mut Tx<'_>,
    worker: WorkerId,
    parts: &mut Parts<'a>,
    beside: &mut Beside<'a>,
) -> Result<(), StoreError> {
    if parts.advances.is_empty() {
        return Ok(());
    }
    let (ends, steps): (Vec<&'a Advance>, Vec<&'a Advance>) =
        parts.advances.iter().map(|(_, advance)| *advance).partition(|advance| advance.summary.ended_at.is_some());
    let mut written = update(tx, worker, &steps).await?;
    written.extend(finish(tx, worker, &ends).await?);
    let signalled = signalled(tx, worker, &parts.advances, &written).await?;
    let mut done: Vec<&'a Advance> = Vec::with_capacity(written.len());
    let mut lanes: BTreeSet<&str> = BTreeSet::new();
    for (place, advance) in &parts.advances {
        let Some(lane) = written.get(&advance.request) else {
            let seen = !signalled.contains(&advance.request);
            parts.answers[*place] = if seen { Written::Lost } else { Written::Signalled };
            continue;
        };
        parts.answers[*place] = Written::Advanced;
        if !advance.entries.is_empty() {
            beside.entries.push((advance.request, &advance.entries));
        }
        beside.events.extend(&advance.events);
        beside.tally.end(&advance.summary);
        if advance.summary.ended_at.is_some() {
            lanes.extend(lane.as_deref());
        }
        done.push(advance);
    }
    if !lanes.is_empty() && !bug("turn_kept") {
        tx.execute(sqlx::query(HAND_OVER).bind(lanes.into_iter().collect::<Vec<_>>())).await?;
    }
    what_goes_with(tx, &done).await
}

/// A guarded statement, or one of its known bugs.
fn guarded(statement: &'static str) -> impl sqlx::SqlSafeStr {
    if bug("guard_unread") {
        return sql(statement, "guard_unread", "r.owner = $1 AND r.seq = a.expect", "TRUE");
    }
    if bug("head_kept") && statement == ADVANCE {
        return sql(statement, "head_kept", "head = a.head", "head = r.head");
    }
    sql(statement, "signals_unread", " AND (NOT a.quiet OR r.signalled <= a.seen)", "")
}

/// The requests that a guarded statement reached, and the lanes of those that it ended.
type Reached = HashMap<Uuid, Option<String>>;

/// Writes the steps of requests that go on.
async fn update(tx: &mut Tx<'_>, worker: WorkerId, steps: &[&Advance]) -> Result<Reached, StoreError> {
    if steps.is_empty() {
        return Ok(Reached::new());
    }
    let summaries = || steps.iter().copied().map(|advance| &advance.summary);
    let query = said(sqlx::query(guarded(ADVANCE)), worker, steps)?
        .bind(summaries().map(|summary| summary.owned).collect::<Vec<_>>())
        .bind(summaries().map(|summary| summary.wake_at.map(|at| at.0)).collect::<Vec<_>>());
    reached(tx, query).await
}

/// Writes the last steps.
async fn finish(tx: &mut Tx<'_>, worker: WorkerId, ends: &[&Advance]) -> Result<Reached, StoreError> {
    if ends.is_empty() {
        return Ok(Reached::new());
    }
    let query = said(sqlx::query(guarded(END)), worker, ends)?;
    let ended = ends.iter().map(|advance| advance.summary.ended_at.map(|at| at.0));
    reached(tx, query.bind(ended.collect::<Vec<_>>())).await
}

async fn reached(tx: &mut Tx<'_>, query: Query<'_>) -> Result<Reached, StoreError> {
    let written = tx.read(query, |row| Ok((row.try_get(0)?, row.try_get(1)?))).await?;
    Ok(written.into_iter().collect())
}

/// Binds what `steps!` names.
fn said<'q>(query: Query<'q>, worker: WorkerId, all: &[&'q Advance]) -> Result<Query<'q>, StoreError> {
    let summaries = || all.iter().copied().map(|advance| &advance.summary);
    Ok(query
        .bind(worker)
        .bind(all.iter().map(|advance| advance.request).collect::<Vec<_>>())
        .bind(all.iter().map(|advance| int(advance.expect_seq)).collect::<Result<Vec<_>, _>>()?)
        .bind(summaries().map(|summary| int(summary.seq)).collect::<Result<Vec<_>, _>>()?)
        .bind(summaries().map(|summary| &summary.head[..]).collect::<Vec<_>>())
        .bind(summaries().map(|summary| i64::from(summary.version)).collect::<Vec<_>>())
        .bind(summaries().map(|summary| summary.state).collect::<Vec<_>>())
        .bind(summaries().map(|summary| summary.step.as_deref()).collect::<Vec<_>>())
        .bind(summaries().map(|summary| summary.reason.as_deref()).collect::<Vec<_>>())
        .bind(summaries().map(|summary| summary.parked.as_deref()).collect::<Vec<_>>())
        .bind(summaries().map(|summary| summary.review).collect::<Vec<_>>())
        .bind(summaries().map(|summary| summary.person).collect::<Vec<_>>())
        .bind(summaries().map(|summary| summary.at.0).collect::<Vec<_>>())
        .bind(all.iter().map(|advance| int(advance.seen)).collect::<Result<Vec<_>, _>>()?)
        .bind(all.iter().map(|advance| advance.quiet).collect::<Vec<_>>()))
}

/// Those that were not written because a signal is there that their owner has not seen.
async fn signalled(
    tx: &mut Tx<'_>,
    worker: WorkerId,
    advances: &[(usize, &Advance)],
    written: &Reached,
) -> Result<HashSet<Uuid>, StoreError> {
    let open: Vec<&Advance> = advances.iter().map(|(_, advance)| *advance).filter(|advance| advance.quiet).collect();
    let open: Vec<&Advance> = open.into_iter().filter(|advance| !written.contains_key(&advance.request)).collect();
    if open.is_empty() {
        return Ok(HashSet::new());
    }
    let query = sqlx::query(SIGNALLED)
        .bind(worker)
        .bind(open.iter().map(|advance| advance.request).collect::<Vec<_>>())
        .bind(open.iter().map(|advance| int(advance.expect_seq)).collect::<Result<Vec<_>, _>>()?)
        .bind(open.iter().map(|advance| int(advance.seen)).collect::<Result<Vec<_>, _>>()?);
    Ok(tx.read(query, |row| row.try_get("id")).await?.into_iter().collect())
}

async fn what_goes_with(tx: &mut Tx<'_>, done: &[&Advance]) -> Result<(), StoreError> {
    let payloads: (Vec<Uuid>, Vec<&[u8]>) =
        done.iter().filter_map(|advance| Some((advance.request, &advance.payload.as_ref()?[..]))).unzip();
    if !payloads.0.is_empty() {
        let (least, greatest) = (payloads.0.iter().min().copied(), payloads.0.iter().max().copied());
        tx.execute(sqlx::query(PAYLOADS).bind(payloads.0).bind(payloads.1).bind(least).bind(greatest)).await?;
    }
    let consumed: Vec<_> = done.iter().flat_map(|advance| advance.consumed.iter().map(|consumed| (*advance, consumed))).collect();
    if !consumed.is_empty() {
        let query = sqlx::query(CONSUME)
            .bind(consumed.iter().map(|(_, consumed)| consumed.signal).collect::<Vec<_>>())
            .bind(consumed.iter().map(|(advance, _)| advance.request).collect::<Vec<_>>())
            .bind(consumed.iter().map(|(advance, _)| advance.summary.at.0).collect::<Vec<_>>())
            .bind(consumed.iter().map(|(_, consumed)| consumed.answer.as_str()).collect::<Vec<_>>());
        tx.execute(query).await?;
    }
    let mut opened: Vec<&ReviewRow> = Vec::new();
    let mut reopened: Vec<Uuid> = Vec::new();
    // What closes a review first closes it.
    let mut closed: BTreeMap<Uuid, (&str, i64)> = BTreeMap::new();
    for advance in done {
        let at = advance.summary.at.0;
        match &advance.review {
            None => {}
            Some(ReviewChange::Open(row)) => opened.push(row),
            Some(ReviewChange::Reopened(id)) => reopened.push(*id),
            Some(ReviewChange::Decided(id)) => _ = closed.entry(*id).or_insert(("decided", at)),
            Some(ReviewChange::Cancelled(id)) => _ = closed.entry(*id).or_insert(("cancelled", at)),
        }
    }
    if !opened.is_empty() {
        open(tx, &opened).await?;
    }
    if !reopened.is_empty() {
        tx.execute(sqlx::query(REOPEN).bind(reopened)).await?;
    }
    if !closed.is_empty() {
        let query = sqlx::query(CLOSE)
            .bind(closed.keys().copied().collect::<Vec<_>>())
            .bind(closed.values().map(|(state, _)| *state).collect::<Vec<_>>())
            .bind(closed.values().map(|(_, at)| *at).collect::<Vec<_>>());
        tx.execute(query).await?;
    }
    let mut defects: BTreeMap<&str, DefectRow> = BTreeMap::new();
    for row in done.iter().filter_map(|advance| advance.defect.as_ref()) {
        let sum = defects.entry(&row.fingerprint).or_insert_with(|| DefectRow { count: 0, ..row.clone() });
        (sum.count, sum.version, sum.last_seen) = (sum.count + 1, row.version, sum.last_seen.max(row.last_seen));
    }
    if defects.is_empty() { Ok(()) } else { count(tx, &defects.into_values().collect::<Vec<_>>()).await }
}

async fn open(tx: &mut Tx<'_>, all: &[&ReviewRow]) -> Result<(), StoreError> {
    let query = sqlx::query(REVIEWS)
        .bind(all.iter().map(|row| row.id).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.request).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.process.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| i64::from(row.process_version)).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.name.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.slot.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.customer.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| json_text(&row.options)).collect::<Result<Vec<_>, _>>()?)
        .bind(all.iter().map(|row| row.role.as_deref()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.four_eyes).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.state.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| i64::from(row.version)).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.claimed_by.as_deref()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.claimed_until.map(|at| at.0)).collect::<Vec<_>>())
        .bind(all.iter().map(|row| i64::from(row.escalated)).collect::<Vec<_>>())
        .bind(all.iter().map(|row| rows::decision(row)).collect::<Result<Vec<_>, _>>()?)
        .bind(all.iter().map(|row| row.opened_at.0).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.due_at.0).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.closed_at.map(|at| at.0)).collect::<Vec<_>>());
    tx.execute(query).await?;
    Ok(())
}

async fn count(tx: &mut Tx<'_>, all: &[DefectRow]) -> Result<(), StoreError> {
    let query = sqlx::query(DEFECTS)
        .bind(all.iter().map(|row| row.fingerprint.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.process.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| i64::from(row.version)).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.slot.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.connector.as_deref()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.class.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.code.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.status.map(i64::from)).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.pattern.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.detail.as_str()).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.sample).collect::<Vec<_>>())
        .bind(all.iter().map(|row| int(row.count)).collect::<Result<Vec<_>, _>>()?)
        .bind(all.iter().map(|row| row.first_seen.0).collect::<Vec<_>>())
        .bind(all.iter().map(|row| row.last_seen.0).collect::<Vec<_>>());
    tx.execute(query).await?;
    Ok(())
}
