//! Reads for people and programs.

use uuid::Uuid;

use super::{PostgresStore, rows};
use crate::domain::request::chain::Entry;
use crate::domain::time::Time;
use crate::engine::ports::records::{Balance, Counted, RejectedRow, RequestFilter, RequestRow};
use crate::engine::ports::store::{RequestId, StoreError};
use crate::store::rows::{int, rejected_columns, request_columns};
use crate::store::rules;

const NOW: &str = "SELECT mozhao_now() AS now";
const REQUEST: &str = concat!("SELECT ", request_columns!(), " FROM requests WHERE id = $1");
/// From the row on that holds the first of them.
const ENTRIES: &str = "\
    SELECT seq, packed FROM entries
    WHERE request = $1 AND seq >= COALESCE((SELECT MAX(seq) FROM entries WHERE request = $1 AND seq <= $2 + 1), 1)
    ORDER BY seq LIMIT $3";
const ENTRIES_OF: &str = "SELECT request, seq, packed FROM entries WHERE request = ANY($1) ORDER BY request DESC, seq LIMIT $2";
/// What every list of requests asks; in front of it stands what picks the index. Ids are in order of time, so every list is a
/// range of ids.
macro_rules! list {
    ($picks:literal) => {
        concat!(
            "SELECT ",
            request_columns!(),
            " FROM requests WHERE ",
            $picks,
            "id < $1 AND id >= $12
            AND ($2::TEXT[] IS NULL OR process = ANY($2))
            AND ($3::TEXT[] IS NULL OR state = ANY($3))
            AND ($4::TEXT IS NULL OR customer = $4)
            AND ($5::TEXT IS NULL OR producer = $5)
            AND ($6::TEXT IS NULL OR reason = $6)
            AND ($7::TEXT IS NULL OR parked = $7)
            AND ($8::TEXT IS NULL OR step = $8)
            AND ($9::BIGINT IS NULL OR accepted_at < $9)
            AND ($10::BIGINT IS NULL OR accepted_at >= $10)
            ORDER BY id DESC LIMIT $11"
        )
    };
}
const LIST: &str = list!("");
/// The conditions that are always true are those of the indexes: see the migration.
const LIST_OF_CUSTOMER: &str = list!("customer = $4 AND customer <> '' AND ");
const LIST_OF_PRODUCER: &str = list!("producer = $5 AND producer <> '' AND ");
const LIST_OF_REASON: &str = list!("reason = $6 AND ");
const LIST_PARKED: &str = list!("parked = $7 AND ended_at IS NULL AND ");
const LIST_OPEN: &str = list!("ended_at IS NULL AND process <> '' AND ");
const REJECTED: &str =
    concat!("SELECT ", rejected_columns!(), " FROM rejected WHERE $1::UUID IS NULL OR id < $1 ORDER BY id DESC LIMIT $2");
/// One statement, so one snapshot.
const BALANCE: &str = "\
    SELECT name, SUM(n)::BIGINT AS n FROM tallies GROUP BY name
    UNION ALL SELECT state, COUNT(*) FROM requests WHERE ended_at IS NULL AND process <> '' GROUP BY state
    UNION ALL SELECT 'unpublished', COALESCE(SUM(cardinality(ids)), 0)::BIGINT FROM unpublished
    UNION ALL SELECT 'overdue', COUNT(*) FROM requests WHERE wake_at < mozhao_now() - 60000000 AND owner IS NULL";
const COUNTED: &str = "\
    SELECT process, state, parked, step, COUNT(*) AS n FROM requests WHERE ended_at IS NULL AND process <> ''
    GROUP BY process, state, parked, step ORDER BY process, state, parked, step";

impl PostgresStore {
    pub(super) async fn clock(&self) -> Result<Time, StoreError> {
        let now = self.db.looks().read(sqlx::query(NOW), |row| rows::time(row, "now")).await?;
        now.into_iter().next().ok_or_else(|| StoreError::Broken("the database has no time".into()))
    }

    pub(super) async fn one_request(&self, request: RequestId) -> Result<RequestRow, StoreError> {
        let found = self.db.looks().read(sqlx::query(REQUEST).bind(request), rows::request).await?;
        found.into_iter().next().ok_or(StoreError::NotFound("the request"))
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
        let some = |list: &[String]| if list.is_empty() { None } else { Some(list.to_vec()) };
        let open = !filter.states.is_empty() && filter.states.iter().all(|state| rules::outcome(state).is_none());
        let sql = match filter {
            RequestFilter { customer: Some(_), .. } => LIST_OF_CUSTOMER,
            RequestFilter { parked: Some(_), .. } => LIST_PARKED,
            _ if open => LIST_OPEN,
            RequestFilter { reason: Some(_), .. } => LIST_OF_REASON,
            RequestFilter { producer: Some(_), .. } => LIST_OF_PRODUCER,
            _ => LIST,
        };
        let (from, below) = rules::ids(filter, before);
        let query = sqlx::query(sql).bind(below).bind(some(&filter.processes)).bind(some(&filter.states));
        let query = query.bind(&filter.customer).bind(&filter.producer).bind(&filter.reason).bind(&filter.parked);
        let query = query.bind(&filter.step).bind(filter.before.map(|at| at.0)).bind(filter.after.map(|at| at.0));
        // Planned for these arguments each time: a plan for any producer is one for the producer of nearly everything.
        self.db.others().read(query.bind(int(limit)?).bind(from).persistent(false), rows::request).await
    }

    pub(super) async fn list_rejected(&self, before: Option<Uuid>, limit: usize) -> Result<Vec<RejectedRow>, StoreError> {
        self.db.others().read(sqlx::query(REJECTED).bind(before).bind(int(limit)?), rows::rejected).await
    }

    pub(super) async fn read_balance(&self) -> Result<Balance, StoreError> {
        let rows = self.db.others().read(sqlx::query(BALANCE), rows::named).await?;
        Ok(crate::store::rows::balance(rows))
    }

    pub(super) async fn count_open(&self) -> Result<Vec<Counted>, StoreError> {
        self.db.others().read(sqlx::query(COUNTED), rows::counted).await
    }
}
