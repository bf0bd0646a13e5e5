//! Reads for people and programs.

use std::time::Duration;

use uuid::Uuid;

use super::{SqliteStore, db, rows};
use crate::domain::request::chain::Entry;
use crate::domain::time::Time;
use crate::engine::ports::balance::{Balance, Went};
use crate::engine::ports::records::{RejectedRow, RequestFilter, RequestRow};
use crate::engine::ports::store::{RequestId, StoreError};
use crate::store::rows::{int, json_text, rejected_columns, request_columns};
use crate::store::rules;

const REQUEST: &str = concat!("SELECT ", request_columns!(), " FROM requests WHERE id = ?1");
const ENTRIES: &str = "SELECT seq, at, body, hash FROM entries WHERE request = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
const ENTRIES_OF: &str = "\
    SELECT request, seq, at, body, hash FROM entries WHERE request IN (SELECT unhex(value) FROM json_each(?1)) ORDER BY request DESC, seq LIMIT ?2";
/// What every list of requests asks; in front of it stands what picks the index. Ids are in order of time, so every list is a
/// range of ids: SQLite plans without looking at the arguments, so "or nothing is said" would be all of them.
macro_rules! list {
    ($picks:literal) => {
        list!("", $picks)
    };
    ($by:literal, $picks:literal) => {
        concat!(
            "SELECT ",
            request_columns!(),
            " FROM requests ",
            $by,
            " WHERE ",
            $picks,
            "id < ?1 AND id >= ?12
            AND (?2 IS NULL OR process IN (SELECT value FROM json_each(?2)))
            AND (?3 IS NULL OR state IN (SELECT value FROM json_each(?3)))
            AND (?4 IS NULL OR customer = ?4)
            AND (?5 IS NULL OR producer = ?5)
            AND (?6 IS NULL OR reason = ?6)
            AND (?7 IS NULL OR parked = ?7)
            AND (?8 IS NULL OR step = ?8)
            AND (?9 IS NULL OR accepted_at < ?9)
            AND (?10 IS NULL OR accepted_at >= ?10)
            ORDER BY id DESC LIMIT ?11"
        )
    };
}
const LIST: &str = list!("");
const LIST_OF_CUSTOMER: &str = list!("customer = ?4 AND ");
const LIST_OF_PRODUCER: &str = list!("producer = ?5 AND ");
/// Its key is unique, so that this is one row at most.
const LIST_OF_MESSAGE: &str = list!("id = (SELECT request FROM inbox WHERE producer = ?5 AND message = ?13) AND ");
/// Of one: of several, the order by ids would be lost.
const LIST_OF_PROCESS: &str = list!("process = ?2 ->> 0 AND ");
const LIST_OF_REASON: &str = list!("reason = ?6 AND ");
const LIST_PARKED: &str = list!("parked = ?7 AND ended_at IS NULL AND ");
/// SQLite would rather walk all of them in their order than sort the few that are open.
const LIST_OPEN: &str = list!("INDEXED BY requests_open", "ended_at IS NULL AND ");
/// By ids: they are in order of time.
macro_rules! lately {
    ($picks:literal) => {
        concat!(
            "SELECT process, state, reason, person, accepted_at, ended_at FROM requests WHERE ",
            $picks,
            "id >= ?1 AND accepted_at >= ?2 AND (?3 IS NULL OR process IN (SELECT value FROM json_each(?3))) ORDER BY id DESC LIMIT ?4"
        )
    };
}
const LATELY: &str = lately!("");
const LATELY_OF_PROCESS: &str = lately!("process = ?5 AND ");
const REJECTED: &str =
    concat!("SELECT ", rejected_columns!(), " FROM rejected WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2");
/// One statement, so one snapshot; the numbers of no process have names instead of states.
const BALANCE: &str = "\
    SELECT '' AS process, name AS state, NULL AS parked, NULL AS step, SUM(n) AS n FROM tallies GROUP BY name
    UNION ALL SELECT '', 'unpublished', NULL, NULL, COUNT(*) FROM unpublished
    UNION ALL SELECT '', 'overdue', NULL, NULL, COUNT(*) FROM requests WHERE wake_at < ?1 AND owner IS NULL
    UNION ALL SELECT process, state, parked, step, COUNT(*) FROM requests WHERE ended_at IS NULL
    GROUP BY process, state, parked, step";

impl SqliteStore {
    #[expect(clippy::unused_async, reason = "PostgreSQL is asked for its time")]
    pub(super) async fn clock(&self) -> Result<Time, StoreError> {
        Ok(db::now())
    }

    pub(super) async fn one_request(&self, request: RequestId) -> Result<RequestRow, StoreError> {
        let found = self.db.read(sqlx::query(REQUEST).bind(request), rows::request).await?;
        found.into_iter().next().ok_or(StoreError::NotFound("the request"))
    }

    pub(super) async fn some_entries(&self, request: RequestId, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.db.read(sqlx::query(ENTRIES).bind(request).bind(int(after)?).bind(int(limit)?), rows::entry).await
    }

    pub(super) async fn entries_of_some(
        &self,
        requests: &[RequestId],
        limit: usize,
    ) -> Result<Vec<(RequestId, Entry)>, StoreError> {
        let one = |row: &_| Ok((sqlx::Row::try_get(row, "request")?, rows::entry(row)?));
        self.db.read(sqlx::query(ENTRIES_OF).bind(rows::ids(requests)?).bind(int(limit)?), one).await
    }

    pub(super) async fn list_requests(
        &self,
        filter: &RequestFilter,
        before: Option<RequestId>,
        limit: usize,
    ) -> Result<Vec<RequestRow>, StoreError> {
        let some = |list: &Vec<String>| if list.is_empty() { Ok(None) } else { json_text(list).map(Some) };
        let open = !filter.states.is_empty() && filter.states.iter().all(|state| rules::outcome(state).is_none());
        let sql = match filter {
            RequestFilter { message: Some(_), .. } => LIST_OF_MESSAGE,
            RequestFilter { customer: Some(_), .. } => LIST_OF_CUSTOMER,
            RequestFilter { parked: Some(_), .. } => LIST_PARKED,
            _ if open => LIST_OPEN,
            RequestFilter { reason: Some(_), .. } => LIST_OF_REASON,
            RequestFilter { producer: Some(_), .. } => LIST_OF_PRODUCER,
            _ if filter.processes.len() == 1 => LIST_OF_PROCESS,
            _ => LIST,
        };
        let (from, below) = rules::ids(filter, before);
        let query = sqlx::query(sql).bind(below).bind(some(&filter.processes)?).bind(some(&filter.states)?);
        let query = query.bind(&filter.customer).bind(&filter.producer).bind(&filter.reason).bind(&filter.parked);
        let query = query.bind(&filter.step).bind(filter.before.map(|at| at.0)).bind(filter.after.map(|at| at.0));
        let query = query.bind(int(limit)?).bind(from);
        let query = if filter.message.is_some() { query.bind(&filter.message) } else { query };
        self.db.read(query, rows::request).await
    }

    /// A list looks at as many rows as it must: the file is this process's own, and of a size that one process has.
    #[expect(clippy::unused_async, reason = "PostgreSQL is asked")]
    pub(super) async fn last_looked_at(&self, _: &RequestFilter, _: Option<RequestId>) -> Result<Option<RequestId>, StoreError> {
        Ok(None)
    }

    pub(super) async fn list_rejected(&self, before: Option<Uuid>, limit: usize) -> Result<Vec<RejectedRow>, StoreError> {
        self.db.read(sqlx::query(REJECTED).bind(before).bind(int(limit)?), rows::rejected).await
    }

    pub(super) async fn list_lately(&self, processes: &[String], since: Time, limit: usize) -> Result<Vec<Went>, StoreError> {
        let filter = RequestFilter { processes: processes.to_vec(), after: Some(since), ..RequestFilter::default() };
        let (from, _) = rules::ids(&filter, None);
        let (all, one) = (processes.is_empty(), processes.len() == 1);
        let named = if all { None } else { Some(json_text(&processes)?) };
        let query =
            sqlx::query(if one { LATELY_OF_PROCESS } else { LATELY }).bind(from).bind(since.0).bind(named).bind(int(limit)?);
        let query = if one { query.bind(processes.first()) } else { query };
        self.db.read(query, rows::went).await
    }

    pub(super) async fn read_balance(&self) -> Result<Balance, StoreError> {
        let late = db::now().minus(Duration::from_mins(1));
        let rows = self.db.read(sqlx::query(BALANCE).bind(late.0), rows::counted).await?;
        Ok(crate::store::rows::balance(rows))
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::store::Role;

    /// The plan of a statement, line by line.
    pub(in crate::store::sqlite) async fn plan(sql: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("test.db"), Role::Tool).await.unwrap();
        store.migrate().await.unwrap();
        let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let lines = store.db.read(sqlx::query(sql), |row| sqlx::Row::try_get::<String, _>(row, "detail")).await.unwrap();
        lines.join("\n")
    }

    /// `SCAN` is the whole table, and `TEMP B-TREE` sorts it.
    #[tokio::test]
    async fn lists_walk_an_index_in_their_order() {
        let cases = [
            (LIST, "SEARCH requests USING PRIMARY KEY (id>? AND id<?)"),
            (LIST_OF_CUSTOMER, "SEARCH requests USING INDEX requests_customer (customer=? AND id>? AND id<?)"),
            (LIST_OF_PROCESS, "SEARCH requests USING INDEX requests_process (process=? AND id>? AND id<?)"),
            (LATELY_OF_PROCESS, "SEARCH requests USING INDEX requests_process (process=? AND id>?)"),
            (LIST_OF_PRODUCER, "SEARCH requests USING INDEX requests_producer (producer=? AND id>? AND id<?)"),
            (LIST_OF_MESSAGE, "SEARCH requests USING PRIMARY KEY (id=?)"),
            (LIST_OF_REASON, "SEARCH requests USING INDEX requests_reason (reason=? AND id>? AND id<?)"),
            (LIST_PARKED, "SEARCH requests USING INDEX requests_parked (parked=? AND id>? AND id<?)"),
        ];
        for (sql, expected) in cases {
            let plan = plan(sql).await;
            assert!(plan.contains(expected) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
        let plan = plan(LIST_OPEN).await;
        assert!(plan.contains("USING INDEX requests_open"), "{plan}");
    }
}
