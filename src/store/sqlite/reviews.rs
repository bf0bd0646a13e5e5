//! Reviewers' acts and lists of reviews.

use uuid::Uuid;

use super::db::{self, Tx};
use super::outside::{deliver, known};
use super::reviewing::add_act;
use super::{SqliteStore, rows};
use crate::domain::time::Time;
use crate::engine::ports::records::{DecisionFilter, ReviewFilter, ReviewRow};
use crate::engine::ports::store::{ReviewAct, ReviewPut, StoreError};
use crate::store::batch::plain;
use crate::store::rows::{int, json_text, review_columns};
use crate::store::rules::{self, ReviewList};

const ONE: &str = concat!("SELECT ", review_columns!(), " FROM reviews WHERE id = ?1");
const ENDED: &str = "SELECT 1 FROM requests WHERE id = ?1 AND ended_at IS NOT NULL";
const CHANGE: &str = "\
    UPDATE reviews SET state = ?2, version = ?3, claimed_by = ?4, claimed_until = ?5, escalated = ?6, decision = ?7,
        decided_by = ?8, first_by = ?9 WHERE id = ?1";
/// What every list of reviews asks; in front of it stands what picks the index.
macro_rules! list {
    ($picks:literal) => {
        concat!(
            "SELECT ",
            review_columns!(),
            " FROM reviews WHERE ",
            $picks,
            "(?1 IS NULL AND state = 'open' OR state IN (SELECT value FROM json_each(?1)))
            AND (?2 IS NULL OR process IN (SELECT value FROM json_each(?2)))
            AND (?3 IS NULL OR role IS NULL OR role IN (SELECT value FROM json_each(?3)))
            AND (?4 IS NULL OR name = ?4)
            AND (?5 IS NULL OR claimed_by = ?5 AND claimed_until > ?14)
            AND (?6 IS NULL OR claimed_by IS NULL OR claimed_until <= ?6)
            AND (?7 IS NULL OR request = ?7)
            AND (due_at, id) > (?8, ?9)
            AND (NOT ?11 OR decision IS NOT NULL)
            AND (?15 IS NULL OR decided_by = ?15 OR substr(decided_by, 1, length(?15) + 1) = ?15 || '@')
            AND (?12 IS NULL OR ?12 = EXISTS (SELECT 1 FROM snoozes WHERE snoozes.review = reviews.id AND until > ?13
                AND NOT EXISTS (SELECT 1 FROM signals WHERE signals.request = reviews.request AND signals.at > snoozes.at)))
            ORDER BY due_at, id LIMIT ?10"
        )
    };
}
const LIST: &str = list!("");
/// `state` alone does not tell the planner that the index of those that are not closed will do.
const LIST_OPEN: &str = list!("closed_at IS NULL AND ");
const LIST_OF_REQUEST: &str = list!("request = ?7 AND ");
/// Few of many: only open ones are claimed, wait for a second person or are put aside.
const LIST_CLAIMED: &str = list!("claimed_by = ?5 AND ");
const LIST_SECOND: &str = list!("closed_at IS NULL AND decision IS NOT NULL AND ");
const LIST_SNOOZED: &str = list!("closed_at IS NULL AND id IN (SELECT review FROM snoozes WHERE until > ?13) AND ");
/// Of one process: of several, the order by due times would be lost.
const LIST_OPEN_OF_PROCESS: &str = list!("closed_at IS NULL AND process = ?2 ->> 0 AND ");
/// Decisions in front of a place in the order that all their indexes have.
macro_rules! decided {
    ($columns:expr, $picks:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM reviews
            WHERE closed_at IS NOT NULL AND state = 'decided' AND ",
            $picks,
            "(closed_at, id) < (?1, ?2) ORDER BY closed_at DESC, id DESC LIMIT ?3"
        )
    };
}
const DECISIONS: &str = decided!(review_columns!(), "");
/// Process by process: each has its own order in the index.
const DECISIONS_OF: &str = concat!(
    "SELECT ",
    review_columns!(),
    " FROM reviews WHERE id IN (SELECT found.id FROM (SELECT DISTINCT value AS name FROM json_each(?4)) AS named JOIN reviews AS found
        WHERE found.id IN (",
    decided!("id", "process = named.name AND "),
    ")) ORDER BY closed_at DESC, id DESC LIMIT ?3"
);
/// As the second or only one, and as the first: an index for each.
const DECISIONS_BY: &str = concat!(
    "SELECT * FROM (SELECT * FROM (",
    decided!(review_columns!(), "decided_by = ?5 AND (?4 IS NULL OR process IN (SELECT value FROM json_each(?4))) AND "),
    ") UNION ALL SELECT * FROM (",
    decided!(
        review_columns!(),
        "first_by = ?5 AND decided_by IS NOT ?5 AND (?4 IS NULL OR process IN (SELECT value FROM json_each(?4))) AND "
    ),
    ")) ORDER BY closed_at DESC, id DESC LIMIT ?3"
);

impl SqliteStore {
    pub(super) async fn one_review(&self, review: Uuid) -> Result<ReviewRow, StoreError> {
        let found = self.db.read(sqlx::query(ONE).bind(review), rows::review).await?;
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
        let mut tx = self.db.begin().await?;
        let Some(row) = tx.first(sqlx::query(ONE).bind(review), rows::review).await? else {
            tx.rollback().await?;
            return Err(StoreError::NotFound("the review"));
        };
        let put = put(&mut tx, row, act, signal_id, at).await?;
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
        let some = |list: &Vec<String>| if list.is_empty() { Ok(None) } else { json_text(list).map(Some) };
        let query = sqlx::query(sql).bind(some(&filter.states)?).bind(some(&filter.processes)?);
        let query = query
            .bind(filter.roles.as_ref().map(json_text).transpose()?)
            .bind(&filter.name)
            .bind(filter.claimed_by.as_ref().map(|(by, _)| by));
        let query = query.bind(filter.unclaimed_at.map(|at| at.0)).bind(filter.request);
        let query = query
            .bind(due.0)
            .bind(id)
            .bind(int(limit)?)
            .bind(filter.second)
            .bind(filter.snoozed.map(|(put, _)| put))
            .bind(filter.snoozed.map_or(0, |(_, at)| at.0))
            .bind(filter.claimed_by.as_ref().map_or(0, |(_, at)| at.0))
            .bind(&filter.first_by);
        self.db.read(query, rows::review).await
    }

    pub(super) async fn list_decisions(
        &self,
        filter: &DecisionFilter,
        before: Option<(Time, Uuid)>,
        limit: usize,
    ) -> Result<Vec<ReviewRow>, StoreError> {
        let processes = if filter.processes.is_empty() { None } else { Some(json_text(&filter.processes)?) };
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
        self.db.read(query, rows::review).await
    }
}

async fn put(tx: &mut Tx<'_>, row: ReviewRow, act: &ReviewAct, signal_id: Uuid, at: Time) -> Result<ReviewPut, StoreError> {
    if let Some(signal) = known(tx, signal_id).await? {
        return Ok(rules::put(row, signal_id, &signal));
    }
    if tx.first(sqlx::query(ENDED).bind(row.request), |_| Ok(())).await?.is_some() {
        return Ok(ReviewPut::Stale(Box::new(row)));
    }
    let now = db::now();
    let (put, signal) = rules::act(&row, act, signal_id, now);
    if let Some(signal) = signal {
        deliver(tx, signal_id, row.request, &signal, at).await?;
    }
    if let Some(record) = rules::record(&row, act, &put, signal_id, at, now) {
        add_act(tx, &record).await?;
    }
    let Some(next) = rules::to_write(&put) else { return Ok(put) };
    let query = sqlx::query(CHANGE).bind(next.id).bind(&next.state).bind(next.version).bind(&next.claimed_by);
    let query = query.bind(next.claimed_until.map(|at| at.0)).bind(next.escalated).bind(rows::decision(next)?);
    let query = query.bind(next.decision.as_ref().map(|decision| &decision.by));
    let query = query.bind(next.decision.as_ref().and_then(|decision| decision.first_by.as_ref()));
    tx.execute(query).await?;
    Ok(put)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::queries::tests::plan;

    #[tokio::test]
    async fn lists_walk_an_index() {
        let cases = [
            (LIST, "USING INDEX reviews_all ((due_at,id)>(?,?))"),
            (LIST_OPEN, "USING INDEX reviews_due ((due_at,id)>(?,?))"),
            (LIST_OF_REQUEST, "USING INDEX reviews_request (request=?)"),
            (LIST_CLAIMED, "USING INDEX reviews_claimed (claimed_by=? AND (due_at,id)>(?,?))"),
            (LIST_SECOND, "USING INDEX reviews_second ((due_at,id)>(?,?))"),
            (LIST_SNOOZED, "SEARCH snoozes"),
            (LIST_OPEN_OF_PROCESS, "USING INDEX reviews_open_of_process (process=? AND (due_at,id)>(?,?))"),
        ];
        for (sql, expected) in cases {
            let plan = plan(sql).await;
            assert!(plan.contains(expected), "{plan}");
        }
    }

    /// However many were decided, a page of decisions reads a page of one index, or of one for each process.
    #[tokio::test]
    async fn decisions_walk_an_index() {
        let cases: [(&str, &[&str]); 3] = [
            (DECISIONS, &["USING INDEX reviews_closed (closed_at>? AND (closed_at,id)<(?,?))"]),
            (DECISIONS_OF, &["INDEX reviews_of_process (process=? AND closed_at>? AND (closed_at,id)<(?,?))"]),
            (
                DECISIONS_BY,
                &[
                    "USING INDEX reviews_decided_by (decided_by=? AND closed_at>? AND (closed_at,id)<(?,?))",
                    "USING INDEX reviews_first_by (first_by=? AND closed_at>? AND (closed_at,id)<(?,?))",
                ],
            ),
        ];
        for (sql, expected) in cases {
            let plan = plan(sql).await;
            assert!(expected.iter().all(|part| plan.contains(part)) && !plan.contains("SCAN reviews"), "{plan}");
        }
    }
}
