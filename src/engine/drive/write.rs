//! The writing half of a drive: what is buffered, what goes with it, and when it becomes durable.

use std::sync::Arc;

use super::{Drive, DriveError};
use crate::domain::request::chain::{Entry, Hash};
use crate::domain::request::fact::{Cause, Ending, Fact};
use crate::domain::request::notices::{Data, Notice, cancelled, cloud_event, notices};
use crate::domain::request::react::open_review;
use crate::domain::request::state::Phase;
use crate::domain::time::Time;
use crate::domain::triage::fingerprint;
use crate::engine::committer::CommitError;
use crate::engine::ports::records::{DefectRow, Event, ReviewRow};
use crate::engine::ports::store::{Advance, ReviewChange, StoreError, Summary, Write, Written};
use crate::faults::bug;

/// What a write leaves behind.
enum Then {
    /// The request stays ours.
    Keep,
    /// It is released, and looked at again then.
    Release(Option<Time>),
}

/// A guarded fact that was or was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guarded {
    Written,
    /// Signals came first; they are consumed by now, and the plan is to be made again.
    Overtaken,
}

impl Drive {
    /// Buffers a fact and applies it.
    pub(super) fn push(&mut self, fact: Fact) -> Result<(), DriveError> {
        let now = self.core.clock.now();
        self.state.apply(&fact, now)?;
        match &fact {
            Fact::Decided(decided) => self.payload_changed |= !decided.fields.is_empty(),
            Fact::Supplemented { .. } => self.payload_changed = true,
            Fact::Moved { version, .. } => {
                if let Some(process) = self.core.processes.get(&self.state.accepted.process, *version) {
                    self.callbacks = self.core.callback_urls(self.state.id, &process);
                    self.process = process;
                }
            }
            _ => {}
        }
        self.buffer.push((fact, now));
        Ok(())
    }

    /// Prepares the rows that a fact from a signal brings with it; writes what is there first where a row is taken.
    pub(super) async fn open_rows(&mut self, fact: &Fact) -> Result<(), DriveError> {
        let open = match &self.state.phase {
            Phase::InReview(opened) => Some(opened.id),
            _ => None,
        };
        let change = match fact {
            Fact::Decided(decided) => Some(ReviewChange::Decided(decided.review)),
            Fact::ReviewOpened(opened) => Some(ReviewChange::Open(Box::new(self.review_row(opened)))),
            Fact::TurnedBack { .. } | Fact::Ended { .. } => open.map(ReviewChange::Cancelled),
            _ => None,
        };
        if change.is_some() {
            if self.review.is_some() {
                self.flush().await?;
            }
            self.review = change;
        }
        Ok(())
    }

    fn review_row(&self, opened: &crate::domain::request::fact::ReviewOpened) -> ReviewRow {
        let spec = self.process.reviews.get(&opened.review);
        ReviewRow {
            id: opened.id,
            request: self.state.id,
            process: self.state.accepted.process.clone(),
            process_version: self.state.accepted.version,
            name: opened.review.clone(),
            slot: opened.slot.clone(),
            customer: self.state.accepted.customer.clone(),
            options: opened.options.clone(),
            role: spec.and_then(|spec| spec.role.clone()),
            four_eyes: opened.four_eyes,
            state: "open".to_owned(),
            version: 1,
            claimed_by: None,
            claimed_until: None,
            escalated: 0,
            decision: None,
            opened_at: self.core.clock.now(),
            due_at: opened.due,
            closed_at: None,
        }
    }

    /// Asks a person.
    pub(super) async fn ask(&mut self, slot: &str, review: &str) -> Result<(), DriveError> {
        let (now, id) = (self.core.clock.now(), self.core.clock.id());
        let Some(opened) = open_review(&self.process, slot, review, id, now) else {
            let cause = Cause {
                class: crate::domain::request::fact::FailureClass::Broken,
                code: "no_review".to_owned(),
                connector: None,
                status: None,
                detail: format!("the process has no review `{review}`"),
            };
            return self.park_defect(slot, cause).await;
        };
        let fact = Fact::ReviewOpened(opened);
        self.open_rows(&fact).await?;
        self.push(fact)
    }

    /// Parks the request under the defect that the failure belongs to.
    pub(super) async fn park_defect(&mut self, slot: &str, cause: Cause) -> Result<(), DriveError> {
        let print = fingerprint(&self.process.name, slot, &cause);
        let group = format!("defect:{}", print.hex);
        let now = self.core.clock.now();
        if self.defect.is_some() {
            self.flush().await?;
        }
        self.defect = Some(DefectRow {
            fingerprint: print.hex,
            process: self.process.name.clone(),
            version: self.process.version,
            slot: slot.to_owned(),
            connector: cause.connector.clone(),
            class: class_word(&cause),
            code: cause.code.clone(),
            status: cause.status,
            pattern: print.pattern,
            detail: cause.detail.clone(),
            sample: self.state.id,
            count: 1,
            first_seen: now,
            last_seen: now,
        });
        tracing::warn!(request = %self.state.id, process = self.process.name, slot, code = cause.code, group, "parked under a defect");
        self.push(Fact::Parked { group, slot: slot.to_owned(), cause })
    }

    /// Writes what is buffered; the request stays ours.
    pub(super) async fn flush(&mut self) -> Result<(), DriveError> {
        if self.buffer.is_empty() && self.consumed.is_empty() {
            return Ok(());
        }
        self.write(None, &Then::Keep).await.map(drop)
    }

    /// Writes what is buffered where it holds a verdict that cost money: before the next call, and before any wait.
    pub(super) async fn checkpoint(&mut self) -> Result<(), DriveError> {
        if self.checkpoint { self.flush().await } else { Ok(()) }
    }

    /// Writes what is buffered and gives the request up; somebody looks at it again at `wake_at`.
    pub(super) async fn release(&mut self, wake_at: Option<Time>) -> Result<(), DriveError> {
        self.write(None, &Then::Release(wake_at)).await.map(drop)
    }

    /// Writes a fact that must not pass a waiting signal, with all that is buffered.
    pub(super) async fn guarded(&mut self, fact: Fact) -> Result<Guarded, DriveError> {
        self.write(Some(fact), &Then::Keep).await
    }

    /// Writes the outcome; true once it stands, false where signals came first.
    pub(super) async fn end(&mut self, fact: Fact) -> Result<bool, DriveError> {
        self.open_rows(&fact).await?;
        Ok(self.write(Some(fact), &Then::Release(None)).await? == Guarded::Written)
    }

    /// The one place that writes.
    async fn write(&mut self, guarded: Option<Fact>, then: &Then) -> Result<Guarded, DriveError> {
        loop {
            let advance = self.advance(guarded.as_ref(), then)?;
            let (seq, head) = (advance.summary.seq, advance.summary.head);
            let written = self.core.committer.write(Write::Advance(Box::new(advance))).await;
            let written = match written {
                Ok(written) => written,
                Err(CommitError::Fenced) => return Err(DriveError::Fenced),
                Err(CommitError::Stopped(why)) => return Err(DriveError::Stopped(why)),
                Err(CommitError::Data(why)) => return Err(DriveError::Data(why)),
                Err(CommitError::Unknown(_)) => {
                    if !bug("unknown_commit_is_done") && !self.find_out(seq, &head).await? {
                        continue;
                    }
                    Written::Advanced
                }
            };
            match written {
                Written::Advanced => {
                    if let Some(fact) = guarded {
                        self.state.apply(&fact, self.core.clock.now())?;
                    }
                    self.settle(seq, head);
                    return Ok(Guarded::Written);
                }
                Written::Signalled => {
                    if matches!(self.review, Some(ReviewChange::Cancelled(_))) {
                        self.review = None;
                    }
                    Box::pin(self.read_signals()).await?;
                    return Ok(Guarded::Overtaken);
                }
                _ => return Err(DriveError::Lost),
            }
        }
    }

    fn settle(&mut self, seq: u64, head: Hash) {
        (self.durable_seq, self.durable_head) = (seq, head);
        self.state.head = head;
        if let Some(ending) = self.state.ending() {
            let labels = [("process", self.process.name.clone()), ("outcome", ending.outcome().to_owned())];
            metrics::counter!("mozhao_process_requests_ended_total", &labels).increment(1);
        }
        self.buffer.clear();
        self.checkpoint = false;
        self.consumed.clear();
        (self.review, self.defect, self.payload_changed) = (None, None, false);
        self.core.tell(self.state.id);
    }

    /// After a commit whose reply did not come: did it happen? True if so, false if it certainly did not.
    async fn find_out(&self, seq: u64, head: &Hash) -> Result<bool, DriveError> {
        let mut pause = std::time::Duration::from_millis(50);
        loop {
            match self.core.store.request(self.state.id).await {
                Ok(row) if row.seq == seq && row.head == *head => return Ok(true),
                Ok(row) if row.seq == self.durable_seq && row.owner == Some(self.core.worker) => return Ok(false),
                Ok(_) => return Err(DriveError::Lost),
                Err(StoreError::Transient(_) | StoreError::Unknown(_)) if !self.core.kill.is_cancelled() => {
                    self.core.clock.sleep(pause).await;
                    pause = (pause * 2).min(std::time::Duration::from_secs(1));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Puts together the write: entries, row, events and the rows that go with them.
    fn advance(&self, guarded: Option<&Fact>, then: &Then) -> Result<Advance, DriveError> {
        let now = self.core.clock.now();
        if let Some(fact) = guarded {
            self.state.may_follow(fact)?;
        }
        let facts = self.buffer.iter().map(|(fact, at)| (fact, *at)).chain(guarded.map(|fact| (fact, now)));
        let (mut seq, mut head) = (self.durable_seq, self.durable_head);
        let (mut entries, mut events) = (Vec::with_capacity(self.buffer.len() + 1), Vec::new());
        for (fact, at) in facts {
            seq += 1;
            let entry = Entry::seal(self.state.id, seq, &head, at, fact)?;
            if !bug("chain_cut") {
                head = entry.hash;
            }
            entries.push(entry);
            for notice in notices(&self.process, &self.state, fact, seq) {
                if bug("outcome_told_twice") && notice.outcome {
                    events.push(self.event(notice.clone(), at));
                }
                events.push(self.event(notice, at));
            }
        }
        if let Some(ReviewChange::Cancelled(review)) = &self.review {
            events.push(self.event(cancelled(&self.state, *review, seq), now));
        }
        let ending = match guarded {
            Some(Fact::Ended { ending }) => Some(ending),
            _ => self.state.ending(),
        };
        let (owned, wake_at) = match then {
            Then::Keep => (true, None),
            Then::Release(wake_at) => (false, *wake_at),
        };
        let payload = if self.payload_changed { Some(Arc::from(self.state.payload.to_string().into_bytes())) } else { None };
        Ok(Advance {
            request: self.state.id,
            expect_seq: self.durable_seq,
            entries,
            summary: self.summary(ending, seq, head, owned, wake_at, now),
            seen: self.seen,
            quiet: guarded.is_some(),
            consumed: self.consumed.clone(),
            review: self.review.clone(),
            defect: self.defect.clone(),
            payload,
            events,
        })
    }

    /// The row's summary of the state; `ending` is the state's, or the one that is being written.
    fn summary(&self, ending: Option<&Ending>, seq: u64, head: Hash, owned: bool, wake_at: Option<Time>, now: Time) -> Summary {
        let state = &self.state;
        let (word, step, reason) = match (ending, &state.phase) {
            (Some(Ending::Refused(refusal)), _) => ("refused", Some(refusal.slot.clone()), Some(refusal.reason.clone())),
            (Some(ending), _) | (None, Phase::Ended(ending)) => (ending.outcome(), None, None),
            (None, Phase::Queued) => ("queued", None, None),
            (None, Phase::Open) => (if owned { "running" } else { "waiting" }, state.current().map(str::to_owned), None),
            (None, Phase::Parked { slot, code, .. }) => ("parked", Some(slot.clone()), Some(code.clone())),
            (None, Phase::InReview(opened)) => ("in_review", Some(opened.slot.clone()), Some(opened.review.clone())),
            (None, Phase::AskedCustomer { slot, review, .. }) => ("waiting", Some(slot.clone()), Some(review.clone())),
        };
        let (parked, review) = match (ending, &state.phase) {
            (None, Phase::Parked { group, .. }) => (Some(group.clone()), None),
            (None, Phase::InReview(opened)) => (None, Some(opened.id)),
            _ => (None, None),
        };
        Summary {
            seq,
            head,
            version: state.accepted.version,
            state: word,
            step,
            reason,
            parked,
            review,
            owned,
            wake_at: wake_at.filter(|_| ending.is_none()),
            ended_at: ending.map(|_| now),
            person: state.person,
            at: now,
        }
    }

    fn event(&self, mut notice: Notice, at: Time) -> Event {
        if bug("payload_told") {
            notice.extra["payload"] = (*self.state.payload).clone();
        }
        let id = self.core.clock.id();
        let reply = notice.outcome.then(|| self.reply_to.clone()).flatten();
        Event {
            id,
            request: Some(self.state.id),
            seq: notice.seq,
            body: cloud_event(id, &notice.topic, Some(self.state.id), at, &Data::of(&self.state, &notice)).into(),
            topic: notice.topic,
            correlation: reply.as_ref().and(self.correlation.clone()),
            reply_to: reply,
            at,
        }
    }
}

fn class_word(cause: &Cause) -> String {
    serde_json::to_value(cause.class).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
