//! Who decided, beside what they decided: the columns that lists by person are read from, where a row does not have them yet.
//!
//! They are missing on rows that are older than the columns, and on those that a worker of the last version decides while it still
//! runs beside this one. So they are filled in two places, in small steps that hold no row for long: once the schema is up to date,
//! until nothing is left, so that who looks finds everybody; and in each sweep, for what old workers add meanwhile.

/// Implements `fill_who` for a database's store; `$db` is what runs its statements.
macro_rules! implement_who {
    ($store:ty, $self:ident => $db:expr) => {
        use sqlx::Row as _;
        use uuid::Uuid;

        use crate::domain::request::signal::Decision;
        use crate::engine::ports::store::StoreError;
        use crate::store::batch::plain;
        use crate::store::rows::int;

        /// By the index of those that lack it. In the order of keys, as everybody locks reviews.
        const LACK: &str = "\
            SELECT id, decision FROM reviews WHERE decision IS NOT NULL AND decided_by IS NULL ORDER BY id LIMIT $1";
        /// Not where the decision is another one by now: its writer knows the columns, or the next step finds it.
        const FILL: &str = "\
            UPDATE reviews SET decided_by = $2, first_by = $3 WHERE id = $1 AND decision = $4 AND decided_by IS NULL";

        /// The most rows of a step.
        const STEP: usize = 200;

        impl $store {
            /// Fills at most so many rows, and few at once: they are locked meanwhile. Gives how many were found.
            pub(super) async fn fill_who(&$self, limit: usize) -> Result<u64, StoreError> {
                let one = |row: &super::rows::Row| Ok((row.try_get("id")?, row.try_get("decision")?));
                let lacking: Vec<(Uuid, Vec<u8>)> = $db.read(sqlx::query(LACK).bind(int(limit.min(STEP))?), one).await?;
                if lacking.is_empty() {
                    return Ok(0);
                }
                let mut tx = $db.begin().await?;
                for (id, bytes) in &lacking {
                    // What cannot be read, or not be written, is nobody's: it must not come back for ever.
                    let decision: Option<Decision> = serde_json::from_slice(bytes).ok();
                    let by = decision.as_ref().map(|decision| decision.by.as_str()).filter(|by| plain(by).is_ok());
                    let first = decision.as_ref().and_then(|decision| decision.first_by.as_deref());
                    let query = sqlx::query(FILL).bind(id).bind(by.unwrap_or_default());
                    tx.execute(query.bind(first.filter(|by| plain(by).is_ok())).bind(bytes)).await?;
                }
                tx.commit().await?;
                int(lacking.len()).map(i64::cast_unsigned)
            }

            /// Fills all of them.
            pub(super) async fn fill_all_who(&$self) -> Result<(), StoreError> {
                while $self.fill_who(STEP).await? > 0 {}
                Ok(())
            }
        }
    };
}
pub(super) use implement_who;
