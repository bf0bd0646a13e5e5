//! What can be watched while it runs: a live line on a terminal, plain lines elsewhere; all on standard error.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::cli::output::say;
use crate::engine::ports::balance::Balance;

/// Between two plain lines that say how things stand.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// The watched side of a demo.
pub(super) struct Show {
    started: Instant,
    /// On a terminal.
    bar: Option<ProgressBar>,
    sent: AtomicU64,
    finished: AtomicBool,
    told: Mutex<Instant>,
}

impl Show {
    /// `terminal`: standard error is one.
    pub(super) fn new(terminal: bool, requests: u32) -> Show {
        let bar = terminal.then(|| {
            let bar = ProgressBar::new(u64::from(requests));
            if let Ok(style) = ProgressStyle::with_template("{spinner:.green} {bar:24.cyan/dim} {pos}/{len} sent  {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Show {
            started: Instant::now(),
            bar,
            sent: AtomicU64::new(0),
            finished: AtomicBool::new(false),
            told: Mutex::new(Instant::now()),
        }
    }

    /// A line about something that happened.
    pub(super) fn say(&self, text: &str) {
        self.line(' ', text);
    }

    /// A line about a trouble.
    pub(super) fn trouble(&self, text: &str) {
        self.line('!', text);
    }

    fn line(&self, mark: char, text: &str) {
        let line = format!("{:6.1}s {mark} {text}", self.started.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) if !bar.is_finished() => bar.println(line),
            _ => say(&line),
        }
    }

    /// So many requests have been sent.
    pub(super) fn sent(&self, count: usize) {
        self.sent.store(count as u64, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(count as u64);
        }
    }

    /// How the worker's requests stand.
    pub(super) fn balance(&self, balance: &Balance) {
        if self.finished.load(Ordering::Relaxed) {
            return;
        }
        let text = tally(balance);
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None if self.is_time() => self.say(&format!("{} sent: {text}", self.sent.load(Ordering::Relaxed))),
            None => {}
        }
    }

    fn is_time(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = told.elapsed() >= PLAIN_EVERY;
        if due {
            *told = Instant::now();
        }
        due
    }

    /// Takes the live line away; from now on only what happens is told.
    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Where requests stand, places without any left out.
fn tally(balance: &Balance) -> String {
    let places = [
        ("done", balance.done),
        ("refused", balance.refused),
        ("withdrawn", balance.withdrawn),
        ("expired", balance.expired),
        ("in review", balance.in_review),
        ("waiting", balance.waiting),
        ("parked", balance.parked),
        ("running", balance.running + balance.queued),
    ];
    let places: Vec<String> =
        places.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    places.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_without_requests_are_left_out() {
        let balance = Balance { done: 3, in_review: 1, queued: 1, running: 1, ..Balance::default() };
        assert_eq!(tally(&balance), "3 done, 1 in review, 2 running");
    }
}
