//! Requests over the HTTP interface, each call waiting for its outcome (`?wait=`): what a front end without a broker does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;

use super::http::Connection;
use super::load::{Book, Outcome, Pace, payload};

/// States without an outcome.
const OPEN: [&[u8]; 3] = [br#""state":"queued""#, br#""state":"running""#, br#""state":"waiting""#];
/// Connections where the pace is fixed: enough for requests that take seconds.
const SPARE: usize = 128;

/// A front end.
pub(crate) struct FrontEnd {
    /// The worker's address.
    pub address: SocketAddr,
    /// A submitter's token.
    pub token: String,
}

impl FrontEnd {
    /// Sends `count` requests whose ids start with `run`, and hears their outcomes.
    pub(crate) async fn run(&self, run: &str, count: usize, pace: Pace) -> anyhow::Result<Outcome> {
        let book = Arc::new(Mutex::new(Book::new(count)));
        let connections = match pace {
            Pace::Full { outstanding } => outstanding,
            Pace::Fixed { .. } => SPARE,
        };
        let (numbers, next) = mpsc::channel(1);
        let next = Arc::new(tokio::sync::Mutex::new(next));
        let callers: Vec<_> = (0..connections.min(count))
            .map(|_| {
                let caller = Caller { address: self.address, token: self.token.clone(), run: run.to_owned(), book: book.clone() };
                tokio::spawn(caller.run(next.clone()))
            })
            .collect();
        let mut tick = match pace {
            Pace::Full { .. } => None,
            Pace::Fixed { per_second } => Some(tokio::time::interval(Duration::from_secs(1) / per_second)),
        };
        for number in 0..count {
            if let Some(tick) = &mut tick {
                tick.tick().await;
            }
            numbers.send(number).await?;
        }
        drop(numbers);
        for caller in callers {
            caller.await??;
        }
        let outcome = book.lock().unwrap_or_else(PoisonError::into_inner).outcome();
        Ok(outcome)
    }
}

struct Caller {
    address: SocketAddr,
    token: String,
    run: String,
    book: Arc<Mutex<Book>>,
}

impl Caller {
    async fn run(self, next: Arc<tokio::sync::Mutex<mpsc::Receiver<usize>>>) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.address).await?;
        loop {
            let number = next.lock().await.recv().await;
            let Some(number) = number else { return Ok(()) };
            let body = format!(r#"{{"process":"bench","payload":{}}}"#, payload(number));
            let request = format!(
                "POST /v1/requests?wait=30s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {}-{number}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                self.token,
                self.run,
                body.len()
            );
            self.book.lock().unwrap_or_else(PoisonError::into_inner).send(number);
            let (mut status, mut answer) = connection.call(request.as_bytes()).await?;
            // Only so many wait for their outcome at once; the others are told how things stand.
            while status / 100 == 2 && OPEN.iter().any(|state| contains(&answer, state)) {
                let id = after(&answer, br#""id":""#, 36).context("an answer without the request's id")?;
                let again = format!(
                    "GET /v1/requests/{id}?wait=30s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\r\n",
                    self.token
                );
                (status, answer) = connection.call(again.as_bytes()).await?;
            }
            let done = contains(&answer, br#""state":"done""#);
            self.book.lock().unwrap_or_else(PoisonError::into_inner).end(number, done);
        }
    }
}

/// `length` bytes after `part`.
fn after<'t>(text: &'t [u8], part: &[u8], length: usize) -> Option<&'t str> {
    let at = text.windows(part.len()).position(|window| window == part)? + part.len();
    std::str::from_utf8(text.get(at..at + length)?).ok()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
