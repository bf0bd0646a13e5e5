//! Reviewers' acts and lists of reviews.

use uuid::Uuid;

use super::db::Tx;
use super::outside::{deliver, known, lock};
use super::reviewing::add_act;
use super::{PostgresStore, rows};
use crate::domain::time::Time;
use crate::engine::ports::records::{DecisionFilter, ReviewFilter, ReviewRow};
use crate::engine::ports::store::{ReviewAct, ReviewPut, StoreError};
use crate::store::batch::plain;
use crate::store::mistake::sql;
use crate::store::rows::{int, review_columns};
use crate::store::rules::{self, ReviewList};

const ONE: &str = concat!("SELECT ", review_columns!(), " FROM reviews WHERE id = $1");
/// Its request never changes, so this needs no lock; requests are locked before reviews, as owners do.
const REQUEST: &str = "SELECT request FROM reviews WHERE id = $1";
const LOCKED: &str = concat!("SELECT ", review_columns!(), " FROM reviews WHERE id = $1 FOR NO KEY UPDATE");
const NOW: &str = "SELECT mozhao_now() AS now";
const CHANGE: &str = "\
    UPDATE reviews SET state = $2, version = $3, claimed_by = $4, claimed_until = $5, escalated = $6, decision = $7,
        decided_by = $8, first_by = $9 WHERE id = $1";
/// What every list of reviews asks; in front of it stands what picks the index.
macro_rules! list {
    ($picks:literal) => {
        concat!(
            "SELECT ",
            review_columns!(),
            " FROM reviews WHERE ",
            $picks,
            "($1::TEXT[] IS NULL AND state = 'open' OR state = ANY($1))
            AND ($2::TEXT[] IS NULL OR process = ANY($2))
            AND ($3::TEXT[] IS NULL OR role IS NULL OR role = ANY($3))
            AND ($4::TEXT IS NULL OR name = $4)
            AND ($5::TEXT IS NULL OR claimed_by = $5 AND claimed_until > $14)
            AND ($6::BIGINT IS NULL OR claimed_by IS NULL OR claimed_until <= $6)
            AND ($7::UUID IS NULL OR request = $7)
            AND (due_at, id) > ($8, $9)
            AND (NOT $11::BOOLEAN OR decision IS NOT NULL)
            AND ($15::TEXT IS NULL OR decided_by = $15 OR starts_with(decided_by, $15 || '@'))
            AND ($12::BOOLEAN IS NULL OR $12 = EXISTS (SELECT 1 FROM snoozes WHERE snoozes.review = reviews.id AND until > $13
                AND NOT EXISTS (SELECT 1 FROM signals WHERE signals.request = reviews.request AND signals.at > snoozes.at)))
            ORDER BY due_at, id LIMIT $10"
        )
    };
}
const LIST: &str = list!("");
/// `state` alone does not tell the planner that the index of those that are not closed will do.
const LIST_OPEN: &str = list!("closed_at IS NULL AND ");
const LIST_OF_REQUEST: &str = list!("request = $7 AND ");
/// Few of many: only open ones are claimed, wait for a second person or are put aside.
const LIST_CLAIMED: &str = list!("claimed_by = $5 AND ");
const LIST_SECOND: &str = list!("closed_at IS NULL AND decision IS NOT NULL AND ");
const LIST_SNOOZED: &str = list!("closed_at IS NULL AND id IN (SELECT review FROM snoozes WHERE until > $13) AND ");
/// Of one process: of several, the order by due times would be lost.
const LIST_OPEN_OF_PROCESS: &str = list!("closed_at IS NULL AND process = ($2::TEXT[])[1] AND ");
/// Decisions in front of a place in the order that all their indexes have.
macro_rules! decided {
    ($columns:expr, $picks:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM reviews
            WHERE closed_at IS NOT NULL AND state = 'decided' AND ",
            $picks,
            "(closed_at, id) < ($1, $2) ORDER BY closed_at DESC, id DESC LIMIT $3"
        )
    };
}
const DECISIONS: &str = decided!(review_columns!(), "");
/// Process by process: each has its own order in the index.
const DECISIONS_OF: &str = concat!(
    "SELECT found.* FROM (SELECT DISTINCT unnest($4::TEXT[]) AS name) AS named CROSS JOIN LATERAL (",
    decided!(review_columns!(), "process = named.name AND "),
    ") AS found ORDER BY closed_at DESC, id DESC LIMIT $3"
);
/// As the second or only one, and as the first: an index for each.
const DECISIONS_BY: &str = concat!(
    "SELECT * FROM ((",
    decided!(review_columns!(), "decided_by = $5 AND ($4::TEXT[] IS NULL OR process = ANY($4)) AND "),
    ") UNION ALL (",
    decided!(
        review_columns!(),
        "first_by = $5 AND decided_by IS DISTINCT FROM $5 AND ($4::TEXT[] IS NULL OR process = ANY($4)) AND "
    ),
    ")) AS found ORDER BY closed_at DESC, id DESC LIMIT $3"
);

impl PostgresStore {
    pub(super) async fn one_review(&self, review: Uuid) -> Result<ReviewRow, StoreError> {
        let found = self.db.others().read(sqlx::query(ONE).bind(review), rows::review).await?;
        found.into_iter().next().ok_or(StoreError::NotFound("the review"))
    }

    pub(super) async fn act_on_review(
        &self,
        review: Uuid,
        act: &ReviewAct,
        signal_id: Uuid,
        at: Time,
    ) -> Result<ReviewPut, StoreError> {
        plain(act.by())?;
        let mut tx = self.db.others().begin().await?;
        let request = tx.first(sqlx::query(REQUEST).bind(review), |row| sqlx::Row::try_get(row, "request")).await?;
        let Some(request) = request else {
            tx.rollback().await?;
            return Err(StoreError::NotFound("the review"));
        };
        let state = lock(&mut tx, request).await?;
        let ended = state.as_deref().is_none_or(|state| rules::outcome(state).is_some());
        let locked = sql(LOCKED, "review_unlocked", "FOR NO KEY UPDATE", "");
        let row = tx.first(sqlx::query(locked).bind(review), rows::review).await?;
        let row = row.ok_or(StoreError::NotFound("the review"))?;
        let put = put(&mut tx, row, ended, act, signal_id, at).await?;
        tx.commit().await?;
        Ok(put)
    }

    pub(super) async fn list_reviews(
        &self,
        filter: &ReviewFilter,
        after: Option<(Time, Uuid)>,
        limit: usize,
    ) -> Result<Vec<ReviewRow>, StoreError> {
        let sql = match ReviewList::of(filter) {
            ReviewList::OfRequest => LIST_OF_REQUEST,
            ReviewList::Claimed => LIST_CLAIMED,
            ReviewList::Second => LIST_SECOND,
            ReviewList::Snoozed => LIST_SNOOZED,
            ReviewList::OpenOfProcess => LIST_OPEN_OF_PROCESS,
            ReviewList::Open => LIST_OPEN,
            ReviewList::All => LIST,
        };
        let (due, id) = after.unwrap_or((Time(i64::MIN), Uuid::nil()));
        let some = |list: &[String]| if list.is_empty() { None } else { Some(list.to_vec()) };
        let query = sqlx::query(sql).bind(some(&filter.states)).bind(some(&filter.processes));
        let query = query.bind(filter.roles.clone()).bind(&filter.name).bind(filter.claimed_by.as_ref().map(|(by, _)| by));
        let query = query.bind(filter.unclaimed_at.map(|at| at.0)).bind(filter.request);
        let query = query
            .bind(due.0)
            .bind(id)
            .bind(int(limit)?)
            .bind(filter.second)
            .bind(filter.snoozed.map(|(put, _)| put))
            .bind(filter.snoozed.map_or(0, |(_, at)| at.0))
            .bind(filter.claimed_by.as_ref().map_or(0, |(_, at)| at.0))
            .bind(&filter.first_by)
            .persistent(false);
        self.db.others().read(query, rows::review).await
    }

    pub(super) async fn list_decisions(
        &self,
        filter: &DecisionFilter,
        before: Option<(Time, Uuid)>,
        limit: usize,
    ) -> Result<Vec<ReviewRow>, StoreError> {
        let processes = if filter.processes.is_empty() { None } else { Some(filter.processes.clone()) };
        let (closed, id) = before.unwrap_or((Time(i64::MAX), Uuid::max()));
        let sql = match (&filter.by, &processes) {
            (Some(_), _) => DECISIONS_BY,
            (None, Some(_)) => DECISIONS_OF,
            (None, None) => DECISIONS,
        };
        let query = sqlx::query(sql).bind(closed.0).bind(id).bind(int(limit)?);
        let query = match (&filter.by, processes) {
            (Some(by), processes) => query.bind(processes).bind(by),
            (None, Some(processes)) => query.bind(processes),
            (None, None) => query,
        };
        self.db.others().read(query.persistent(false), rows::review).await
    }
}

async fn put(
    tx: &mut Tx<'_>,
    row: ReviewRow,
    ended: bool,
    act: &ReviewAct,
    signal_id: Uuid,
    at: Time,
) -> Result<ReviewPut, StoreError> {
    if let Some(signal) = known(tx, signal_id).await? {
        return Ok(rules::put(row, signal_id, &signal));
    }
    if ended {
        return Ok(ReviewPut::Stale(Box::new(row)));
    }
    let now = tx.first(sqlx::query(NOW), |row| rows::time(row, "now")).await?.unwrap_or(at);
    let (put, signal) = rules::act(&row, act, signal_id, now);
    if let Some(signal) = signal {
        deliver(tx, signal_id, row.request, &signal, at).await?;
    }
    if let Some(record) = rules::record(&row, act, &put, signal_id, at, now) {
        add_act(tx, &record).await?;
    }
    let Some(next) = rules::to_write(&put) else { return Ok(put) };
    let query = sqlx::query(CHANGE).bind(next.id).bind(&next.state).bind(i64::from(next.version)).bind(&next.claimed_by);
    let query = query.bind(next.claimed_until.map(|at| at.0)).bind(i64::from(next.escalated)).bind(rows::decision(next)?);
    let query = query.bind(next.decision.as_ref().map(|decision| &decision.by));
    let query = query.bind(next.decision.as_ref().and_then(|decision| decision.first_by.as_ref()));
    tx.execute(query).await?;
    Ok(put)
}
