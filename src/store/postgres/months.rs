//! What has ended, by months: `past_requests`, and the payloads and ledgers of all requests, in leaves by the time inside the request's
//! id. A month that is over and that nobody keeps any more is dropped whole, which costs the same however much is in it, and leaves
//! nothing to vacuum.
//!
//! Leaves are made ahead, beside everybody's work: as tables of their own, which are attached then. To attach takes the leaf of strays
//! for a moment, and to drop takes the whole: both wait briefly (behind a long transaction, a backup say, everybody else would wait with
//! them) and then not again for a while. Where a leaf is missing nothing fails: rows go to the strays, and move when it is made.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::time::Instant;
use uuid::Uuid;

use super::PostgresStore;
use super::db::{Query, Tx};
use crate::domain::time::Time;
use crate::engine::ports::store::StoreError;
use crate::store::rows::{Read, int};
use crate::store::rules::id_at;

/// What is kept by months, and the column with the request's id.
const KEPT: [(&str, &str); 3] = [("payloads", "request"), ("past_requests", "id"), ("entries", "request")];
/// Months that there are leaves for, this one included.
const AHEAD: usize = 3;
/// How long DDL waits: shorter than what it takes the server to look for a deadlock, so that no batch is ever the victim of one, and a
/// leaf that is being vacuumed is left in peace.
const BRIEF: &str = "SET LOCAL lock_timeout = '500ms'";
/// How long nobody is disturbed again after DDL that could not have its lock.
const PAUSE: Duration = Duration::from_mins(10);
/// One at a time, of all workers: the others have better things to do than to wait.
const ALONE: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended('mozhao months', 0)) AS mine";
const MISSING: &str =
    "SELECT name FROM unnest($1::TEXT[]) AS name WHERE to_regclass('past_requests_' || name) IS NULL ORDER BY name";
/// Those of other roles nobody else can drop: of these nothing is removed.
const LEAVES: &str = "\
    SELECT substr(c.relname, 15) AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'past_requests'::regclass AND pg_has_role(c.relowner, 'USAGE') ORDER BY c.relname";
/// An open one keeps its whole month: its ledger is there.
const IN_USE: &str = "\
    SELECT EXISTS (SELECT 1 FROM open_requests WHERE id >= $1 AND id < $2)
        OR EXISTS (SELECT 1 FROM past_requests WHERE id >= $1 AND id < $2 AND ended_at >= $3) AS used";
/// Another sweep may have been at the rows that this one wanted to delete: it was told of none, and some are left.
const LEFT: &str = "\
    SELECT EXISTS (SELECT 1 FROM signals WHERE request >= $1 AND request < $2)
        OR EXISTS (SELECT 1 FROM reviews WHERE request >= $1 AND request < $2) AS used";
/// A day of a month at a time, beside everybody: nothing comes to such a month any more.
const COUNT: &str = "SELECT COUNT(*) AS n FROM past_requests WHERE id >= $1 AND id < $2";
/// The books say how many are kept no longer: who counts ledgers misses none.
const REMOVED: &str = "\
    INSERT INTO tallies AS t (worker, name, n) VALUES ('00000000-0000-0000-0000-000000000000', 'removed', $1)
    ON CONFLICT (worker, name) DO UPDATE SET n = t.n + EXCLUDED.n";
/// In the order in which a batch takes them.
const LOCK: &str = "LOCK TABLE ONLY payloads, ONLY past_requests, ONLY entries IN ACCESS EXCLUSIVE MODE";
const SIGNALS: &str = "\
    DELETE FROM signals WHERE id IN (SELECT id FROM signals WHERE request >= $1 AND request < $2 ORDER BY request LIMIT $3)";
const REVIEWS: &str = "\
    DELETE FROM reviews WHERE id IN (SELECT id FROM reviews WHERE request >= $1 AND request < $2 ORDER BY request LIMIT $3)";
/// Rows that another sweep is at are left to it.
const STRAYS: &str = "\
    SELECT id FROM past_requests_strays WHERE id < $1 AND ended_at < $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED";
/// What belongs to strays, and they themselves last.
const OF_STRAYS: [&str; 5] = [
    "DELETE FROM signals WHERE request = ANY($1)",
    "DELETE FROM reviews WHERE request = ANY($1)",
    "DELETE FROM payloads WHERE request = ANY($1)",
    "DELETE FROM entries WHERE request = ANY($1)",
    "DELETE FROM past_requests_strays WHERE id = ANY($1)",
];

/// A month of the calendar (UTC), as its number since the year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Month(i32);

impl Month {
    /// The month of a time; of one outside the calendar, its first or last.
    fn of(at: Time) -> Month {
        let bound = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let date = jiff::Timestamp::from_microsecond(at.0).unwrap_or(bound).to_zoned(TimeZone::UTC).date();
        Month(i32::from(date.year()) * 12 + i32::from(date.month()) - 1)
    }

    fn next(self) -> Month {
        Month(self.0 + 1)
    }

    /// How it ends the names of its leaves: `2026_11`.
    fn name(self) -> String {
        format!("{:04}_{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }

    /// The month that such a name says.
    fn named(name: &str) -> Option<Month> {
        let (year, month) = name.split_once('_')?;
        let (year, month): (i32, i32) = (year.parse().ok()?, month.parse().ok()?);
        let found = Month(year * 12 + month - 1);
        (found.name() == name).then_some(found)
    }

    /// Its first moment; of one outside the calendar, the end of time.
    fn start(self) -> Time {
        let year = i16::try_from(self.0.div_euclid(12)).ok();
        let date = year.and_then(|year| Date::new(year, i8::try_from(self.0.rem_euclid(12) + 1).ok()?, 1).ok());
        let at = date.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
        Time(at.map_or(i64::MAX, |at| at.timestamp().as_microsecond()))
    }

    /// The ids that are made in it: from the first, below the second.
    fn ids(self) -> (Uuid, Uuid) {
        (id_at(self.start()), id_at(self.next().start()))
    }
}

impl PostgresStore {
    /// Makes the leaves for this month and the next ones, where they are missing. Not now, where somebody is in the way.
    pub(super) async fn make_months_ahead(&self) -> Result<(), StoreError> {
        let now = self.time(self.db.others()).await?;
        self.make_months(now, AHEAD).await
    }

    /// Makes the leaves for so many months from this time on, where they are missing.
    ///
    /// # Errors
    /// The database cannot be asked. Where it does not do it, that is tried again later.
    pub async fn make_months(&self, from: Time, count: usize) -> Result<(), StoreError> {
        let months: Vec<Month> = std::iter::successors(Some(Month::of(from)), |month| Some(month.next())).take(count).collect();
        let names: Vec<String> = months.iter().map(|month| month.name()).collect();
        let missing: BTreeSet<String> = self.missing(&names).await?;
        for month in months.into_iter().filter(|month| missing.contains(&month.name())) {
            let made = self.make(month).await;
            self.or_later(made, "cannot make the tables of a month ahead");
        }
        Ok(())
    }

    async fn missing(&self, names: &[String]) -> Result<BTreeSet<String>, StoreError> {
        let found: Vec<String> = self.db.others().read(sqlx::query(MISSING).bind(names), |row| row.try_get("name")).await?;
        Ok(found.into_iter().collect())
    }

    /// All three in one transaction, so that where one is there, all are.
    async fn make(&self, month: Month) -> Result<(), StoreError> {
        if !self.may_disturb() {
            return Ok(());
        }
        let Some(mut tx) = self.alone().await? else { return Ok(()) };
        let name = month.name();
        if !lacks(&mut tx, month).await? {
            // Another worker was faster.
            return tx.rollback().await;
        }
        // Before anything moves: whoever came to the strays' own table meanwhile would be refused there, or read it when it is empty.
        tx.execute(sqlx::query(LOCK)).await?;
        let (from, below) = month.ids();
        for (table, key) in KEPT {
            tx.execute(ddl(format!("CREATE TABLE {table}_{name} (LIKE {table} INCLUDING ALL)"))).await?;
            let moved = format!(
                "WITH strays AS (DELETE FROM {table}_strays WHERE {key} >= '{from}' AND {key} < '{below}' RETURNING *)
                 INSERT INTO {table}_{name} SELECT * FROM strays"
            );
            tx.execute(ddl(moved)).await?;
            let bounds = format!("FOR VALUES FROM ('{from}') TO ('{below}')");
            tx.execute(ddl(format!("ALTER TABLE {table} ATTACH PARTITION {table}_{name} {bounds}"))).await?;
        }
        tx.commit().await?;
        tracing::info!(month = name, "made the tables of a month");
        Ok(())
    }

    /// Removes what ended before this time: months that are over and in which nothing is open and nothing ended later, whole; strays
    /// one by one, at most `limit` of them. How many requests, and rows beside them that had to go first.
    pub(super) async fn remove_requests(&self, before: Time, limit: usize) -> Result<u64, StoreError> {
        let rows = int(limit)?;
        let mut removed = self.remove_strays(before, rows).await?;
        let names: Vec<String> = self.db.others().read(sqlx::query(LEAVES), |row| row.try_get("name")).await?;
        for month in names.iter().filter_map(|name| Month::named(name)).filter(|month| month.next().start() <= before) {
            if self.db.others().read(in_use(month, before), used).await? != [false] {
                continue;
            }
            // First what belongs to them and is not by months, in bounded steps.
            let (from, below) = month.ids();
            for sql in [SIGNALS, REVIEWS] {
                let gone = self.db.others().write(sqlx::query(sql).bind(from).bind(below).bind(rows)).await?;
                removed += gone;
                if gone >= limit as u64 {
                    return Ok(removed);
                }
            }
            let dropped = self.drop_month(month, before).await;
            removed += self.or_later(dropped, "cannot drop the tables of an old month");
        }
        Ok(removed)
    }

    async fn drop_month(&self, month: Month, before: Time) -> Result<u64, StoreError> {
        if !self.may_disturb() {
            return Ok(0);
        }
        let gone = self.count_of(month).await?;
        let Some(mut tx) = self.alone().await? else { return Ok(0) };
        tx.execute(sqlx::query(LOCK)).await?;
        // A statement of its own, after the locks: it sees who came into the month just before it was ours. Nobody does afterwards:
        // whoever brings a request writes its payload first.
        let (from, below) = month.ids();
        let left = sqlx::query(LEFT).bind(from).bind(below);
        let nothing_left = tx.read(in_use(month, before), used).await? == [false] && tx.read(left, used).await? == [false];
        if !nothing_left || lacks(&mut tx, month).await? {
            tx.rollback().await?;
            return Ok(0);
        }
        let name = month.name();
        for (table, _) in KEPT {
            tx.execute(ddl(format!("DROP TABLE {table}_{name}"))).await?;
        }
        tx.execute(sqlx::query(REMOVED).bind(gone)).await?;
        tx.commit().await?;
        tracing::info!(month = name, requests = gone, "dropped the requests of a month");
        Ok(gone.cast_unsigned())
    }

    async fn count_of(&self, month: Month) -> Result<i64, StoreError> {
        let (mut n, end) = (0, month.next().start());
        let mut from = month.start();
        while from < end {
            let below = from.plus(Duration::from_hours(24));
            let day = sqlx::query(COUNT).bind(id_at(from)).bind(id_at(below));
            n += self.db.others().read(day, |row| row.try_get::<i64, _>("n")).await?.into_iter().sum::<i64>();
            from = below;
        }
        Ok(n)
    }

    async fn remove_strays(&self, before: Time, rows: i64) -> Result<u64, StoreError> {
        let mut tx = self.db.others().begin().await?;
        let old = sqlx::query(STRAYS).bind(id_at(before)).bind(before.0).bind(rows);
        let old: Vec<Uuid> = tx.read(old, |row| row.try_get("id")).await?;
        if old.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        for sql in OF_STRAYS {
            tx.execute(sqlx::query(sql).bind(&old)).await?;
        }
        let removed = int(old.len())?;
        tx.execute(sqlx::query(REMOVED).bind(removed)).await?;
        tx.commit().await?;
        Ok(removed.cast_unsigned())
    }

    /// A transaction for DDL, where no other worker is at it.
    async fn alone(&self) -> Result<Option<Tx<'_>>, StoreError> {
        let mut tx = self.db.others().begin().await?;
        if tx.first(sqlx::query(ALONE), |row| row.try_get("mine")).await? != Some(true) {
            tx.rollback().await?;
            return Ok(None);
        }
        tx.execute(sqlx::query(BRIEF)).await?;
        Ok(Some(tx))
    }

    fn may_disturb(&self) -> bool {
        let quiet = *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        quiet.is_none_or(|until| Instant::now() >= until)
    }

    /// What came of DDL. Where it failed (a lock that was not granted in time, a row that came to the strays while they moved, a role
    /// that may not), nobody is disturbed again for a while: nothing depends on it today.
    fn or_later<T: Default>(&self, done: Result<T, StoreError>, what: &str) -> T {
        done.unwrap_or_else(|error| {
            tracing::warn!(%error, "{what}; it is tried again later");
            *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
            T::default()
        })
    }
}

/// Are there no leaves for this month (any more)?
async fn lacks(tx: &mut Tx<'_>, month: Month) -> Result<bool, StoreError> {
    Ok(!tx.rows(sqlx::query(MISSING).bind(vec![month.name()])).await?.is_empty())
}

fn in_use(month: Month, before: Time) -> Query<'static> {
    let (from, below) = month.ids();
    sqlx::query(IN_USE).bind(from).bind(below).bind(before.0)
}

fn used(row: &PgRow) -> Read<bool> {
    row.try_get("used")
}

/// Names and ids in it are ours.
fn ddl(sql: String) -> Query<'static> {
    sqlx::query(AssertSqlSafe(sql)).persistent(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn month(year: i32, month: i32) -> Month {
        Month(year * 12 + month - 1)
    }

    #[test]
    fn months_are_of_the_calendar() {
        // 2026-11-23, and the last microsecond of 2026.
        assert_eq!(Month::of(Time(1_795_400_000_000_000)), month(2026, 11));
        assert_eq!(Month::of(Time(1_798_761_599_999_999)), month(2026, 12));
        assert_eq!(month(2026, 12).next(), month(2027, 1));
        assert_eq!(month(2027, 1).start(), Time(1_798_761_600_000_000));
        assert_eq!(Month::of(Time(-1)), month(1969, 12));
        assert_eq!((Month::of(Time(i64::MIN)), Month::of(Time(i64::MAX))), (month(-9999, 1), month(9999, 12)));
        assert_eq!(month(9999, 12).next().start(), Time(i64::MAX));
    }

    #[test]
    fn names_lead_back() {
        assert_eq!(month(2026, 11).name(), "2026_11");
        assert_eq!(Month::named("2026_11"), Some(month(2026, 11)));
        for strange in ["strays", "2026_13", "2026_1", "2026_00", "_", "2026_11_1", "+2026_1"] {
            assert_eq!(Month::named(strange), None, "{strange}");
        }
    }

    #[test]
    fn a_month_holds_the_ids_of_its_times() {
        let (from, below) = month(2027, 1).ids();
        assert_eq!(from, id_at(Time(1_798_761_600_000_000)));
        assert!(id_at(Time(1_798_761_599_999_000)) < from && from < below);
        assert_eq!(below, month(2027, 2).ids().0);
    }
}
