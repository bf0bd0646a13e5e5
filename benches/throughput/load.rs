//! Requests on their way, and how long each took: what both ways of sending (AMQP and HTTP) have in common.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

/// How requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As fast as they end, so many at the same time.
    Full {
        /// Sent and without an outcome.
        outstanding: usize,
    },
    /// So many a second, whatever becomes of them.
    Fixed {
        /// Requests per second.
        per_second: u32,
    },
}

/// Requests of one run, by number.
#[derive(Debug)]
pub(crate) struct Book {
    sent: Vec<Option<Instant>>,
    took: Vec<Option<Duration>>,
    ended: usize,
    duplicated: usize,
    other: usize,
    last: Option<Instant>,
}

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    /// From the first request sent to the last outcome heard.
    pub seconds: f64,
    /// Requests that ended as they should.
    pub done: usize,
    /// Requests without an outcome.
    pub lost: usize,
    /// Outcomes that came twice.
    pub duplicated: usize,
    /// Outcomes other than `done`.
    pub other: usize,
    /// Median time from sending to hearing the outcome, in milliseconds.
    pub p50_ms: f64,
    /// The same, 95 %.
    pub p95_ms: f64,
    /// The same, 99 %.
    pub p99_ms: f64,
}

impl Book {
    /// For requests 0 to `count`.
    pub(crate) fn new(count: usize) -> Book {
        Book { sent: vec![None; count], took: vec![None; count], ended: 0, duplicated: 0, other: 0, last: None }
    }

    /// A request is being sent now.
    pub(crate) fn send(&mut self, number: usize) {
        self.sent[number] = Some(Instant::now());
    }

    /// Its outcome was heard; true where it is the first one.
    pub(crate) fn end(&mut self, number: usize, done: bool) -> bool {
        let now = Instant::now();
        let (Some(Some(sent)), Some(took)) = (self.sent.get(number), self.took.get_mut(number)) else { return false };
        if took.is_some() {
            self.duplicated += 1;
            return false;
        }
        *took = Some(now - *sent);
        self.last = Some(now);
        self.ended += 1;
        self.other += usize::from(!done);
        true
    }

    /// Every request has an outcome.
    pub(crate) fn complete(&self) -> bool {
        self.ended == self.sent.len()
    }

    /// Sums up.
    pub(crate) fn outcome(&self) -> Outcome {
        let mut took: Vec<Duration> = self.took.iter().flatten().copied().collect();
        took.sort_unstable();
        let at = |percent: usize| took.get(took.len() * percent / 100).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
        let first = self.sent.iter().flatten().min();
        let seconds = first.zip(self.last).map_or(f64::NAN, |(first, last)| (last - *first).as_secs_f64());
        Outcome {
            seconds,
            done: self.ended - self.other,
            lost: self.sent.len() - self.ended,
            duplicated: self.duplicated,
            other: self.other,
            p50_ms: at(50),
            p95_ms: at(95),
            p99_ms: at(99),
        }
    }
}

/// Bytes of a payload; set once.
pub(crate) static PAYLOAD: AtomicUsize = AtomicUsize::new(400);

/// The payload of a request: [`PAYLOAD`] bytes, from 10,000 customers.
pub(crate) fn payload(number: usize) -> String {
    let mut text = format!(
        r#"{{"customer_id":"c-{:05}","card_id":"card-{number:08}","id_number":"11010519491231002X","note":""#,
        number % 10_000
    );
    let filler = PAYLOAD.load(Relaxed).saturating_sub(text.len() + 2);
    text.extend(std::iter::repeat_n('x', filler));
    text.push_str("\"}");
    text
}
