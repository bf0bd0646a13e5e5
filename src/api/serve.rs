//! The listener: connections are counted, heads are bounded in size and time, answers in the time that their reader may stop
//! reading, and stopping takes a bounded time.
//!
//! `axum::serve` has neither a header timeout nor a limit on connections, and a slow client could hold one for ever; so
//! hyper is served directly. On shutdown the listener closes, open connections finish the answer that they are in, and what
//! is left after [`DRAIN`] is cut.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::stall::Impatient;

/// The most connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 1024;
/// How long a client has for the head of a request, and an idle connection stays open.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// The most bytes of a request's head; hyper's buffer grows by doubling, so up to twice as many may pass.
const HEAD_BYTES: usize = 32 * 1024;
/// The most header fields.
const HEAD_FIELDS: usize = 64;
/// How long answers that have begun may take after the shutdown.
const DRAIN: Duration = Duration::from_secs(10);
/// The pause after a failed accept (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then at most ten seconds longer.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, router.clone(), shutdown.clone());
                let cut = cut.clone();
                tasks.spawn(async move {
                    cut.run_until_cancelled(connection).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections are cut: they did not finish in time");
        cut.cancel();
        tasks.wait().await;
    }
}

async fn connection(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    // Small answers must not wait for the caller's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(TokioIo::new(Impatient::new(stream)), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
