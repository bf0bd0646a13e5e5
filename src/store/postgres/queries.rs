//! Reads for people and programs.

use uuid::Uuid;

use super::db::Side;
use super::{PostgresStore, rows};
use crate::domain::request::chain::Entry;
use crate::domain::time::Time;
use crate::engine::ports::balance::{Balance, Went};
use crate::engine::ports::records::{RejectedRow, RequestFilter, RequestRow};
use crate::engine::ports::store::{RequestId, StoreError};
use crate::store::rows::{int, rejected_columns, request_columns};
use crate::store::rules;

const NOW: &str = "SELECT mozhao_now() AS now";
/// First among those that are open, where the engine's are, and then among the past ones: a request that ended in between is seen.
const OPEN: &str = concat!("SELECT ", request_columns!(), " FROM open_requests WHERE id = $1");
const PAST: &str = concat!("SELECT ", request_columns!(), " FROM past_requests WHERE id = $1");
/// From the row on that holds the first of them.
const ENTRIES: &str = "\
    SELECT seq, packed FROM entries
    WHERE request = $1 AND seq >= COALESCE((SELECT MAX(seq) FROM entries WHERE request = $1 AND seq <= $2 + 1), 1)
    ORDER BY seq LIMIT $3";
const ENTRIES_OF: &str = "SELECT request, seq, packed FROM entries WHERE request = ANY($1) ORDER BY request DESC, seq LIMIT $2";
/// The most rows of an index that a list of requests looks at: what is rare, or nowhere, is searched for in parts, so that nobody waits
/// for a walk over all requests, and no such walk takes the database from those who work.
const WALK: i64 = 50_000;
/// What every list of requests asks; innermost stands what picks the index. Ids are in order of time, so every list is a
/// range of ids.
macro_rules! list {
    ($from:literal, $picks:literal) => {
        concat!(
            "SELECT ",
            request_columns!(),
            " FROM (SELECT * FROM ",
            $from,
            " WHERE ",
            $picks,
            "id < $1 AND id >= $12 ORDER BY id DESC LIMIT $13) AS walked
            WHERE ($2::TEXT[] IS NULL OR process = ANY($2))
            AND ($3::TEXT[] IS NULL OR state = ANY($3))
            AND ($4::TEXT IS NULL OR customer = $4)
            AND ($5::TEXT IS NULL OR producer = $5)
            AND ($6::TEXT IS NULL OR reason = $6)
            AND ($7::TEXT IS NULL OR parked = $7)
            AND ($8::TEXT IS NULL OR step = $8)
            AND ($9::BIGINT IS NULL OR accepted_at < $9)
            AND ($10::BIGINT IS NULL OR accepted_at >= $10)
            ORDER BY id DESC LIMIT $11 OFFSET $14"
        )
    };
}
const LIST: &str = list!("requests", "");
/// The conditions that are always true are those of the indexes: see the migration.
const LIST_OF_CUSTOMER: &str = list!("requests", "customer = $4 AND customer <> '' AND ");
const LIST_OF_PRODUCER: &str = list!("requests", "producer = $5 AND producer <> '' AND ");
/// Its key is unique, so that this is one row at most.
const LIST_OF_MESSAGE: &str = list!("requests", "id = (SELECT request FROM inbox WHERE producer = $5 AND message = $15) AND ");
/// Of one: of several, the order by ids would be lost.
const LIST_OF_PROCESS: &str = list!("requests", "process = ($2::TEXT[])[1] AND process <> '' AND ");
const LIST_OF_REASON: &str = list!("requests", "reason = $6 AND ");
const LIST_PARKED: &str = list!("open_requests", "parked = $7 AND ended_at IS NULL AND ");
const LIST_OPEN: &str = list!("open_requests", "");
/// By ids: they are in order of time.
macro_rules! lately {
    ($picks:literal) => {
        concat!(
            "SELECT process, state, reason, person, accepted_at, ended_at FROM requests WHERE ",
            $picks,
            "id >= $1 AND accepted_at >= $2 AND ($3::TEXT[] IS NULL OR process = ANY($3)) ORDER BY id DESC LIMIT $4"
        )
    };
}
const LATELY: &str = lately!("");
const LATELY_OF_PROCESS: &str = lately!("process = $5 AND process <> '' AND ");
const REJECTED: &str =
    concat!("SELECT ", rejected_columns!(), " FROM rejected WHERE $1::UUID IS NULL OR id < $1 ORDER BY id DESC LIMIT $2");
/// One statement, so one snapshot; the numbers of no process have names instead of states.
const BALANCE: &str = "\
    SELECT '' AS process, name AS state, NULL AS parked, NULL AS step, SUM(n)::BIGINT AS n FROM tallies GROUP BY name
    UNION ALL SELECT '', 'unpublished', NULL, NULL, COALESCE(SUM(cardinality(ids)), 0)::BIGINT FROM unpublished
    UNION ALL SELECT '', 'overdue', NULL, NULL, COUNT(*) FROM open_requests WHERE wake_at < mozhao_now() - 60000000 AND owner IS NULL
    UNION ALL SELECT process, state, parked, step, COUNT(*) FROM open_requests
    GROUP BY process, state, parked, step";

impl PostgresStore {
    pub(super) async fn clock(&self) -> Result<Time, StoreError> {
        self.time(self.db.looks()).await
    }

    /// The database's time, asked for over one's own connections: each kind of them breaks, and is mended, by itself.
    pub(super) async fn time(&self, side: &Side) -> Result<Time, StoreError> {
        let now = side.read(sqlx::query(NOW), |row| rows::time(row, "now")).await?;
        now.into_iter().next().ok_or_else(|| StoreError::Broken("the database has no time".into()))
    }

    pub(super) async fn one_request(&self, request: RequestId) -> Result<RequestRow, StoreError> {
        for sql in [OPEN, PAST] {
            let found = self.db.looks().read(sqlx::query(sql).bind(request), rows::request).await?;
            if let Some(row) = found.into_iter().next() {
                return Ok(row);
            }
        }
        Err(StoreError::NotFound("the request"))
    }

    pub(super) async fn some_entries(&self, request: RequestId, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let query = sqlx::query(ENTRIES).bind(request).bind(int(after)?).bind(int(limit)?);
        let entries = self.db.others().read(query, rows::entries).await?;
        Ok(entries.into_iter().flatten().skip_while(|entry| entry.seq <= after).take(limit).collect())
    }

    /// A row holds one entry at least.
    pub(super) async fn entries_of_some(
        &self,
        requests: &[RequestId],
        limit: usize,
    ) -> Result<Vec<(RequestId, Entry)>, StoreError> {
        let one = |row: &_| Ok((sqlx::Row::try_get(row, "request")?, rows::entries(row)?));
        let query = sqlx::query(ENTRIES_OF).bind(requests).bind(int(limit)?).persistent(false);
        let found: Vec<(RequestId, Vec<Entry>)> = self.db.others().read(query, one).await?;
        Ok(found.into_iter().flat_map(|(id, entries)| entries.into_iter().map(move |entry| (id, entry))).collect())
    }

    pub(super) async fn list_requests(
        &self,
        filter: &RequestFilter,
        before: Option<RequestId>,
        limit: usize,
    ) -> Result<Vec<RequestRow>, StoreError> {
        self.walk(pick(filter).0, filter, before, (int(limit)?, 0)).await
    }

    /// The last row that was looked at: of those that the index gives, whatever else they should be.
    pub(super) async fn last_looked_at(
        &self,
        filter: &RequestFilter,
        before: Option<RequestId>,
    ) -> Result<Option<RequestId>, StoreError> {
        let (sql, picked) = pick(filter);
        let last = self.walk(sql, &picked, before, (1, WALK - 1)).await?;
        Ok(last.first().map(|row| row.id))
    }

    async fn walk(
        &self,
        sql: &'static str,
        filter: &RequestFilter,
        before: Option<RequestId>,
        (limit, offset): (i64, i64),
    ) -> Result<Vec<RequestRow>, StoreError> {
        let some = |list: &[String]| if list.is_empty() { None } else { Some(list.to_vec()) };
        let (from, below) = rules::ids(filter, before);
        let query = sqlx::query(sql).bind(below).bind(some(&filter.processes)).bind(some(&filter.states));
        let query = query.bind(&filter.customer).bind(&filter.producer).bind(&filter.reason).bind(&filter.parked);
        let query = query.bind(&filter.step).bind(filter.before.map(|at| at.0)).bind(filter.after.map(|at| at.0));
        // Planned for these arguments each time: a plan for any producer is one for the producer of nearly everything.
        let query = query.bind(limit).bind(from).bind(WALK).bind(offset).persistent(false);
        let query = if filter.message.is_some() { query.bind(&filter.message) } else { query };
        self.db.others().read(query, rows::request).await
    }

    pub(super) async fn list_rejected(&self, before: Option<Uuid>, limit: usize) -> Result<Vec<RejectedRow>, StoreError> {
        self.db.others().read(sqlx::query(REJECTED).bind(before).bind(int(limit)?), rows::rejected).await
    }

    pub(super) async fn list_lately(&self, processes: &[String], since: Time, limit: usize) -> Result<Vec<Went>, StoreError> {
        let filter = RequestFilter { processes: processes.to_vec(), after: Some(since), ..RequestFilter::default() };
        let (from, _) = rules::ids(&filter, None);
        let (all, one) = (processes.is_empty(), processes.len() == 1);
        let named = if all { None } else { Some(processes.to_vec()) };
        let query =
            sqlx::query(if one { LATELY_OF_PROCESS } else { LATELY }).bind(from).bind(since.0).bind(named).bind(int(limit)?);
        let query = if one { query.bind(processes.first()) } else { query };
        self.db.others().read(query.persistent(false), rows::went).await
    }

    pub(super) async fn read_balance(&self) -> Result<Balance, StoreError> {
        let rows = self.db.others().read(sqlx::query(BALANCE), rows::counted).await?;
        Ok(crate::store::rows::balance(rows))
    }
}

/// The list that reads the least, and the part of the filter that its index knows.
fn pick(filter: &RequestFilter) -> (&'static str, RequestFilter) {
    let open = !filter.states.is_empty() && filter.states.iter().all(|state| rules::outcome(state).is_none());
    let times = RequestFilter { before: filter.before, after: filter.after, ..RequestFilter::default() };
    match filter.clone() {
        RequestFilter { message: Some(id), producer, .. } => {
            (LIST_OF_MESSAGE, RequestFilter { message: Some(id), producer, ..times })
        }
        RequestFilter { customer: Some(name), .. } => (LIST_OF_CUSTOMER, RequestFilter { customer: Some(name), ..times }),
        RequestFilter { parked: Some(group), .. } => (LIST_PARKED, RequestFilter { parked: Some(group), ..times }),
        _ if open => (LIST_OPEN, times),
        RequestFilter { reason: Some(name), .. } => (LIST_OF_REASON, RequestFilter { reason: Some(name), ..times }),
        RequestFilter { producer: Some(name), .. } => (LIST_OF_PRODUCER, RequestFilter { producer: Some(name), ..times }),
        RequestFilter { processes, .. } if processes.len() == 1 => (LIST_OF_PROCESS, RequestFilter { processes, ..times }),
        _ => (LIST, times),
    }
}
