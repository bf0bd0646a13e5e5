//! The remote system: a server that answers every call at once with one static body that fits all steps. On a thread of
//! its own, so that its CPU can be told apart; it parses no more of HTTP than the length of the body.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::http::{Connection, end_of_head, length_of_body};
use super::usage;

const BODY: &str = r#"{"status":"bound","holder":"c-1","in_flight":0}"#;
const BODY_ACTIVE: &str = r#"{"status":"active","in_flight":0}"#;

/// A running stub. Lives as long as the program.
pub(crate) struct Stub {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its thread, for its CPU.
    pub thread: u32,
    calls: Arc<AtomicU64>,
}

impl Stub {
    /// Starts it.
    pub(crate) fn start() -> anyhow::Result<Stub> {
        let calls = Arc::new(AtomicU64::new(0));
        let (tell, told) = std::sync::mpsc::channel();
        let counter = calls.clone();
        std::thread::Builder::new().name("stub".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::bind("127.0.0.1:0").await else { return };
                let Ok(address) = listener.local_addr() else { return };
                drop(tell.send((address, usage::own_thread())));
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, counter.clone()));
                }
            });
        })?;
        let (address, thread) = told.recv_timeout(Duration::from_secs(5)).context("the stub did not start")?;
        Ok(Stub { address, thread: thread?, calls })
    }

    /// How many calls it has answered.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Calls per second over `connections` connections: what the stub can do at the least, since the caller, on another
    /// thread of the same machine, costs as much as it does.
    pub(crate) async fn limit(&self, connections: usize, time: Duration) -> anyhow::Result<f64> {
        let (before, start) = (self.calls(), Instant::now());
        let address = self.address;
        let callers: Vec<_> = (0..connections)
            .map(|_| {
                tokio::spawn(async move {
                    let mut connection = Connection::open(address).await?;
                    while start.elapsed() < time {
                        connection.call(b"GET /cards/c-1 HTTP/1.1\r\nHost: stub\r\n\r\n").await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        Ok((self.calls() - before) as f64 / start.elapsed().as_secs_f64())
    }
}

async fn serve(mut stream: TcpStream, calls: Arc<AtomicU64>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let answer = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let (bound, active) = (answer(BODY), answer(BODY_ACTIVE));
    let mut got: Vec<u8> = Vec::with_capacity(4096);
    loop {
        while let Some(head) = end_of_head(&got) {
            let whole = head + length_of_body(&got[..head]).unwrap_or(0);
            if got.len() < whole {
                break;
            }
            let answer = if got.starts_with(b"GET /customers/") { &active } else { &bound };
            got.drain(..whole);
            calls.fetch_add(1, Ordering::Relaxed);
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut got).await {
            Ok(1..) => {}
            _ => return,
        }
    }
}
