//! One batch: the fence, then new requests and rejections, then steps. The order is the databases' (there each is one
//! statement per table): numbers of a lane are given before the batch's endings release it.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry as Slot;

use super::{Count, Held, Key, Outgoing, State};
use crate::domain::time::Time;
use crate::engine::ports::records::{Event, RejectedRow, RequestRow};
use crate::engine::ports::store::{Accept, Advance, RequestId, ReviewChange, StoreError, WorkerId, Write, Written};
use crate::faults::bug;
use crate::store::batch;
use crate::store::rules;

impl State {
    pub(super) fn commit(&mut self, worker: WorkerId, batch: &[Write], now: Time) -> Result<Vec<Written>, StoreError> {
        let mut parts = batch::parts(batch)?;
        if !bug("dropped_fence") {
            self.alive(worker)?;
        }
        for (_, accept) in &parts.accepts {
            let key = (accept.producer.clone(), accept.message.clone());
            if !self.inbox.contains_key(&key) && self.requests.contains_key(&accept.row.id) {
                return Err(StoreError::Data(format!("request {} exists already", accept.row.id)));
            }
        }
        for (_, advance) in &parts.advances {
            let row = self.requests.get(&advance.request).map(|held| &held.row).filter(|row| row.owner == Some(worker));
            let written = |row: &&RequestRow| row.seq == advance.expect_seq && !(advance.quiet && row.signalled > advance.seen);
            if let Some(row) = row.filter(written) {
                check_against(row, advance)?;
            }
        }
        for (place, accept) in &parts.accepts {
            parts.answers[*place] = self.accept(worker, accept);
        }
        for (place, reject) in &parts.rejects {
            parts.answers[*place] = self.reject(worker, reject);
        }
        let mut lanes = BTreeSet::new();
        for (place, advance) in &parts.advances {
            parts.answers[*place] = self.advance(worker, advance, now);
            if parts.answers[*place] == Written::Advanced && advance.summary.ended_at.is_some() {
                lanes.extend(self.requests.get(&advance.request).and_then(|held| held.row.lane.clone()));
            }
        }
        for lane in lanes {
            self.hand_over(&lane, now);
        }
        Ok(parts.answers)
    }

    fn accept(&mut self, worker: WorkerId, accept: &Accept) -> Written {
        if bug("dedupe_off") {
            self.inbox.remove(&(accept.producer.clone(), accept.message.clone()));
        }
        match self.inbox.entry((accept.producer.clone(), accept.message.clone())) {
            Slot::Occupied(key) => {
                let same = key.get().body_sha256 == accept.body_sha256 || bug("conflict_taken");
                return match key.get().request {
                    Some(first) if same => Written::Duplicate(first),
                    first => Written::KeyConflict(first),
                };
            }
            Slot::Vacant(free) => {
                free.insert(Key { body_sha256: accept.body_sha256, request: Some(accept.row.id), at: accept.row.accepted_at })
            }
        };
        let mut row = accept.row.clone();
        (row.lane_no, row.turn) = match &row.lane {
            None => (None, true),
            Some(lane) => {
                self.last_number += 1;
                (Some(self.last_number), self.first_of(lane).is_none())
            }
        };
        row.turn |= bug("lane_ignored");
        if !row.turn {
            (row.owner, row.wake_at) = (None, Some(row.expires_at));
        }
        row.over_limit = accept.limit.as_ref().is_some_and(|limit| {
            let count = self.limits.entry((limit.key.clone(), limit.window)).or_insert(Count { n: 0, until: limit.until });
            count.n += 1;
            count.n > limit.max && !bug("limit_off")
        });
        let written = Written::Accepted { turn: row.turn, over_limit: row.over_limit };
        self.tally("accepted", 1);
        self.send(worker, &accept.events);
        self.open.insert(row.id);
        let entries = vec![accept.first.clone()];
        self.requests.insert(row.id, Held { row, payload: accept.payload.clone(), entries, signals: vec![] });
        written
    }

    /// Records a rejected message unless this very one (producer, message, bytes) was recorded before. Its key is taken from now on,
    /// again where it was swept.
    fn reject(&mut self, worker: WorkerId, reject: &RejectedRow) -> Written {
        if let Some(message) = &reject.message {
            self.inbox.entry((reject.producer.clone(), message.clone())).or_insert(Key {
                body_sha256: reject.raw_sha256,
                request: None,
                at: reject.at,
            });
            let same = |old: &RejectedRow| {
                old.producer == reject.producer && old.message == reject.message && old.raw_sha256 == reject.raw_sha256
            };
            if self.rejected.values().any(same) {
                return Written::Rejected;
            }
        }
        self.rejected.insert(reject.id, RejectedRow { events: vec![], ..reject.clone() });
        self.tally("rejected", 1);
        self.send(worker, &reject.events);
        Written::Rejected
    }

    fn advance(&mut self, worker: WorkerId, advance: &Advance, now: Time) -> Written {
        let Some(held) = self.requests.get_mut(&advance.request) else { return Written::Lost };
        let lost = held.row.owner != Some(worker) || held.row.seq != advance.expect_seq;
        if lost && !bug("owner_unchecked") {
            return Written::Lost;
        }
        if advance.quiet && !bug("unguarded_intent") && held.row.signalled > advance.seen {
            return Written::Signalled;
        }
        let summary = &advance.summary;
        let row = &mut held.row;
        row.wake_at = rules::wake_after(row, summary, advance.seen, now);
        (row.seq, row.head, row.version) = (summary.seq, summary.head, summary.version);
        row.state = summary.state.into();
        row.step.clone_from(&summary.step);
        row.reason.clone_from(&summary.reason);
        row.parked.clone_from(&summary.parked);
        (row.review, row.person, row.seen) = (summary.review, summary.person, advance.seen);
        (row.ended_at, row.updated_at) = (summary.ended_at, summary.at);
        if !summary.owned {
            (row.owner, row.deaths) = (None, 0);
        }
        held.entries.extend(advance.entries.iter().cloned());
        if let Some(payload) = &advance.payload {
            held.payload = payload.clone();
        }
        if let Some(outcome) = summary.ended_at.and(rules::outcome(summary.state)) {
            self.open.remove(&advance.request);
            self.tally(outcome, if bug("counted_twice") { 2 } else { 1 });
            if !summary.person {
                self.tally("automated", 1);
            }
        }
        for consumed in &advance.consumed {
            let row = self.signals.get_mut(&consumed.signal).filter(|row| row.request == advance.request);
            if let Some(row) = row.filter(|row| row.answer.is_none()) {
                row.answer = Some((summary.at, consumed.answer.clone()));
            }
        }
        if let Some(change) = &advance.review {
            self.change_review(change, summary.at);
        }
        self.count_defect(advance);
        self.send(worker, &advance.events);
        Written::Advanced
    }

    fn change_review(&mut self, change: &ReviewChange, at: Time) {
        let (id, state) = match change {
            ReviewChange::Open(row) => {
                self.reviews.insert(row.id, (**row).clone());
                return;
            }
            ReviewChange::Reopened(id) => {
                if let Some(row) = self.reviews.get_mut(id).filter(|row| row.state == "deciding") {
                    (row.state, row.decision) = ("open".into(), None);
                }
                return;
            }
            ReviewChange::Decided(id) => (id, "decided"),
            ReviewChange::Cancelled(id) => (id, "cancelled"),
        };
        if let Some(row) = self.reviews.get_mut(id).filter(|row| row.closed_at.is_none()) {
            row.state = state.into();
            (row.claimed_by, row.claimed_until, row.closed_at) = (None, None, Some(at));
        }
    }

    /// The first example stays; version and last time move on.
    fn count_defect(&mut self, advance: &Advance) {
        let Some(new) = &advance.defect else { return };
        let row = self.defects.entry(new.fingerprint.clone()).or_insert_with(|| {
            let mut first = new.clone();
            first.count = 0;
            first
        });
        row.count += 1;
        row.version = new.version;
        row.last_seen = row.last_seen.max(new.last_seen);
    }

    /// The first open request of a lane.
    fn first_of(&self, lane: &str) -> Option<RequestId> {
        let open = self.open.iter().filter_map(|id| self.requests.get(id)).map(|held| &held.row);
        open.filter(|row| row.lane.as_deref() == Some(lane)).min_by_key(|row| row.lane_no).map(|row| row.id)
    }

    /// It becomes the turn of the lane's first open request, which becomes due.
    fn hand_over(&mut self, lane: &str, now: Time) {
        let first = self.first_of(lane).and_then(|id| self.requests.get_mut(&id));
        if let Some(next) = first.filter(|held| !held.row.turn) {
            (next.row.turn, next.row.wake_at) = (true, Some(now));
        }
    }

    fn send(&mut self, worker: WorkerId, events: &[Event]) {
        for event in events {
            self.outbox.insert(event.id, Outgoing { worker, event: event.clone(), published: false });
        }
    }
}

/// What the databases' constraints say.
fn check_against(row: &RequestRow, advance: &Advance) -> Result<(), StoreError> {
    if advance.seen > row.signalled {
        return Err(StoreError::Data("more signals seen than were sent".into()));
    }
    let state = advance.summary.state;
    if !row.turn && state != "queued" && matches!(rules::outcome(state), None | Some("done")) {
        return Err(StoreError::Data("out of turn, and yet it runs".into()));
    }
    Ok(())
}
