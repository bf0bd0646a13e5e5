//! Opening the configured database for commands that work beside a worker.

use std::sync::Arc;

use super::exit::Failure;
use crate::config::Config;
use crate::engine::ports::store::{Store, StoreError};
use crate::store::Role;
use crate::store::open;

/// Opens it; a schema that is not up to date is refused with what to do.
pub(super) async fn open(config: &Config, role: Role) -> Result<Arc<dyn Store>, Failure> {
    open::open(config.database.url.expose(), role).await.map_err(|error| failure(config, &error))
}

/// The migrations that it lacks.
pub(super) async fn pending(config: &Config) -> Result<Vec<String>, Failure> {
    open::pending(config.database.url.expose()).await.map_err(|error| failure(config, &error))
}

/// Applies what it lacks.
pub(super) async fn migrate(config: &Config) -> Result<(), Failure> {
    open::migrate(config.database.url.expose()).await.map_err(|error| failure(config, &error))
}

fn failure(config: &Config, error: &StoreError) -> Failure {
    let mut failure = Failure::store(&format!("cannot open the database {}", config.database.url), error);
    failure.hint = Some(match error {
        StoreError::Transient(_) | StoreError::Unknown(_) => "is it up, and is `database.url` right? `mozhao config show` tells where it comes from",
        _ => "`mozhao migrate` makes its tables or brings them up to date",
    }.to_owned());
    failure
}
