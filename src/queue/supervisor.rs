//! Keeps one connection for one purpose, for ever. After a silent network cut a library's own recovery was seen to hang
//! for minutes; so nothing is recovered here: whatever goes wrong, the connection is thrown away with all that is on it,
//! and built anew after a short pause.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::QueueError;
use super::pause::Pause;
use super::stream;

/// The longest that connecting may take, the handshake included.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest that an orderly close may take.
const CLOSE: Duration = Duration::from_secs(2);
/// A session that lasted so long was a good one: the next pause is a short one.
const GOOD: Duration = Duration::from_secs(10);

/// A connection's state, to be watched.
#[derive(Debug)]
pub struct Link {
    state: watch::Sender<Option<Result<(), QueueError>>>,
}

impl Default for Link {
    fn default() -> Self {
        Link { state: watch::Sender::new(None) }
    }
}

impl Link {
    /// Does it work at the moment?
    #[must_use]
    pub fn up(&self) -> bool {
        *self.state.borrow() == Some(Ok(()))
    }

    /// Why it does not work; `None` where it does, or nothing is known yet.
    #[must_use]
    pub fn error(&self) -> Option<QueueError> {
        self.state.borrow().clone().and_then(Result::err)
    }

    /// Returns once it works.
    pub async fn wait_up(&self) {
        self.wait(|state| *state == Some(Ok(()))).await;
    }

    /// Returns once it does not.
    pub async fn wait_down(&self) {
        self.wait(|state| *state != Some(Ok(()))).await;
    }

    async fn wait(&self, wanted: impl FnMut(&Option<Result<(), QueueError>>) -> bool) {
        let mut changes = self.state.subscribe();
        // The sender lives as long as `self`: the wait cannot fail.
        drop(changes.wait_for(wanted).await);
    }

    pub(super) fn set_up(&self) {
        self.state.send_replace(Some(Ok(())));
    }

    pub(super) fn set_down(&self, error: QueueError) {
        self.state.send_replace(Some(Err(error)));
    }
}

/// What is done with a connection while it lasts.
pub(super) trait Session: Send + 'static {
    /// Sets everything up, says so on the link, and works until it is told to stop (`Ok`) or the connection is of no
    /// more use (`Err`).
    fn run(&mut self, connection: &Connection) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// Runs sessions until `stop`.
pub(super) async fn supervise<S: Session>(
    purpose: &'static str,
    uri: AMQPUri,
    link: Arc<Link>,
    stop: CancellationToken,
    mut session: S,
) {
    let mut pause = Pause::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        let result = once(purpose, &uri, &stop, &mut session).await;
        let was_up = link.up();
        let error = match result {
            Ok(()) if stop.is_cancelled() => break,
            Ok(()) => QueueError::Lost("the session ended".to_owned()),
            Err(error) => error,
        };
        if was_up {
            tracing::warn!(purpose, %error, "the broker's connection is lost; connecting anew");
        } else if link.error().as_ref() != Some(&error) {
            tracing::warn!(purpose, %error, "the broker cannot be used; trying on");
        }
        link.set_down(error);
        if was_up && began.elapsed() >= GOOD {
            pause.reset();
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause.next()) => {}
        }
    }
    link.set_down(QueueError::Lost("stopped".to_owned()));
}

async fn once<S: Session>(purpose: &str, uri: &AMQPUri, stop: &CancellationToken, session: &mut S) -> Result<(), QueueError> {
    let connection = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        connection = connect(purpose, uri) => connection?,
    };
    let result = session.run(&connection).await;
    // An orderly close tells the broker at once; a dead connection fails here at once or is left to its heartbeat.
    if connection.status().connected() {
        drop(timeout(CLOSE, connection.close(200, "done".into())).await);
    }
    result
}

/// Connects, within a deadline.
pub(super) async fn connect(purpose: &str, uri: &AMQPUri) -> Result<Connection, QueueError> {
    let name = format!("mozhao {purpose} {}", std::process::id());
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    match timeout(CONNECT, stream::connect(uri.clone(), properties)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(QueueError::Lost(error.to_string())),
        Err(_) => Err(QueueError::Lost(format!("no connection within {CONNECT:?}"))),
    }
}
