//! Stopping: the first SIGINT or SIGTERM lets running attempts finish, the second ends the program at once. Nothing is
//! lost either way: what was not finished is taken up again after the next start.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::output::say;

/// Two requests to stop, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Take nothing new, finish what runs, release what is owned.
    pub drain: CancellationToken,
    /// Return at once.
    pub quit: CancellationToken,
}

impl Stop {
    /// Follows SIGINT and SIGTERM from now on. Quitting also drains.
    ///
    /// # Errors
    /// The runtime cannot listen for signals.
    pub fn on_signals() -> std::io::Result<Stop> {
        let stop = Stop::default();
        let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let on = stop.clone();
        tokio::spawn(async move {
            either(&mut int, &mut term).await;
            say("stopping: running attempts finish first; once more stops at once");
            on.drain.cancel();
            either(&mut int, &mut term).await;
            say("stopping at once");
            on.quit.cancel();
        });
        Ok(stop)
    }
}

async fn either(int: &mut Signal, term: &mut Signal) {
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
}
