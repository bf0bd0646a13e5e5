//! Opening the configured database for commands that work beside a worker.

use std::sync::Arc;

use super::exit::Failure;
use crate::config::Config;
use crate::engine::ports::store::{Store, StoreError};
/// Stands in for the store's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// A tool beside a worker.
    Tool,
}

/// Opens it; a schema that is not up to date is refused with what to do.
#[expect(clippy::unused_async, reason = "stands in for what comes next")]
pub(super) async fn open(config: &Config, role: Role) -> Result<Arc<dyn Store>, Failure> {
    let _ = role;
    Err(failure(config, &StoreError::Broken("this build has no databases yet".to_owned())))
}

/// The migrations that it lacks.
#[expect(clippy::unused_async, reason = "stands in for what comes next")]
pub(super) async fn pending(config: &Config) -> Result<Vec<String>, Failure> {
    Err(failure(config, &StoreError::Broken("this build has no databases yet".to_owned())))
}

/// Applies what it lacks.
#[expect(clippy::unused_async, reason = "stands in for what comes next")]
pub(super) async fn migrate(config: &Config) -> Result<(), Failure> {
    Err(failure(config, &StoreError::Broken("this build has no databases yet".to_owned())))
}

fn failure(config: &Config, error: &StoreError) -> Failure {
    let mut failure = Failure::store(&format!("cannot open the database {}", config.database.url), error);
    failure.hint = Some(
        match error {
            StoreError::Transient(_) | StoreError::Unknown(_) => {
                "is it up, and is `database.url` right? `mozhao config show` tells where it comes from"
            }
            _ => "`mozhao migrate` makes its tables or brings them up to date",
        }
        .to_owned(),
    );
    failure
}
