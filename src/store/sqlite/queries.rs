//! Reads for people and programs.

use std::time::Duration;

use uuid::Uuid;

use super::{SqliteStore, db, rows};
use crate::domain::request::chain::Entry;
use crate::domain::time::Time;
use crate::engine::ports::records::{Balance, Counted, RejectedRow, RequestFilter, RequestRow};
use crate::engine::ports::store::{RequestId, StoreError};
use crate::store::rows::{int, json_text, rejected_columns, request_columns};

const REQUEST: &str = concat!("SELECT ", request_columns!(), " FROM requests WHERE id = ?1");
const ENTRIES: &str = "SELECT seq, at, body, hash FROM entries WHERE request = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
/// What every list of requests asks; in front of it stands what picks the index.
macro_rules! list {
    ($picks:literal) => {
        concat!(
            "SELECT ",
            request_columns!(),
            " FROM requests WHERE ",
            $picks,
            "(?1 IS NULL OR id < ?1)
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
const LIST_PARKED: &str = list!("parked = ?7 AND ended_at IS NULL AND ");
const LIST_OPEN: &str = list!("ended_at IS NULL AND ");
const REJECTED: &str =
    concat!("SELECT ", rejected_columns!(), " FROM rejected WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2");
/// One statement, so one snapshot.
const BALANCE: &str = "\
    SELECT name, SUM(n) AS n FROM tallies GROUP BY name
    UNION ALL SELECT state, COUNT(*) FROM requests WHERE ended_at IS NULL GROUP BY state
    UNION ALL SELECT 'unpublished', COUNT(*) FROM unpublished
    UNION ALL SELECT 'overdue', COUNT(*) FROM requests WHERE wake_at < ?1 AND owner IS NULL";
const COUNTED: &str = "\
    SELECT process, state, parked, step, COUNT(*) AS n FROM requests WHERE ended_at IS NULL
    GROUP BY process, state, parked, step ORDER BY process, state, parked, step";

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

    pub(super) async fn list_requests(
        &self,
        filter: &RequestFilter,
        before: Option<RequestId>,
        limit: usize,
    ) -> Result<Vec<RequestRow>, StoreError> {
        let some = |list: &Vec<String>| if list.is_empty() { Ok(None) } else { json_text(list).map(Some) };
        let open = !filter.states.is_empty() && filter.states.iter().all(|state| crate::store::rules::outcome(state).is_none());
        let sql = match filter {
            RequestFilter { customer: Some(_), .. } => LIST_OF_CUSTOMER,
            RequestFilter { parked: Some(_), .. } => LIST_PARKED,
            _ if open => LIST_OPEN,
            _ => LIST,
        };
        let query = sqlx::query(sql).bind(before).bind(some(&filter.processes)?).bind(some(&filter.states)?);
        let query = query.bind(&filter.customer).bind(&filter.producer).bind(&filter.reason).bind(&filter.parked);
        let query = query.bind(&filter.step).bind(filter.before.map(|at| at.0)).bind(filter.after.map(|at| at.0));
        self.db.read(query.bind(int(limit)?), rows::request).await
    }

    pub(super) async fn list_rejected(&self, before: Option<Uuid>, limit: usize) -> Result<Vec<RejectedRow>, StoreError> {
        self.db.read(sqlx::query(REJECTED).bind(before).bind(int(limit)?), rows::rejected).await
    }

    pub(super) async fn read_balance(&self) -> Result<Balance, StoreError> {
        let late = db::now().minus(Duration::from_mins(1));
        let rows = self.db.read(sqlx::query(BALANCE).bind(late.0), rows::named).await?;
        Ok(crate::store::rows::balance(rows))
    }

    pub(super) async fn count_open(&self) -> Result<Vec<Counted>, StoreError> {
        self.db.read(sqlx::query(COUNTED), rows::counted).await
    }
}
