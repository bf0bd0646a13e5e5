//! What a batch may hold, checked before any of it is written: a value that one database would refuse is refused by all,
//! as [`StoreError::Data`], so that the committer's bisection finds the same culprit everywhere.

use std::collections::{BTreeMap, HashSet};

use crate::engine::ports::records::{ControlRow, Event, RejectedRow, RequestRow};
use crate::engine::ports::store::{Accept, Advance, RequestId, StoreError, Summary, Write, Written};

/// A batch taken apart by kind, each write with its place in the batch.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    /// New requests.
    pub(super) accepts: Vec<(usize, &'a Accept)>,
    /// Messages that never became requests.
    pub(super) rejects: Vec<(usize, &'a RejectedRow)>,
    /// Steps of requests; at most one per request.
    pub(super) advances: Vec<(usize, &'a Advance)>,
    /// One answer per write; [`Written::Lost`] where nothing else is said.
    pub(super) answers: Vec<Written>,
}

/// Checks a batch and takes it apart.
///
/// A second step of a request in one batch is lost: the committer's writers wait for their answer before the next step, so
/// it was built on a head that nobody has seen committed.
pub(super) fn parts(batch: &[Write]) -> Result<Parts<'_>, StoreError> {
    let mut parts = Parts { answers: vec![Written::Lost; batch.len()], ..Parts::default() };
    let mut advanced: HashSet<RequestId> = HashSet::new();
    for (place, write) in batch.iter().enumerate() {
        match write {
            Write::Accept(accept) => {
                check_accept(accept)?;
                parts.accepts.push((place, accept));
            }
            Write::Reject(reject) => {
                check_reject(reject)?;
                parts.rejects.push((place, reject));
            }
            Write::Advance(advance) => {
                check_advance(advance)?;
                if advanced.insert(advance.request) {
                    parts.advances.push((place, advance));
                }
            }
        }
    }
    Ok(parts)
}

fn check_accept(accept: &Accept) -> Result<(), StoreError> {
    let RequestRow { process, customer, channel, reply_to, correlation, traceparent, lane, state, step, reason, .. } =
        &accept.row;
    for text in [&accept.producer, &accept.message, process, customer, channel, state] {
        plain(text)?;
    }
    for text in [reply_to, correlation, traceparent, lane, step, reason].into_iter().flatten() {
        plain(text)?;
    }
    if let Some(limit) = &accept.limit {
        plain(&limit.key)?;
    }
    if accept.row.seq != 1 || accept.first.seq != 1 {
        return Err(StoreError::Data("a new request starts with entry 1".into()));
    }
    if accept.row.ended_at.is_some() {
        return Err(StoreError::Data("a new request is open".into()));
    }
    check_events(&accept.events)
}

fn check_reject(reject: &RejectedRow) -> Result<(), StoreError> {
    for text in [&reject.producer, &reject.channel, &reject.code, &reject.detail] {
        plain(text)?;
    }
    for text in [&reject.message, &reject.process].into_iter().flatten() {
        plain(text)?;
    }
    check_events(&reject.events)
}

fn check_advance(advance: &Advance) -> Result<(), StoreError> {
    let summary = &advance.summary;
    for text in [&summary.step, &summary.reason, &summary.parked].into_iter().flatten() {
        plain(text)?;
    }
    for consumed in &advance.consumed {
        plain(&consumed.answer)?;
    }
    let numbered = (advance.expect_seq + 1..).zip(&advance.entries).all(|(seq, entry)| seq == entry.seq);
    if !numbered || summary.seq != advance.expect_seq + advance.entries.len() as u64 {
        return Err(StoreError::Data("entries are numbered from the head that they build on".into()));
    }
    if summary.ended_at.is_some() != super::rules::outcome(summary.state).is_some()
        || (summary.ended_at.is_some() && summary.owned)
    {
        return Err(StoreError::Data(
            "a request has ended exactly where its state is an outcome, and then nobody owns it".into(),
        ));
    }
    check_events(&advance.events)
}

/// Checks a control row's texts.
pub(super) fn check_control(row: &ControlRow) -> Result<(), StoreError> {
    [&row.group, &row.state, &row.reason, &row.by].into_iter().try_for_each(|text| plain(text))?;
    if ["closed", "open", "waiting", "half_open", "resuming", "stopped"].contains(&row.state.as_str()) {
        return Ok(());
    }
    Err(StoreError::Data(format!("a control has no state `{}`", row.state)))
}

fn check_events(events: &[Event]) -> Result<(), StoreError> {
    for event in events {
        plain(&event.topic)?;
        for text in [&event.reply_to, &event.correlation].into_iter().flatten() {
            plain(text)?;
        }
    }
    Ok(())
}

/// What a batch adds to the counters.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<&'static str, i64>);

impl Tally {
    /// Counts one.
    pub(super) fn count(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    /// Counts an ended request.
    pub(super) fn end(&mut self, summary: &Summary) {
        if let Some(outcome) = summary.ended_at.and(super::rules::outcome(summary.state)) {
            self.count(outcome);
            if !summary.person {
                self.count("automated");
            }
        }
    }

    /// What was counted, by name.
    pub(super) fn into_counts(self) -> BTreeMap<&'static str, i64> {
        self.0
    }
}

/// PostgreSQL has no NUL in text. (Payloads, entries and raw messages are bytes.)
pub(super) fn plain(text: &str) -> Result<(), StoreError> {
    if text.contains('\0') { Err(StoreError::Data("text with a NUL character".into())) } else { Ok(()) }
}
