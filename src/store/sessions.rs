//! Links, sessions and looks in the two databases: the statements are the same text in both dialects, so they and what
//! binds them are written once.

/// Implements [`crate::engine::ports::sessions::Sessions`] for a database's store; `$db` is what runs its statements.
macro_rules! implement_sessions {
    ($store:ty, $self:ident => $db:expr) => {
        use sqlx::Row as _;
        use uuid::Uuid;

        use super::db::{Query, Tx};
        use super::rows::{hash, time, time_or_none, words};
        use crate::domain::time::Time;
        use crate::engine::ports::sessions::{LinkRow, LookFilter, LookRow, Person, SessionRow, Sessions};
        use crate::engine::ports::store::StoreError;
        use crate::store::batch::plain;
        use crate::store::rows::{Read, int, json_text};

        const ADD_LINK: &str = "\
            INSERT INTO links (sha256, name, roles, processes, review_roles, created_at, expires_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        const LINK: &str = "\
            SELECT sha256, name, roles, processes, review_roles, created_at, expires_at, used_at, revoked_at \
            FROM links WHERE sha256 = $1";
        /// The row's lock decides between two that use one link.
        const USE_LINK: &str = "\
            UPDATE links SET used_at = $2 WHERE sha256 = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2";
        const ADD_SESSION: &str = "\
            INSERT INTO sessions (sha256, name, roles, processes, review_roles, created_at, seen_at, expires_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        const SESSION: &str = "\
            SELECT sha256, name, roles, processes, review_roles, created_at, seen_at, expires_at, ended_at \
            FROM sessions WHERE sha256 = $1";
        const SEEN: &str = "UPDATE sessions SET seen_at = $2 WHERE sha256 = $1 AND seen_at < $2";
        const END: &str = "UPDATE sessions SET ended_at = $2 WHERE sha256 = $1 AND ended_at IS NULL";
        const END_ALL: &str = "UPDATE sessions SET ended_at = $2 WHERE name = $1 AND ended_at IS NULL AND expires_at > $2";
        /// Those that were signed out before, too: what was begun in them must not be carried out any more.
        const REVOKE_ALL: &str = "UPDATE sessions SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL AND expires_at > $2";
        const RIGHTS: &str = "\
            SELECT name, roles, processes, review_roles FROM tokens \
            WHERE name = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2) \
            UNION ALL SELECT name, roles, processes, review_roles FROM users WHERE name = $1 \
            UNION ALL SELECT name, roles, processes, review_roles FROM (SELECT name, roles, processes, review_roles FROM sessions \
                WHERE name = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY created_at DESC, sha256 LIMIT 1) AS last";
        const REVOKE_LINKS: &str = "\
            UPDATE links SET revoked_at = $2 WHERE name = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2";
        const SESSIONS: &str = "\
            SELECT sha256, name, roles, processes, review_roles, created_at, seen_at, expires_at, ended_at \
            FROM sessions ORDER BY created_at DESC, sha256 LIMIT $1";
        const ADD_LOOK: &str = "INSERT INTO looks (id, at, seen_by, request, field, reason) VALUES ($1, $2, $3, $4, $5, $6)";
        const LOOKS: &str = "\
            SELECT id, at, seen_by, request, field, reason FROM looks WHERE CAST($1 AS TEXT) IS NULL AND id < $2 \
            ORDER BY id DESC LIMIT $3";
        const LOOKS_BY: &str = "\
            SELECT id, at, seen_by, request, field, reason FROM looks WHERE seen_by = $1 AND id < $2 \
            ORDER BY id DESC LIMIT $3";
        const LOOKS_OF: &str = "\
            SELECT id, at, seen_by, request, field, reason FROM looks \
            WHERE (CAST($1 AS TEXT) IS NULL OR seen_by = $1) AND id < $2 AND request = $4 ORDER BY id DESC LIMIT $3";
        const SWEEP_LINKS: &str =
            "DELETE FROM links WHERE sha256 IN (SELECT sha256 FROM links WHERE expires_at < $1 LIMIT $2)";
        const SWEEP: &str = "DELETE FROM sessions WHERE sha256 IN (SELECT sha256 FROM sessions WHERE expires_at < $1 LIMIT $2)";

        #[async_trait::async_trait]
        impl Sessions for $store {
            async fn add_link(&$self, link: &LinkRow) -> Result<(), StoreError> {
                let LinkRow { person, .. } = link;
                plain(&person.name)?;
                let query = with_person(sqlx::query(ADD_LINK).bind(&link.sha256[..]), person)?;
                $db.write(query.bind(link.created_at.0).bind(link.expires_at.0)).await?;
                Ok(())
            }

            async fn link(&$self, sha256: &[u8; 32]) -> Result<LinkRow, StoreError> {
                let one = |row: &_| {
                    Ok(LinkRow {
                        sha256: hash(row, "sha256")?,
                        person: person(row)?,
                        created_at: time(row, "created_at")?,
                        expires_at: time(row, "expires_at")?,
                        used_at: time_or_none(row, "used_at")?,
                        revoked_at: time_or_none(row, "revoked_at")?,
                    })
                };
                let found = $db.read(sqlx::query(LINK).bind(&sha256[..]), one).await?;
                found.into_iter().next().ok_or(StoreError::NotFound("the link"))
            }

            async fn redeem(&$self, link: &[u8; 32], session: &SessionRow) -> Result<bool, StoreError> {
                plain(&session.person.name)?;
                let mut tx = $db.begin().await?;
                if tx.execute(sqlx::query(USE_LINK).bind(&link[..]).bind(session.created_at.0)).await? != 1 {
                    tx.rollback().await?;
                    return Ok(false);
                }
                tx.execute(adding(session)?).await?;
                tx.commit().await?;
                Ok(true)
            }

            async fn add_session(&$self, session: &SessionRow) -> Result<(), StoreError> {
                plain(&session.person.name)?;
                $db.write(adding(session)?).await.map(drop)
            }

            async fn session(&$self, sha256: &[u8; 32]) -> Result<SessionRow, StoreError> {
                let found = $db.read(sqlx::query(SESSION).bind(&sha256[..]), session).await?;
                found.into_iter().next().ok_or(StoreError::NotFound("the session"))
            }

            async fn session_seen(&$self, sha256: &[u8; 32], at: Time) -> Result<(), StoreError> {
                $db.write(sqlx::query(SEEN).bind(&sha256[..]).bind(at.0)).await.map(drop)
            }

            async fn end_session(&$self, sha256: &[u8; 32], at: Time) -> Result<(), StoreError> {
                $db.write(sqlx::query(END).bind(&sha256[..]).bind(at.0)).await.map(drop)
            }

            async fn end_sessions_of(&$self, name: &str, at: Time) -> Result<u64, StoreError> {
                let mut tx = $db.begin().await?;
                let ended = end_all(&mut tx, name, at).await?;
                tx.commit().await?;
                Ok(ended)
            }

            async fn rights_of(&$self, name: &str, now: Time) -> Result<Vec<Person>, StoreError> {
                $db.read(sqlx::query(RIGHTS).bind(name).bind(now.0), person).await
            }

            async fn sessions(&$self, limit: usize) -> Result<Vec<SessionRow>, StoreError> {
                $db.read(sqlx::query(SESSIONS).bind(int(limit)?), session).await
            }

            async fn add_look(&$self, look: &LookRow) -> Result<(), StoreError> {
                for text in [&look.by, &look.field, &look.reason] {
                    plain(text)?;
                }
                let query = sqlx::query(ADD_LOOK).bind(look.id).bind(look.at.0).bind(&look.by).bind(look.request);
                $db.write(query.bind(&look.field).bind(&look.reason)).await.map(drop)
            }

            async fn looks(
                &$self,
                filter: &LookFilter,
                before: Option<Uuid>,
                limit: usize,
            ) -> Result<Vec<LookRow>, StoreError> {
                let one = |row: &_| {
                    let row: &super::rows::Row = row;
                    Ok(LookRow {
                        id: row.try_get("id")?,
                        at: time(row, "at")?,
                        by: row.try_get("seen_by")?,
                        request: row.try_get("request")?,
                        field: row.try_get("field")?,
                        reason: row.try_get("reason")?,
                    })
                };
                let sql = match filter {
                    LookFilter { request: Some(_), .. } => LOOKS_OF,
                    LookFilter { by: Some(_), .. } => LOOKS_BY,
                    _ => LOOKS,
                };
                let query = sqlx::query(sql).bind(&filter.by).bind(before.unwrap_or(Uuid::max())).bind(int(limit)?);
                let query = match filter.request {
                    Some(request) => query.bind(request),
                    None => query,
                };
                $db.read(query, one).await
            }

            async fn sweep_sessions(&$self, before: Time, limit: usize) -> Result<u64, StoreError> {
                let limit = int(limit)?;
                let links = $db.write(sqlx::query(SWEEP_LINKS).bind(before.0).bind(limit)).await?;
                Ok(links + $db.write(sqlx::query(SWEEP).bind(before.0).bind(limit)).await?)
            }
        }

        /// Binds who it is and what they may do: the four columns that links, sessions and users have in common, in their order.
        fn with_person<'q>(query: Query<'q>, person: &'q Person) -> Result<Query<'q>, StoreError> {
            let query = query.bind(&person.name).bind(json_text(&person.roles)?);
            Ok(query.bind(json_text(&person.processes)?).bind(json_text(&person.review_roles)?))
        }

        fn adding(session: &SessionRow) -> Result<Query<'_>, StoreError> {
            let query = with_person(sqlx::query(ADD_SESSION).bind(&session.sha256[..]), &session.person)?;
            Ok(query.bind(session.created_at.0).bind(session.seen_at.0).bind(session.expires_at.0))
        }

        /// Ends somebody's sessions and revokes their unused links; gives how many.
        async fn end_all(tx: &mut Tx<'_>, name: &str, at: Time) -> Result<u64, StoreError> {
            let links = tx.execute(sqlx::query(REVOKE_LINKS).bind(name).bind(at.0)).await?;
            tx.execute(sqlx::query(REVOKE_ALL).bind(name).bind(at.0)).await?;
            Ok(links + tx.execute(sqlx::query(END_ALL).bind(name).bind(at.0)).await?)
        }

        fn session(row: &super::rows::Row) -> Read<SessionRow> {
            Ok(SessionRow {
                sha256: hash(row, "sha256")?,
                person: person(row)?,
                created_at: time(row, "created_at")?,
                seen_at: time(row, "seen_at")?,
                expires_at: time(row, "expires_at")?,
                ended_at: time_or_none(row, "ended_at")?,
            })
        }

        fn person(row: &super::rows::Row) -> Read<Person> {
            Ok(Person {
                name: row.try_get("name")?,
                roles: words(row, "roles")?,
                processes: words(row, "processes")?,
                review_roles: words(row, "review_roles")?,
            })
        }
    };
}
pub(super) use implement_sessions;
