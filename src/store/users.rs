//! People with a password in the two databases: the same statements in both dialects, written once.

/// Implements [`crate::engine::ports::users::Users`] for a database's store; `$db` is what runs its statements, `$bytes` what
/// orders texts by their bytes, as everywhere else. Stands in the
/// module of `implement_sessions`, whose helpers it uses.
macro_rules! implement_users {
    ($store:ty, $bytes:literal, $self:ident => $db:expr) => {
        use crate::engine::ports::users::{Tries, UserRow, Users};

        const ADD_USER: &str = "\
            INSERT INTO users (name, roles, processes, review_roles, password, version, created_at, changed_at) \
            VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (name) DO NOTHING";
        const USER: &str = "\
            SELECT name, roles, processes, review_roles, password, version, created_at, changed_at, signed_in_at \
            FROM users WHERE name = $1";
        const USERS: &str = concat!(
            "SELECT name, roles, processes, review_roles, password, version, created_at, changed_at, signed_in_at
            FROM users ORDER BY name",
            $bytes,
            " LIMIT $1"
        );
        const CHANGE_USER: &str = "\
            UPDATE users SET roles = $2, processes = $3, review_roles = $4, password = $5, changed_at = $6, version = version + 1 \
            WHERE name = $1 AND version = $7";
        const REMOVE_USER: &str = "DELETE FROM users WHERE name = $1";
        /// The row's lock decides between who signs in and who changes or removes: the second one sees what the first did.
        const SIGN_IN: &str = "UPDATE users SET signed_in_at = $3 WHERE name = $1 AND version = $2";
        const TRIES: &str = "SELECT failures, last_at FROM sign_in_tries WHERE bucket = $1";
        const FIRST_TRY: &str =
            "INSERT INTO sign_in_tries (bucket, failures, last_at) VALUES ($1, $2, $3) ON CONFLICT (bucket) DO NOTHING";
        const NEXT_TRY: &str = "\
            UPDATE sign_in_tries SET failures = $2, last_at = $3 WHERE bucket = $1 AND failures = $4 AND last_at = $5";
        const FORGET: &str = "DELETE FROM sign_in_tries WHERE bucket = $1";

        #[async_trait::async_trait]
        impl Users for $store {
            async fn add_user(&$self, user: &UserRow) -> Result<bool, StoreError> {
                let UserRow { person, .. } = user;
                plain(&person.name)?;
                let query = with_person(sqlx::query(ADD_USER), person)?;
                Ok($db.write(query.bind(&user.password).bind(user.created_at.0)).await? == 1)
            }

            async fn user(&$self, name: &str) -> Result<UserRow, StoreError> {
                if plain(name).is_err() {
                    return Err(StoreError::NotFound("the user"));
                }
                let found = $db.read(sqlx::query(USER).bind(name), user).await?;
                found.into_iter().next().ok_or(StoreError::NotFound("the user"))
            }

            async fn users(&$self, limit: usize) -> Result<Vec<UserRow>, StoreError> {
                $db.read(sqlx::query(USERS).bind(int(limit)?), user).await
            }

            async fn change_user(&$self, user: &UserRow) -> Result<bool, StoreError> {
                let UserRow { person, .. } = user;
                let mut tx = $db.begin().await?;
                let query = with_person(sqlx::query(CHANGE_USER), person)?;
                let query = query.bind(&user.password).bind(user.changed_at.0).bind(user.version);
                if tx.execute(query).await? != 1 {
                    tx.rollback().await?;
                    return Ok(false);
                }
                end_all(&mut tx, &person.name, user.changed_at).await?;
                tx.commit().await?;
                Ok(true)
            }

            async fn remove_user(&$self, name: &str, at: Time) -> Result<bool, StoreError> {
                let mut tx = $db.begin().await?;
                if tx.execute(sqlx::query(REMOVE_USER).bind(name)).await? != 1 {
                    tx.rollback().await?;
                    return Ok(false);
                }
                end_all(&mut tx, name, at).await?;
                tx.commit().await?;
                Ok(true)
            }

            async fn enter(&$self, version: i64, session: &SessionRow) -> Result<bool, StoreError> {
                let mut tx = $db.begin().await?;
                let query = sqlx::query(SIGN_IN).bind(&session.person.name).bind(version).bind(session.created_at.0);
                if tx.execute(query).await? != 1 {
                    tx.rollback().await?;
                    return Ok(false);
                }
                tx.execute(adding(session)?).await?;
                tx.commit().await?;
                Ok(true)
            }

            async fn tries(&$self, bucket: u16) -> Result<Option<Tries>, StoreError> {
                let one = |row: &super::rows::Row| {
                    let failures: i64 = row.try_get("failures")?;
                    Ok(Tries { failures: u32::try_from(failures).unwrap_or(u32::MAX), last_at: time(row, "last_at")? })
                };
                Ok($db.read(sqlx::query(TRIES).bind(i64::from(bucket)), one).await?.into_iter().next())
            }

            async fn count_try(&$self, bucket: u16, seen: Option<Tries>, now: Tries) -> Result<bool, StoreError> {
                let sql = if seen.is_some() { NEXT_TRY } else { FIRST_TRY };
                let query = sqlx::query(sql).bind(i64::from(bucket)).bind(i64::from(now.failures)).bind(now.last_at.0);
                let query = match seen {
                    Some(seen) => query.bind(i64::from(seen.failures)).bind(seen.last_at.0),
                    None => query,
                };
                Ok($db.write(query).await? == 1)
            }

            async fn forget_tries(&$self, bucket: u16) -> Result<(), StoreError> {
                $db.write(sqlx::query(FORGET).bind(i64::from(bucket))).await.map(drop)
            }
        }

        fn user(row: &super::rows::Row) -> Read<UserRow> {
            Ok(UserRow {
                person: person(row)?,
                password: row.try_get("password")?,
                version: row.try_get("version")?,
                created_at: time(row, "created_at")?,
                changed_at: time(row, "changed_at")?,
                signed_in_at: time_or_none(row, "signed_in_at")?,
            })
        }
    };
}
pub(super) use implement_users;
