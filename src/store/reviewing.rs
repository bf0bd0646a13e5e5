//! Held decisions, snoozes and views in the two databases: the same statements in both dialects, written once.

/// Implements [`crate::engine::ports::reviewing::Reviewing`] for a database's store; `$db` is what runs its statements.
macro_rules! implement_reviewing {
    ($store:ty, $self:ident => $db:expr) => {
        use sqlx::Row as _;
        use uuid::Uuid;

        use super::rows::{json, number, time};
        use crate::domain::time::Time;
        use crate::engine::ports::reviewing::{HeldRow, Reviewing, SnoozeRow, ViewRow};
        use crate::engine::ports::store::StoreError;
        use crate::store::batch::plain;
        use crate::store::rows::{Read, int};

        const HOLD: &str = "\
            INSERT INTO held (review, request, held_by, version, decision, signal_id, at, release_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (review) DO NOTHING";
        const HELD: &str = "SELECT request, version, decision, signal_id, at, release_at FROM held WHERE review = $1";
        const TAKE_BACK: &str = "\
            DELETE FROM held WHERE review = $1 AND held_by = $2 AND release_at > $3 AND NOT releasing \
            RETURNING request, version, decision, signal_id, at, release_at";
        /// Marks and tells in one statement: the row's lock decides between this and taking back.
        const DUE_HELD: &str = "\
            UPDATE held SET releasing = TRUE \
            WHERE review IN (SELECT review FROM held WHERE release_at <= $1 ORDER BY release_at LIMIT $2) \
            RETURNING request, version, decision, signal_id, at, release_at";
        const DROP_HELD: &str = "DELETE FROM held WHERE review = $1 AND signal_id = $2";
        const SNOOZE: &str = "\
            INSERT INTO snoozes (review, snoozed_by, at, until, note) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (review) DO UPDATE \
            SET snoozed_by = excluded.snoozed_by, at = excluded.at, until = excluded.until, note = excluded.note";
        const WAKE: &str = "DELETE FROM snoozes WHERE review = $1";
        const SNOOZED: &str = "SELECT review, snoozed_by, at, until, note FROM snoozes WHERE review = $1";
        const SWEEP: &str = "DELETE FROM snoozes WHERE review IN (SELECT review FROM snoozes WHERE until < $1 LIMIT $2)";
        const ADD_VIEW: &str = "\
            INSERT INTO views (id, place, name, query, made_by, at) VALUES ($1, $2, $3, $4, $5, $6) \
            ON CONFLICT (place, name) DO NOTHING";
        const VIEWS: &str = "SELECT id, place, name, query, made_by, at FROM views WHERE place = $1 ORDER BY name LIMIT $2";
        const VIEW: &str = "SELECT id, place, name, query, made_by, at FROM views WHERE id = $1";
        const RENAME_VIEW: &str = "UPDATE views SET name = $2 WHERE id = $1";
        const REMOVE_VIEW: &str = "DELETE FROM views WHERE id = $1";

        #[async_trait::async_trait]
        impl Reviewing for $store {
            async fn hold(&$self, held: &HeldRow) -> Result<bool, StoreError> {
                let HeldRow { decision, .. } = held;
                plain(&decision.by)?;
                let bytes = serde_json::to_vec(decision).map_err(|error| StoreError::Data(error.to_string()))?;
                let query = sqlx::query(HOLD).bind(decision.review).bind(held.request).bind(&decision.by);
                let query = query.bind(i64::from(held.version)).bind(bytes).bind(held.signal_id);
                Ok($db.write(query.bind(held.at.0).bind(held.release_at.0)).await? == 1)
            }

            async fn take_back(&$self, review: Uuid, by: &str, now: Time) -> Result<Option<HeldRow>, StoreError> {
                let mut tx = $db.begin().await?;
                let found = tx.first(sqlx::query(TAKE_BACK).bind(review).bind(by).bind(now.0), held).await?;
                tx.commit().await?;
                Ok(found)
            }

            async fn held(&$self, review: Uuid) -> Result<Option<HeldRow>, StoreError> {
                Ok($db.read(sqlx::query(HELD).bind(review), held).await?.into_iter().next())
            }

            async fn due_held(&$self, now: Time, limit: usize) -> Result<Vec<HeldRow>, StoreError> {
                let mut tx = $db.begin().await?;
                let mut found = tx.read(sqlx::query(DUE_HELD).bind(now.0).bind(int(limit)?), held).await?;
                tx.commit().await?;
                found.sort_by_key(|row| row.release_at);
                Ok(found)
            }

            async fn drop_held(&$self, review: Uuid, signal_id: Uuid) -> Result<(), StoreError> {
                $db.write(sqlx::query(DROP_HELD).bind(review).bind(signal_id)).await.map(drop)
            }

            async fn snooze(&$self, row: &SnoozeRow) -> Result<(), StoreError> {
                plain(&row.by)?;
                plain(&row.note)?;
                let query = sqlx::query(SNOOZE).bind(row.review).bind(&row.by).bind(row.at.0).bind(row.until.0);
                $db.write(query.bind(&row.note)).await.map(drop)
            }

            async fn wake(&$self, review: Uuid) -> Result<bool, StoreError> {
                Ok($db.write(sqlx::query(WAKE).bind(review)).await? == 1)
            }

            async fn snoozed(&$self, review: Uuid) -> Result<Option<SnoozeRow>, StoreError> {
                let one = |row: &super::rows::Row| {
                    Ok(SnoozeRow {
                        review: row.try_get("review")?,
                        by: row.try_get("snoozed_by")?,
                        at: time(row, "at")?,
                        until: time(row, "until")?,
                        note: row.try_get("note")?,
                    })
                };
                Ok($db.read(sqlx::query(SNOOZED).bind(review), one).await?.into_iter().next())
            }

            async fn sweep_snoozes(&$self, before: Time, limit: usize) -> Result<u64, StoreError> {
                $db.write(sqlx::query(SWEEP).bind(before.0).bind(int(limit)?)).await
            }

            async fn add_view(&$self, view: &ViewRow) -> Result<bool, StoreError> {
                for text in [&view.name, &view.query, &view.by] {
                    plain(text)?;
                }
                let query = sqlx::query(ADD_VIEW).bind(view.id).bind(&view.place).bind(&view.name).bind(&view.query);
                Ok($db.write(query.bind(&view.by).bind(view.at.0)).await? == 1)
            }

            async fn views(&$self, place: &str, limit: usize) -> Result<Vec<ViewRow>, StoreError> {
                $db.read(sqlx::query(VIEWS).bind(place).bind(int(limit)?), view).await
            }

            async fn view(&$self, id: Uuid) -> Result<ViewRow, StoreError> {
                let found = $db.read(sqlx::query(VIEW).bind(id), view).await?;
                found.into_iter().next().ok_or(StoreError::NotFound("the view"))
            }

            async fn rename_view(&$self, id: Uuid, name: &str) -> Result<bool, StoreError> {
                plain(name)?;
                match $db.write(sqlx::query(RENAME_VIEW).bind(id).bind(name)).await {
                    Ok(0) => Err(StoreError::NotFound("the view")),
                    Ok(_) => Ok(true),
                    // The text is fine, so that what was refused is the name that another one has.
                    Err(StoreError::Data(_)) => Ok(false),
                    Err(error) => Err(error),
                }
            }

            async fn remove_view(&$self, id: Uuid) -> Result<bool, StoreError> {
                Ok($db.write(sqlx::query(REMOVE_VIEW).bind(id)).await? == 1)
            }
        }

        fn held(row: &super::rows::Row) -> Read<HeldRow> {
            let bytes: Vec<u8> = row.try_get("decision")?;
            Ok(HeldRow {
                decision: json(&bytes, "decision")?,
                request: row.try_get("request")?,
                version: number(row, "version")?,
                signal_id: row.try_get("signal_id")?,
                at: time(row, "at")?,
                release_at: time(row, "release_at")?,
            })
        }

        fn view(row: &super::rows::Row) -> Read<ViewRow> {
            Ok(ViewRow {
                id: row.try_get("id")?,
                place: row.try_get("place")?,
                name: row.try_get("name")?,
                query: row.try_get("query")?,
                by: row.try_get("made_by")?,
                at: time(row, "at")?,
            })
        }
    };
}
pub(super) use implement_reviewing;
