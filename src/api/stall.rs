//! A stream that gives up on a reader who does not read.
//!
//! hyper bounds how long a head may take, and we how long a body may; nobody bounds how long a client takes to read its
//! answer. One that never reads would hold its connection's place for ever, and a thousand of them the whole listener.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// The longest that a write may wait for the other side to read something.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream whose writes fail after some time without progress.
pub(super) struct Impatient<S> {
    stream: S,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> Impatient<S> {
    pub(super) fn new(stream: S) -> Impatient<S> {
        Impatient::with(stream, PATIENCE)
    }

    fn with(stream: S, patience: Duration) -> Impatient<S> {
        Impatient { stream, patience, deadline: Box::pin(sleep(patience)), waiting: false }
    }

    /// Passes what has happened on; turns a wait that is too long into an error.
    fn watch<T>(&mut self, cx: &mut Context<'_>, happened: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if happened.is_ready() {
            self.waiting = false;
            return happened;
        }
        if !self.waiting {
            self.waiting = true;
            let until = Instant::now() + self.patience;
            self.deadline.as_mut().reset(until);
        }
        self.deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let happened = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, happened)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let happened = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.watch(cx, happened)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let happened = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, happened)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let happened = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, happened)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_reader_who_stops_is_given_up() {
        let patience = Duration::from_millis(300);
        let (ours, mut theirs) = duplex(1_000);
        let mut stream = Impatient::with(ours, patience);
        stream.write_all(&[0; 1_000]).await.unwrap();
        let began = Instant::now();
        let error = stream.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= patience);
        // One who reads again in time is served: the wait is counted from the last progress.
        theirs.read_exact(&mut [0; 500]).await.unwrap();
        stream.write_all(&[0; 400]).await.unwrap();
    }
}
