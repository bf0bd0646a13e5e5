//! Calls over plain HTTP/1.1, and the connections that they are made on.
//!
//! What is hard is to know that nothing was sent. A connection that was kept may have been closed by the other side, which shows only
//! when it is used: where the protocol's library gives the request back unsent, another connection takes it, and nobody need know. In
//! every other case it may have arrived. A connection comes back only after its answer was read to the end; what is dropped before that
//! (a call that was late, an answer that was too long) takes its connection with it.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use tokio::time::{Instant, sleep, timeout};
use tower::Service;

use super::wire::{IDLE, NoAnswer, Outgoing, cause, chain};

/// How a connection that nobody answers on is noticed: after a silence, so often, this many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(15), 3);
/// How long sent bytes may stay unacknowledged by the other machine.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A connection without a call.
type Free = SendRequest<Full<Bytes>>;

/// One place over plain HTTP, with the connections to it that have nothing to do.
pub(super) struct Plain {
    dial: HttpConnector<Resolve>,
    connect_timeout: Duration,
    kept: Arc<Kept>,
}

/// A connection that an answer comes on; given back when that was read to its end.
pub(super) struct Used {
    connection: Free,
    kept: Arc<Kept>,
}

/// Connections for the next calls, the one used last at the end.
struct Kept {
    most: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    connections: Vec<(Free, Instant)>,
    /// A task closes what nobody has used for a while.
    swept: bool,
}

impl Plain {
    /// `most`: how many connections are kept.
    pub(super) fn new(connect_timeout: Duration, most: usize) -> Plain {
        let mut dial = HttpConnector::new_with_resolver(Resolve(GaiResolver::new()));
        dial.set_nodelay(true);
        dial.set_keepalive(Some(KEEPALIVE.0));
        dial.set_keepalive_interval(Some(KEEPALIVE.1));
        dial.set_keepalive_retries(Some(KEEPALIVE.2));
        #[cfg(target_os = "linux")]
        dial.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Plain { dial, connect_timeout, kept: Arc::new(Kept { most, shelf: Mutex::default() }) }
    }

    /// Sends a request; waits for the head of its answer.
    pub(super) async fn send(&self, mut request: Outgoing) -> Result<(Response<Incoming>, Used), NoAnswer> {
        let place = request.uri().clone();
        let host = place.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        request.headers_mut().entry(HOST).or_insert(host.ok_or_else(|| NoAnswer::unsent("the address names no host"))?);
        // Below its host, as a server expects it.
        let below = place.path_and_query().cloned();
        *request.uri_mut() = below.map(Uri::from).unwrap_or_default();
        let mut request = request.map(Full::new);
        loop {
            let (mut connection, kept) = match self.kept.take() {
                Some(connection) => (connection, true),
                None => (self.connect(place.clone()).await?, false),
            };
            // One that was kept may have been closed meanwhile.
            if kept && connection.ready().await.is_err() {
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(answer) => return Ok((answer, Used { connection, kept: Arc::clone(&self.kept) })),
                Err(mut failed) => match failed.take_message() {
                    // Not a byte of it was written. A new connection that does that is no place to try again.
                    Some(unsent) if kept => request = unsent,
                    _ => return Err(NoAnswer::Broke(cause(failed.error()))),
                },
            }
        }
    }

    async fn connect(&self, to: Uri) -> Result<Free, NoAnswer> {
        let mut dial = self.dial.clone();
        let connecting = async move {
            std::future::poll_fn(|cx| Service::<Uri>::poll_ready(&mut dial, cx)).await?;
            dial.call(to).await
        };
        let stream = match timeout(self.connect_timeout, connecting).await {
            Err(late) => return Err(NoAnswer::unsent(&late.to_string())),
            Ok(Err(error)) if chain(&error).any(<dyn Error>::is::<Unresolved>) => return Err(NoAnswer::NoHost(cause(&error))),
            Ok(Err(error)) => return Err(NoAnswer::unsent(&cause(&error))),
            Ok(Ok(stream)) => stream,
        };
        let (connection, work) = http1::handshake(stream).await.map_err(|error| NoAnswer::unsent(&cause(&error)))?;
        // What goes wrong on it is told to whoever has a call there. It ends when nobody holds the connection any more.
        tokio::spawn(async move { drop(work.await) });
        Ok(connection)
    }
}

impl Used {
    /// The answer was read to its end.
    pub(super) fn give_back(self) {
        if !self.connection.is_closed() {
            self.kept.put(self.connection);
        }
    }
}

impl Kept {
    /// The connection that was used last, unless the other side may be about to close it.
    fn take(&self) -> Option<Free> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((connection, since)) = shelf.connections.pop() {
            if since.elapsed() < IDLE && !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn put(self: &Arc<Self>, connection: Free) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf.connections.len() >= self.most {
            return;
        }
        shelf.connections.push((connection, Instant::now()));
        if !std::mem::replace(&mut shelf.swept, true) {
            tokio::spawn(Kept::sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what nobody has used for a while, until nothing is left.
    async fn sweep(kept: Weak<Kept>) {
        loop {
            sleep(IDLE / 4).await;
            let Some(kept) = kept.upgrade() else { return };
            let mut shelf = kept.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.connections.retain(|(connection, since)| since.elapsed() < IDLE && !connection.is_closed());
            if shelf.connections.is_empty() {
                shelf.swept = false;
                return;
            }
        }
    }
}

/// The system's resolver, with errors that can be told from others.
#[derive(Clone)]
pub(super) struct Resolve(GaiResolver);

/// A host's name that was not found.
#[derive(Debug)]
pub(super) struct Unresolved(io::Error);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name was not found")
    }
}

impl Error for Unresolved {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl Service<Name> for Resolve {
    type Response = GaiAddrs;
    type Error = Unresolved;
    type Future = Resolving;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        self.0.poll_ready(cx).map_err(Unresolved)
    }

    fn call(&mut self, name: Name) -> Resolving {
        Resolving(self.0.call(name))
    }
}

/// A name that is being looked up; dropping it gives it up.
pub(super) struct Resolving(<GaiResolver as Service<Name>>::Future);

impl Future for Resolving {
    type Output = Result<GaiAddrs, Unresolved>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(Unresolved)
    }
}
