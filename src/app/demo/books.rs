//! The books of a demo: what the worker recorded, entry by entry, beside what the sandbox says was really applied.
//!
//! Two witnesses, and the summary says whether they agree. The worker's ledger is walked request by request (every hash is
//! computed again); the sandbox, which knows nothing of the worker, counts how often each effect took place on each object.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::stream;
use crate::domain::process::model::Process;
use crate::domain::request::chain;
use crate::domain::request::fact::{Ending, Fact};
use crate::domain::time::Time;
use crate::domain::words::Choice;
use crate::engine::ports::balance::Balance;
use crate::engine::ports::records::{DefectRow, RequestFilter, RequestRow, ReviewFilter, ReviewRow};
use crate::engine::ports::store::{Loaded, StoreError};
use crate::engine::service::Engine;
use crate::sandbox::{Handle, Planned};

/// Requests in one read.
const PAGE: usize = 200;
/// The most reviews and defects that a summary looks at.
const MOST: usize = 10_000;
/// What each process does in the end: effect at the sandbox, and the field of the payload that names its object.
const EFFECTS: [(&str, &str, &str); 5] = [
    ("card_unbind", "unbind", "card_id"),
    ("phone_change", "phone", "customer_id"),
    ("account_close", "close", "account_id"),
    ("name_correction", "hr_name", "person_id"),
    ("name_correction", "legacy_name", "person_id"),
];

/// Everything that a summary tells.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Where every request is.
    pub(super) balance: Balance,
    /// Refused, by clause and reason; most first.
    pub(super) refused: Vec<Refused>,
    /// Put to people; most first.
    pub(super) asked: Vec<Asked>,
    /// Groups of failures under which requests are parked, with how many.
    pub(super) defects: Vec<(DefectRow, u64)>,
    /// Dependencies under which requests are parked, with how many.
    pub(super) dependencies: Vec<(String, u64)>,
    /// Waiting: process, step, until when (the first), how many.
    pub(super) waiting: Vec<Waiting>,
    /// Times from acceptance to the outcome, sorted.
    pub(super) times: Vec<Duration>,
    /// The ledger.
    pub(super) ledger: Ledger,
    /// The sandbox's testimony.
    pub(super) targets: Targets,
}

/// Requests refused for one reason.
#[derive(Debug)]
pub(super) struct Refused {
    /// The clause's id; empty where there is none.
    pub(super) clause: String,
    /// The reason's name.
    pub(super) reason: String,
    /// What the customer reads, in English.
    pub(super) text: String,
    /// How many.
    pub(super) count: u64,
}

/// Requests with the same open question.
#[derive(Debug)]
pub(super) struct Asked {
    /// The oldest review.
    pub(super) first: ReviewRow,
    /// The question, in English.
    pub(super) question: String,
    /// How many.
    pub(super) count: u64,
}

/// Requests that wait for the same.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The process.
    pub(super) process: String,
    /// The step.
    pub(super) step: String,
    /// Until when the first waits.
    pub(super) until: Option<Time>,
    /// How many.
    pub(super) count: u64,
}

/// The ledger, verified.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Requests looked at.
    pub(super) requests: u64,
    /// Entries looked at.
    pub(super) entries: u64,
    /// Requests whose chain is broken, and how.
    pub(super) broken: Vec<(Uuid, String)>,
}

/// What was really applied.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Effects applied, by name.
    pub(super) by_effect: BTreeMap<&'static str, u64>,
    /// Troubles met by calls, by name.
    pub(super) by_fault: BTreeMap<&'static str, u64>,
    /// Calls that were answered from their key's first answer.
    pub(super) replayed: u64,
    /// Done requests: each of their effects was looked for once.
    pub(super) done: u64,
    /// Requests refused or withdrawn: none of their effects may be left.
    pub(super) other: u64,
    /// What does not agree with the worker's books.
    pub(super) wrong: Vec<String>,
}

impl Books {
    /// Do both witnesses agree, and is every request in one place?
    pub(super) fn add_up(&self) -> bool {
        self.balance.holds() && self.ledger.broken.is_empty() && self.targets.wrong.is_empty()
    }

    /// The time within which this share (0 to 100) of the outcomes came.
    pub(super) fn within(&self, percent: usize) -> Option<Duration> {
        let place = (self.times.len() * percent).div_ceil(100).max(1);
        self.times.get(place - 1).copied()
    }
}

/// Reads everything. `requests` is what was sent, in order.
pub(super) async fn read(engine: &Engine, sandbox: &Handle, requests: &[Planned]) -> Result<Books, StoreError> {
    let store = engine.store();
    let mut books = Books { balance: store.balance().await?, ..Books::default() };
    let mut walk = Walk::default();
    let mut before = None;
    loop {
        let rows = store.requests(&RequestFilter::default(), before, PAGE).await?;
        for row in &rows {
            let loaded = store.load(row.id).await?;
            let process = engine.processes().get(&row.process, row.version);
            walk.request(&loaded, process.as_deref(), &mut books);
            testify(sandbox, &loaded.row, requests, &mut books.targets);
        }
        before = rows.last().map(|row| row.id);
        if rows.len() < PAGE {
            break;
        }
    }
    walk.end(&mut books);
    books.asked = asked(engine).await?;
    for defect in store.defects(&[], MOST).await? {
        let parked = store.parked_under(&format!("defect:{}", defect.fingerprint), MOST as u64).await?;
        if parked > 0 {
            books.defects.push((defect, parked));
        }
    }
    books.defects.sort_by_key(|(_, parked)| std::cmp::Reverse(*parked));
    let totals = sandbox.totals();
    books.targets.replayed = totals.replayed;
    (books.targets.by_effect, books.targets.by_fault) = (totals.by_effect, totals.by_fault);
    for (effect, object, times) in sandbox.effects(2) {
        books.targets.wrong.push(format!("{effect} was applied {times} times to {object}"));
    }
    Ok(books)
}

/// Compares one request with what the sandbox applied.
fn testify(sandbox: &Handle, row: &RequestRow, requests: &[Planned], targets: &mut Targets) {
    let Some(planned) = stream::number(&row.message).and_then(|number| requests.get(number)) else { return };
    // An open request may be before or after its effect; one that has ended may not be in between.
    let expected = match row.state.as_str() {
        "done" => 1,
        "refused" | "withdrawn" | "expired" => 0,
        _ => return,
    };
    targets.done += expected;
    targets.other += 1 - expected;
    for (_, effect, field) in EFFECTS.iter().filter(|(process, ..)| *process == row.process) {
        let object = planned.payload.get(*field).and_then(Value::as_str).unwrap_or_default();
        let applied = u64::from(sandbox.applied(effect, object));
        if applied != expected {
            targets.wrong.push(format!("{} is {}, but {effect} was applied {applied} times to {object}", row.id, row.state));
        }
    }
}

/// The open questions, by their name.
async fn asked(engine: &Engine) -> Result<Vec<Asked>, StoreError> {
    let filter = ReviewFilter { states: vec!["open".into()], ..ReviewFilter::default() };
    let mut rows = engine.store().reviews(&filter, None, MOST).await?;
    rows.sort_by_key(|row| (row.opened_at, row.id));
    let mut asked: Vec<Asked> = Vec::new();
    for row in rows {
        if let Some(known) = asked.iter_mut().find(|known| known.first.process == row.process && known.first.name == row.name) {
            known.count += 1;
            continue;
        }
        let process = engine.processes().get(&row.process, row.process_version);
        let question = process.as_ref().and_then(|process| process.reviews.get(&row.name)?.question.get("en").cloned());
        asked.push(Asked { question: question.unwrap_or_else(|| row.name.clone()), first: row, count: 1 });
    }
    asked.sort_by_key(|asked| std::cmp::Reverse(asked.count));
    Ok(asked)
}

impl Asked {
    /// Can one person settle it by approving?
    pub(super) fn simple(&self) -> bool {
        !self.first.four_eyes && self.first.options.contains(&Choice::Approve)
    }
}

/// What adds up while the requests are walked.
#[derive(Default)]
struct Walk {
    refused: BTreeMap<(String, String), (String, u64)>,
    waiting: BTreeMap<(String, String), (Option<Time>, u64)>,
    dependencies: BTreeMap<String, u64>,
}

impl Walk {
    fn request(&mut self, loaded: &Loaded, process: Option<&Process>, books: &mut Books) {
        let (row, entries) = (&loaded.row, &loaded.entries);
        books.ledger.requests += 1;
        books.ledger.entries += entries.len() as u64;
        match chain::verify(row.id, entries) {
            Ok(head) if head == row.head && entries.len() as u64 == row.seq => {}
            Ok(_) => books.ledger.broken.push((row.id, "its row names another head".to_owned())),
            Err(error) => books.ledger.broken.push((row.id, error.to_string())),
        }
        books.times.extend(row.ended_at.map(|at| at.since(row.accepted_at)));
        let step = row.step.clone().unwrap_or_default();
        match (row.state.as_str(), &row.parked) {
            ("waiting", _) => {
                let (until, count) = self.waiting.entry((row.process.clone(), step)).or_default();
                *until = [*until, row.wake_at].into_iter().flatten().min();
                *count += 1;
            }
            ("parked", Some(group)) => {
                if let Some(name) = group.strip_prefix("dependency:") {
                    *self.dependencies.entry(name.to_owned()).or_default() += 1;
                }
            }
            _ => {}
        }
        for fact in entries.iter().filter_map(|entry| entry.fact().ok()) {
            let Fact::Ended { ending: Ending::Refused(refusal) } = fact else { continue };
            let clause = refusal.clause.map(|clause| clause.id).unwrap_or_default();
            let text = process.and_then(|process| process.reasons.get(&refusal.reason)?.customer.get("en").cloned());
            let (known, count) = self.refused.entry((clause, refusal.reason)).or_default();
            known.clone_from(&text.unwrap_or_default());
            *count += 1;
        }
    }

    fn end(self, books: &mut Books) {
        let refused = self.refused.into_iter();
        books.refused = refused.map(|((clause, reason), (text, count))| Refused { clause, reason, text, count }).collect();
        books.refused.sort_by_key(|refused| std::cmp::Reverse(refused.count));
        let waiting = self.waiting.into_iter();
        books.waiting = waiting.map(|((process, step), (until, count))| Waiting { process, step, until, count }).collect();
        books.dependencies = self.dependencies.into_iter().collect();
        books.times.sort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_times() {
        let mut books = Books::default();
        assert_eq!(books.within(50), None);
        books.times = (1..=20).map(Duration::from_secs).collect();
        assert_eq!(books.within(50), Some(Duration::from_secs(10)));
        assert_eq!(books.within(95), Some(Duration::from_secs(19)));
        books.times.truncate(1);
        assert_eq!(books.within(95), Some(Duration::from_secs(1)));
    }

    #[test]
    fn the_books_add_up_when_everybody_agrees() {
        let mut books = Books { balance: Balance { accepted: 1, done: 1, ..Balance::default() }, ..Books::default() };
        assert!(books.add_up());
        books.targets.wrong.push("x".into());
        assert!(!books.add_up());
        books.targets.wrong.clear();
        books.balance.accepted = 2;
        assert!(!books.add_up());
    }
}
