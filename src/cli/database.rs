//! Opening the configured database for commands that work beside a worker.

use std::path::Path;
use std::sync::Arc;

use super::exit::{Exit, Failure};
use crate::config::Config;
use crate::engine::ports::store::{Store, StoreError};
use crate::store::Role;
use crate::store::open::{self, Opened};

/// Opens it to look; changes nothing, and makes no file.
pub(super) async fn open(config: &Config, role: Role) -> Result<Arc<dyn Store>, Failure> {
    let opened = connect(config, role).await?;
    let pending = opened.pending_migrations().await.map_err(|error| failure(config, &error))?;
    if let Some(first) = pending.first() {
        let message = format!("the database {} is not up to date: it lacks {first}", config.database.url);
        return Err(Failure::new(Exit::Failed, message).hint("`mozhao migrate` brings it up to date"));
    }
    Ok(opened.store())
}

/// Makes it where it is not there, and brings it up to date where it is old. Only for `mozhao migrate`, which was asked to:
/// a tool that makes a database at the wrong place would work on one that no worker knows.
pub(super) async fn open_or_make(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    open::open(config.database.url.expose(), Role::Tool).await.map_err(|error| failure(config, &error))
}

/// The migrations that it lacks; `None` where there is no database yet.
pub(super) async fn pending(config: &Config) -> Result<Option<Vec<String>>, Failure> {
    if is_missing(config) {
        return Ok(None);
    }
    connect(config, Role::Tool).await?.pending_migrations().await.map(Some).map_err(|error| failure(config, &error))
}

async fn connect(config: &Config, role: Role) -> Result<Opened, Failure> {
    // Opening a SQLite file makes it; whoever only looks must not.
    if is_missing(config) {
        let message = format!("there is no database {} yet", config.database.url);
        return Err(Failure::new(Exit::NotFound, message)
            .hint("`mozhao migrate` or the first `mozhao serve` makes it; is `database.url` right?"));
    }
    Opened::connect(config.database.url.expose(), role).await.map_err(|error| failure(config, &error))
}

fn is_missing(config: &Config) -> bool {
    let file = config.database.url.expose().strip_prefix("sqlite://");
    file.is_some_and(|file| !Path::new(file.split('?').next().unwrap_or(file)).exists())
}

fn failure(config: &Config, error: &StoreError) -> Failure {
    let failure = Failure::store(&format!("cannot open the database {}", config.database.url), error);
    match error {
        StoreError::Transient(_) | StoreError::Unknown(_) => {
            failure.hint("is it up, and is `database.url` right? `mozhao config show` tells where it comes from")
        }
        _ => failure.hint("`mozhao config show` tells where `database.url` comes from"),
    }
}
