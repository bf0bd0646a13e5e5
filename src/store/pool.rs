//! A few connections, lent one at a time. Not sqlx's pool: that one pings on return, in a task that never ends when the
//! network is silent and keeps the permit for ever; and it takes back connections that were left inside a transaction.
//!
//! Here a connection comes back only by [`Lease::give_back`], called where everything went well. In every other case (an
//! error, a deadline, a caller that was cancelled) the lease is dropped, which closes the connection and frees the permit.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::engine::ports::store::StoreError;

/// Up to so many connections.
#[derive(Debug)]
pub(super) struct Pool<C> {
    permits: Semaphore,
    idle: Mutex<Vec<C>>,
    /// How long a caller waits for its turn, and then for a new connection.
    wait: Duration,
}

impl<C> Pool<C> {
    /// An empty pool; connections are made when they are needed.
    pub(super) fn new(size: usize, wait: Duration) -> Self {
        Pool { permits: Semaphore::new(size), idle: Mutex::default(), wait }
    }

    /// An idle connection, or the one that `connect` makes.
    pub(super) async fn lease<F>(&self, connect: F) -> Result<Lease<'_, C>, StoreError>
    where
        F: Future<Output = Result<C, StoreError>>,
    {
        let late = |_| StoreError::Transient(format!("no connection within {} s", self.wait.as_secs()));
        let turn = timeout(self.wait, self.permits.acquire()).await.map_err(late)?;
        let permit = turn.map_err(|closed| StoreError::Broken(closed.to_string()))?;
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => timeout(self.wait, connect).await.map_err(late)??,
        };
        Ok(Lease { conn, pool: self, permit })
    }

    /// Closes the idle connections: after one was found dead the others probably are.
    pub(super) fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<C>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on loan.
#[derive(Debug)]
pub(super) struct Lease<'a, C> {
    /// The connection.
    pub(super) conn: C,
    pool: &'a Pool<C>,
    permit: SemaphorePermit<'a>,
}

impl<C> Lease<'_, C> {
    /// Gives it back, idle and outside any transaction.
    pub(super) fn give_back(self) {
        self.pool.idle().push(self.conn);
        drop(self.permit);
    }

    /// Closes the pool's idle connections.
    pub(super) fn clear_others(&self) {
        self.pool.clear();
    }
}
