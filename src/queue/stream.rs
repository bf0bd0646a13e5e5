//! A connection to the broker whose incoming bytes go through [`Repair`], and the runtime that hands it to the library.
//!
//! The library makes its own socket; what it lets one choose is the runtime, whose type of stream it then reads. So ours is
//! Tokio's with another type of stream: the one that the library would have made, TLS included, with the repair on top.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::{DummyIO, Task};
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, TLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

use super::frames::Repair;

/// How much is read from the socket at once.
const READ_BYTES: usize = 64 * 1024;

/// Connects as the library does, with the repair in between.
///
/// The socket is opened first: where the library (4.12) cannot open it, it gives up without ending a task that it has started, and
/// each attempt while the broker is away would leave one behind for ever.
pub(super) async fn connect(uri: AMQPUri, properties: ConnectionProperties) -> lapin::Result<Connection> {
    let runtime = Runtime::new(Kit(Tokio::current()));
    let first = Mutex::new(Some(open(uri.clone()).await?));
    let again = async move |uri: AMQPUri, _: Runtime<Kit>| {
        let opened = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        match opened {
            Some(stream) => Ok(stream),
            None => open(uri).await,
        }
    };
    Connection::connector(uri, runtime, again, properties).await
}

async fn open(uri: AMQPUri) -> lapin::Result<AsyncTcpStream<Repaired>> {
    let tokio = Runtime::new(Tokio::current());
    let opened = uri.connect_with_config_async(TLSConfig::default(), &tokio).await;
    opened.map(|stream| AsyncTcpStream::Plain(Repaired::new(stream))).map_err(lapin::Error::from)
}

/// The library's own stream over Tokio.
type Socket = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// A stream whose reader sees repaired frames.
pub(super) struct Repaired {
    socket: Socket,
    repair: Repair,
    chunk: Box<[u8]>,
    ready: Vec<u8>,
    /// How much of `ready` is handed on.
    given: usize,
}

impl Repaired {
    fn new(socket: Socket) -> Repaired {
        let chunk = vec![0; READ_BYTES].into_boxed_slice();
        Repaired { socket, repair: Repair::default(), chunk, ready: Vec::new(), given: 0 }
    }
}

impl AsyncRead for Repaired {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            let left = &this.ready[this.given..];
            if !left.is_empty() {
                let now = left.len().min(buffer.len());
                buffer[..now].copy_from_slice(&left[..now]);
                this.given += now;
                return Poll::Ready(Ok(now));
            }
            this.ready.clear();
            this.given = 0;
            match ready!(Pin::new(&mut this.socket).poll_read(cx, &mut this.chunk))? {
                0 => return Poll::Ready(Ok(0)),
                read => this.repair.feed(&this.chunk[..read], &mut this.ready),
            }
        }
    }
}

impl AsyncWrite for Repaired {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}

/// Tokio, with another type of stream.
#[derive(Debug, Clone)]
struct Kit(Tokio);

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        self.0.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(work)
    }
}

impl Reactor for Kit {
    type TcpStream = Repaired;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Send + 'static>(&self, _: H) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        // Only for sockets that somebody else has opened, and nobody has.
        Err::<DummyIO, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, length: Duration) -> Self::Sleep {
        self.0.sleep(length)
    }

    fn interval(&self, length: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(length)
    }

    fn tcp_connect_addr(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(addr);
        async move { Ok(Repaired::new(AsyncTcpStream::Plain(connecting.await?))) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn a_broker_that_is_away_leaves_nothing_behind() {
        // A port that nobody listens on: it was somebody's until now.
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let uri: AMQPUri = format!("amqp://127.0.0.1:{port}").parse().unwrap();
        let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = alive();
        for _ in 0..5 {
            assert!(connect(uri.clone(), ConnectionProperties::default()).await.is_err());
        }
        assert_eq!(alive(), before);
    }
}
