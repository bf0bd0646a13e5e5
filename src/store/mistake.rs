//! Known bugs in the databases' statements ([`crate::faults::DATABASE_BUGS`]): a guard that is left out, a lock that is not taken.
//!
//! What a rule of this store rests on is often a few words of SQL. So the bug is those words, taken out where the statement is
//! used; the statement itself stands in its place as it is, and without the feature `faults` nothing of this is in the program.

#[cfg(feature = "faults")]
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// The statement, with `wrong` instead of `right` where this known bug is switched on.
///
/// # Panics
/// Where the bug is switched on and the statement does not say `right` (any more).
#[cfg(feature = "faults")]
pub(super) fn sql(statement: &'static str, bug: &str, right: &str, wrong: &str) -> SqlStr {
    if !crate::faults::bug(bug) {
        return statement.into_sql_str();
    }
    assert!(statement.contains(right), "{bug}: the statement does not say `{right}`");
    AssertSqlSafe(statement.replace(right, wrong)).into_sql_str()
}

/// The statement. With the feature `faults` it may be another one.
#[cfg(not(feature = "faults"))]
pub(super) const fn sql(statement: &'static str, _bug: &str, _right: &str, _wrong: &str) -> &'static str {
    statement
}
