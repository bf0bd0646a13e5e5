//! Held decisions, snoozes, presences and views in the two databases: the same statements in both dialects, written once.

/// Implements [`crate::engine::ports::reviewing::Reviewing`] for a database's store; `$db` is what runs its statements,
/// `$skip` what makes a SELECT pass by rows that others work on, `$bytes` what orders texts by their bytes, as everywhere else, `$among`
/// what finds an id among those that `rows::ids` binds.
macro_rules! implement_reviewing {
    ($store:ty, $skip:literal, $bytes:literal, $among:literal, $self:ident => $db:expr) => {
        use sqlx::Row as _;
        use uuid::Uuid;

        use super::rows::{ids, json, number, time};
        use crate::domain::time::Time;
        use super::db::{Query, Tx};
        use crate::engine::ports::reviewing::{ActRow, EndRow, HeldRow, PresenceRow, Reviewing, SnoozeRow, ViewRow};
        use crate::engine::ports::store::StoreError;
        use crate::store::batch::plain;
        use crate::store::mistake::sql;
        use crate::store::rules;
        use crate::store::rows::{Read, int, misfit};

        const HOLD: &str = "\
            INSERT INTO held (review, request, held_by, version, decision, signal_id, at, release_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (review) DO NOTHING";
        const HELD: &str = "SELECT request, version, decision, signal_id, at, release_at FROM held WHERE review = $1";
        const TAKE_BACK: &str = "\
            DELETE FROM held WHERE review = $1 AND held_by = $2 AND release_at > $3 AND NOT releasing \
            RETURNING request, version, decision, signal_id, at, release_at";
        /// Marks and tells in one statement: the row's lock decides between this and taking back. What was never tried comes first,
        /// then what was tried longest ago: what cannot be sent keeps nothing from being sent.
        const DUE_HELD: &str = concat!(
            "UPDATE held SET releasing = TRUE, tried_at = $1
            WHERE review IN (SELECT review FROM held WHERE release_at <= $1
                ORDER BY releasing, COALESCE(tried_at, release_at), release_at LIMIT $2",
            $skip,
            ") RETURNING request, version, decision, signal_id, at, release_at, review"
        );
        const DROP_HELD: &str = "DELETE FROM held WHERE review = $1 AND signal_id = $2";
        const END_HELD: &str = "\
            INSERT INTO held_ends (review, made_by, choice, at, ended_at, code, why) VALUES ($1, $2, $3, $4, $5, $6, $7) \
            ON CONFLICT (review) DO UPDATE SET made_by = excluded.made_by, choice = excluded.choice, at = excluded.at, \
            ended_at = excluded.ended_at, code = excluded.code, why = excluded.why";
        const HELD_END: &str = "SELECT review, made_by, choice, at, ended_at, code, why FROM held_ends WHERE review = $1";
        const SWEEP_ENDS: &str = "\
            DELETE FROM held_ends WHERE review IN (SELECT review FROM held_ends WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)";
        const ADD_ACT: &str = "\
            INSERT INTO acts (id, at, done_by, what, request, review, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        const ACTS: &str = "\
            SELECT id, at, done_by, what, request, review, detail FROM acts WHERE CAST($1 AS TEXT) IS NULL AND id < $2 \
            ORDER BY id DESC LIMIT $3";
        const ACTS_BY: &str = "\
            SELECT id, at, done_by, what, request, review, detail FROM acts WHERE done_by = $1 AND id < $2 \
            ORDER BY id DESC LIMIT $3";
        const SNOOZE: &str = "\
            INSERT INTO snoozes (review, snoozed_by, at, until, note) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (review) DO UPDATE \
            SET snoozed_by = excluded.snoozed_by, at = excluded.at, until = excluded.until, note = excluded.note";
        const WAKE: &str = "DELETE FROM snoozes WHERE review = $1";
        /// As lists of reviews see it: what arrives for the request ends it.
        const SNOOZED: &str = concat!(
            "SELECT review, snoozed_by, at, until, note FROM snoozes WHERE review ",
            $among,
            " AND until > $2 AND NOT EXISTS (SELECT 1 FROM reviews JOIN signals ON signals.request = reviews.request \
            WHERE reviews.id = snoozes.review AND signals.at > snoozes.at) ORDER BY review"
        );
        const SWEEP: &str = "\
            DELETE FROM snoozes WHERE review IN (SELECT review FROM snoozes WHERE until < $1 ORDER BY until LIMIT $2)";
        const BE_PRESENT: &str = "\
            INSERT INTO presences (review, seen_by, until) VALUES ($1, $2, $3) \
            ON CONFLICT (review, seen_by) DO UPDATE SET until = excluded.until";
        const PRESENT: &str = concat!(
            "SELECT review, seen_by, until FROM presences WHERE review ",
            $among,
            " AND until > $2 ORDER BY review, seen_by",
            $bytes,
            " LIMIT $3"
        );
        const SWEEP_PRESENCES: &str = "\
            DELETE FROM presences WHERE until <= $1 AND (review, seen_by) IN \
            (SELECT review, seen_by FROM presences WHERE until <= $1 ORDER BY until LIMIT $2)";
        const ADD_VIEW: &str = "\
            INSERT INTO views (id, place, name, query, made_by, at) VALUES ($1, $2, $3, $4, $5, $6) \
            ON CONFLICT (place, name) DO NOTHING";
        const VIEWS: &str = concat!(
            "SELECT id, place, name, query, made_by, at FROM views WHERE place = $1 ORDER BY name",
            $bytes,
            " LIMIT $2"
        );
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

            async fn take_back(&$self, review: Uuid, now: Time, act: &ActRow) -> Result<Option<HeldRow>, StoreError> {
                let mut tx = $db.begin().await?;
                let take_back = sql(TAKE_BACK, "taken_back_late", " AND NOT releasing", "");
                let found = tx.first(sqlx::query(take_back).bind(review).bind(&act.by).bind(now.0), held).await?;
                if let Some(found) = &found {
                    add_act(&mut tx, &rules::undone(act, &found.decision)).await?;
                }
                tx.commit().await?;
                Ok(found)
            }

            async fn held(&$self, review: Uuid) -> Result<Option<HeldRow>, StoreError> {
                Ok($db.read(sqlx::query(HELD).bind(review), held).await?.into_iter().next())
            }

            async fn due_held(&$self, now: Time, limit: usize) -> Result<Vec<HeldRow>, StoreError> {
                let mut tx = $db.begin().await?;
                // One that cannot be read keeps no other from being sent.
                let readable = |row: &super::rows::Row| {
                    let read = held(row);
                    if let Err(error) = &read {
                        let review: Uuid = row.try_get("review")?;
                        tracing::error!(%review, %error, "a held decision cannot be read, and is not sent");
                    }
                    Ok(read.ok())
                };
                let found = tx.read(sqlx::query(DUE_HELD).bind(now.0).bind(int(limit)?), readable).await?;
                tx.commit().await?;
                let mut found: Vec<HeldRow> = found.into_iter().flatten().collect();
                found.sort_by_key(|row| row.release_at);
                Ok(found)
            }

            async fn drop_held(&$self, review: Uuid, signal_id: Uuid) -> Result<(), StoreError> {
                let drop_held = sql(DROP_HELD, "other_dropped", "signal_id = $2", "$2 = $2");
                $db.write(sqlx::query(drop_held).bind(review).bind(signal_id)).await.map(drop)
            }

            async fn end_held(&$self, signal_id: Uuid, end: &EndRow) -> Result<(), StoreError> {
                for text in [&end.by, &end.code, &end.why] {
                    plain(text)?;
                }
                let mut tx = $db.begin().await?;
                // Another worker may have ended it, or it was applied: nothing is told then.
                let drop_held = sql(DROP_HELD, "other_dropped", "signal_id = $2", "$2 = $2");
                if tx.execute(sqlx::query(drop_held).bind(end.review).bind(signal_id)).await? == 1 {
                    let query = sqlx::query(END_HELD).bind(end.review).bind(&end.by).bind(end.choice.as_str()).bind(end.at.0);
                    tx.execute(query.bind(end.ended_at.0).bind(&end.code).bind(&end.why)).await?;
                }
                tx.commit().await
            }

            async fn held_end(&$self, review: Uuid) -> Result<Option<EndRow>, StoreError> {
                let one = |row: &super::rows::Row| {
                    let choice = serde_json::Value::String(row.try_get("choice")?);
                    Ok(EndRow {
                        review: row.try_get("review")?,
                        by: row.try_get("made_by")?,
                        choice: serde_json::from_value(choice).map_err(|error| misfit("choice", error))?,
                        at: time(row, "at")?,
                        ended_at: time(row, "ended_at")?,
                        code: row.try_get("code")?,
                        why: row.try_get("why")?,
                    })
                };
                Ok($db.read(sqlx::query(HELD_END).bind(review), one).await?.into_iter().next())
            }

            async fn sweep_ends(&$self, before: Time, limit: usize) -> Result<u64, StoreError> {
                $db.write(sqlx::query(SWEEP_ENDS).bind(before.0).bind(int(limit)?)).await
            }

            async fn snooze(&$self, row: &SnoozeRow, act: &ActRow) -> Result<(), StoreError> {
                plain(&row.by)?;
                plain(&row.note)?;
                let query = sqlx::query(SNOOZE).bind(row.review).bind(&row.by).bind(row.at.0).bind(row.until.0);
                let mut tx = $db.begin().await?;
                changing(&mut tx, query.bind(&row.note), act).await?;
                tx.commit().await
            }

            async fn wake(&$self, review: Uuid, act: &ActRow) -> Result<bool, StoreError> {
                let mut tx = $db.begin().await?;
                let woken = changing(&mut tx, sqlx::query(WAKE).bind(review), act).await?;
                tx.commit().await?;
                Ok(woken)
            }

            async fn snoozed(&$self, reviews: &[Uuid], now: Time) -> Result<Vec<SnoozeRow>, StoreError> {
                let one = |row: &super::rows::Row| {
                    Ok(SnoozeRow {
                        review: row.try_get("review")?,
                        by: row.try_get("snoozed_by")?,
                        at: time(row, "at")?,
                        until: time(row, "until")?,
                        note: row.try_get("note")?,
                    })
                };
                $db.read(sqlx::query(SNOOZED).bind(ids(reviews)?).bind(now.0), one).await
            }

            async fn sweep_snoozes(&$self, before: Time, limit: usize) -> Result<u64, StoreError> {
                $db.write(sqlx::query(SWEEP).bind(before.0).bind(int(limit)?)).await
            }

            async fn be_present(&$self, row: &PresenceRow) -> Result<(), StoreError> {
                plain(&row.by)?;
                let query = sqlx::query(BE_PRESENT).bind(row.review).bind(&row.by).bind(row.until.0);
                $db.write(query).await.map(drop)
            }

            async fn present(&$self, reviews: &[Uuid], now: Time, limit: usize) -> Result<Vec<PresenceRow>, StoreError> {
                let one = |row: &super::rows::Row| {
                    Ok(PresenceRow { review: row.try_get("review")?, by: row.try_get("seen_by")?, until: time(row, "until")? })
                };
                $db.read(sqlx::query(PRESENT).bind(ids(reviews)?).bind(now.0).bind(int(limit)?), one).await
            }

            async fn sweep_presences(&$self, now: Time, limit: usize) -> Result<u64, StoreError> {
                $db.write(sqlx::query(SWEEP_PRESENCES).bind(now.0).bind(int(limit)?)).await
            }

            async fn add_view(&$self, view: &ViewRow, act: &ActRow) -> Result<bool, StoreError> {
                for text in [&view.name, &view.query, &view.by] {
                    plain(text)?;
                }
                let query = sqlx::query(ADD_VIEW).bind(view.id).bind(&view.place).bind(&view.name).bind(&view.query);
                let mut tx = $db.begin().await?;
                let added = changing(&mut tx, query.bind(&view.by).bind(view.at.0), act).await?;
                tx.commit().await?;
                Ok(added)
            }

            async fn views(&$self, place: &str, limit: usize) -> Result<Vec<ViewRow>, StoreError> {
                $db.read(sqlx::query(VIEWS).bind(place).bind(int(limit)?), view).await
            }

            async fn view(&$self, id: Uuid) -> Result<ViewRow, StoreError> {
                let found = $db.read(sqlx::query(VIEW).bind(id), view).await?;
                found.into_iter().next().ok_or(StoreError::NotFound("the view"))
            }

            async fn rename_view(&$self, id: Uuid, name: &str, act: &ActRow) -> Result<bool, StoreError> {
                plain(name)?;
                let mut tx = $db.begin().await?;
                let renamed = match changing(&mut tx, sqlx::query(RENAME_VIEW).bind(id).bind(name), act).await {
                    Ok(false) => Err(StoreError::NotFound("the view")),
                    Ok(true) => Ok(true),
                    // The text is fine, so that what was refused is the name that another one has.
                    Err(StoreError::Data(_)) => return Ok(false),
                    Err(error) => Err(error),
                }?;
                tx.commit().await?;
                Ok(renamed)
            }

            async fn remove_view(&$self, id: Uuid, act: &ActRow) -> Result<bool, StoreError> {
                let mut tx = $db.begin().await?;
                let removed = changing(&mut tx, sqlx::query(REMOVE_VIEW).bind(id), act).await?;
                tx.commit().await?;
                Ok(removed)
            }

            async fn acts(&$self, by: Option<&str>, before: Option<Uuid>, limit: usize) -> Result<Vec<ActRow>, StoreError> {
                let one = |row: &super::rows::Row| {
                    Ok(ActRow {
                        id: row.try_get("id")?,
                        at: time(row, "at")?,
                        by: row.try_get("done_by")?,
                        what: row.try_get("what")?,
                        request: row.try_get("request")?,
                        review: row.try_get("review")?,
                        detail: row.try_get("detail")?,
                    })
                };
                let query = sqlx::query(if by.is_some() { ACTS_BY } else { ACTS });
                $db.read(query.bind(by).bind(before.unwrap_or(Uuid::max())).bind(int(limit)?), one).await
            }
        }

        /// Changes a row, and tells of it where it did.
        async fn changing(tx: &mut Tx<'_>, query: Query<'_>, act: &ActRow) -> Result<bool, StoreError> {
            if tx.execute(query).await? == 0 {
                return Ok(false);
            }
            add_act(tx, act).await?;
            Ok(true)
        }

        pub(super) async fn add_act(tx: &mut Tx<'_>, act: &ActRow) -> Result<(), StoreError> {
            plain(&act.by)?;
            plain(&act.detail)?;
            let query = sqlx::query(ADD_ACT).bind(act.id).bind(act.at.0).bind(&act.by).bind(&act.what);
            tx.execute(query.bind(act.request).bind(act.review).bind(&act.detail)).await.map(drop)
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
