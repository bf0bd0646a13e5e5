//! Defects, controls, and the requests parked under a group.

use sqlx::Row as _;
use uuid::Uuid;

use super::reviewing::add_act;
use super::{PostgresStore, rows};
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;
use crate::engine::ports::records::{ControlRow, DefectRow};
use crate::engine::ports::reviewing::ActRow;
use crate::engine::ports::store::{RequestId, StoreError};
use crate::store::batch;
use crate::store::mistake::sql;
use crate::store::rows::{control_columns, defect_columns, int};

const DEFECTS: &str = concat!(
    "SELECT ",
    defect_columns!(),
    " FROM defects WHERE $1::TEXT[] = '{}' OR process = ANY($1) ORDER BY last_seen DESC, fingerprint LIMIT $2"
);
const DEFECT: &str = concat!("SELECT ", defect_columns!(), " FROM defects WHERE fingerprint = $1");
const CONTROLS: &str = concat!("SELECT ", control_columns!(), " FROM controls ORDER BY group_name COLLATE \"C\"");
const FIRST_CONTROL: &str = concat!(
    "INSERT INTO controls (",
    control_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (group_name) DO NOTHING"
);
const NEXT_CONTROL: &str = "\
    UPDATE controls SET state = $2, reason = $3, changed_by = $4, canary = $5, probe_at = $6, rate = $7, to_version = $8, since = $9,
        changed_at = $10, version = $11
    WHERE group_name = $1 AND version = $11 - 1";
const PARKED: &str = "\
    SELECT id FROM open_requests
    WHERE parked = $1 AND ended_at IS NULL AND updated_at < $2 AND signalled = seen AND id > $4
    ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED";
const RESUME: &str = "\
    WITH woken AS (
        UPDATE open_requests AS r SET signalled = r.signalled + 1, wake_at = mozhao_now()
        FROM unnest($1::UUID[], $2::UUID[]) AS a (request, signal) WHERE r.id = a.request
        RETURNING a.signal, r.id, r.signalled)
    INSERT INTO signals (id, request, no, at, body) SELECT signal, id, signalled, $3, $4 FROM woken";
const PARKED_GROUPS: &str = "\
    WITH RECURSIVE found (name) AS (
        SELECT MIN(parked) FROM open_requests WHERE parked IS NOT NULL AND ended_at IS NULL
        UNION ALL
        SELECT (SELECT MIN(parked) FROM open_requests WHERE parked > found.name AND ended_at IS NULL)
        FROM found WHERE found.name IS NOT NULL)
    SELECT name FROM found WHERE name IS NOT NULL";
const COUNT: &str = "\
    SELECT COUNT(*) AS n FROM (SELECT 1 FROM open_requests WHERE parked = $1 AND ended_at IS NULL LIMIT $2) AS parked";

impl PostgresStore {
    pub(super) async fn list_defects(&self, processes: &[String], limit: usize) -> Result<Vec<DefectRow>, StoreError> {
        self.db.others().read(sqlx::query(DEFECTS).bind(processes).bind(int(limit)?), rows::defect).await
    }

    pub(super) async fn one_defect(&self, fingerprint: &str) -> Result<DefectRow, StoreError> {
        let found = self.db.others().read(sqlx::query(DEFECT).bind(fingerprint), rows::defect).await?;
        found.into_iter().next().ok_or(StoreError::NotFound("the defect"))
    }

    pub(super) async fn list_controls(&self) -> Result<Vec<ControlRow>, StoreError> {
        self.db.others().read(sqlx::query(CONTROLS), rows::control).await
    }

    pub(super) async fn replace_control(&self, row: &ControlRow, act: Option<&ActRow>) -> Result<bool, StoreError> {
        batch::check_control(row)?;
        let next = || sql(NEXT_CONTROL, "control_unread", " AND version = $11 - 1", "");
        let query = if row.version == 1 { sqlx::query(FIRST_CONTROL) } else { sqlx::query(next()) };
        let query = query.bind(&row.group).bind(&row.state).bind(&row.reason).bind(&row.by).bind(row.canary);
        let query = query.bind(row.probe_at.map(|at| at.0)).bind(i64::from(row.rate)).bind(row.to_version.map(i64::from));
        let query = query.bind(row.since.map(|at| at.0)).bind(row.changed_at.0).bind(i64::from(row.version));
        let mut tx = self.db.others().begin().await?;
        let put = tx.execute(query).await? == 1;
        if let Some(act) = act.filter(|_| put) {
            add_act(&mut tx, act).await?;
        }
        tx.commit().await?;
        Ok(put)
    }

    pub(super) async fn resume_group(
        &self,
        group: &str,
        signal: &Signal,
        at: Time,
        before: Time,
        after: RequestId,
        limit: usize,
    ) -> Result<Vec<RequestId>, StoreError> {
        let mut tx = self.db.others().begin().await?;
        let parked = sqlx::query(PARKED).bind(group).bind(before.0).bind(int(limit)?).bind(after);
        let chosen: Vec<Uuid> = tx.read(parked, |row| row.try_get("id")).await?;
        if !chosen.is_empty() {
            let body = serde_json::to_vec(signal).map_err(|error| StoreError::Data(error.to_string()))?;
            let ids: Vec<Uuid> = chosen.iter().map(|_| Uuid::now_v7()).collect();
            tx.execute(sqlx::query(RESUME).bind(&chosen).bind(ids).bind(at.0).bind(body)).await?;
        }
        tx.commit().await?;
        Ok(chosen)
    }

    pub(super) async fn list_parked_groups(&self) -> Result<Vec<String>, StoreError> {
        // Without arguments a plan would be kept: one that was made while next to nothing was open reads the whole table.
        self.db.others().read(sqlx::query(PARKED_GROUPS).persistent(false), |row| row.try_get("name")).await
    }

    pub(super) async fn count_parked(&self, group: &str, cap: u64) -> Result<u64, StoreError> {
        let count = sqlx::query(COUNT).bind(group).bind(int(cap)?);
        Ok(self.db.others().read(count, |row| rows::number::<u64>(row, "n")).await?.into_iter().sum())
    }
}
