//! Batches of decisions in the two databases: the same statements in both dialects, written once.

/// Implements [`crate::engine::ports::batches::Batches`] for a database's store; `$db` is what runs its statements,
/// `$alone` what lets one of several transactions for one person go first.
macro_rules! implement_batches {
    ($store:ty, $alone:literal, $self:ident => $db:expr) => {
        use sqlx::Row as _;
        use uuid::Uuid;

        use super::rows::{json, number, time, time_or_none};
        use crate::domain::time::Time;
        use super::reviewing::add_act;
        use crate::engine::ports::batches::{Added, BatchRow, Batches, Came, ItemRow, Progress};
        use crate::engine::ports::reviewing::ActRow;
        use crate::engine::ports::store::StoreError;
        use crate::store::batch::plain;
        use crate::store::mistake::sql;
        use crate::store::rows::{Read, int, misfit};

        const ALONE: &str = $alone;
        const UNDONE: &str = "SELECT COUNT(*) AS n FROM batches WHERE made_by = $1 AND done_at IS NULL";
        const ADD: &str = "\
            INSERT INTO batches (id, made_by, decision, at, start_at, done_at, taken_until) \
            VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (id) DO NOTHING";
        const ADD_ITEM: &str = "\
            INSERT INTO batch_items (batch, place, review, version, signal_id, came_to, code, why) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        const ONE: &str = "SELECT id, decision, at, start_at, done_at FROM batches WHERE id = $1";
        const ITEMS: &str = "\
            SELECT review, version, signal_id, came_to, code, why FROM batch_items WHERE batch = $1 ORDER BY place";
        const OF: &str = "\
            SELECT id, decision, at, start_at, done_at FROM batches WHERE made_by = $1 ORDER BY at DESC, id DESC LIMIT $2";
        const ALL: &str = "\
            SELECT id, decision, at, start_at, done_at FROM batches WHERE CAST($1 AS TEXT) IS NULL \
            ORDER BY at DESC, id DESC LIMIT $2";
        /// The last line is looked at again under the row's lock: of two who found the same one, one gets it.
        const TAKE: &str = "\
            UPDATE batches SET taken_until = $2 \
            WHERE id = (SELECT id FROM batches WHERE done_at IS NULL AND start_at <= $1 AND taken_until <= $1 \
                ORDER BY start_at, id LIMIT 1) \
            AND done_at IS NULL AND taken_until <= $1 \
            RETURNING id, decision, at, start_at, done_at";
        const LEAVE: &str = "UPDATE batches SET taken_until = $2 WHERE id = $1";
        const BEGIN: &str = "\
            UPDATE batch_items SET came_to = 'sending' WHERE batch = $1 AND review = $2 AND came_to IN ('pending', 'sending')";
        const SETTLE: &str = "\
            UPDATE batch_items SET came_to = $3, code = $4, why = $5 \
            WHERE batch = $1 AND review = $2 AND came_to = 'sending'";
        const STOP: &str = "\
            UPDATE batch_items SET came_to = $2, code = $3, why = $4 WHERE batch = $1 AND came_to = 'pending'";
        const CLOSE: &str = "\
            UPDATE batches SET done_at = $2 WHERE id = $1 AND done_at IS NULL AND NOT EXISTS \
            (SELECT 1 FROM batch_items WHERE batch = $1 AND came_to IN ('pending', 'sending'))";
        const OLD: &str = "SELECT id FROM batches WHERE done_at < $1 ORDER BY done_at LIMIT $2";
        const SWEEP_ITEMS: &str = "DELETE FROM batch_items WHERE batch = $1";
        const SWEEP: &str = "DELETE FROM batches WHERE id = $1";

        #[async_trait::async_trait]
        impl Batches for $store {
            async fn add_batch(&$self, batch: &BatchRow, items: &[ItemRow], most: usize) -> Result<Added, StoreError> {
                plain(&batch.decision.by)?;
                let bytes = serde_json::to_vec(&batch.decision).map_err(|error| StoreError::Data(error.to_string()))?;
                let mut tx = $db.begin().await?;
                let query = sqlx::query(ADD).bind(batch.id).bind(&batch.decision.by).bind(bytes);
                let query = query.bind(batch.at.0).bind(batch.start_at.0).bind(batch.done_at.map(|at| at.0));
                let by = &batch.decision.by;
                if !ALONE.is_empty() {
                    tx.read(sqlx::query(ALONE).bind(by), |_| Ok(())).await?;
                }
                // A statement of its own, after the lock: it sees what was added while we waited.
                let undone: u64 = tx.first(sqlx::query(UNDONE).bind(by), |row| number(row, "n")).await?.unwrap_or(0);
                if tx.execute(query).await? == 0 {
                    tx.rollback().await?;
                    return Ok(Added::Known);
                }
                if usize::try_from(undone).is_ok_and(|undone| undone >= most) {
                    tx.rollback().await?;
                    return Ok(Added::TooMany);
                }
                for (place, item) in items.iter().enumerate() {
                    plain(&item.came.why)?;
                    let query = sqlx::query(ADD_ITEM).bind(batch.id).bind(int(place)?).bind(item.review);
                    let query = query.bind(i64::from(item.version)).bind(item.signal_id).bind(item.came.to.as_str());
                    tx.execute(query.bind(&item.came.code).bind(&item.came.why)).await?;
                }
                tx.commit().await?;
                Ok(Added::New)
            }

            async fn batch(&$self, id: Uuid) -> Result<BatchRow, StoreError> {
                let found = $db.read(sqlx::query(ONE).bind(id), batch).await?;
                found.into_iter().next().ok_or(StoreError::NotFound("the batch"))
            }

            async fn batch_items(&$self, id: Uuid) -> Result<Vec<ItemRow>, StoreError> {
                $db.read(sqlx::query(ITEMS).bind(id), item).await
            }

            async fn batches(&$self, by: Option<&str>, limit: usize) -> Result<Vec<BatchRow>, StoreError> {
                $db.read(sqlx::query(if by.is_some() { OF } else { ALL }).bind(by).bind(int(limit)?), batch).await
            }

            async fn take_batch(&$self, now: Time, until: Time) -> Result<Option<BatchRow>, StoreError> {
                let mut tx = $db.begin().await?;
                let taken = tx.first(sqlx::query(TAKE).bind(now.0).bind(until.0), batch).await?;
                tx.commit().await?;
                Ok(taken)
            }

            async fn leave_batch(&$self, id: Uuid, at: Time) -> Result<(), StoreError> {
                $db.write(sqlx::query(LEAVE).bind(id).bind(at.0)).await.map(drop)
            }

            async fn begin_item(&$self, id: Uuid, review: Uuid) -> Result<bool, StoreError> {
                let begin = sql(BEGIN, "item_sent_again", " AND came_to IN ('pending', 'sending')", "");
                Ok($db.write(sqlx::query(begin).bind(id).bind(review)).await? == 1)
            }

            async fn settle_item(&$self, id: Uuid, review: Uuid, came: &Came) -> Result<(), StoreError> {
                plain(&came.why)?;
                let query = sqlx::query(SETTLE).bind(id).bind(review).bind(came.to.as_str()).bind(&came.code);
                $db.write(query.bind(&came.why)).await.map(drop)
            }

            async fn stop_batch(&$self, id: Uuid, came: &Came, act: &ActRow) -> Result<u64, StoreError> {
                plain(&came.why)?;
                let mut tx = $db.begin().await?;
                let query = sqlx::query(STOP).bind(id).bind(came.to.as_str()).bind(&came.code).bind(&came.why);
                let stopped = tx.execute(query).await?;
                if stopped > 0 {
                    add_act(&mut tx, act).await?;
                }
                tx.commit().await?;
                Ok(stopped)
            }

            async fn close_batch(&$self, id: Uuid, at: Time) -> Result<bool, StoreError> {
                Ok($db.write(sqlx::query(CLOSE).bind(id).bind(at.0)).await? == 1)
            }

            async fn sweep_batches(&$self, before: Time, limit: usize) -> Result<u64, StoreError> {
                let old: Vec<Uuid> =
                    $db.read(sqlx::query(OLD).bind(before.0).bind(int(limit)?), |row| row.try_get("id")).await?;
                let mut removed = 0;
                for id in old {
                    let mut tx = $db.begin().await?;
                    tx.execute(sqlx::query(SWEEP_ITEMS).bind(id)).await?;
                    removed += tx.execute(sqlx::query(SWEEP).bind(id)).await?;
                    tx.commit().await?;
                }
                Ok(removed)
            }
        }

        fn batch(row: &super::rows::Row) -> Read<BatchRow> {
            let bytes: Vec<u8> = row.try_get("decision")?;
            Ok(BatchRow {
                id: row.try_get("id")?,
                decision: json(&bytes, "decision")?,
                at: time(row, "at")?,
                start_at: time(row, "start_at")?,
                done_at: time_or_none(row, "done_at")?,
            })
        }

        fn item(row: &super::rows::Row) -> Read<ItemRow> {
            let to: String = row.try_get("came_to")?;
            Ok(ItemRow {
                review: row.try_get("review")?,
                version: number(row, "version")?,
                signal_id: row.try_get("signal_id")?,
                came: Came {
                    to: Progress::parse(&to).ok_or_else(|| misfit("came_to", to))?,
                    code: row.try_get("code")?,
                    why: row.try_get("why")?,
                },
            })
        }
    };
}
pub(super) use implement_batches;
